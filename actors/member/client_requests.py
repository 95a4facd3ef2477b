"""Requests of clients to a member: which client waits for which commands or queries, and the replies."""

from collections.abc import Collection, Iterator
from datetime import timedelta
from typing import Any, Protocol

from fleet.actors.member.bounded_reads import addresses_of
from fleet.actors.member.client_queries import ClientQueries
from fleet.actors.member.looks_first import Looked, LooksFirst
from fleet.actors.member.member_object import MemberObject
from fleet.actors.member.own_sessions import OwnSessions
from fleet.actors.member.refused_requests import RememberedRequests
from fleet.actors.member.sleeping import SleepReports
from fleet.actors.member.waiters import ProposedRequest, UnderWay, Waiter, part_of, runs, seqs_of
from fleet.actors.member.watchers import Watchers
from fleet.actors.messages.client import Answers, ClientReply, ClientRequest, Refusal
from fleet.actors.messages.local import StartMember
from fleet.actors.messages.operator import DISK_FULL
from fleet.actors.messages.values import GroupSpec
from fleet.errors import BadArguments, FleetError, Overloaded, TooLarge, Unavailable
from fleet.interfaces import Durable
from fleet.objects.applier import Opened, Outcomes
from fleet.objects.payload import ErrorRecord
from fleet.raft.core import Core
from fleet.raft.entries import Commands, KeyedCommands, SessionClosed, SessionOpened
from fleet.raft.events import Propose
from fleet.raft.ids import MemberId, Millis, Revision, SessionId, node_of
from fleet.raft.ready import LOST, NOT_LEADER, OVERLOADED, Answer
from fleet.raft.sessions import EXPIRED, STALE

REPLY_BYTES_MAX = 8 << 20
"""A reply of this size leaves; further results go into the next one."""
RESULT_BYTES_MAX = 32 << 20
"""One result, so that with a full reply before it, it still fits a frame of a link."""


class RequestedMember(Protocol):
    """What the requests of clients and operators need of their member."""

    spec: GroupSpec
    start: StartMember
    core: Core
    object: MemberObject
    store: Durable
    number: int
    is_full: bool
    sleep: SleepReports

    def send(self, target: Any, message: Any) -> None: ...

    def wakeupAfter(self, period: timedelta, payload: Any = None) -> None: ...

    def step(self, event: Any) -> None: ...

    def stamp_ms(self) -> Millis: ...

    def trouble(self) -> FleetError | None: ...


