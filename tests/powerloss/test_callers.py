"""What the callers of a campaign make of answers: a failure of theirs is one of the test."""

from types import SimpleNamespace
from typing import Any

import pytest

from fleet.errors import OutcomeUnknown

from .nodes import Callers, Lost


class Answers:
    """A ledger that appends, and may say that it does not know."""

    def __init__(self, unknown: bool) -> None:
        self.unknown = unknown
        self.lines: list[tuple[str, int]] = []
        self.write = SimpleNamespace(submit=self._submit)

    def _submit(self, who: str, number: int) -> Any:
        self.lines.append((who, number))
        place = len(self.lines)

        def result() -> int:
            if self.unknown:
                raise OutcomeUnknown("nobody answers")
            return place

        return SimpleNamespace(result=result)

    def read(self) -> list[tuple[str, int]]:
        return list(self.lines)


def calling(ledger: Answers) -> Callers:
    client: Any = SimpleNamespace(group=lambda name, kind: ledger, close=lambda: None)
    return Callers(client, ["g"])


def test_what_is_acknowledged_is_checked() -> None:
    ledger = Answers(unknown=False)
    with calling(ledger) as callers:
        callers.await_more(3)
    callers.check()
    ledger.lines.pop()
    with pytest.raises(Lost, match="acknowledged at place .*, and is gone"):
        callers.check()


def test_a_caller_that_ended_without_an_answer_is_found_at_the_end() -> None:
    """Nobody looked at its failure any more."""
    with calling(Answers(unknown=True)) as callers:
        callers.abandon()
    with pytest.raises(AssertionError, match="of which nothing is known"):
        callers.check()
