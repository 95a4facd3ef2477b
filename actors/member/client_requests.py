"""Requests of clients to a member: which client waits for which command or read, and the replies."""

from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from thespian.actors import ActorAddress

from fleet.actors.member.hook_events import HookEvents
from fleet.actors.member.refused_requests import RememberedRequests
from fleet.actors.messages.client import ClientReply, ClientRequest, Refusal
from fleet.actors.messages.local import StartMember
from fleet.actors.messages.operator import DISK_FULL
from fleet.actors.messages.values import GroupSpec
from fleet.errors import BadArguments, FleetError, Overloaded, TooLarge, Unavailable
from fleet.objects.applier import Applier, Opened, Outcome
from fleet.objects.payload import ErrorRecord
from fleet.raft.core import Core
from fleet.raft.entries import Command, SessionClosed, SessionOpened
from fleet.raft.events import Propose, Query
from fleet.raft.ids import Index, MemberId, Millis, SessionId, node_of
from fleet.raft.ready import LOST, NOT_LEADER, OVERLOADED, Answer
from fleet.raft.sessions import STALE

REPLY_BYTES_MAX = 8 << 20
"""A reply of this size leaves; further results go into the next one."""
PENDING_MAX = 16_384
"""Commands and queries under way of one client; its own window is far smaller."""
READING_BYTES_MAX = 64 << 20
"""Of all queries that wait in this group."""
RESULT_BYTES_MAX = 32 << 20
"""One result, so that with a full reply before it, it still fits a frame of a link."""


@dataclass(slots=True)
class Waiter:
    """A client, and the reply to it at the end of this turn."""

    name: str
    reply_to: ActorAddress
    pending: int = 0
    """The number of requests that it waits for; at 0 it can be forgotten."""
    session: SessionId = 0
    results: list[tuple[SessionId, int, str, Index, bytes]] = field(default_factory=list)
    answers: list[tuple[int, bytes]] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    bytes: int = 0
    """In results and answers."""


@dataclass(slots=True)
class Reading:
    waiter: Waiter
    queries: tuple[tuple[int, bytes], ...]
    """(query id, payload)"""
    size: int
    """Of the payloads."""


@dataclass(slots=True)
class Proposal:
    waiter: Waiter
    session: SessionId
    seqs: tuple[int, ...]
    opens: bool
    number: int
    """Of the request that brought it."""


class RequestedMember(Protocol):
    """What the requests of clients and operators need of their member."""

    spec: GroupSpec
    start: StartMember
    core: Core
    applier: Applier
    hooks: HookEvents | None
    is_full: bool

    def send(self, target: Any, message: Any) -> None: ...

    def step(self, event: Any) -> None: ...

    def stamp_ms(self) -> Millis: ...

    def trouble(self) -> FleetError | None: ...


