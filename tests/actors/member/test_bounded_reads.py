"""Queries that any member may answer, at one member: refused, executed, and judged again after that."""

from types import SimpleNamespace
from typing import Any

import pytest

from fleet.actors.base.addresses import remote_address
from fleet.actors.member.bounded_reads import BoundedReads, addresses_of
from fleet.actors.member.waiters import Reading, Waiter
from fleet.actors.messages.client import ReadBound
from fleet.errors import FleetError, TooStale
from fleet.raft.ids import MemberId
from tests.raft.cores import N1, N2, follower

QUERIES = (b"q",)


class Bench:
    """A follower whose state is that of its group at 1,000 ms; it is 1,500 ms now."""

    def __init__(self) -> None:
        self.core = follower()
        self.core.leader = N2
        self.core.now, self.core.fresh_at, self.now = 1500, 1000, 1500
        self.asked: list[int] = []
        self.refused: list[tuple[int, FleetError, MemberId | None]] = []
        clock = SimpleNamespace(now_ms=lambda: self.now)
        obj = SimpleNamespace(ask=lambda token, queries: self.asked.append(token))
        start, spec = SimpleNamespace(clock=clock), SimpleNamespace(name="g")
        self.member: Any = SimpleNamespace(core=self.core, object=obj, start=start, spec=spec)
        self.reads = BoundedReads(self)
        self.reading = Reading(Waiter("c", remote_address("c:1", "c")), 1, QUERIES, 1)

    def fail_reading(self, token: int, error: FleetError, leader: MemberId | None = None) -> None:
        self.refused.append((token, error, leader))

    def take(self, max_age_ms: int, at_least: int = 0, wants_members: bool = False) -> None:
        self.reads.take(7, self.reading, ReadBound(max_age_ms, at_least, wants_members))


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_state_that_is_new_enough_is_read_and_judged_again_when_the_query_was_executed(
    bench: Bench,
) -> None:
    """Half a second is 600 ms on a clock that may be slow by a fifth."""
    bench.take(600)
    assert bench.asked == [7] and not bench.refused
    assert bench.reads.objection(bench.reading, 1) is None
    bench.now += 10
    error = bench.reads.objection(bench.reading, 1)
    assert error is not None and error.facts == {"group": "g", "node": "n1", "age": 0.612, "max_age": 0.6}


def test_an_older_state_is_refused_at_once_and_the_leader_named(bench: Bench) -> None:
    bench.take(599)
    ((token, error, leader),) = bench.refused
    assert not bench.asked and (token, type(error), leader) == (7, TooStale, N2)
    assert error.facts == {"group": "g", "node": "n1", "age": 0.6, "max_age": 0.599}


def test_where_nothing_is_proven_any_age_may_be_asked_for_and_no_other(bench: Bench) -> None:
    bench.core.fresh_at = -(1 << 62)
    bench.take(1 << 50)
    ((_, error, _),) = bench.refused
    assert "age" not in error.facts and "cannot be proven" in str(error)
    bench.take(-1)
    assert bench.asked == [7] and bench.reads.objection(bench.reading, 1) is None


def test_a_revision_is_judged_when_the_query_was_executed(bench: Bench) -> None:
    """Entries that are on their way to the object may bring it."""
    bench.take(-1, at_least=9)
    assert bench.asked == [7]
    assert bench.reads.objection(bench.reading, 9) is None
    error = bench.reads.objection(bench.reading, 8)
    assert error is not None and (error.revision, error.at_least) == (8, 9)


def test_a_member_that_is_read_with_an_age_limit_remembers_when(bench: Bench) -> None:
    before = bench.core.read_at
    bench.take(-1)
    assert bench.core.read_at == before
    bench.take(10)
    assert bench.core.read_at == bench.now


def test_a_client_that_asks_is_told_where_members_are(bench: Bench) -> None:
    bench.take(-1, wants_members=True)
    assert bench.reading.waiter.wants_members
    members = bench.core.membership.current
    addresses = {N1: "a:1", N2: ""}
    bench.core.membership.reset(1, type(members)(members.voters, members.learners, addresses))
    assert addresses_of(bench.core) == ("a:1",)
