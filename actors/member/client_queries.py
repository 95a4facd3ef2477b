"""Queries of clients to a member: which wait for a confirmation, or for the object, and their answers."""

from typing import Any, Protocol

from fleet.actors.member.bounded_reads import BoundedReads, ReadMember
from fleet.actors.member.sleeping import SleepReports
from fleet.actors.member.waiters import Reading, Waiter
from fleet.actors.messages.client import ClientRequest
from fleet.actors.messages.executor import QueriesAnswered
from fleet.errors import FleetError
from fleet.raft.events import ReadQuery
from fleet.raft.ids import MemberId, Revision

READING_BYTES_MAX = 64 << 20
"""Of all queries that wait in this group."""


class QueriedMember(ReadMember, Protocol):
    sleep: SleepReports

    def step(self, event: Any) -> None: ...

    def trouble(self) -> FleetError | None: ...


class Replier(Protocol):
    """The requests of which these queries are a part."""

    @property
    def member(self) -> QueriedMember: ...

    def next_token(self) -> int: ...

    def overloaded(self) -> FleetError: ...

    def answer(self, waiter: Waiter, first: int, values: tuple[bytes, ...], revision: Revision) -> None: ...

    def refuse(
        self,
        waiter: Waiter,
        error: FleetError,
        leader: MemberId | None = None,
        *,
        queries: tuple[int, ...] = (),
        number: int = 0,
    ) -> None: ...


class ClientQueries:
    def __init__(self, requests: Replier) -> None:
        self.requests = requests
        self.member = requests.member
        self.readings: dict[int, Reading] = {}
        self.reading_bytes = 0
        self.bounded = BoundedReads(self)

    def take(self, m: ClientRequest, waiter: Waiter) -> None:
        size, count = sum(map(len, m.queries)), len(m.queries)
        trouble = self._trouble_of_reading(waiter, count, size)
        if trouble is not None:
            queries = tuple(range(m.first_query, m.first_query + count))
            self.requests.refuse(waiter, trouble, queries=queries, number=m.number)
            return
        token = self.requests.next_token()
        reading = self.readings[token] = Reading(waiter, m.first_query, m.queries, size)
        self.reading_bytes += size
        waiter.pending += count
        if m.bound is None:
            self.member.sleep.read(token)
        else:
            self.bounded.take(token, reading, m.bound)

    def _trouble_of_reading(self, waiter: Waiter, count: int, size: int) -> FleetError | None:
        if waiter.would_exceed(count) or self.reading_bytes + size > READING_BYTES_MAX:
            return self.requests.overloaded()
        core = self.member.core
        return self.member.trouble() if core.halt is not None and core.is_leader else None

    def on_read(self, token: int, lease: bool = False) -> None:
        """Let the queries be executed, behind all that is committed."""
        reading = self.readings[token]
        reading.is_lease = lease
        self.member.object.ask(token, reading.queries)

    def on_answered(self, m: QueriesAnswered) -> None:
        """Results under a lease leave only while it holds (S19), and those with a bound within it (S21)."""
        reading, member = self.readings.get(m.token), self.member
        if reading is None:
            return
        error = self.bounded.objection(reading, m.revision) if reading.bound is not None else None
        if error is not None:
            self.fail_reading(m.token, error, member.core.leader)
            return
        if reading.is_lease and not member.core.lease_holds(member.start.clock.now_ms()):
            del self.readings[m.token]
            token = self.requests.next_token()
            self.readings[token] = reading
            member.step(ReadQuery(token, lease=False))
            return
        count = len(m.values)
        reading.waiter.pending -= count
        self.requests.answer(reading.waiter, reading.first, m.values, m.revision)
        reading.first += count
        reading.queries = reading.queries[count:]
        if not reading.queries:
            del self.readings[m.token]
            self.reading_bytes -= reading.size

    def on_failed(self, token: int, error: FleetError) -> None:
        """The object's executor will not answer it."""
        if token in self.readings:
            self.fail_reading(token, error)

    def fail_reading(self, token: int, error: FleetError, leader: MemberId | None = None) -> None:
        """Refuse those of its queries that are not answered."""
        reading = self.readings.pop(token)
        queries = tuple(range(reading.first, reading.first + len(reading.queries)))
        reading.waiter.pending -= len(queries)
        self.reading_bytes -= reading.size
        self.requests.refuse(reading.waiter, error, leader, queries=queries)
