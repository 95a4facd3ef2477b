"""Which node a session asks, and when it asks another."""

from fleet.actors.client.endings import fail_all
from fleet.actors.client.member_reads import give_up_node
from fleet.actors.client.session_events import (
    ClusterPinned,
    ForeignNode,
    LeaderNoted,
    LinkLost,
    LinkMade,
    LookForNodes,
    WakeAt,
)
from fleet.actors.client.session_state import SILENCE_MS, SessionState
from fleet.actors.messages.client import Refusal
from fleet.errors import NoSuchGroup
from fleet.raft.ids import Millis

NOWHERE_MS: Millis = 500
"""How long a group may be unknown to every node asked: a node that has just started, or a client that
has not heard of a new node, will know better by then."""


def follow_hint(state: SessionState, now: Millis, m: Refusal) -> None:
    """Where the leader is said to be, else anywhere else after a pause, as before a node is asked a second
    time: two may name each other. When no node at all knows the group, there is none."""
    if state.resend_at is None:
        return
    if m.error.kind != NoSuchGroup.__name__:
        state.nowhere.clear()  # here it is known: whoever did not know it has just started
    elif _is_nowhere(state, now, m.error.facts.get("node", "")):
        state.nowhere.clear()
        fail_all(state, NoSuchGroup(f"no node has a group {state.group!r}", group=state.group))
        return
    endpoints = state.endpoints
    state.hint = leader = endpoints.address_of(m.leader, m.leader_address)
    endpoints.learn(leader)
    known = endpoints.reachable(leader)
    if known is not None and known != state.target and leader not in state.followed:
        state.followed.add(leader)
        state.target, state.resend_at = known, now
        return
    state.followed.clear()
    if known != state.target:
        state.target = endpoints.another(state.target)


def _is_nowhere(state: SessionState, now: Millis, node: str) -> bool:
    if not state.nowhere:
        state.nowhere_since = now
    state.effects.append(LookForNodes())
    state.nowhere.add(node)
    is_late = now - state.nowhere_since >= NOWHERE_MS
    return is_late and len(state.nowhere) >= len(state.endpoints.registries)


def look_for_silence(state: SessionState, now: Millis) -> None:
    if state.has_asked and state.resend_at is None and now - state.asked_at >= SILENCE_MS:
        state.target = state.endpoints.another(state.target)
        state.resend_at = now
        state.effects.append(LookForNodes())
    if state.reads.under_way and now - state.reads.asked_at >= SILENCE_MS:
        give_up_node(state)
        state.effects.append(LookForNodes())


def on_link_lost(state: SessionState, now: Millis, event: LinkLost) -> None:
    """A node's process is gone: whoever waits for it asks another at once."""
    if state.target == event.registry:
        state.target = state.endpoints.another(event.registry)
        if state.has_asked:
            state.resend_at = now
    reads = state.reads
    if reads.address and state.endpoints.registries.get(reads.address) == event.registry:
        give_up_node(state)


def on_link_made(state: SessionState, now: Millis, event: LinkMade) -> None:
    """A node is back that others said leads."""
    if state.hint == event.endpoint and state.resend_at is not None:
        state.target, state.resend_at = state.endpoints.registries.get(event.endpoint), now
        state.effects.append(WakeAt(now))


def on_leader_noted(state: SessionState, now: Millis, event: LeaderNoted) -> None:
    if state.target is None:
        state.endpoints.learn(event.address)
        state.target = state.endpoints.registries.get(event.address)


def on_cluster_pinned(state: SessionState, now: Millis, event: ClusterPinned) -> None:
    if state.resend_at is not None:
        state.resend_at = now


def on_foreign_node(state: SessionState, now: Millis, event: ForeignNode) -> None:
    state.target = state.endpoints.another(event.registry)
