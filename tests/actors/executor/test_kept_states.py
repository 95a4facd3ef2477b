"""States are kept to be shown within bounds: few of one object, and little of all together."""

from fleet.actors.executor.kept_states import KEPT_BYTES_MAX, KEPT_MAX, POINT_BYTES, KeptStates

BIG = bytes(KEPT_BYTES_MAX // 4)


def test_of_one_object_the_newest_are_kept() -> None:
    states = KeptStates()
    for index in range(1, 30):
        states.keep(1, index, index, b"state")
    assert states.of(1) == tuple(range(30 - KEPT_MAX, 30))
    assert states.size == KEPT_MAX * (POINT_BYTES + len(b"state"))


def test_all_objects_together_keep_no_more_than_a_limit() -> None:
    """The oldest goes first, whosever it is."""
    states = KeptStates()
    for number in range(1, 100):
        states.keep(number, 5, 5, BIG)
        assert states.size <= KEPT_BYTES_MAX
    assert [number for number in range(1, 100) if states.of(number)] == [97, 98, 99]


def test_a_pinned_state_outlives_others_of_its_object_and_of_all() -> None:
    states = KeptStates()
    states.keep(1, 5, 5, b"where it differs")
    states.pin(1, 5)
    for index in range(6, 30):
        states.keep(1, index, index, b"later")
        states.keep(2, index, index, BIG)
    found = states.at(1, 5)
    assert found is not None and found.state == b"where it differs" and len(states.of(1)) <= KEPT_MAX


def test_pinned_states_are_within_the_limit_too() -> None:
    states = KeptStates()
    for number in range(20):
        states.keep(number, 5, 5, BIG)
        states.pin(number, 5)
    assert states.size <= KEPT_BYTES_MAX and states.of(19) == (5,)


def test_a_state_that_is_too_big_is_not_kept() -> None:
    states = KeptStates()
    states.keep(1, 5, 5, bytes(KEPT_BYTES_MAX // 2 + 1))
    assert states.of(1) == () and states.size == 0


def test_one_that_is_kept_again_counts_once() -> None:
    states = KeptStates()
    states.keep(1, 5, 5, b"x")
    states.keep(1, 5, 5, b"yy")
    assert states.of(1) == (5,) and states.size == POINT_BYTES + 2


def test_what_is_forgotten_leaves_nothing() -> None:
    states = KeptStates()
    states.keep(1, 5, 5, b"x")
    states.pin(1, 5)
    states.forget(1)
    assert (states.size, states.points, states.indexes, states.pinned) == (0, {}, {}, {})