class ClientRequests:
    """One reply a client and turn. Without a bound, no client waits at a member that does not lead."""

    def __init__(self, member: RequestedMember) -> None:
        self.member = member
        self.token = 0
        self.waiters: dict[str, Waiter] = {}
        self.commands: dict[SessionId, UnderWay] = {}
        self.openings: dict[str, Waiter] = {}
        self.proposals: dict[int, ProposedRequest] = {}
        self.dirty: dict[str, Waiter] = {}
        self.refused = RememberedRequests()
        self.sessions = OwnSessions()
        self.looks = LooksFirst(self)
        self.queries = ClientQueries(self)
        self.watchers = Watchers(member, self)

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
            self.looks.take(m, waiter)
        if m.queries:
            self.queries.take(m, waiter)

    def overloaded(self) -> FleetError:
        return Overloaded("too much is under way in this group", group=self.member.spec.name)

    def under_way(self, m: ClientRequest) -> Collection[int]:
        under_way = self.commands.get(m.session)
        return under_way.seqs if under_way is not None else ()

    def propose(self, m: ClientRequest, waiter: Waiter, looked: Looked) -> None:
        """Propose what is not under way already."""
        wall_ms = self.member.stamp_ms()
        bodies: list[Commands | SessionOpened | SessionClosed] = []
        is_own = self._is_own(m)
        if m.commands and is_own:
            bodies += self._commands(m, waiter, wall_ms, looked)
        elif m.commands:
            self._refuse_session(m, waiter, is_own)
        seqs = tuple(seq for body in bodies if isinstance(body, Commands) for seq in seqs_of(body))
        if seqs:
            self.commands.setdefault(m.session, UnderWay(waiter)).seqs.update(seqs)
        opens = (m.opens or is_own is None) and m.client not in self.openings
        if opens:
            self.openings[m.client] = waiter
            bodies.append(SessionOpened(m.client, wall_ms))
        waiter.pending += len(seqs) + opens
        if m.closes:  # acknowledged now: the client does not wait for the commit
            bodies.append(SessionClosed(m.client, wall_ms))
            self.dirty[waiter.name] = waiter
        if bodies:
            token = self.next_token()
            self.proposals[token] = ProposedRequest(waiter, m.session, seqs, opens, m.number)
            self.member.step(Propose(token, tuple(bodies)))

    def _is_own(self, m: ClientRequest) -> bool | None:
        """Whether the session of its commands is the client's. None: not known before that is opened again,
        which finds it. Who does not lead proposes nothing."""
        if not (m.has_role and m.commands and self.member.core.is_leader):
            return True
        return self.sessions.is_of(m.client, m.session)

    def _refuse_session(self, m: ClientRequest, waiter: Waiter, is_own: bool | None) -> None:
        if is_own is None:
            what = "the leader does not know yet whose session this is"
            error = Unavailable(what, group=self.member.spec.name)
            seqs = tuple(range(m.first, m.first + len(m.commands)))
            self.refuse(waiter, error, session=m.session, seqs=seqs, number=m.number)
            return
        waiter.results.append(Outcomes(m.session, m.first, EXPIRED, 0, (b"",) * len(m.commands)))
        self.dirty[waiter.name] = waiter

    def _commands(
        self, m: ClientRequest, waiter: Waiter, wall_ms: Millis, looked: Looked
    ) -> Iterator[Commands]:
        """The commands of a request to propose, in as few entries as possible; refuses those that cannot be.

        A payload that cannot be executed is a refusal of this request, never the command's result: an earlier
        request may have had the command executed under another leader (S78).
        """
        known = frozenset(self.under_way(m))
        trouble = self._trouble(waiter, m)
        if trouble is not None:
            seqs = tuple(seq for seq in range(m.first, m.first + len(m.commands)) if seq not in known)
            self.refuse(waiter, trouble, session=m.session, seqs=seqs, number=m.number)
            return
        refused = set()
        for seq, payload in enumerate(m.commands, m.first):
            why = looked.objections.get(seq)
            if seq not in known and (error := self._objection(payload, why)) is not None:
                self.refuse(waiter, error, session=m.session, seqs=(seq,), number=m.number)
                refused.add(seq)
        bytes_max = self.member.core.config.batch_bytes_max
        kind = KeyedCommands if looked.has_keys else Commands
        for first, payloads in runs(m.first, m.commands, known | refused, bytes_max):
            yield kind(m.session, first, m.acked, wall_ms, payloads)

    def _trouble(self, waiter: Waiter, m: ClientRequest) -> FleetError | None:
        """Why none of the commands may be proposed."""
        if waiter.would_exceed(len(m.commands)) or self.member.object.is_behind():
            return self.overloaded()
        trouble = self.member.trouble()
        if trouble is None or not self.member.core.is_leader:
            return None
        return type(trouble)(trouble.what, **trouble.facts | {"group": self.member.spec.name})

    def _objection(self, payload: bytes, why: str | None) -> FleetError | None:
        member = self.member
        bytes_max = member.core.config.command_bytes_max
        if len(payload) > bytes_max:
            what = f"a command of {len(payload)} bytes; {bytes_max} is the most"
            return TooLarge(what, group=member.spec.name, setting="command_bytes_max")
        return BadArguments(why, group=member.spec.name) if why is not None else None

    # -- outcomes ----------------------------------------------------------------------------------

    def on_outcomes(self, outcomes: Outcomes) -> None:
        """Tell the client that waits for them; there may be none, here. To it, nothing depends on whether the
        commands were executed now or before."""
        known = self.commands.get(outcomes.session)
        if known is None:
            return
        seqs = seqs_of(outcomes)
        if known.seqs.issuperset(seqs):
            self._tell_outcomes(known.waiter, outcomes)
        else:
            for place, seq in enumerate(seqs):
                if seq in known.seqs:
                    self._tell_outcomes(known.waiter, part_of(outcomes, place, place + 1))
        known.seqs.difference_update(seqs)
        if not known.seqs:
            del self.commands[outcomes.session]

    def _tell_outcomes(self, waiter: Waiter, outcomes: Outcomes) -> None:
        waiter.pending -= len(outcomes.values)
        self.dirty[waiter.name] = waiter
        sizes = list(map(len, outcomes.values))
        if waiter.bytes + sum(sizes) <= min(REPLY_BYTES_MAX, RESULT_BYTES_MAX):
            waiter.results.append(outcomes)
            waiter.bytes += sum(sizes)
            return
        for place, size in enumerate(sizes):
            one = part_of(outcomes, place, place + 1)
            if size > RESULT_BYTES_MAX:  # executed, but the result is lost
                one, size = Outcomes(one.session, one.first, STALE, one.revision, (b"",)), 0
            waiter.results.append(one)
            self._count(waiter, size)

    def on_opened(self, opened: Opened) -> None:
        self.sessions.note(opened.client, opened.session, self.member.core.config.sessions_max)
        waiter = self.openings.pop(opened.client, None)
        if waiter is not None:
            waiter.session = opened.session
            waiter.pending -= 1
            self.dirty[waiter.name] = waiter

    def on_question_failed(self, token: int, error: FleetError) -> None:
        """The executor will not answer it."""
        if token in self.looks.asked:
            self.looks.on_checked(token, {})  # what has come meanwhile is refused for the same reason
            return
        if not self.watchers.on_failed(token, error):
            self.queries.on_failed(token, error)

    def answer(self, waiter: Waiter, first: int, values: tuple[bytes, ...], revision: Revision) -> None:
        size = sum(map(len, values))
        if waiter.bytes + size <= min(REPLY_BYTES_MAX, RESULT_BYTES_MAX):
            waiter.answers.append(Answers(first, values, revision))
            self._count(waiter, size)
            return
        for query, value in enumerate(values, first):
            if len(value) > RESULT_BYTES_MAX:
                what = f"a result of {len(value)} bytes; {RESULT_BYTES_MAX} is the most"
                error = TooLarge(what, group=self.member.spec.name)
                self.refuse(waiter, error, queries=(query,))
            else:
                waiter.answers.append(Answers(query, (value,), revision))
                self._count(waiter, len(value))

    def _count(self, waiter: Waiter, size: int) -> None:
        self.dirty[waiter.name] = waiter
        waiter.bytes += size
        if waiter.bytes > REPLY_BYTES_MAX:
            self._tell(waiter)

    def on_answer(self, answer: Answer) -> bool:
        """The core refused a request. False: the token belongs to another module."""
        if answer.token in self.queries.readings:
            self.queries.fail_reading(answer.token, self._why(answer), answer.leader)
            return True
        proposal = self.proposals.pop(answer.token, None)
        if proposal is None:
            return False
        proposal.waiter.pending -= len(proposal.seqs) + proposal.opens
        self._forget(proposal)
        if proposal.opens:
            self.openings.pop(proposal.waiter.name, None)
        self.refuse(
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

    def _forget(self, proposal: ProposedRequest) -> None:
        known = self.commands.get(proposal.session)
        if known is not None:
            known.seqs.difference_update(proposal.seqs)
            if not known.seqs:
                del self.commands[proposal.session]

    def lose_all(self, leader: MemberId | None) -> None:
        """The leadership is lost: proposed commands may still be executed, under another leader."""
        self.watchers.lose_all(leader)
        lost = list(self.commands.items())
        openings = list(self.openings.values())
        self.commands.clear()
        self.openings.clear()
        self.proposals.clear()
        error = Unavailable("the leadership was lost", group=self.member.spec.name)
        for session, known in lost:
            known.waiter.pending -= len(known.seqs)
            seqs = tuple(sorted(known.seqs))
            self.refuse(known.waiter, error, leader, session=session, seqs=seqs, lost=True)
        for waiter in openings:
            waiter.pending -= 1
            self.refuse(waiter, error, leader, opens=True)

    def _why(self, answer: Answer) -> FleetError:
        group = self.member.spec.name
        if answer.error == OVERLOADED:
            return self.overloaded()
        where = self.member.core.id
        if self.member.is_full and answer.error in (NOT_LEADER, LOST):
            return Unavailable(DISK_FULL, group=group, node=node_of(where))
        what = "no leader is known" if answer.error in (NOT_LEADER, LOST) else answer.error or ""
        return Unavailable(what, group=group, member=where)

    def refuse(
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
            members=addresses_of(self.member.core) if waiter.wants_members else (),
        )
        self.member.send(waiter.reply_to, reply)
        waiter.session, waiter.bytes, waiter.wants_members = 0, 0, False
        waiter.results, waiter.answers, waiter.refusals = [], [], []


def where_is(member: RequestedMember, leader: MemberId | None) -> tuple[str, str]:
    """The leader's node and address, "" where not known."""
    if leader is None:
        return "", ""
    return node_of(leader), member.core.membership.current.addresses.get(leader, "")
