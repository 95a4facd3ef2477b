"""The next step that a group needs, as a pure function of its placement and its leader's status.

Only the node of the group's leader acts, through the leader's log: of two such nodes one cannot commit, and
a step that was decided on older members is refused (S65).
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
    """Where the group should be. `voters` in order: the first one should lead."""

    voters: tuple[NodeName, ...]
    learners: tuple[NodeName, ...] = ()


class Seen(Struct, frozen=True):
    leader: MemberId
    commit: Index
    seats: tuple[Seat, ...]
    """Everyone, the leader too."""


class World(Struct, frozen=True):
    """What the deciding node knows of the cluster."""

    living: frozenset[MemberId] | None
    """Members whose node, with that disk, belongs to the cluster; None: not known, nobody is taken for
    dead."""
    reachable: frozenset[NodeName]
    staying: frozenset[NodeName]
    """Nodes that are not leaving: only they may lead."""


class Host(Struct, frozen=True):
    """Let the node create a member, then add it as a learner."""

    node: NodeName


class Promote(Struct, frozen=True):
    member: MemberId


class Remove(Struct, frozen=True):
    member: MemberId


class Demote(Struct, frozen=True):
    """Make a voter a learner."""

    member: MemberId


class Transfer(Struct, frozen=True):
    member: MemberId


Step: TypeAlias = Host | Promote | Demote | Remove | Transfer
CAUGHT_UP_MAX = 1000
"""A member further behind the commit index, in entries, is neither promoted nor made leader."""


def next_step(wanted: Wanted, seen: Seen, world: World) -> Step | None:
    """In this order: remove dead members, promote learners that have caught up, add missing members, remove
    members that do not belong there, transfer the leadership to the desired leader.

    A member is removed only while enough others answer; the leader checks that again.
    """
    return (
        _drop_dead(seen, world)
        or _promote(wanted, seen, world)
        or _bring_in(wanted, seen, world)
        or _let_go(wanted, seen, world)
        or _lead(wanted, seen, world)
    )


def _drop_dead(seen: Seen, world: World) -> Step | None:
    """Members of purged nodes and wiped disks; no new member comes to such a node before (RF19)."""
    if world.living is None:
        return None
    for seat in seen.seats:
        if seat.member not in world.living and seat.member != seen.leader and not seat.responsive:
            return Remove(seat.member)
    return None


def _promote(wanted: Wanted, seen: Seen, world: World) -> Step | None:
    """A group that grows by two waits until both have caught up: with one voter more it would survive
    no more failures than before, and need one more voter to commit."""
    ready = [seat.member for seat in _learning(wanted, seen) if _is_ready(seat, seen)]
    if not ready or (len(ready) == 1 and _grows_by_two(wanted, seen, world)):
        return None
    return Promote(ready[0])


def _learning(wanted: Wanted, seen: Seen) -> list[Seat]:
    """Learners that should become voters."""
    return [seat for seat in seen.seats if not seat.votes and node_of(seat.member) in wanted.voters]


def _grows_by_two(wanted: Wanted, seen: Seen, world: World) -> bool:
    """Whether an odd number of voters, all of them wanted, is to be joined by two more that can come."""
    voting = {node_of(seat.member) for seat in seen.seats if seat.votes}
    coming = [node for node in wanted.voters if node not in voting and node in world.reachable]
    return len(voting) % 2 == 1 and voting <= {*wanted.voters} and len(coming) >= 2


def _bring_in(wanted: Wanted, seen: Seen, world: World) -> Step | None:
    """One new member learns at a time, or two that are to be promoted together."""
    learning = sum(seat.responsive for seat in _learning(wanted, seen))
    if learning >= (2 if _grows_by_two(wanted, seen, world) else 1):
        return None
    present = {node_of(seat.member) for seat in seen.seats}
    for node in (*wanted.voters, *wanted.learners):
        if node not in present and node in world.reachable:
            return Host(node)
    return None


def _let_go(wanted: Wanted, seen: Seen, world: World) -> Step | None:
    """Extra members, when all that are wanted vote; of a leaving node, when all that can do. The leader
    hands over first."""
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
            return _hand_to_first(wanted.voters, seen, world)
        return Demote(seat.member) if node in wanted.learners else Remove(seat.member)
    return None


def _least_use_first(seen: Seen, world: World) -> list[Seat]:
    """Voters that are gone leave before voters that are well: with those gone first, a group that must
    still lose a voter to a crash keeps its majority."""
    living = world.living

    def use(seat: Seat) -> tuple[bool, bool]:
        return living is None or seat.member in living, seat.responsive

    return sorted(seen.seats, key=use)


def _lead(wanted: Wanted, seen: Seen, world: World) -> Step | None:
    """The desired leader, once it has caught up."""
    return _hand_to_first(wanted.voters[:1], seen, world)


def _hand_to_first(nodes: Sequence[NodeName], seen: Seen, world: World) -> Step | None:
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
    """Of these, the ones whose node belongs to the cluster with the disk that they live on."""
    return frozenset(member for member in members if disk_of(member) == disks.get(node_of(member)))
