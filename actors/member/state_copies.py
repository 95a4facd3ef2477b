"""Copies of a group's state for backups, and the state that a restored group begins with.

The leader's object dumps its state as for a snapshot, once a read index shows that nothing which was there
before the request is missing. The member keeps the copy, and hands it out in parts that are small beside what
a link carries for others. A reader that has gone leaves a copy behind only for `KEEP_MS`.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Protocol
from zlib import crc32

from msgspec import Struct

from fleet.actors.member.client_requests import RequestedMember
from fleet.actors.messages.executor import DumpFailed, ObjectDumped
from fleet.actors.messages.group_states import (
    PART_BYTES,
    CopyPart,
    CopyTaken,
    ForgetCopy,
    GiveState,
    PartsHeld,
    ReadCopy,
    TakeCopy,
)
from fleet.actors.messages.operator import Done, GroupRequest, OpReply, OpValue
from fleet.errors import BadArguments, FleetError, NoSuchCopy, NoSuchGroup, Overloaded, Unavailable
from fleet.objects.given_state import objection_to
from fleet.objects.payload import ErrorRecord
from fleet.raft.config import GroupConfig
from fleet.raft.events import ReadQuery, StateGiven
from fleet.raft.ids import Index, Millis, node_of
from fleet.raft.ready import Answer
from fleet.raft.restoring import is_blank
from fleet.raft.switching import class_at

audit = logging.getLogger("fleet.audit")

COPY_OPS = (TakeCopy, ReadCopy, ForgetCopy, GiveState)
KEEP_MS: Final[Millis] = 30_000
"""How long a copy is kept for a reader that does not read it."""
COPIES_MAX: Final = 8
"""Kept at once. A copy is as big as the state."""


class ForgetDue(Struct, frozen=True):
    """The payload of a wakeup: a copy may have been kept long enough."""

    copy: int


@dataclass(slots=True)
class KeptCopy:
    state: bytes
    until: Millis


@dataclass(slots=True)
class Dumping:
    """The dump that the object was asked for, and who waits for it."""

    index: Index
    data_class: bytes
    config: GroupConfig
    requests: list[GroupRequest]


class Requests(Protocol):
    """The operators' requests to the member."""

    waiting: dict[int, GroupRequest]
    committed: list[tuple[GroupRequest, Answer]]

    def next_token(self) -> int: ...

    def on_applied(self) -> None: ...


