"""One client's conversation with one group, told by messages and moments alone."""

import pytest

from fleet.actors.client.requests import BATCH_BYTES_MAX, GROUPS_FEW, REQUESTS_MAX, WINDOW_MAX
from fleet.actors.client.session_events import (
    TurnEnded,
)
from fleet.actors.client.session_state import PAUSE_MS, SILENCE_MS
from fleet.actors.messages.client import ClientReply
from fleet.errors import (
    BadArguments,
    FleetError,
    NoSuchGroup,
    NotAllowed,
    OutcomeUnknown,
    Overloaded,
    SessionExpired,
    TooLarge,
    Unavailable,
)
from fleet.objects.applier import Outcomes
from fleet.objects.outcomes import Succeeded
from fleet.raft.sessions import DONE, EXPIRED, OUT_OF_ORDER, STALE
from tests.actors.client.talks import SESSION, Talk


def test_a_session_is_opened_before_the_first_command_and_only_once() -> None:
    talk = Talk()
    talk.submit(b"a", b"b")
    request = talk.request()
    assert request is not None and request.opens and request.commands == ()
    talk.submit(b"c")
    assert talk.request() is None
    talk.reply(opened=SESSION)
    request = talk.request()
    assert request is not None and not request.opens
    assert (request.session, request.first, request.commands) == (SESSION, 1, (b"a", b"b", b"c"))


def test_queries_need_no_session() -> None:
    talk = Talk()
    talk.submit(b"q", is_query=True)
    request = talk.request()
    assert (
        request is not None and not request.opens and (request.first_query, request.queries) == (1, (b"q",))
    )
    talk.answer((1, b"value"), (1, b"twice"))
    assert talk.values() == {b"q": [b"value"]}


def test_time_asks_for_something_at_the_first_deadline_or_after_a_silence(talk: Talk) -> None:
    assert talk.session.due_at() > talk.now + 10**9
    talk.submit(b"a", timeout_ms=10_000)
    talk.submit(b"b", timeout_ms=300)
    assert talk.session.due_at() == talk.now + 300
    talk.sent()
    talk.pass_time(300)
    assert talk.values()[b"b"] == [OutcomeUnknown]
    assert talk.session.due_at() == talk.now - 300 + SILENCE_MS
    talk.refuse(Unavailable("not here"), 1, 2)
    assert talk.session.due_at() == talk.session.resend_at == talk.now


def test_what_comes_while_requests_are_under_way_shares_the_next(talk: Talk) -> None:
    for number in range(REQUESTS_MAX):
        talk.submit(b"%d" % number)
        assert len(talk.sent()) == 1
    talk.submit(*(b"x%d" % number for number in range(50)))
    assert talk.request() is None
    talk.reply((1, DONE, b"r"))
    assert len(talk.sent()) == 50


def test_a_client_that_calls_many_groups_has_one_request_to_each(talk: Talk) -> None:
    """They overlap without more, and what an entry costs is shared by all that have come meanwhile."""
    crowd = TurnEnded(GROUPS_FEW + 1)
    talk.submit(b"first")
    assert len(talk.requests(crowd)) == 1
    talk.submit(b"a", b"b")
    assert talk.requests(crowd) == []
    talk.reply((1, DONE, b"r"))
    (request,) = talk.requests(crowd)
    assert request.commands == (b"a", b"b")
    talk.submit(b"c")
    assert len(talk.requests(TurnEnded(GROUPS_FEW))) == 1