class ClientRequests:
    """One reply a client and turn. No client waits at a member that does not lead."""

    def __init__(self, member: RequestedMember) -> None:
        self.member = member
        self.token = 0
        self.waiters: dict[str, Waiter] = {}
        self.commands: dict[tuple[SessionId, int], Waiter] = {}
        self.openings: dict[str, Waiter] = {}
        self.readings: dict[int, Reading] = {}
        self.reading_bytes = 0
        self.proposals: dict[int, Proposal] = {}
        self.dirty: dict[str, Waiter] = {}
        self.refused = RememberedRequests()

    def next_token(self) -> int:
        self.token += 1
        return self.token

    # -- requests ----------------------------------------------------------------------------------

    def take(self, m: ClientRequest) -> None:
        if m in self.refused:
            return
        waiter = self.waiters.get(m.client)
        if waiter is None:
            waiter = self.waiters[m.client] = Waiter(m.client, m.reply_to)
        if m.opens or m.commands or m.closes:
            self._propose(m, waiter)
        if m.queries:
            self._query(m, waiter)

    def _query(self, m: ClientRequest, waiter: Waiter) -> None:
        size = sum(len(payload) for _, payload in m.queries)
        if waiter.pending + len(m.queries) > PENDING_MAX or self.reading_bytes + size > READING_BYTES_MAX:
            queries = tuple(query for query, _ in m.queries)
            self._refuse(waiter, self._overloaded(), queries=queries, number=m.number)
            return
        token = self.next_token()
        self.readings[token] = Reading(waiter, m.queries, size)
        self.reading_bytes += size
        waiter.pending += len(m.queries)
        self.member.step(Query(token))

    def _overloaded(self) -> FleetError:
        return Overloaded("too much is under way in this group", group=self.member.spec.name)

    def _propose(self, m: ClientRequest, waiter: Waiter) -> None:
        """Propose the commands that are not under way already.

        A payload that cannot be executed is a refusal of this request, never the command's result: an earlier
        request may have had the command executed under another leader (S78).
        """
        member = self.member
        wall_ms = member.stamp_ms()
        bytes_max = member.core.config.command_bytes_max
        bodies: list[Command | SessionOpened | SessionClosed] = []
        seqs = []
        trouble = self._trouble() if m.commands else None
        if waiter.pending + len(m.commands) > PENDING_MAX:
            trouble = self._overloaded()
        commands, check = self.commands, member.applier.machine.check
        for seq, payload in m.commands:
            if (m.session, seq) in commands:
                continue
            why = check(payload) if trouble is None and len(payload) <= bytes_max else ""
            if why is not None:
                error = trouble or self._objection(payload, bytes_max, why)
                self._refuse(waiter, error, session=m.session, seqs=(seq,), number=m.number)
                continue
            commands[m.session, seq] = waiter
            bodies.append(Command(m.session, seq, m.acked, wall_ms, payload))
            seqs.append(seq)
        opens = m.opens and m.client not in self.openings
        if opens:
            self.openings[m.client] = waiter
            bodies.append(SessionOpened(m.client, wall_ms))
        waiter.pending += len(bodies)
        if m.closes:  # acknowledged now: the client does not wait for the commit
            bodies.append(SessionClosed(m.client, wall_ms))
            self.dirty[waiter.name] = waiter
        if bodies:
            token = self.next_token()
            self.proposals[token] = Proposal(waiter, m.session, tuple(seqs), opens, m.number)
            member.step(Propose(token, tuple(bodies)))

    def _trouble(self) -> FleetError | None:
        trouble = self.member.trouble()
        if trouble is None or not self.member.core.is_leader:
            return None
        return type(trouble)(trouble.what, group=self.member.spec.name, **trouble.facts)

    def _objection(self, payload: bytes, bytes_max: int, why: str) -> FleetError:
        group = self.member.spec.name
        if len(payload) > bytes_max:
            what = f"a command of {len(payload)} bytes; {bytes_max} is the most"
            return TooLarge(what, group=group, setting="command_bytes_max")
        return BadArguments(why, group=group)

    # -- outcomes ----------------------------------------------------------------------------------

    def on_outcome(self, outcome: Outcome) -> None:
        waiter = self.commands.pop((outcome.session, outcome.seq), None)
        if waiter is not None:
            status, value = outcome.status, outcome.value
            if len(value) > RESULT_BYTES_MAX:
                status, value = STALE, b""  # executed, but the result is lost
            waiter.results.append((outcome.session, outcome.seq, status, outcome.revision, value))
            waiter.pending -= 1
            self._count(waiter, value)

    def on_opened(self, opened: Opened) -> None:
        waiter = self.openings.pop(opened.client, None)
        if waiter is not None:
            waiter.session = opened.session
            waiter.pending -= 1
            self.dirty[waiter.name] = waiter

    def on_read(self, token: int, lease: bool = False) -> None:
        """Execute the reads, one reply at a time; results under a lease leave only while it holds (S19)."""
        reading = self.readings.pop(token)
        member, queries = self.member, reading.queries
        while queries:
            answers: list[tuple[int, bytes]] = []
            size = 0
            for query, payload in queries:
                answers.append((query, member.applier.query(payload)))
                size += len(answers[-1][1])
                if size > REPLY_BYTES_MAX:
                    break
            if lease and not member.core.lease_holds(member.start.clock.now_ms()):
                self.readings[token] = replace(reading, queries=queries)
                member.step(Query(token, lease=False))
                return
            if member.hooks is not None:
                member.hooks.on_read(queries[: len(answers)], answers)
            queries = queries[len(answers) :]
            reading.waiter.pending -= len(answers)
            self._answer(reading.waiter, answers)
        self.reading_bytes -= reading.size

    def _answer(self, waiter: Waiter, answers: list[tuple[int, bytes]]) -> None:
        for query, value in answers:
            if len(value) > RESULT_BYTES_MAX:
                what = f"a result of {len(value)} bytes; {RESULT_BYTES_MAX} is the most"
                error = TooLarge(what, group=self.member.spec.name)
                self._refuse(waiter, error, queries=(query,))
            else:
                waiter.answers.append((query, value))
                self._count(waiter, value)

    def _count(self, waiter: Waiter, value: bytes) -> None:
        self.dirty[waiter.name] = waiter
        waiter.bytes += len(value)
        if waiter.bytes > REPLY_BYTES_MAX:
            self._tell(waiter)

    def on_answer(self, answer: Answer) -> bool:
        """The core refused a request. False: the token belongs to another module."""
        reading = self.readings.pop(answer.token, None)
        if reading is not None:
            queries = tuple(query for query, _ in reading.queries)
            reading.waiter.pending -= len(queries)
            self.reading_bytes -= reading.size
            self._refuse(reading.waiter, self._why(answer), answer.leader, queries=queries)
            return True
        proposal = self.proposals.pop(answer.token, None)
        if proposal is None:
            return False
        proposal.waiter.pending -= len(proposal.seqs) + proposal.opens
        for seq in proposal.seqs:
            self.commands.pop((proposal.session, seq), None)
        if proposal.opens:
            self.openings.pop(proposal.waiter.name, None)
        self._refuse(
            proposal.waiter,
            self._why(answer),
            answer.leader,
            opens=proposal.opens,
            session=proposal.session,
            seqs=proposal.seqs,
            lost=answer.error == LOST,
            number=proposal.number,
        )
        return True

    def lose_all(self, leader: MemberId | None) -> None:
        """The leadership is lost: proposed commands may still be executed, under another leader."""
        lost: dict[tuple[str, SessionId], tuple[Waiter, list[int]]] = {}
        for (session, seq), waiter in self.commands.items():
            lost.setdefault((waiter.name, session), (waiter, []))[1].append(seq)
        openings = list(self.openings.values())
        self.commands.clear()
        self.openings.clear()
        self.proposals.clear()
        error = Unavailable("the leadership was lost", group=self.member.spec.name)
        for (_, session), (waiter, seqs) in lost.items():
            waiter.pending -= len(seqs)
            self._refuse(waiter, error, leader, session=session, seqs=tuple(seqs), lost=True)
        for waiter in openings:
            waiter.pending -= 1
            self._refuse(waiter, error, leader, opens=True)

    def _why(self, answer: Answer) -> FleetError:
        group = self.member.spec.name
        if answer.error == OVERLOADED:
            return self._overloaded()
        where = self.member.core.id
        if self.member.is_full and answer.error in (NOT_LEADER, LOST):
            return Unavailable(DISK_FULL, group=group, node=node_of(where))
        what = "no leader is known" if answer.error in (NOT_LEADER, LOST) else answer.error or ""
        return Unavailable(what, group=group, member=where)

    def _refuse(
        self,
        waiter: Waiter,
        error: FleetError,
        leader: MemberId | None = None,
        *,
        opens: bool = False,
        session: SessionId = 0,
        seqs: tuple[int, ...] = (),
        queries: tuple[int, ...] = (),
        lost: bool = False,
        number: int = 0,
    ) -> None:
        """`number`: of the request that brought the commands `seqs`; of no use if they are `lost`."""
        node, address = where_is(self.member, leader)
        record = ErrorRecord.of(error)
        waiter.refusals.append(Refusal(record, lost, node, address, opens, session, seqs, queries, number))
        self.dirty[waiter.name] = waiter
        if seqs and not lost:
            self.refused.add(self.member.spec.name, waiter.name, number)

    # -- replies -----------------------------------------------------------------------------------

    def end_turn(self) -> None:
        """Proposals are refused within their turn or not at all."""
        self.proposals.clear()
        if self.dirty:
            self.flush()

    def flush(self) -> None:
        for waiter in self.dirty.values():
            self._tell(waiter)
            if not waiter.pending:
                self.waiters.pop(waiter.name, None)
        self.dirty.clear()

    def _tell(self, waiter: Waiter) -> None:
        reply = ClientReply(
            self.member.spec.name,
            waiter.session,
            tuple(waiter.results),
            tuple(waiter.answers),
            tuple(waiter.refusals),
        )
        self.member.send(waiter.reply_to, reply)
        waiter.session = waiter.bytes = 0
        waiter.results, waiter.answers, waiter.refusals = [], [], []


def where_is(member: RequestedMember, leader: MemberId | None) -> tuple[str, str]:
    """The leader's node and address, "" where not known."""
    if leader is None:
        return "", ""
    return node_of(leader), member.core.membership.current.addresses.get(leader, "")
