"""Bugs at the edges of an actor: what is reported twice, ends early, cannot be had, or is nobody's now."""

from typing import Any
from unittest.mock import patch

from thespian.actors import ChildActorExited

from fleet.actors.client.refusals import on_refusal
from fleet.actors.client.session_state import SessionState
from fleet.actors.executor import state_dumps
from fleet.actors.executor.hosted_object import HostedObject
from fleet.actors.executor.state_dumps import StateDumps
from fleet.actors.member.refused_requests import RememberedRequests
from fleet.actors.node.hosted_members import HostedMembers
from fleet.actors.node.known_nodes import SOUND, KnownNodes
from fleet.actors.node.manager import NodeManager
from fleet.cluster.membership import NodeMembership
from fleet.cluster.membership_events import Applied
from fleet.cluster.repairs import Repairs
from fleet.errors import FleetError
from fleet.raft import core, follower
from fleet.raft.progress import Progress
from fleet.raft.state import CoreState
from tests.sim.planted.patches import InHandlers, Patches


def fork_never_fails() -> Patches:
    """S72: a fork for which there is no memory ends the member."""
    return [patch.object(state_dumps, "NO_DUMP", (FleetError,))]


def two_dumps() -> Patches:
    """S72: the child that encodes a state is forgotten when the leader's snapshot overtakes it."""
    cancel = StateDumps.cancel

    def forget(self: StateDumps) -> None:
        if isinstance(self.owner, HostedObject) and self.owner.failed:
            cancel(self)

    return [patch.object(StateDumps, "cancel", forget)]


def frozen_view() -> Patches:
    """S73: a node waits for ever for what its cluster's member was asked before it was restarted."""

    def on_applied(self: NodeMembership, event: Applied) -> None:
        self.replica = event.replica
        self.applied = max(self.applied, event.revision)
        self.snapshot = max(self.snapshot, event.snapshot)
        self._read(event.running)

    return [patch.dict(NodeMembership._table, {Applied: on_applied})]


def grace_counts_as_an_answer() -> Patches:
    """S77: a fresh leader lets the only live voter go, as it has not yet missed the dead one."""
    return [patch.object(Progress, "answers", Progress.is_responsive)]


def refusals_are_counted() -> Patches:
    """S78: a refusal that arrives twice stands for two sends of a command."""

    def count(state: SessionState, now: Any, m: Any) -> None:
        for seq in () if m.lost or m.session != state.session_id else m.seqs:
            call = state.inflight.get(seq)
            if call is not None and call.sends and m.number not in call.sends:
                call.sends = call.sends[1:]
        on_refusal(state, now, m)

    return [patch("fleet.actors.client.group_session.on_refusal", count)]


def refused_copy_is_carried_out() -> Patches:
    """S78: a request that was refused comes again, and is executed."""
    return [patch.object(RememberedRequests, "__contains__", lambda self, m: False)]


def node_without_its_registry() -> Patches:
    """A node whose registry or disk writer died goes on, and only looks alive."""

    def ignore(self: NodeManager, m: Any, sender: Any) -> None:
        self.hosted_members.on_child_exited(m.childAddress)

    return [InHandlers(NodeManager, ChildActorExited, ignore)]


def death_without_a_word() -> Patches:
    """A member that died without a word is not started again."""
    return [patch.object(HostedMembers, "on_child_exited", lambda self, address: None)]


def answers_wait_for_writes() -> Patches:
    """S74: heartbeats' answers leave when whatever is being written is written."""
    return [patch.object(core, "is_kept_already", lambda core, message: False)]


def damaged_member_stays_down() -> Patches:
    """S81: a member whose records are damaged is not replaced."""
    return [patch.object(Repairs, "step", lambda self, now, event: [])]


def older_copy_is_trusted() -> Patches:
    """S83: nobody remembers how often a directory was started."""
    return [patch.object(KnownNodes, "judge", lambda self, info, now: SOUND)]


def committed_conflict_is_overwritten() -> Patches:
    """S84: what a member knows as committed gives way to its leader's log."""
    return [
        patch.object(follower, "conflicts_with_committed", lambda core, m: False),
        patch.object(follower, "stop_in_conflict", lambda core, leader, at, term: None),
    ]


def clock_of_the_leader_alone() -> Patches:
    """S85: commands are stamped with the leader's wall clock, however far it is from the others'."""
    return [patch.object(CoreState, "stamp_ms", lambda self, now, wall_ms: wall_ms)]
