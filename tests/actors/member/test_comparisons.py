"""A member whose state differs: what it shows, and what it no longer does."""

from types import SimpleNamespace
from typing import Any

from fleet.actors.member.comparisons import WAITING_MAX, Comparisons
from fleet.actors.messages.executor import LeadsNow, PartsShown, ShowParts
from fleet.actors.messages.operator import GroupRequest, OpReply, ShowState, StateShown
from fleet.errors import Unavailable
from fleet.objects.class_refs import encode_class
from fleet.raft.entries import Skipped
from tests.actors.member.requested import SPEC
from tests.actors.member.test_member_object import Hosted
from tests.raft.cores import N1, settled
from tests.support.classes import Ledger

CLIENT: Any = "client"


class Shown:
    """A member whose executor is asked for states; `told` is what it has answered."""

    def __init__(self) -> None:
        self.core = settled()
        self.spec = SPEC
        self.asked: list[ShowParts] = []
        self.told: list[OpReply] = []
        self.object = SimpleNamespace(number=1, run=7, port=self.asked.append)
        self.comparisons = Comparisons(self)  # type: ignore[arg-type]

    def send(self, target: Any, message: OpReply) -> None:
        self.told.append(message)

    def ask(self, token: int) -> None:
        op = ShowState(N1)
        self.comparisons.show(token, GroupRequest(token, CLIENT, "g", op), op)

    def answer(self, token: int) -> None:
        self.comparisons.on_shown(PartsShown(1, 7, token, 5, 3, (), (), None))


def test_an_executor_that_answers_nobody_makes_no_more_than_so_many_wait() -> None:
    """The oldest is told, whose client has given up by then."""
    member = Shown()
    for token in range(WAITING_MAX + 2):
        member.ask(token)
    assert len(member.comparisons.waiting) == WAITING_MAX
    assert [one.token for one in member.told] == [0, 1]
    assert all(one.error is not None and isinstance(one.error.to_error(), Unavailable) for one in member.told)
    member.answer(0)
    member.answer(WAITING_MAX + 1)
    assert [one.token for one in member.told] == [0, 1, WAITING_MAX + 1]
    assert isinstance(member.told[-1].value, StateShown)


def test_an_object_whose_state_differs_stays_as_it_is_to_be_shown() -> None:
    """A command that it executed is skipped meanwhile, and another class is in force."""
    hosted = Hosted()
    hosted.applied(3)
    hosted.object.diverge(3, "it differs")
    index = hosted.core.append(Skipped(2, 0, "hang"))
    hosted.object.apply(hosted.core.log.slice(index, index))
    hosted.object.switch(encode_class(Ledger))
    hosted.lost()
    assert hosted.openings == [7] and hosted.object.halt is not None


def test_the_hooks_of_a_leader_whose_state_differs_hear_that_it_leads_no_more() -> None:
    hosted = Hosted()
    hosted.object.lead(2)
    hosted.object.diverge(3, "it differs")
    told = [m.term for m in hosted.sent if isinstance(m, LeadsNow)]
    assert told == [2, 0]
