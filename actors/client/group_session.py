"""One client's session with one group: which member is asked for what, when again, and what callers are told.

`step(now, event)` takes what happened and returns what is to be done. Its parts: `requests` makes requests
of calls, `replies` settles them, `refusals` and `endings` judge what was not done, `targets` chooses whom to
ask.
"""

from collections.abc import Callable
from typing import Any, ClassVar, TypeAlias

from fleet.actors.client.endings import expire_calls, fail_all
from fleet.actors.client.member_reads import on_nodes_learned, send_reads, take_reads
from fleet.actors.client.refusals import on_refusal
from fleet.actors.client.replies import take_answers
from fleet.actors.client.requests import send_again, send_closing, send_queued
from fleet.actors.client.session_events import (
    Abandoned,
    ClusterPinned,
    Effect,
    ForeignNode,
    LeaderNoted,
    Leaving,
    LinkLost,
    LinkMade,
    NodesLearned,
    Settle,
    TurnEnded,
    Woken,
)
from fleet.actors.client.session_state import SessionState
from fleet.actors.client.targets import (
    follow_hint,
    look_for_silence,
    on_cluster_pinned,
    on_foreign_node,
    on_leader_noted,
    on_link_lost,
    on_link_made,
)
from fleet.actors.messages.client import ClientReply
from fleet.raft.ids import Millis

Event: TypeAlias = (
    TurnEnded
    | ClientReply
    | Woken
    | LinkLost
    | LinkMade
    | LeaderNoted
    | ClusterPinned
    | ForeignNode
    | NodesLearned
    | Abandoned
    | Leaving
)


def on_turn_ended(state: SessionState, now: Millis, event: TurnEnded) -> None:
    if state.reads.queue:
        send_reads(state, now)
    send_queued(state, now, event.groups)


def on_reply(state: SessionState, now: Millis, event: ClientReply) -> None:
    """A refusal at the door of a cluster says nothing of where the leader is."""
    event = take_reads(state, now, event)
    if not (event.session or event.results or event.answers or event.refusals or event.cluster):
        return
    state.asked_at = now
    take_answers(state, now, event)
    for refusal in event.refusals:
        on_refusal(state, now, refusal)
    if not event.cluster:
        for refusal in event.refusals:
            follow_hint(state, now, refusal)


def on_woken(state: SessionState, now: Millis, event: Woken) -> None:
    expire_calls(state, now)
    look_for_silence(state, now)
    if state.resend_at is not None and state.resend_at <= now:
        send_again(state, now)


def on_abandoned(state: SessionState, now: Millis, event: Abandoned) -> None:
    fail_all(state, event.error)


def on_leaving(state: SessionState, now: Millis, event: Leaving) -> None:
    send_closing(state)
    fail_all(state, event.error)


class GroupSession(SessionState):
    """Invariant: each call that was added is settled exactly once, and late only after `Unsettled`."""

    __slots__ = ()

    def step(self, now: Millis, event: Event) -> list[Effect]:
        """What is to be done now, in this order."""
        self._table[type(event)](self, now, event)
        effects, self.effects = self.effects, []
        if self.settled:
            effects.insert(0, Settle(self.settled))
            self.settled = []
        return effects

    _table: ClassVar[dict[type, Callable[[SessionState, Millis, Any], None]]] = {
        TurnEnded: on_turn_ended,
        ClientReply: on_reply,
        Woken: on_woken,
        LinkLost: on_link_lost,
        LinkMade: on_link_made,
        LeaderNoted: on_leader_noted,
        ClusterPinned: on_cluster_pinned,
        ForeignNode: on_foreign_node,
        NodesLearned: on_nodes_learned,
        Abandoned: on_abandoned,
        Leaving: on_leaving,
    }
