"""What a session tells callers whose time is over."""

from fleet.actors.client.endings import LINGER_MS
from fleet.actors.client.requests import REQUESTS_MAX
from fleet.actors.client.session_events import (
    Abandoned,
)
from fleet.actors.client.session_state import PAYLOAD_BYTES_MAX
from fleet.actors.messages.operator import MEMBER_LOST
from fleet.errors import (
    DeadlineExceededBeforeSend,
    NoSuchGroup,
    OutcomeUnknown,
    TooLarge,
    Unavailable,
)
from fleet.objects.outcomes import Failed, Unsettled
from fleet.raft.sessions import DONE
from tests.actors.client.talks import Talk


def test_a_call_that_never_left_is_told_so() -> None:
    talk = Talk()
    talk.submit(b"a", b"q", timeout_ms=100)
    talk.pass_time(100)
    assert talk.values() == {b"a": [DeadlineExceededBeforeSend], b"q": [DeadlineExceededBeforeSend]}


def test_a_query_and_a_command_that_waits_for_its_session_are_unavailable_in_time() -> None:
    talk = Talk()
    talk.submit(b"a", timeout_ms=100)
    talk.submit(b"q", is_query=True, timeout_ms=100)
    talk.request()
    talk.pass_time(99)
    assert talk.told == {}
    talk.pass_time(1)
    assert talk.values() == {b"a": [Unavailable], b"q": [Unavailable]}


def test_an_unknown_group_is_the_reason_when_that_is_all_that_was_heard() -> None:
    talk = Talk()
    talk.submit(b"q", is_query=True, timeout_ms=100)
    talk.request()
    talk.refuse(NoSuchGroup("none"), queries=(1,))
    talk.pass_time(100)
    assert talk.values() == {b"q": [NoSuchGroup]}


def test_a_lost_group_is_the_reason_until_it_is_removed() -> None:
    """Callers that create it again when it is gone were never told that it was."""
    talk = Talk()
    talk.submit(b"a", is_query=True, timeout_ms=100)
    talk.request()
    talk.refuse(Unavailable(MEMBER_LOST), queries=(1,))
    talk.refuse(Unavailable("another is asked"), queries=(1,))
    talk.pass_time(100)
    (outcome,) = talk.told[b"a"]
    assert isinstance(outcome, Failed) and MEMBER_LOST in str(outcome.error)
    talk.submit(b"b", is_query=True, timeout_ms=100)
    talk.request()
    talk.refuse(NoSuchGroup("none"), queries=(2,))
    talk.pass_time(100)
    assert talk.values()[b"b"] == [NoSuchGroup]


def test_s45_a_command_that_left_is_unknown_and_asked_for_on(talk: Talk) -> None:
    """Its caller may wait on: it is told late what came of it, by an answer, or at last by silence."""
    talk.submit(b"a", b"b", timeout_ms=100)
    talk.sent()
    talk.pass_time(100)
    assert {type(one) for told in talk.told.values() for one in told} == {Unsettled}
    talk.refuse(Unavailable("lost"), 1, 2, lost=True)
    assert talk.resent() == [(1, b"a"), (2, b"b")]
    talk.reply((1, DONE, b"late"))
    talk.pass_time(LINGER_MS)
    assert talk.values() == {b"a": [OutcomeUnknown], b"b": [OutcomeUnknown]}
    assert talk.late_values() == {b"a": [b"late"], b"b": [OutcomeUnknown]}
    assert not talk.session.inflight


def test_when_nothing_can_succeed_what_was_sent_is_told_apart_from_what_was_not(talk: Talk) -> None:
    talk.submit(b"a")
    talk.sent()
    talk.session.under_way = REQUESTS_MAX
    talk.submit(b"b")
    talk.submit(b"q", is_query=True)
    talk.step(Abandoned(Unavailable("closed")))
    assert talk.values() == {b"a": [OutcomeUnknown], b"b": [Unavailable], b"q": [Unavailable]}
    assert not talk.session.is_waiting


def test_a_call_whose_arguments_fit_no_frame_is_refused_in_its_turn(talk: Talk) -> None:
    talk.submit(bytes(PAYLOAD_BYTES_MAX + 1))
    assert talk.request() is None
    assert list(talk.values().values()) == [[TooLarge]]
