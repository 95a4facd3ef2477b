"""Who belongs to the group, as of every position of the log."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.raft.entries import (
    Entry,
    Founded,
    MemberAdded,
    MemberChange,
    MemberPromoted,
    MemberRemoved,
    Members,
    Noop,
)
from fleet.raft.membership import REMOVED_KEPT_MAX, Membership, after_change
from fleet.raft.quorum import has_quorum
from tests.raft.cores import CONFIG, FIVE, N1, N2, N3, N4

CHANGES = st.builds(
    lambda kind, who: kind(who, "a") if kind is MemberAdded else kind(who),
    st.sampled_from([MemberAdded, MemberPromoted, MemberRemoved]),
    st.sampled_from(FIVE),
)


def membership(*bodies: object) -> Membership:
    made = Membership()
    made.append([Entry(1, index, body) for index, body in enumerate(bodies, 1)])  # type: ignore[arg-type]
    return made


def test_a_group_begins_with_its_founder() -> None:
    assert membership(Founded(N1, "a1", CONFIG)).current == Members((N1,), (), {N1: "a1"})


def test_a_member_joins_as_a_learner_becomes_a_voter_and_leaves_for_good() -> None:
    made = membership(
        Founded(N1, "a1", CONFIG), MemberAdded(N2, "a2"), Noop(), MemberPromoted(N2), MemberRemoved(N2)
    )
    assert made.at(1).everyone == (N1,)
    assert (made.at(3).voters, made.at(3).learners) == ((N1,), (N2,))
    assert (made.at(4).voters, made.at(4).learners) == ((N1, N2), ())
    assert made.current == Members((N1,), (), {N1: "a1"}, (N2,))
    assert made.changed_at == 5


@pytest.mark.parametrize("body", [MemberAdded(N2, "a"), MemberPromoted(N2), MemberPromoted(N4)])
def test_a_repeated_or_senseless_change_moves_nobody(body: MemberAdded | MemberPromoted) -> None:
    members = Members((N1, N2), (N3,), {N2: "a"})
    assert after_change(members, body) == members


def test_only_who_was_a_member_is_remembered_as_removed() -> None:
    assert after_change(Members((N1,)), MemberRemoved(N4)).removed == ()
    assert after_change(Members((N1,), (N4,)), MemberRemoved(N4)).removed == (N4,)


def test_the_memory_of_removed_members_is_bounded() -> None:
    members = Members((N1,))
    for number in range(REMOVED_KEPT_MAX + 10):
        who = type(N1)(f"n@d.{number}")
        members = after_change(after_change(members, MemberAdded(who, "")), MemberRemoved(who))
    assert len(members.removed) == REMOVED_KEPT_MAX and members.removed[-1] == who


@given(st.lists(CHANGES, max_size=12))
def test_majorities_of_neighbouring_sets_always_meet(changes: list[MemberChange]) -> None:
    """Thesis 4.1: the reason why one change at a time is safe."""
    members = Members((N1,))
    for body in changes:
        after = after_change(members, body)
        for bits in range(1 << len(FIVE)):
            some = {who for number, who in enumerate(FIVE) if bits >> number & 1}
            rest = set(FIVE) - some
            assert not (has_quorum(some, members.voters) and has_quorum(rest, after.voters))
        if after.voters:
            members = after


@given(st.lists(CHANGES, max_size=12), st.integers(1, 13))
def test_what_is_overwritten_never_was(changes: list[MemberChange], index: int) -> None:
    made = membership(Founded(N1, "a1", CONFIG), *changes)
    index = min(index + 1, len(changes) + 2)
    made.truncate(index)
    assert made == membership(Founded(N1, "a1", CONFIG), *changes[: index - 2])


@given(st.lists(CHANGES, max_size=12), st.integers(0, 13))
def test_compacting_forgets_nothing_that_a_later_position_needs(
    changes: list[MemberChange], index: int
) -> None:
    made = membership(Founded(N1, "a1", CONFIG), *changes)
    index = min(index, len(changes) + 1)
    before = [made.at(i) for i in range(index, len(changes) + 2)]
    made.compact(index)
    assert [made.at(i) for i in range(index, len(changes) + 2)] == before
    assert sum(1 for at, _ in made.history if at <= index) <= 1
    if made.history[0][0] > 0:
        with pytest.raises(AssertionError, match="forgotten"):
            made.at(made.history[0][0] - 1)
