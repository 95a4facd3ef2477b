"""A member whose state differs: what it shows, and what it no longer does."""

from types import SimpleNamespace
from typing import Any

import pytest

from fleet.actors.member.comparisons import WAITING_MAX, Comparisons
from fleet.actors.messages.executor import LeadsNow, PartsShown, ShowParts
from fleet.actors.messages.local import MemberHalted
from fleet.actors.messages.operator import GroupRequest, ShowState, StateShown
from fleet.errors import Unavailable
from fleet.objects.class_refs import encode_class
from fleet.raft.config import GroupConfig
from fleet.raft.entries import Members, Skipped, SnapshotMeta
from tests.actors.member.requested import SPEC, start_of
from tests.actors.member.test_member_object import Hosted
from tests.raft.cores import N1, THREE, settled
from tests.support.classes import Ledger
from tests.support.clocks import HandClock

CLIENT: Any = "client"


class Shown:
    """A member whose executor is asked for states; `told` is what it has answered."""

    def __init__(self) -> None:
        self.core = settled()
        self.spec = SPEC
        self.asked: list[ShowParts] = []
        self.start = start_of(N1, HandClock(0))
        self.told: list[Any] = []
        self.object = SimpleNamespace(number=1, run=7, port=self.asked.append)
        self.comparisons = Comparisons(self)  # type: ignore[arg-type]

    def send(self, target: Any, message: Any) -> None:
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


@pytest.mark.parametrize(("snapshot", "is_repaired"), [(0, False), (2, False), (3, True)])
def test_who_halted_before_a_restart_halts_again_unless_it_has_its_leaders_snapshot(
    snapshot: int, is_repaired: bool
) -> None:
    """The node was killed before it had noted the repair. Its own snapshot was that of entry 2."""
    member = Shown()
    halts: list[int] = []
    member.object.diverge = lambda index, cause: halts.append(index)
    if snapshot:
        member.core.snapshot = SnapshotMeta(snapshot, 2, Members(THREE), GroupConfig(), 5, 0)
    member.comparisons.resume(3)
    assert halts == ([] if is_repaired else [member.core.log.applied])
    assert member.told == ([MemberHalted(N1, None)] if is_repaired else [])
    member.comparisons.resume(0)
    assert len(halts) + len(member.told) == 1


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
