"""Planted in what users see: results, sessions, hooks, and code of theirs that takes time or fails."""

from typing import Any
from unittest.mock import patch

from msgspec.structs import replace

from fleet.actors.client import replies
from fleet.actors.client.session_state import SessionState
from fleet.actors.executor.hook_events import HookEvents
from fleet.actors.member.client_queries import ClientQueries
from fleet.cluster.state import CLUSTER_GROUP
from fleet.errors import OutcomeUnknown
from fleet.raft import leader
from fleet.raft.progress import REPLICATE, Progress
from fleet.raft.state import CoreState
from fleet.sim.world.client import SimClient
from tests.sim.planted.patches import Patches


def every_command_is_unknown() -> Patches:
    """Whatever became of a command, its client is told that nobody knows."""
    call = SimClient.call

    def doubt(
        self: SimClient,
        group: str,
        method: str,
        args: Any,
        is_query: bool,
        within_ms: int,
        told: Any,
        *rest: Any,
        **named: Any,
    ) -> None:
        def unknown(value: Any, error: Any) -> None:
            if group != CLUSTER_GROUP and not is_query and error is None:
                value, error = None, OutcomeUnknown("who knows", group=group)
            told(value, error)

        call(self, group, method, args, is_query, within_ms, unknown, *rest, **named)

    return [patch.object(SimClient, "call", doubt)]


def queries_are_never_answered() -> Patches:
    """A leader forgets the queries that it was asked."""
    return [patch.object(ClientQueries, "take", lambda self, m, waiter: None)]


def expired_session_begins_anew() -> Patches:
    """Commands whose session has expired are sent again in a new one, be they executed or not."""

    def expire(state: SessionState, seq: int) -> None:
        calls = [call for number, call in state.inflight.items() if number >= seq and not call.is_unsettled]
        state.inflight.clear()
        state.session_id, state.opening = 0, False
        for call in calls:
            state.leave_batch(call)
            call.sends, call.is_hopeless = (), False
        state.queue.extendleft(reversed(calls))

    return [patch.object(replies, "_expire_session", expire)]


def expired_session_is_begun_again() -> Patches:
    """Seed 2001878: a client begins a session that has expired again, when a leader that executes its log
    again comes to where that was opened, or its reply comes late."""

    def begin(state: SessionState, now: int, session: int) -> None:
        state.opening = False
        if not state.session_id:
            state.session_id, state.next_seq = session, 1

    return [patch.object(replies, "_begin_session", begin)]


def hooks_never_end() -> Patches:
    """Hooks are not told that their leader steps down."""

    def leave(self: HookEvents) -> None:
        self.term, self.is_elected = 0, False
        self.inherited.clear()

    return [patch.object(HookEvents, "leave", leave)]


def hooks_miss_a_command() -> Patches:
    """Of the commands that one entry brought the hooks hear of the first only."""
    tell = HookEvents.on_executed

    def first(self: HookEvents, commands: Any, executed: Any) -> None:
        end = executed.first - commands.first + 1
        tell(
            self,
            replace(commands, payloads=commands.payloads[:end]),
            replace(executed, values=executed.values[:1]),
        )

    return [patch.object(HookEvents, "on_executed", first)]


def lost_append_is_not_repeated() -> Patches:
    """A leader goes on after the appends that it sent, also where a peer was silent for long."""

    def room(self: Progress, appends_max: int) -> int:
        return 1 << 20 if self.state == REPLICATE or not self.probing else 0

    heartbeat = leader.heartbeat

    def forget(core: CoreState, role: Any, peer: Any, progress: Progress) -> None:
        before = progress.next, progress.state
        heartbeat(core, role, peer, progress)
        if before[1] == REPLICATE and progress.state != REPLICATE:
            progress.state, progress.next = REPLICATE, before[0]

    return [
        patch.object(Progress, "room", room),
        patch.object(Progress, "rejected", lambda self, refused, retry_at, sent_at: False),
        patch.object(leader, "heartbeat", forget),
    ]
