"""Bugs about comparing the states of members."""

from unittest.mock import patch

from fleet.raft import comparing, halting, table
from fleet.raft.events import ExecutionHalted
from fleet.raft.messages import CompareState, StateDigest
from fleet.raft.state import Candidate, CoreState, Follower, Leader, Role
from tests.sim.planted.patches import Patches


def one_is_a_majority() -> Patches:
    """The first digest that a leader hears of is right, so that those halt that are in the majority."""
    return [patch.object(comparing, "majority", lambda voters: 1)]


def newest_digest_is_told() -> Patches:
    """A member that is asked for the digest after one entry says that after the newest."""

    def on_compare_state(core: CoreState, role: Role, m: CompareState) -> None:
        if core.points:
            newest = core.points[max(core.points)]
            core.send(StateDigest(core.term, core.id, m.src, m.index, newest.digest))

    planted = {CompareState: on_compare_state}
    return [patch.dict(table.HANDLERS[role], planted) for role in (Follower, Candidate)]


def halted_leader_stays() -> Patches:
    """A leader that finds itself in the minority goes on."""

    def note_difference(core: CoreState, index: int, agreed: int) -> None:
        if not core.is_leader:
            real(core, index, agreed)

    real = comparing.note_difference
    return [patch.object(comparing, "note_difference", note_difference)]


def own_snapshot_voids_a_halt() -> Patches:
    """A member whose own snapshot is newer than the entry where its state differs takes that for replaced."""

    def on_execution_halted(core: CoreState, role: Role, m: ExecutionHalted) -> None:
        if core.snapshot is None or m.halt.index > core.snapshot.index:
            halting.on_execution_halted(core, role, m)

    planted = {ExecutionHalted: on_execution_halted}
    return [patch.dict(table.HANDLERS[role], planted) for role in (Follower, Candidate, Leader)]
