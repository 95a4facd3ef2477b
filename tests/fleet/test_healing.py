"""What a group needs next, as a table: seats are written "node[+ votes][! silent][< lags]"."""

import pytest

from fleet.healing import (
    CAUGHT_UP_MAX,
    Demote,
    Host,
    Promote,
    Remove,
    Seat,
    Seen,
    Step,
    Transfer,
    Wanted,
    World,
    living_members,
    next_step,
)
from fleet.raft.ids import MemberId, NodeName, member_id

COMMIT = 5000


def member(node: str, disk: str = "a") -> MemberId:
    return member_id(NodeName(node), disk, 1)


def seat(text: str) -> Seat:
    lag = CAUGHT_UP_MAX + 1 if "<" in text else 0
    return Seat(member(text.rstrip("+!<")), "+" in text, "!" not in text, COMMIT - lag)


def nodes(text: str) -> tuple[NodeName, ...]:
    return tuple(map(NodeName, text.split()))


def decide(
    wanted: str, seats: str, *, away: str = "", leaving: str = "", dead: str = "", learners: str = ""
) -> Step | None:
    """The first seat leads. Every node named is reachable, stays and lives, unless it is said otherwise."""
    seen = tuple(map(seat, seats.split()))
    everyone = {*nodes(wanted), *nodes(learners), *(NodeName(one.member.partition("@")[0]) for one in seen)}
    world = World(
        living=frozenset(one.member for one in seen if one.member not in map(member, nodes(dead))),
        reachable=frozenset(everyone - {*nodes(away)}),
        staying=frozenset(everyone - {*nodes(leaving)}),
    )
    return next_step(Wanted(nodes(wanted), nodes(learners)), Seen(seen[0].member, COMMIT, seen), world)


@pytest.mark.parametrize(
    "wanted, seats, step",
    [
        # whole
        ("1", "1+", None),
        ("1 2 3", "1+ 2+ 3+", None),
        # growing, one newcomer at a time
        ("1 2 3", "1+", Host(NodeName("2"))),
        ("1 2 3", "1+ 2<", None),
        ("1 2 3", "1+ 2", Promote(member("2"))),
        ("1 2 3", "1+ 2+", Host(NodeName("3"))),
        ("1 2 3", "1+ 2!", Host(NodeName("3"))),
        # shrinking and moving: nobody leaves before those that are wanted vote and have caught up
        ("1 2", "1+ 2+ 3+", Remove(member("3"))),
        ("1 2 4", "1+ 2+ 3+", Host(NodeName("4"))),
        ("1 2 4", "1+ 2+ 3+ 4<", None),
        ("1 2 4", "1+ 2+ 3+ 4+", Remove(member("3"))),
        ("1 2 4", "1+ 2+ 3+ 4+<", None),
        ("1 2", "1+ 2+ 3", Remove(member("3"))),
        # the leader hands over before it leaves, to the first that can
        ("2 3", "1+ 2+ 3+", Transfer(member("2"))),
        ("2 3", "1+ 2+< 3+", None),
        # the desired leader leads, once it has caught up
        ("2 1 3", "1+ 2+ 3+", Transfer(member("2"))),
        ("2 1 3", "1+ 2+< 3+", None),
        ("2 1 3", "1+ 2+! 3+", None),
    ],
)
def test_one_step_towards_what_is_wanted(wanted: str, seats: str, step: Step | None) -> None:
    assert decide(wanted, seats) == step


def test_nobody_is_brought_in_from_a_node_that_is_away() -> None:
    assert decide("1 2 3", "1+ 2+", away="3") is None
    assert decide("1 2 3 4", "1+ 2+", away="3") == Host(NodeName("4"))


def test_rf19_the_dead_go_first_and_a_wiped_disk_is_dead() -> None:
    assert decide("1 2 3", "1+ 2+ 3+!", dead="3") == Remove(member("3"))
    assert decide("1 2 4", "1+ 2+ 3+!", dead="3") == Remove(member("3"))
    assert decide("1 2 3", "1+ 2+ 3+!") is None
    known = [member("1"), member("2", "old"), member("9")]
    disks = {NodeName("1"): "a", NodeName("2"): "new"}
    assert living_members(known, disks) == {member("1")}


def test_whoever_answers_is_not_dead_and_neither_is_the_leader() -> None:
    assert decide("1 2 3", "1+ 2+ 3+", dead="3") is None
    assert decide("1 2 3", "1+ 2+ 3+", dead="1") is None


def test_s31_nobody_is_taken_for_dead_by_a_node_that_knows_no_cluster() -> None:
    seen = tuple(map(seat, ("1+", "2+!", "3+!")))
    world = World(None, frozenset(), frozenset(nodes("1 2 3")))
    assert next_step(Wanted(nodes("1 2 3")), Seen(member("1"), COMMIT, seen), world) is None


def test_s57_no_leadership_goes_to_a_node_that_leaves() -> None:
    assert decide("2 1 3", "1+ 2+ 3+", leaving="2") is None
    assert decide("2 3", "1+ 2+ 3+", leaving="1 2") == Transfer(member("3"))


def test_a_learner_that_is_wanted_stays_one() -> None:
    assert decide("1", "1+ 2", learners="2") is None
    assert decide("1", "1+", learners="2") == Host(NodeName("2"))
    assert decide("1", "1+ 2+", learners="2") == Demote(member("2"))
