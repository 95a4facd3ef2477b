"""The next step that a group needs, as a pure function of its placement and its leader's status.

Only the node of the group's leader acts, through the leader's log: of two nodes that believe to have the
leader one cannot commit, and a step decided on outdated members is refused (S65).
"""

from collections.abc import Collection, Sequence
from typing import TypeAlias

from msgspec import Struct

from fleet.raft.ids import Index, MemberId, NodeName, disk_of, node_of


class Seat(Struct, frozen=True):
    """A member as its leader sees it."""

    member: MemberId
    votes: bool
    responsive: bool
    match: Index


class Wanted(Struct, frozen=True):
    """The nodes where the group should have members. The first of `voters` should lead."""

    voters: tuple[NodeName, ...]
    learners: tuple[NodeName, ...] = ()


class Seen(Struct, frozen=True):
    """The group as its leader sees it."""

    leader: MemberId
    commit: Index
    seats: tuple[Seat, ...]
    """All members, with the leader."""


class Situation(Struct, frozen=True):
    """The cluster as the deciding node sees it."""

    living: frozenset[MemberId] | None
    """Members whose node, with that disk, belongs to the cluster; None if unknown: then none counts as
    dead."""
    reachable: frozenset[NodeName]
    staying: frozenset[NodeName]
    """Nodes that are not leaving: only they may lead."""


class AddLearner(Struct, frozen=True):
    """Have the node create a member, then add it as a learner."""

    node: NodeName


class Promote(Struct, frozen=True):
    """Make a learner a voter."""

    member: MemberId


class Remove(Struct, frozen=True):
    member: MemberId


class Demote(Struct, frozen=True):
    """Make a voter a learner."""

    member: MemberId


class Transfer(Struct, frozen=True):
    """Transfer the leadership to this member."""

    member: MemberId


Step: TypeAlias = AddLearner | Promote | Demote | Remove | Transfer
CAUGHT_UP_MAX = 1000
"""A member more entries than this behind the commit index is neither promoted nor made leader."""


def next_step(wanted: Wanted, seen: Seen, world: Situation) -> Step | None:
    """In this order: remove dead members, promote learners that have caught up, add missing members, remove
    members that do not belong there, transfer the leadership to the desired leader.

    A member is removed only while enough others answer; the leader checks that again.
    """
    return (
        _remove_dead(seen, world)
        or _promote(wanted, seen, world)
        or _add_missing(wanted, seen, world)
        or _remove_extra(wanted, seen, world)
        or _transfer(wanted, seen, world)
    )


def _remove_dead(seen: Seen, world: Situation) -> Step | None:
    """Remove members of purged nodes and wiped disks, before new members are added on such nodes (RF19)."""
    if world.living is None:
        return None
    for seat in seen.seats:
        if seat.member not in world.living and seat.member != seen.leader and not seat.responsive:
            return Remove(seat.member)
    return None


def _promote(wanted: Wanted, seen: Seen, world: Situation) -> Step | None:
    """Promote a learner that has caught up. A group that grows by two waits for both: with one more voter it
    would tolerate no more failures than before, and need one more voter to commit."""
    ready = [seat.member for seat in _learning(wanted, seen) if _is_ready(seat, seen)]
    if not ready or (len(ready) == 1 and _grows_by_two(wanted, seen, world)):
        return None
    return Promote(ready[0])


def _learning(wanted: Wanted, seen: Seen) -> list[Seat]:
    """Learners that should become voters."""
    return [seat for seat in seen.seats if not seat.votes and node_of(seat.member) in wanted.voters]


def _grows_by_two(wanted: Wanted, seen: Seen, world: Situation) -> bool:
    """Whether the voters are odd in number and all wanted, and two or more wanted ones on reachable nodes are
    missing."""
    voting = {node_of(seat.member) for seat in seen.seats if seat.votes}
    coming = [node for node in wanted.voters if node not in voting and node in world.reachable]
    return len(voting) % 2 == 1 and voting <= {*wanted.voters} and len(coming) >= 2


def _add_missing(wanted: Wanted, seen: Seen, world: Situation) -> Step | None:
    """Add one learner at a time, or two that will be promoted together."""
    learning = sum(seat.responsive for seat in _learning(wanted, seen))
    if learning >= (2 if _grows_by_two(wanted, seen, world) else 1):
        return None
    present = {node_of(seat.member) for seat in seen.seats}
    for node in (*wanted.voters, *wanted.learners):
        if node not in present and node in world.reachable:
            return AddLearner(node)
    return None


def _remove_extra(wanted: Wanted, seen: Seen, world: Situation) -> Step | None:
    """Remove or demote members that do not belong there, once all wanted ones vote or, on leaving nodes, all
    wanted ones on reachable nodes. A leader transfers its leadership first."""
    voting = {node_of(seat.member) for seat in seen.seats if seat.votes and _is_ready(seat, seen)}
    for seat in seen.seats:
        node = node_of(seat.member)
        if not seat.votes and node not in wanted.voters and node not in wanted.learners:
            return Remove(seat.member)
    missing = [node for node in wanted.voters if node not in voting]
    if not wanted.voters or any(node in world.reachable for node in missing):
        return None
    for seat in _least_use_first(seen, world):
        node = node_of(seat.member)
        if not seat.votes or node in wanted.voters or (missing and node in world.staying):
            continue
        if seat.member == seen.leader:
            return _transfer_to_first(wanted.voters, seen, world)
        return Demote(seat.member) if node in wanted.learners else Remove(seat.member)
    return None


def _least_use_first(seen: Seen, world: Situation) -> list[Seat]:
    """Dead voters before healthy ones: if the healthy ones were removed first, one crash could cost the group
    its majority."""
    living = world.living

    def use(seat: Seat) -> tuple[bool, bool]:
        return living is None or seat.member in living, seat.responsive

    return sorted(seen.seats, key=use)


def _transfer(wanted: Wanted, seen: Seen, world: Situation) -> Step | None:
    """Transfer the leadership to the desired leader, once it has caught up."""
    return _transfer_to_first(wanted.voters[:1], seen, world)


def _transfer_to_first(nodes: Sequence[NodeName], seen: Seen, world: Situation) -> Step | None:
    """Transfer to the first of these that can lead; None if the leader comes before it."""
    for node in nodes:
        for seat in seen.seats:
            if node_of(seat.member) != node or not seat.votes or node not in world.staying:
                continue
            if seat.member == seen.leader:
                return None
            if _is_ready(seat, seen):
                return Transfer(seat.member)
    return None


def _is_ready(seat: Seat, seen: Seen) -> bool:
    return seat.member == seen.leader or (seat.responsive and seen.commit - seat.match <= CAUGHT_UP_MAX)


def living_members(members: Collection[MemberId], disks: dict[NodeName, str]) -> frozenset[MemberId]:
    """Those of the members whose node belongs to the cluster with their disk."""
    return frozenset(member for member in members if disk_of(member) == disks.get(node_of(member)))
