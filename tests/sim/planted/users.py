"""Planted in what users see: results, sessions, hooks, and code of theirs that takes time or fails."""

from typing import Any
from unittest.mock import patch

from msgspec.structs import replace

from fleet.actors.client import replies
from fleet.actors.client.session_state import SessionState
from fleet.actors.member.client_requests import ClientRequests
from fleet.actors.member.hook_events import HookEvents
from fleet.cluster.state import CLUSTER_GROUP
from fleet.errors import DataClassUnavailable, OutcomeUnknown
from fleet.objects import class_refs
from fleet.raft import any_role, leader
from fleet.raft.messages import VoteReply
from fleet.raft.progress import REPLICATE, Progress
from fleet.raft.ready import BecameLeader
from fleet.raft.state import Candidate, CoreState
from fleet.sim.world.client import SimClient
from tests.sim.planted.patches import Patches


def every_command_is_unknown() -> Patches:
    """Whatever became of a command, its client is told that nobody knows."""
    call = SimClient.call

    def doubt(
        self: SimClient, group: str, method: str, args: Any, is_query: bool, within_ms: int, told: Any
    ) -> None:
        def unknown(value: Any, error: Any) -> None:
            if group != CLUSTER_GROUP and not is_query and error is None:
                value, error = None, OutcomeUnknown("who knows", group=group)
            told(value, error)

        call(self, group, method, args, is_query, within_ms, unknown)

    return [patch.object(SimClient, "call", doubt)]


def queries_are_never_answered() -> Patches:
    """A leader forgets the queries that it was asked."""
    return [patch.object(ClientRequests, "_query", lambda self, m, waiter: None)]


def lease_is_not_looked_at_again() -> Patches:
    """S19: what was read under a lease is told although the lease ended while it was read."""
    on_read = ClientRequests.on_read

    def trust(self: ClientRequests, token: int, lease: bool = False) -> None:
        on_read(self, token, False)

    return [patch.object(ClientRequests, "on_read", trust)]


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


def exit_at_import_ends_the_member() -> Patches:
    """S70: of what goes wrong when a class is loaded, only exceptions are expected."""
    load = class_refs._loaded_class

    def only_exceptions(module: str, name: str, loader: Any) -> Any:
        cls = loader()
        return load(module, name, lambda: cls)

    return [patch.object(class_refs, "_loaded_class", only_exceptions)]


def bad_class_is_damage() -> Patches:
    """A member whose class cannot be loaded is taken for damaged."""
    from fleet.actors.member import actor
    from fleet.errors import Damaged

    def load(data: bytes) -> Any:
        try:
            return class_refs.decode_class(data)
        except DataClassUnavailable as error:
            raise Damaged(str(error)) from error

    return [patch.object(actor, "decode_class", load)]


def hooks_begin_too_early() -> Patches:
    """Hooks are told of an election before everything that earlier leaders committed is applied."""
    on_role = HookEvents.on_role

    def early(self: HookEvents, hook: Any) -> None:
        on_role(self, hook)
        if isinstance(hook, BecameLeader):
            self._settle()

    return [patch.object(HookEvents, "on_role", early)]


def hooks_never_end() -> Patches:
    """Hooks are not told that their leader steps down."""

    def leave(self: HookEvents) -> None:
        self.term, self.is_elected = 0, False
        self.inherited.clear()

    return [patch.object(HookEvents, "leave", leave)]


def hooks_miss_a_command() -> Patches:
    """Of the commands that one entry brought the hooks hear of the first only."""
    tell = HookEvents._tell_commands

    def first(self: HookEvents, commands: Any, executed: Any) -> None:
        end = executed.first - commands.first + 1
        tell(
            self,
            replace(commands, payloads=commands.payloads[:end]),
            replace(executed, values=executed.values[:1]),
        )

    return [patch.object(HookEvents, "_tell_commands", first)]


def votes_of_earlier_terms_count() -> Patches:
    """A vote that was given in an earlier term counts in this one."""
    worth = any_role.is_worth_handling

    def handle(core: CoreState, message: Any) -> bool:
        role = core.role
        is_late = type(message) is VoteReply and message.granted and message.term < core.term
        if is_late and message.dst == core.id and type(role) is Candidate and not role.pre:
            return True
        return worth(core, message)

    return [patch.object(any_role, "is_worth_handling", handle)]


def lost_append_is_not_repeated() -> Patches:
    """A leader goes on after the appends that it sent, also where a peer was silent for long."""

    def may_send(self: Progress, window_max: int) -> bool:
        return self.state == REPLICATE or not self.probing

    heartbeat = leader.heartbeat

    def forget(core: CoreState, role: Any, peer: Any, progress: Progress) -> None:
        before = progress.next, list(progress.inflight), progress.state
        heartbeat(core, role, peer, progress)
        if before[2] == REPLICATE and progress.state != REPLICATE:
            progress.state, progress.next = REPLICATE, before[0]

    return [
        patch.object(Progress, "may_send_entries", may_send),
        patch.object(Progress, "rejected", lambda self, refused, retry_at, sent_at: False),
        patch.object(leader, "heartbeat", forget),
    ]