class StateCopies:
    def __init__(self, member: RequestedMember, requests: Requests) -> None:
        self.member = member
        self.requests = requests
        self.confirmed: list[GroupRequest] = []
        """All that was committed before these has been handed to the object; they wait for a dump."""
        self.dumping: Dumping | None = None
        self.kept: dict[int, KeptCopy] = {}
        self.copies = 0
        """That were kept so far: their numbers."""
        self.given: tuple[Index, int, int] | None = None
        """Index, size and checksum of the state of which there are parts."""
        self.parts = bytearray()
        self.crc = 0
        """Of the parts."""

    def take(self, m: GroupRequest) -> None:
        try:
            match m.op:
                case TakeCopy():
                    self._take_copy(m)
                case ReadCopy(copy, offset):
                    self._tell(m, self._part(copy, offset))
                case ForgetCopy(copy):
                    self.kept.pop(copy, None)
                    self._tell(m, Done(0, 0))
                case GiveState():
                    self._receive(m, m.op)
        except FleetError as error:
            self._refuse(m, error)

    # -- copies ------------------------------------------------------------------------------------

    def _take_copy(self, m: GroupRequest) -> None:
        """A request may come again while it is under way."""
        if any(other.reply_to == m.reply_to and other.token == m.token for other in self._under_way()):
            self._begin()
            return
        token = self.requests.next_token()
        self.requests.waiting[token] = m
        self.member.step(ReadQuery(token, lease=False))

    def _under_way(self) -> Iterator[GroupRequest]:
        yield from (one for one in self.requests.waiting.values() if isinstance(one.op, TakeCopy))
        yield from self.confirmed
        yield from self.dumping.requests if self.dumping is not None else ()

    def on_read(self, token: int) -> None:
        self.confirmed.append(self.requests.waiting.pop(token))
        self._begin()

    def _begin(self) -> None:
        """Ask for a dump, unless one is being made, if only for a snapshot: its end is told."""
        member, held, core = self.member, self.member.object, self.member.core
        if self.dumping is not None and held.dumping != self.dumping.index:
            self._give_up_dump()
        if not self.confirmed or held.dumping:
            return
        error = held.halts.error()
        if error is None and len(self.kept) >= COPIES_MAX:
            error = Overloaded("as many copies of its state are being read as may be", group=member.spec.name)
        requests, self.confirmed = self.confirmed, []
        if error is not None:
            for request in requests:
                self._refuse(request, error)
            return
        index = held.handed
        data_class = class_at(core, index) or held.data_class
        self.dumping = Dumping(index, data_class, core.config, requests)
        held.dump(index, core.snapshot.size if core.snapshot is not None else 0, data_class)

    def on_dumped(self, m: ObjectDumped | DumpFailed) -> bool:
        """Whether it was for a copy."""
        dumping = self.dumping
        is_it = dumping is not None and dumping.index == m.index
        if dumping is not None and is_it:
            self.dumping = None
            for request in dumping.requests:
                if isinstance(m, ObjectDumped):
                    self._hand_out(request, dumping, m)
                else:
                    self._refuse(request, m.error.to_error())
        self._begin()
        return is_it

    def _give_up_dump(self) -> None:
        dumping, self.dumping = self.dumping, None
        error = Unavailable("a leader's snapshot has overtaken the copy", group=self.member.spec.name)
        for request in dumping.requests if dumping is not None else ():
            self._refuse(request, error)

    def _hand_out(self, request: GroupRequest, dumping: Dumping, m: ObjectDumped) -> None:
        member, size, copy = self.member, len(m.state), 0
        if size > PART_BYTES:
            self.copies += 1
            copy = self.copies
            self.kept[copy] = KeptCopy(m.state, self._now() + KEEP_MS)
            self._wake_for(copy, KEEP_MS)
        audit.info("group=%s copied at revision %d, for %s", member.spec.name, m.revision, request.reply_to)
        address = member.core.membership.current.addresses.get(member.core.id, "")
        about = copy, m.index, m.revision, size, m.crc, dumping.data_class, dumping.config
        self._tell(request, CopyTaken(*about, bytes(m.state[:PART_BYTES]), address))

    def _part(self, copy: int, offset: int) -> CopyPart:
        kept = self.kept.get(copy)
        if kept is None:
            raise NoSuchCopy(f"there is no copy {copy} here any more", group=self.member.spec.name)
        kept.until = self._now() + KEEP_MS
        return CopyPart(offset, bytes(kept.state[offset : offset + PART_BYTES]))

    def on_wakeup(self, payload: Any) -> None:
        """Forget a copy that nobody reads."""
        kept = self.kept.get(payload.copy) if isinstance(payload, ForgetDue) else None
        if kept is None:
            return
        left = kept.until - self._now()
        if left > 0:
            self._wake_for(payload.copy, left)
        else:
            del self.kept[payload.copy]

    def _wake_for(self, copy: int, ms: Millis) -> None:
        self.member.wakeupAfter(timedelta(milliseconds=ms), payload=ForgetDue(copy))

    # -- the state of a restored group -------------------------------------------------------------

    def _receive(self, m: GroupRequest, op: GiveState) -> None:
        """Parts come in order; one that comes again, or too early, changes nothing."""
        member, core, spec = self.member, self.member.core, self.member.spec
        founded = spec.founded
        if op.uid != spec.uid:
            raise NoSuchGroup("that group was removed, and another one has its name", group=spec.name)
        if founded is None or not spec.is_restored:
            raise BadArguments("the group was not founded to be restored from a backup", group=spec.name)
        if founded.member != core.id:
            node = node_of(founded.member)
            error = ErrorRecord.of(Unavailable("another node takes its state", group=spec.name, node=node))
            member.send(m.reply_to, OpReply(m.token, None, error, node, founded.address))
            return
        if not is_blank(core):
            self._tell_when_committed(m)
            return
        if (op.index, op.size, op.crc) != self.given:
            self._begin_anew((op.index, op.size, op.crc))
        if op.offset == len(self.parts) and op.data:
            if op.offset + len(op.data) > op.size:
                raise BadArguments(f"there is more of its state than {op.size} bytes", group=spec.name)
            self.parts += op.data
            self.crc = crc32(op.data, self.crc)
        if len(self.parts) < op.size or not op.size:
            self._tell(m, PartsHeld(len(self.parts)))
            return
        state: Any = memoryview(self.parts).toreadonly()
        objection = objection_to(state, op.index)
        if self.crc != op.crc:
            objection = "what has arrived of its state does not match its checksum"
        self._begin_anew(None)
        if objection:
            raise BadArguments(objection, group=spec.name)
        about = spec.name, len(state), op.index, m.reply_to
        audit.warning("group=%s begins with a backup's state, %d bytes after entry %d, given by %s", *about)
        member.step(StateGiven(founded, op.index, state, op.crc))
        self._tell_when_committed(m)

    def _begin_anew(self, given: tuple[Index, int, int] | None) -> None:
        self.given, self.parts, self.crc = given, bytearray(), 0

    def _tell_when_committed(self, m: GroupRequest) -> None:
        requests = self.requests
        if all(one.reply_to != m.reply_to or one.token != m.token for one, _ in requests.committed):
            index = self.member.core.log.base_index + 1
            requests.committed.append((m, Answer(m.token, None, index, self.member.core.leader)))
            requests.on_applied()

    # -- answers -----------------------------------------------------------------------------------

    def _now(self) -> Millis:
        return self.member.start.clock.now_ms()

    def _tell(self, m: GroupRequest, value: OpValue) -> None:
        self.member.send(m.reply_to, OpReply(m.token, value))

    def _refuse(self, m: GroupRequest, error: FleetError) -> None:
        self.member.send(m.reply_to, OpReply(m.token, None, ErrorRecord.of(error)))
