"""The rules by which listed nodes found one cluster, one node at a time, and what each writes."""

import random
from typing import Any

import pytest

from fleet.cluster.founding import BALLOT_MS, JOIN_AFTER_MS, Founding
from fleet.cluster.founding_messages import (
    NO_BALLOT,
    Accept,
    Accepted,
    Ballot,
    Decided,
    Exists,
    Found,
    Founder,
    FoundingHello,
    Join,
    Persisted,
    Prepare,
    Promise,
    Refused,
    Vote,
    check_founders,
    cluster_id,
    fingerprint,
    from_bytes,
    to_bytes,
)
from fleet.cluster.founding_proposal import NEVER
from fleet.errors import ConfigError
from fleet.raft.ids import NodeName
from tests.cluster.founding_bench import FIVE, OF_B, OF_C, THREE, A, B, Bench, C, D, E, proposing
from tests.cluster.founding_world import node


@pytest.mark.parametrize(
    ("listed", "says"),
    [
        ((), "at least one"),
        (("a:1", ""), "empty"),
        (("a:1", "b:1"), "odd number"),
        (("a:1", "b:1", "b:1"), "listed twice"),
        (("b:1", "c:1", "d:1"), "own address"),
    ],
)
def test_a_list_that_cannot_be_is_refused_at_once(listed: tuple[str, ...], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Founding(A, listed, 0, random.Random(1))
    check_founders(THREE, "b:1")


def test_one_listed_node_founds_alone() -> None:
    bench = Bench(A, ("a:1",))
    bench.wait(1)
    assert bench.outcomes == [Found(cluster_id((A,)), (A,))]
    assert bench.part.deadline == NEVER


def test_the_smallest_name_proposes_and_the_others_leave_it_its_turn() -> None:
    small, large = Bench(A), Bench(C)
    assert any(isinstance(message, Prepare) for _, message in small.step(small.said(C, FoundingHello)))
    large.step(large.said(A, FoundingHello))
    assert not any(isinstance(message, Prepare) for _, message in large.wait(900))
    assert any(isinstance(message, Prepare) for _, message in large.wait(1300)), "and not for ever"


def test_nothing_leaves_before_it_is_durable() -> None:
    bench = Bench(A)
    bench.holds = True
    assert bench.step(bench.said(B, Prepare, OF_B)) == []
    assert bench.written[-1].promised == OF_B
    ((_, promise),) = bench.step(Persisted(bench.part._seq))
    assert promise.ballot == OF_B
    assert bench.step(bench.said(B, Accept, OF_B, (A, B))) == []
    assert bench.written[-1].accepted == Vote(OF_B, (A, B))
    assert [type(message) for _, message in bench.step(Persisted(bench.part._seq))] == [Accepted]
    assert bench.step(bench.said(B, Decided, (A, B))) == []
    assert bench.outcomes == [] and bench.part.outcome is None
    bench.step(Persisted(bench.part._seq))
    assert bench.outcomes == [Found(cluster_id((A, B)), (A, B))]


def test_a_proposers_ballot_is_durable_before_anybody_hears_of_it() -> None:
    bench = Bench(A)
    bench.holds = True
    bench.step(bench.said(B, FoundingHello))
    assert not any(isinstance(message, Prepare) for _, message in bench.wait(100))
    assert bench.written[-1].promised.address == "a:1"
    again = Bench(A, record=bench.written[-1])
    again.step(again.said(B, FoundingHello))
    again.wait(100)
    assert again.part.record.promised > bench.written[-1].promised, "no ballot is used in two lives"


def test_a_lower_ballot_is_refused_with_the_higher_one() -> None:
    bench = Bench(A)
    bench.step(bench.said(C, Prepare, OF_C))
    for late in (bench.said(B, Prepare, OF_B), bench.said(B, Accept, OF_B, (A, B))):
        ((address, refused),) = bench.step(late)
        assert (address, refused.ballot, refused.promised) == ("b:1", OF_B, OF_C)
    assert bench.part.record.accepted is None


def test_the_same_again_is_answered_again() -> None:
    bench = Bench(A)
    for message in (bench.said(B, Prepare, OF_B), bench.said(B, Accept, OF_B, (A, B))):
        first = bench.step(message)
        written = len(bench.written)
        assert bench.step(message)[0][0] == first[0][0] == "b:1"
        assert len(bench.written) == written


def test_a_promise_tells_what_was_accepted_also_after_a_restart() -> None:
    bench = Bench(A)
    bench.step(bench.said(B, Accept, OF_B, (A, B)))
    again = Bench(A, record=from_bytes(to_bytes(bench.written[-1])))
    ((_, promise),) = again.step(again.said(C, Prepare, OF_C))
    assert promise.accepted == Vote(OF_B, (A, B))
    ((_, refused),) = again.step(again.said(B, Prepare, OF_B))
    assert isinstance(refused, Refused)


def test_a_majority_waits_a_grace_for_the_slower_ones() -> None:
    bench, ballot = proposing()
    bench.step(bench.said(B, Promise, ballot, None))
    assert not any(isinstance(message, Accept) for _, message in bench.wait(400))
    sent = bench.step(bench.said(C, Promise, ballot, None))
    assert {(address, message.founders) for address, message in sent if isinstance(message, Accept)} == {
        ("b:1", (A, B, C)),
        ("c:1", (A, B, C)),
    }, "and no longer than until all are here"


def test_after_the_grace_those_who_are_here_found() -> None:
    bench, ballot = proposing()
    bench.step(bench.said(B, Promise, ballot, None))
    accepts = [message for _, message in bench.wait(700) if isinstance(message, Accept)]
    assert accepts and accepts[0].founders == (A, B)
    bench.step(bench.said(B, Accepted, ballot))
    assert bench.outcomes == [Found(cluster_id((A, B)), (A, B))]
    assert ("c:1", Decided) in [(address, type(message)) for address, message in bench.sent]


def test_the_highest_accepted_value_is_taken_over() -> None:
    bench, ballot = proposing(FIVE, B, C, D, E)
    bench.step(bench.said(B, Promise, ballot, Vote(Ballot(1, "b:1", "x"), (B, C, D))))
    bench.step(bench.said(C, Promise, ballot, Vote(Ballot(2, "c:1", "x"), (C, D, E))))
    sent = bench.wait(700)
    assert {message.founders for _, message in sent if isinstance(message, Accept)} == {(C, D, E)}


def test_only_who_promised_is_counted_when_it_accepts() -> None:
    bench, ballot = proposing()
    bench.step(bench.said(B, Promise, ballot, None))
    bench.wait(700)
    bench.step(bench.said(C, Accepted, ballot))
    assert not bench.outcomes
    bench.step(bench.said(node("b", "d2"), Accepted, ballot))
    assert not bench.outcomes, "another disk at that address"


def test_a_wiped_node_is_not_counted_by_who_knew_it() -> None:
    bench, ballot = proposing()
    bench.step(bench.said(node("b", "d2"), Promise, ballot, None))
    assert not any(isinstance(message, Accept) for _, message in bench.wait(2000))
    assert any("b:1 lost its disk" in problem for problem in bench.part.problems())


def test_a_wiped_node_is_not_counted_by_who_was_told() -> None:
    bench = Bench(A)
    bench.step(bench.said(node("b", "d2"), FoundingHello))
    bench.step(bench.said(C, FoundingHello, disks=(("b:1", B.incarnation),)))
    bench.wait(1)
    ballot = bench.part.record.promised
    bench.step(bench.said(node("b", "d2"), Promise, ballot, None))
    assert not any(isinstance(message, Accept) for _, message in bench.wait(2000))


def test_a_wiped_node_that_learns_it_neither_votes_nor_proposes() -> None:
    bench = Bench(node("a", "d2"))
    assert bench.step(bench.said(B, Prepare, OF_B, disks=(("a:1", A.incarnation),))) == []
    assert bench.part.record.promised == NO_BALLOT
    bench.step(bench.said(C, Decided, (A, B, C)))
    assert bench.outcomes == [Join(cluster_id((A, B, C)), THREE)], "the founder was the old disk"


def test_one_disk_at_two_addresses_is_not_two_nodes() -> None:
    bench, ballot = proposing()
    copy = Founder(NodeName("c"), B.incarnation, "c:1", "z1", 1.0)
    bench.step(bench.said(B, Promise, ballot, None))
    bench.step(bench.said(copy, Promise, ballot, None))
    assert not any(isinstance(message, Accept) for _, message in bench.wait(2000))


def test_two_nodes_of_one_name_do_not_found() -> None:
    twin = node("b", "d9", "c:1")
    bench, ballot = proposing(THREE, B, twin)
    bench.step(bench.said(B, Promise, ballot, None))
    bench.step(bench.said(twin, Promise, ballot, None))
    assert not any(isinstance(message, Accept) for _, message in bench.sent)
    assert bench.part.problems() == ("two founders are called 'b'",)


def test_a_node_with_another_list_is_not_counted() -> None:
    bench = Bench(A)
    assert bench.step(Prepare(B, fingerprint(FIVE), (), OF_B)) == []
    assert bench.part.record.promised == NO_BALLOT
    assert "b:1 has another list of founders" in bench.part.problems()


def test_a_vote_of_a_node_that_is_not_listed_does_not_count() -> None:
    bench, ballot = proposing()
    bench.step(bench.said(node("x"), Promise, ballot, None))
    assert bench.part.record.disks == (("a:1", "a-d1"), ("b:1", "b-d1"))
    assert not any(isinstance(message, Accept) for _, message in bench.wait(2000))


def test_an_answer_to_an_older_ballot_counts_for_nothing() -> None:
    bench, ballot = proposing()
    older = Ballot(0, ballot.address, ballot.incarnation)
    bench.step(bench.said(B, Promise, older, None))
    assert not any(isinstance(message, Accept) for _, message in bench.wait(700))
    bench.step(bench.said(B, Promise, ballot, None))
    bench.wait(1400)
    bench.step(bench.said(B, Accepted, older))
    assert not bench.outcomes
    bench.step(bench.said(B, Accepted, ballot))
    assert bench.outcomes


def test_accepting_is_a_promise_too() -> None:
    bench = Bench(A)
    bench.step(bench.said(B, Prepare, OF_B))
    bench.step(bench.said(C, Accept, OF_C, (A, C)))
    again = Bench(A, record=bench.written[-1])
    for late in (bench.said(B, Prepare, OF_B), bench.said(B, Accept, OF_B, (A, B))):
        answers = {type(message) for _, message in again.step(late)} - {Prepare}
        assert answers == {Refused}
    assert again.part.record.accepted == Vote(OF_C, (A, C))


def test_a_higher_ballot_ends_ones_own() -> None:
    bench, ballot = proposing()
    bench.step(bench.said(C, Prepare, OF_C))
    assert bench.step(bench.said(B, Promise, ballot, None)) == []
    assert not any(isinstance(message, Prepare) for _, message in bench.wait(BALLOT_MS - 1))


def test_a_refused_proposer_comes_back_with_a_higher_ballot() -> None:
    bench, ballot = proposing()
    bench.step(bench.said(B, Refused, ballot, OF_C))
    sent = bench.wait(2000)
    assert {message.ballot.round for _, message in sent if isinstance(message, Prepare)} == {OF_C.round + 1}


@pytest.mark.parametrize("ask", [FoundingHello, Prepare, Promise])
def test_who_asks_late_is_told_the_decision(ask: Any) -> None:
    """Also by a founder that was started again, and also a node that is not listed."""
    bench = Bench(A)
    bench.step(bench.said(B, Decided, (A, B)))
    again = Bench(A, record=from_bytes(to_bytes(bench.written[-1])))
    assert again.outcomes == bench.outcomes == [Found(cluster_id((A, B)), (A, B))]
    parts = {FoundingHello: (), Prepare: (OF_C,), Promise: (OF_C, None)}[ask]
    for src in (C, node("x")):
        ((address, decided),) = again.step(again.said(src, ask, *parts))
        assert (address, decided.founders) == (src.address, (A, B))
    assert again.part.deadline == NEVER


def test_the_record_of_a_decision_outlives_the_list() -> None:
    bench = Bench(A)
    bench.step(bench.said(B, Decided, (A, B)))
    part = Founding(A, ("x:1", "y:1"), 0, random.Random(1), bench.written[-1])
    assert isinstance(part.outcome, Found)


def test_who_is_not_among_the_founders_joins() -> None:
    bench = Bench(C)
    bench.step(bench.said(A, Decided, (A, B)))
    assert bench.outcomes == [Join(cluster_id((A, B)), ("a:1", "b:1"))]


def test_who_hears_of_a_cluster_joins_and_tells_others() -> None:
    bench = Bench(A)
    bench.step(Exists("x1", ("x:1",)))
    assert bench.outcomes == [Join("x1", ("x:1",))]
    again = Bench(A, record=from_bytes(to_bytes(bench.written[-1])))
    assert again.outcomes == bench.outcomes
    assert again.step(again.said(B, Prepare, OF_B)) == [("b:1", Exists("x1", ("x:1",)))]


def test_a_possible_founder_waits_for_the_founders_before_it_joins() -> None:
    bench = Bench(A)
    bench.step(bench.said(B, Prepare, OF_B))
    bench.step(Exists("x1", ("x:1",)))
    assert not any(isinstance(message, Prepare) for _, message in bench.wait(JOIN_AFTER_MS - 1))
    assert not bench.outcomes
    told = Bench(A, record=bench.written[-1])
    told.step(Exists("x1", ("x:1",)))
    told.step(told.said(B, Decided, (A, B)))
    assert told.outcomes == [Found(cluster_id((A, B)), (A, B))]
    bench.wait(JOIN_AFTER_MS)
    assert bench.outcomes == [Join("x1", ("x:1",))]


def test_a_decision_of_another_list_is_a_cluster_to_join() -> None:
    bench = Bench(A)
    bench.step(Decided(D, fingerprint(FIVE), (), (C, D, E)))
    assert bench.outcomes == [Join(cluster_id((C, D, E)), ("c:1", "d:1", "e:1"))]
