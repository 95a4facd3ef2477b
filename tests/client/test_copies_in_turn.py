"""Which copies of states are asked for before it is their turn."""

from concurrent.futures import Future

from fleet.actors.messages.group_states import CopyTaken
from fleet.actors.messages.operator import OpValue
from fleet.client.copies import AHEAD, in_turn
from fleet.errors import Unavailable
from fleet.raft.config import GroupConfig


class Groups:
    """Those in `big` have a state that comes in parts; those in `failing` give none."""

    def __init__(self, big: set[int], failing: set[int]) -> None:
        self.big, self.failing = big, failing
        self.asked: list[int] = []

    def ask(self, group: int) -> Future[OpValue]:
        self.asked.append(group)
        answer: Future[OpValue] = Future()
        if group in self.failing:
            answer.set_exception(Unavailable("no leader"))
        else:
            copy = group + 1 if group in self.big else 0
            answer.set_result(CopyTaken(copy, 5, 5, 10, 0, b"class", GroupConfig(), b"state", "n1:1"))
        return answer


def ahead_of_each(count: int, big: set[int] | None = None, failing: set[int] | None = None) -> list[int]:
    """How many others were asked when it was the turn of each."""
    groups = Groups(big or set(), failing or set())
    found = []
    for turn, (group, answer) in enumerate(in_turn(range(count), groups.ask)):
        assert group == turn and answer.done()
        found.append(len(groups.asked) - turn - 1)
    assert groups.asked == [*range(count)]
    return found


def test_more_and_more_small_states_are_asked_for_ahead() -> None:
    assert ahead_of_each(40) == [0, 1, 3, 7, *[AHEAD - 1] * 21, *range(14, -1, -1)]


def test_big_states_are_asked_for_one_at_a_time() -> None:
    assert ahead_of_each(5, big={*range(5)}) == [0] * 5


def test_behind_a_big_state_it_begins_with_one() -> None:
    """What was asked for already comes first."""
    assert ahead_of_each(12, big={3}) == [0, 1, 3, 7, 6, 5, 4, 4, 3, 2, 1, 0]


def test_a_group_that_gives_no_state_is_followed_by_one() -> None:
    assert ahead_of_each(6, failing={0, 1}) == [0, 0, 0, 1, 1, 0]


def test_nothing_is_asked_for_where_there_are_no_groups() -> None:
    assert ahead_of_each(0) == []
