"""The way from threads to the client actor."""

from collections.abc import Iterator

import pytest

from fleet.actors.client.inbox import Inbox


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    inbox = Inbox()
    yield inbox
    inbox.close()


def test_a_report_that_comes_twice_finds_nothing_the_second_time(inbox: Inbox) -> None:
    """It killed the client: a message between two looks had the same fd watched once more."""
    assert inbox.put("message")
    assert len(inbox.take()) == 1
    assert inbox.take() == []
    assert inbox.put("message")
    assert len(inbox.take()) == 1


@pytest.mark.parametrize("end", ["failed", "closed"])
def test_nothing_is_taken_in_by_a_client_that_failed_or_was_closed(inbox: Inbox, end: str) -> None:
    assert inbox.put("message")
    if end == "failed":
        inbox.is_deaf = True
    else:
        inbox.close()
    assert not inbox.put("late")
    assert list(inbox.waiting) == ["message"]


def test_a_message_that_a_client_takes_at_its_end_is_not_refused_as_well(inbox: Inbox) -> None:
    """Its caller would be told twice: by the error, and by the outcome."""
    inbox.put("before")

    class Ending(type(inbox.waiting)):  # type: ignore[misc]
        def append(self, message: object) -> None:
            super().append(message)
            inbox.is_deaf = True
            taken.extend(inbox.take())

    taken: list[object] = []
    inbox.waiting = Ending(inbox.waiting)
    assert inbox.put("just then")
    assert taken == ["before", "just then"]