def test_a_request_is_bounded_in_bytes_and_the_window_in_commands(talk: Talk) -> None:
    big = bytes(BATCH_BYTES_MAX // 2)
    talk.submit(big + b"1", big + b"2", big + b"3")
    assert len(talk.sent()) == 2
    talk.submit(*(b"%d" % number for number in range(2 * WINDOW_MAX)))
    talk.sent()
    assert len(talk.session.inflight) == WINDOW_MAX


def test_everything_that_is_acknowledged_is_told_with_the_next_request(talk: Talk) -> None:
    talk.submit(b"a", b"b", b"c")
    talk.sent()
    talk.reply((1, DONE, b"1"), (3, DONE, b"3"))
    talk.submit(b"d")
    request = talk.request()
    assert request is not None and request.acked == 1
    talk.reply((2, DONE, b"2"))
    assert talk.session.acked == 3


def test_s42_what_is_under_way_is_sent_again_in_order_under_its_old_numbers(talk: Talk) -> None:
    talk.submit(b"a", b"b", b"c")
    sent = talk.sent()
    talk.refuse(Unavailable("no leader"), 1, 2, 3)
    assert talk.request() is None
    assert talk.resent() == sent
    talk.reply((1, DONE, b"1"), (1, DONE, b"again"), (2, DONE, b"2"))
    talk.refuse(Unavailable("the leadership was lost"), 3, lost=True)
    assert talk.resent() == [(3, b"c")]
    talk.reply((3, DONE, b"3"))
    assert talk.values() == {b"a": [b"1"], b"b": [b"2"], b"c": [b"3"]}


def test_a_whole_window_of_large_commands_is_sent_again_in_messages_that_fit(talk: Talk) -> None:
    for number in range(REQUESTS_MAX):
        talk.submit(bytes(BATCH_BYTES_MAX) + b"%d" % number)
        talk.request()
    talk.refuse(Unavailable("no leader"), 1)
    requests = talk.requests_again()
    assert [(request.first, len(request.commands)) for request in requests] == [(1, 1), (2, 1), (3, 1)]


def test_what_is_sent_again_around_one_that_is_not_goes_in_requests_without_a_gap(talk: Talk) -> None:
    """A request numbers its commands by its first."""
    talk.submit(b"a", b"b", b"c", b"d")
    talk.request()
    talk.session.inflight[2].is_hopeless = True
    talk.refuse(Unavailable("no leader"), 1, 3, 4)
    requests = talk.requests_again()
    assert [(request.first, request.commands) for request in requests] == [(1, (b"a",)), (3, (b"c", b"d"))]


def test_each_of_many_outcomes_has_its_value_and_its_revision(talk: Talk) -> None:
    talk.submit(b"a", b"b", b"c")
    talk.request()
    talk.step(ClientReply("g", 0, (Outcomes(SESSION, 1, DONE, 40, (b"1", b"2", b"3")),), (), ()))
    assert talk.told == {
        b"a": [Succeeded(b"1", 40)],
        b"b": [Succeeded(b"2", 41)],
        b"c": [Succeeded(b"3", 42)],
    }


def test_pauses_between_tries_grow_and_end_with_an_answer(talk: Talk) -> None:
    talk.submit(b"a", b"b")
    talk.sent()
    pauses = []
    for _ in range(10):
        begin = talk.now
        talk.refuse(Unavailable("no leader"), 1, 2)
        talk.resent()
        pauses.append(talk.now - begin)
    assert pauses[0] == 0 and pauses == sorted(pauses) and pauses[-1] == PAUSE_MS[1]
    talk.reply((1, DONE, b""))
    talk.refuse(Unavailable("no leader"), 2)
    assert talk.session.resend_at == talk.now


def test_a_gap_in_the_order_is_filled_by_sending_all_again(talk: Talk) -> None:
    talk.submit(b"a", b"b")
    talk.sent()
    talk.reply((2, OUT_OF_ORDER, b""))
    assert talk.resent() == [(1, b"a"), (2, b"b")]
    talk.reply((1, DONE, b"1"), (2, DONE, b"2"))
    assert talk.values() == {b"a": [b"1"], b"b": [b"2"]}


def test_s44_what_was_sent_once_to_an_expired_session_goes_on_in_a_new_one(talk: Talk) -> None:
    talk.submit(b"a", b"b")
    talk.sent()
    talk.reply((1, EXPIRED, b""))
    request = talk.request()
    assert request is not None and request.opens
    talk.reply(opened=SESSION + 1)
    request = talk.request()
    assert request is not None
    assert (request.session, request.first, request.commands) == (SESSION + 1, 1, (b"a", b"b"))
    assert talk.told == {}


def test_s44_a_session_that_has_expired_is_not_begun_again(talk: Talk) -> None:
    """Its command 1 would be told the result of the one that was executed long ago (seed 2001878). The reply
    was late, or a leader that executes its log again has come to where that session was opened."""
    talk.submit(b"a", b"b")
    talk.sent()
    talk.reply((1, DONE, b"1"), (2, EXPIRED, b""))
    request = talk.request()
    assert request is not None and request.opens
    talk.reply(opened=SESSION)
    assert [(request.opens, request.session) for request in talk.requests_again()] == [(True, 0)]
    talk.reply((1, DONE, b"1"))
    talk.reply(opened=SESSION + 1)
    talk.reply(opened=SESSION)
    request = talk.request()
    assert request is not None
    assert (request.session, request.first, request.commands) == (SESSION + 1, 1, (b"b",))
    assert talk.values() == {b"a": [b"1"]}


def test_s44_what_was_sent_twice_may_have_been_executed_in_the_expired_session(talk: Talk) -> None:
    talk.submit(b"a")
    talk.sent()
    talk.refuse(Unavailable("lost"), 1, lost=True)
    talk.resent()
    talk.submit(b"b")
    talk.sent()
    talk.reply((1, EXPIRED, b""))
    assert talk.values() == {b"a": [SessionExpired]}
    talk.reply(opened=SESSION + 1)
    assert talk.sent() == [(1, b"b")]


def test_s58_what_nobody_took_goes_on_in_a_new_session_when_the_group_is_another(talk: Talk) -> None:
    """A group that was removed and added again knows no session; until it has a leader it refuses."""
    talk.submit(b"a")
    talk.sent()
    for error in (NoSuchGroup("not here"), Unavailable("no leader is known")):
        talk.refuse(error, 1)
        talk.resent()
    talk.reply((1, EXPIRED, b""))
    talk.reply(opened=SESSION + 1)
    assert talk.sent() == [(1, b"a")]
    assert talk.told == {}


def test_results_of_an_earlier_session_are_nobodys(talk: Talk) -> None:
    talk.submit(b"a")
    talk.sent()
    talk.reply((1, DONE, b"old"), session=SESSION - 1)
    assert talk.told == {}


def test_a_result_that_was_forgotten_is_an_unknown_outcome(talk: Talk) -> None:
    talk.submit(b"a")
    talk.sent()
    talk.reply((1, STALE, b""))
    assert talk.values() == {b"a": [OutcomeUnknown]}


@pytest.mark.parametrize("error", [Overloaded("much"), TooLarge("big")])
def test_a_command_refused_as_often_as_it_was_sent_is_not_done(talk: Talk, error: FleetError) -> None:
    talk.submit(b"a", b"b")
    talk.sent()
    talk.reply((2, OUT_OF_ORDER, b""))
    talk.resent()
    talk.refuse(error, 1)
    assert talk.told == {}
    talk.refuse(error, 1, number=1)
    assert talk.values() == {b"a": [type(error)]}


def test_s45_one_refused_that_was_sent_before_is_never_told_as_not_done(talk: Talk) -> None:
    talk.submit(b"a", b"b")
    talk.sent()
    talk.refuse(Unavailable("lost"), 1, 2, lost=True)
    talk.resent()
    talk.refuse(TooLarge("for the new leader"), 1)
    talk.refuse(Unavailable("lost"), 2)
    assert talk.resent() == [(2, b"b")]
    talk.pass_time(SILENCE_MS)
    assert talk.values() == {b"a": [OutcomeUnknown]}


@pytest.mark.parametrize("error", [Overloaded("much"), TooLarge("big"), BadArguments("no memory")])
def test_s78_one_refusal_that_arrives_twice_counts_once(talk: Talk, error: FleetError) -> None:
    """The first send may have been executed: nobody has said what became of it."""
    talk.submit(b"a")
    talk.sent()
    talk.pass_time(SILENCE_MS)
    talk.refuse(error, 1)
    talk.refuse(error, 1)
    assert talk.told == {}
    talk.pass_time(10_000)
    assert talk.values() == {b"a": [OutcomeUnknown]}


def test_s78_a_command_that_every_node_refused_until_its_time_was_over_is_not_done(talk: Talk) -> None:
    talk.submit(b"a", b"b", timeout_ms=100)
    talk.sent()
    talk.refuse(Unavailable("no leader"), 1, 2)
    talk.resent()
    talk.refuse(NoSuchGroup("not here"), 1)
    talk.pass_time(100)
    assert talk.values() == {b"a": [NoSuchGroup], b"b": [OutcomeUnknown]}
    assert list(talk.session.inflight) == [2]


def test_a_query_is_refused_for_what_it_is_and_asked_again_for_what_the_node_is(talk: Talk) -> None:
    talk.submit(b"q", b"r", is_query=True)
    talk.request()
    talk.refuse(TooLarge("a result"), queries=(1,))
    talk.refuse(Unavailable("no leader"), queries=(2,))
    assert talk.values() == {b"q": [TooLarge]}
    (request,) = talk.requests_again()
    assert (request.first_query, request.queries) == (2, (b"r",))


def test_an_opening_that_was_refused_is_tried_again() -> None:
    talk = Talk()
    talk.submit(b"a")
    talk.request()
    talk.refuse(Overloaded("much"), opens=True, session=0)
    assert talk.session.resend_at is not None
    (request,) = talk.requests_again()
    assert request.opens


def test_an_opening_that_the_role_does_not_allow_ends_what_waits_for_it() -> None:
    """No later one would be allowed, and queries go on."""
    talk = Talk()
    talk.submit(b"a", b"b")
    talk.request()
    talk.submit(b"q", is_query=True)
    talk.refuse(NotAllowed("a reader"), opens=True, session=0)
    assert talk.values() == {b"a": [NotAllowed], b"b": [NotAllowed]}
    assert talk.session.resend_at is None and not talk.session.opening
    request = talk.request()
    assert request is not None and request.queries == (b"q",)
