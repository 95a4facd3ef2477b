"""Changes of a group's members that have to wait for others."""

from typing import Any

import pytest

from fleet.actors.messages.operator import Done, RemoveMember, SkipCommand
from fleet.client.group_api import MemberOperations
from fleet.errors import ChangeInProgress
from fleet.raft.ids import MemberId


class Operations(MemberOperations):
    """The group refuses the first changes."""

    def __init__(self, refusals: int) -> None:
        self.timeout = 1.0
        self.refusals = refusals
        self.asked: list[Any] = []

    def _member_on(self, group: str, node: str, timeout: float | None) -> MemberId:
        return MemberId(f"{node}@d.1")

    def _ask(self, op: Any, group: str = "", address: str = "", timeout: float | None = None) -> Any:
        self.asked.append(op)
        if len(self.asked) <= self.refusals:
            raise ChangeInProgress("change in progress", group=group)
        return Done(9, 4)


def test_a_removal_waits_for_a_change_that_is_under_way() -> None:
    """Just after an election or another change it was refused, with the advice to try again."""
    operations = Operations(refusals=2)
    assert operations.remove_member("g", "n1") == 4
    assert operations.asked == [RemoveMember(MemberId("n1@d.1"))] * 3


def test_a_skip_names_the_entry_and_returns_the_revision() -> None:
    operations = Operations(refusals=0)
    assert operations.skip("g", 7) == 4
    assert operations.asked == [SkipCommand(7)]


def test_a_removal_does_not_wait_for_ever() -> None:
    with pytest.raises(ChangeInProgress):
        Operations(refusals=100).remove_member("g", "n1", timeout=0.25)
