"""What a group needs next, as a table: seats are written "node[+ votes][! silent][< lags][~ almost lags]"."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fleet.cluster.healing import (
    CAUGHT_UP_MAX,
    AddLearner,
    Demote,
    Promote,
    Remove,
    Seat,
    Seen,
    Situation,
    Step,
    Transfer,
    Wanted,
    living_members,
    next_step,
)
from fleet.raft.ids import MemberId, NodeName, member_id

COMMIT = 5000


def member(node: str, disk: str = "a") -> MemberId:
    return member_id(NodeName(node), disk, 1)


def seat(text: str) -> Seat:
    lag = CAUGHT_UP_MAX + 1 if "<" in text else CAUGHT_UP_MAX if "~" in text else 0
    return Seat(member(text.rstrip("+!<~")), "+" in text, "!" not in text, COMMIT - lag)


def nodes(text: str) -> tuple[NodeName, ...]:
    return tuple(map(NodeName, text.split()))


def decide(
    wanted: str, seats: str, *, away: str = "", leaving: str = "", dead: str = "", learners: str = ""
) -> Step | None:
    """The first seat leads. Every node named is reachable, stays and lives, unless it is said otherwise."""
    seen = tuple(map(seat, seats.split()))
    everyone = {*nodes(wanted), *nodes(learners), *(NodeName(one.member.partition("@")[0]) for one in seen)}
    world = Situation(
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
        # growing: from one to three without waiting at two voters, else one newcomer at a time
        ("1 2 3", "1+", AddLearner(NodeName("2"))),
        ("1 2 3", "1+ 2<", AddLearner(NodeName("3"))),
        ("1 2 3", "1+ 2", AddLearner(NodeName("3"))),
        ("1 2 3", "1+ 2 3!", None),
        ("1 2 3", "1+ 2 3<", None),
        ("1 2 3", "1+ 2< 3", None),
        ("1 2 3", "1+ 2 3", Promote(member("2"))),
        ("1 2 3", "1+ 2+ 3", Promote(member("3"))),
        ("1 2 3", "1+ 2+", AddLearner(NodeName("3"))),
        ("1 2 3", "1+ 2+ 3<", None),
        ("1 2 3 4 5", "1+ 2+ 3+ 4 5<", None),
        ("1 2 3 4 5", "1+ 2+ 3+ 4< 5<", None),
        ("1 2", "1+", AddLearner(NodeName("2"))),
        ("1 2", "1+ 2", Promote(member("2"))),
        ("1 2", "1+ 2~", Promote(member("2"))),
        ("1 2", "1+ 2<", None),
        ("1 2 3", "1+ 2!", AddLearner(NodeName("3"))),
        # shrinking and moving: nobody leaves before those that are wanted vote and have caught up
        ("1 2", "1+ 2+ 3+", Remove(member("3"))),
        ("1 2 4", "1+ 2+ 3+", AddLearner(NodeName("4"))),
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
    assert decide("1 2 3 4", "1+ 2+", away="3") == AddLearner(NodeName("4"))


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
    world = Situation(None, frozenset(), frozenset(nodes("1 2 3")))
    assert next_step(Wanted(nodes("1 2 3")), Seen(member("1"), COMMIT, seen), world) is None


def test_s57_no_leadership_goes_to_a_node_that_leaves() -> None:
    assert decide("2 1 3", "1+ 2+ 3+", leaving="2") is None
    assert decide("2 3", "1+ 2+ 3+", leaving="1 2") == Transfer(member("3"))


def test_voters_that_are_gone_leave_before_voters_that_are_well() -> None:
    """The well one went first: when another node crashed then, two of four voters were left."""
    assert decide("1 2 5", "1+ 2+ 3+ 4+ 5+", dead="4", learners="3") == Remove(member("4"))
    assert decide("1 2 5", "1+ 2+ 3+ 4+! 5+", learners="3 4") == Demote(member("4"))
    assert decide("1 2 5", "1+ 2+ 3+ 5+", learners="3") == Demote(member("3"))


def test_a_learner_that_is_wanted_stays_one() -> None:
    assert decide("1", "1+ 2", learners="2") is None
    assert decide("1", "1+", learners="2") == AddLearner(NodeName("2"))


def test_a_voter_that_should_only_learn_is_demoted_when_all_that_should_vote_do() -> None:
    assert decide("1", "1+ 2+", learners="2") == Demote(member("2"))
    assert decide("1 3", "1+ 2+ 3", learners="2") == Promote(member("3"))
    assert decide("1 3", "1+ 2+ 3<", learners="2") is None
    assert decide("2 3", "1+ 2+ 3+", learners="1") == Transfer(member("2"))


@pytest.mark.parametrize(
    "wanted, seats, dead, away, step",
    [
        # RF14: it is gone from the group first, and comes again after that
        ("1 2 3", "1+ 2+ 3+!", "3", "", Remove(member("3"))),
        ("1 2 3", "1+ 2+", "", "", AddLearner(NodeName("3"))),
        # RF15: a member on a node that has vanished, and is not wanted any more
        ("1 2", "1+ 2+ 4+!", "4", "4", Remove(member("4"))),
        # RF17: two of three are dead: one after the other, down to the leader alone
        ("1 2 3", "1+ 2+! 3+!", "2 3", "2 3", Remove(member("2"))),
        ("1 2 3", "1+ 3+!", "2 3", "2 3", Remove(member("3"))),
        ("1 2 3", "1+", "", "2 3", None),
        # RF18, W10: nobody is dead only because everybody is silent, and no step removes a group
        ("1 2 3", "1+ 2+! 3+!", "", "2 3", None),
        ("1 2 3", "1+ 2+! 3+!", "", "", None),
        # W3: silent and away is not dead, whether it is wanted or not
        ("1 2 4", "1+ 2+ 3+!", "", "3 4", None),
        ("1 2", "1+ 2! 3+!", "", "2 3", None),
        # a dead learner goes too, also while another one learns
        ("1 2 3", "1+ 2+ 3!", "3", "", Remove(member("3"))),
        ("1 2 3", "1+ 2< 3!", "3", "", Remove(member("3"))),
        # whoever is brought in is not waited for when it died
        ("1 2 3", "1+ 2+ 3!", "", "3", None),
    ],
)
def test_the_dead_are_let_go_one_by_one_and_the_silent_are_not(
    wanted: str, seats: str, dead: str, away: str, step: Step | None
) -> None:
    assert decide(wanted, seats, dead=dead, away=away) == step


@pytest.mark.parametrize(
    "wanted, seats, leaving, away, step",
    [
        ("2 3 4", "1+ 2+ 3+", "1", "", AddLearner(NodeName("4"))),
        ("2 3 4", "1+ 2+ 3+ 4", "1", "", Promote(member("4"))),
        ("2 3 4", "1+ 2+ 3+ 4+", "1", "", Transfer(member("2"))),
        ("2 3 4", "2+ 1+ 3+ 4+", "1", "", Remove(member("1"))),
        # a wanted node that is away does not hold up the one that leaves, and holds up the one that stays
        ("2 3 4", "2+ 1+ 3+", "1", "4", Remove(member("1"))),
        ("2 3 4", "2+ 1+ 3+", "", "4", None),
        # nobody else can take it over yet
        ("2", "1+", "1", "2", None),
        ("2", "1+ 2", "1", "", Promote(member("2"))),
        # both leave at once
        ("3", "1+ 2+ 3+", "1 2", "", Transfer(member("3"))),
        ("3", "3+ 1+ 2+", "1 2", "", Remove(member("1"))),
        # whoever is wanted and about to vote is waited for
        ("1 3 4", "1+ 2+ 3+ 4<", "2", "", None),
        # nothing is wanted: no node is active, so nothing is let go
        ("", "1+ 2+", "1 2", "", None),
        ("", "1+ 2+!", "1 2", "", None),
    ],
)
def test_s57_members_move_off_nodes_that_leave(
    wanted: str, seats: str, leaving: str, away: str, step: Step | None
) -> None:
    assert decide(wanted, seats, leaving=leaving, away=away) == step


# -- where the steps lead ----------------------------------------------------------------------------------


def carry_out(seen: Seen, step: Step) -> Seen:
    """As a healthy group does."""
    seats = {seat.member: seat for seat in seen.seats}
    match step:
        case AddLearner(node):
            seats[member(node)] = Seat(member(node), False, True, seen.commit)
        case Promote(name):
            assert not seats[name].votes
            seats[name] = replace(seats[name], votes=True)
        case Demote(name):
            assert seats[name].votes and name != seen.leader
            seats[name] = replace(seats[name], votes=False)
        case Remove(name):
            assert name != seen.leader
            del seats[name]
        case Transfer(name):
            assert seats[name].votes and name != seen.leader
            return replace(seen, leader=name)
    return replace(seen, seats=tuple(seats.values()))


places = st.lists(st.sampled_from("123456789"), min_size=1, max_size=5, unique=True)


@given(places, places, places, st.sets(st.sampled_from("123456789")))
def test_steps_end_where_the_members_are_wanted_and_nobody_comes_twice(
    start: list[str], voters: list[str], others: list[str], leaving: set[str]
) -> None:
    """From any group to any other, with learners or without. Never fewer votes than at the start, or than
    wanted; whoever is wanted and there is not let go."""
    wanted = Wanted(nodes(" ".join(voters)), nodes(" ".join(node for node in others if node not in voters)))
    seats = tuple(Seat(member(node), True, True, COMMIT) for node in start)
    everyone = frozenset(nodes("1 2 3 4 5 6 7 8 9"))
    staying = everyone - frozenset(map(NodeName, leaving - {*voters}))
    world = Situation(frozenset(map(member, everyone)), everyone, staying)
    seen, came = Seen(seats[0].member, COMMIT, seats), set[NodeName]()
    while (step := next_step(wanted, seen, world)) is not None:
        if isinstance(step, AddLearner):
            assert step.node not in came
            came.add(step.node)
        elif isinstance(step, Remove):
            node = NodeName(step.member.partition("@")[0])
            assert node not in wanted.voters and node not in wanted.learners and node not in came
        seen = carry_out(seen, step)
        assert sum(seat.votes for seat in seen.seats) >= min(len(start), len(voters))
    votes = {seat.member for seat in seen.seats if seat.votes}
    learn = {seat.member for seat in seen.seats if not seat.votes}
    assert votes == set(map(member, wanted.voters))
    assert learn == set(map(member, wanted.learners))
    assert seen.leader == member(wanted.voters[0])
    assert len(came) == len({*wanted.voters, *wanted.learners} - {*start})
