"""`check` calls the reminders that a class's commands have set."""

import time

import pytest

import fleet
from fleet.testing import CheckFailed, check


class Tidy(fleet.Data):
    open: list[int] = []
    late: list[float] = []

    @fleet.command
    def begin(self, number: int) -> None:
        self.open.append(number)
        fleet.ctx.remind("end", number, after=1)

    @fleet.reminder("end")
    def _end(self, number: int) -> None:
        self.open.remove(number)
        self.late.append(fleet.ctx.now)

    @fleet.query
    def count(self) -> int:
        return len(self.open)


class Forgetful(Tidy):
    """Part of its state lies outside of it."""

    @fleet.reminder("end")
    def _end(self, number: int) -> None:
        SEEN.append(number)
        self.late.append(len(SEEN))


class Curious(Tidy):
    @fleet.reminder("end")
    def _end(self, number: int) -> None:
        self.late.append(time.time())


SEEN: list[int] = []


def test_a_class_with_reminders_that_can_be_replicated_passes() -> None:
    check(Tidy, seeds=20, hash_seeds=())


def test_a_reminder_that_reads_the_time_is_found() -> None:
    with pytest.raises(CheckFailed, match="use fleet.ctx.now"):
        check(Curious, seeds=5, hash_seeds=())


def test_a_reminder_that_keeps_state_outside_of_the_object_is_found() -> None:
    with pytest.raises(CheckFailed, match="goes on differently from a snapshot"):
        check(Forgetful, seeds=5, hash_seeds=())
