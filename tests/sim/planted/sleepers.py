"""Planted in groups that sleep."""

from typing import Any
from unittest.mock import patch

from msgspec.structs import replace

from fleet.cluster.node_liveness import HeartbeatReceived, NodeLiveness, Tick
from fleet.raft import any_role as anyone
from fleet.raft import core as core_module
from fleet.raft import follower, leader, leader_requests, waking
from fleet.raft.events import ReadQuery
from fleet.raft.ids import MemberId, Millis, NodeName
from fleet.raft.state import NEVER, CoreState, Leader
from tests.sim.planted.patches import Handler, Patches, in_modules


def stale_read_of_a_sleeping_leader() -> Patches:
    """A sleeping leader takes its followers' sleep for a lease: reads need no round."""
    until = leader.leader_lease_until

    def endless(core: CoreState, role: Leader) -> Millis:
        return NEVER if core.asleep and core.config.lease_reads else until(core, role)

    def wake(core: CoreState, event: Any) -> None:
        if type(event) is not ReadQuery:
            true_wake(core, event)

    true_wake = waking.wake_for
    return [
        patch.object(waking, "wake_for", wake),
        *in_modules("leader_lease_until", endless, leader, leader_requests, core_module),
    ]


def awake_followers_promise() -> Patches:
    """A node's heartbeat is taken for the promise of its members, whether they sleep or not."""

    def heard(self: NodeLiveness, now: Millis, event: HeartbeatReceived) -> None:
        watched = self.watched.get(event.node)
        true_heard(self, now, replace(event, sleepers=watched.known) if watched is not None else event)

    true_heard = NodeLiveness._table[HeartbeatReceived]
    return [patch.dict(NodeLiveness._table, {HeartbeatReceived: heard})]


def promise_lasts() -> Patches:
    """What a follower's node has confirmed once counts for as long as the leader sleeps."""

    def confirmed(self: NodeLiveness, member: MemberId) -> dict[NodeName, Millis]:
        return dict.fromkeys(true_confirmed(self, member), NEVER)

    true_confirmed = NodeLiveness.confirmed
    return [patch.object(NodeLiveness, "confirmed", confirmed)]


def sleeper_is_told_nothing() -> Patches:
    """A follower that sleeps does not wake when the node of its leader is silent."""

    def ignore(core: CoreState, role: Any, m: Any) -> None:
        pass

    return [Handler(waking.on_leaders_node_silent, ignore)]


def sleeper_votes_for_anyone() -> Patches:
    """A follower that sleeps protects nobody: it has not heard its leader for long."""

    def is_loyal(core: CoreState) -> bool:
        if type(core.role) is Leader:
            return True
        return core.now - core.heard_at < core.config.election_ms

    return in_modules("is_loyal", is_loyal, anyone, follower)


def sleeping_leader_ignores_candidates() -> Patches:
    """A leader that sleeps answers a request for votes and sleeps on: who asks never hears that it leads."""
    return [patch.object(waking, "ELECTION", frozenset())]


def sleepers_are_not_watched() -> Patches:
    """Nodes send each other no heartbeats: whoever sleeps is told that everyone is silent."""

    def step(self: NodeLiveness, now: Millis, event: Any) -> list[Any]:
        return [effect for effect in true_step(self, now, event) if not hasattr(effect, "leaders")]

    true_step = NodeLiveness.step
    return [patch.object(NodeLiveness, "step", step)]


def silence_while_sleepers_stood_still() -> Patches:
    """A node that stood still counts that time as the silence of the others."""

    def tick(self: NodeLiveness, now: Millis, event: Any) -> None:
        heard = {node: watched.heard_at for node, watched in self.watched.items()}
        if self.deadline is not None and now - self.deadline >= self._interval:
            self.deadline = now
        true_tick(self, now, event)
        for node, watched in self.watched.items():
            watched.heard_at = heard[node]

    true_tick = NodeLiveness._on_tick
    return [patch.dict(NodeLiveness._table, {Tick: tick})]


def sleepers_are_not_counted() -> Patches:
    """A node does not compare how many members rely on leaders elsewhere with how many lead there."""

    def ignore(self: NodeLiveness, now: Millis, watched: Any, leaders: int) -> None:
        pass

    return [patch.object(NodeLiveness, "_compare", ignore)]
