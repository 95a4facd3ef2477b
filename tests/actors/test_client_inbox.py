"""The way from threads to the client actor."""

from collections.abc import Iterator

import pytest

from fleet.actors.client.actor import Inbox


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    inbox = Inbox()
    yield inbox
    inbox.close()


def test_a_report_that_comes_twice_finds_nothing_the_second_time(inbox: Inbox) -> None:
    """It killed the client: a message between two looks had the same fd watched once more."""
    assert inbox.put(lambda router: None)
    assert len(inbox.take()) == 1
    assert inbox.take() == []
    assert inbox.put(lambda router: None)
    assert len(inbox.take()) == 1


def test_nothing_is_taken_in_by_a_client_that_failed_or_was_closed(inbox: Inbox) -> None:
    assert inbox.put(lambda router: None)
    inbox.is_deaf = True
    assert not inbox.put(lambda router: None)
    inbox.is_deaf = False
    inbox.close()
    assert not inbox.put(lambda router: None)
