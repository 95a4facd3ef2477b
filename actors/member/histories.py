"""What a member has kept of its group's past, in parts, for an operator who replays it elsewhere.

Reads are bounded, since they are made in the node's own loop. Nothing is executed here.
"""

from typing import Any, Final, Protocol

import msgspec

from fleet.actors.member.member_object import MemberObject
from fleet.actors.messages.group_states import GetHistory, History, HistoryPart, ReadBase, ReadLog
from fleet.actors.messages.operator import OpReply, OpValue
from fleet.actors.messages.values import GroupSpec
from fleet.errors import Damaged, FleetError, NotKept
from fleet.interfaces import Base, Durable
from fleet.objects.payload import ErrorRecord
from fleet.objects.recording import HEAD_BYTES, RecordedBase, revision_in
from fleet.raft.core import Core

PART_BYTES: Final = 256 << 10
"""Of the bytes of a state, or of entries, in one answer; an entry that is bigger comes alone."""
_encode = msgspec.msgpack.Encoder().encode


class RememberingMember(Protocol):
    spec: GroupSpec
    core: Core
    object: MemberObject
    store: Durable
    number: int

    def send(self, target: Any, message: Any) -> None: ...


def answer(member: RememberingMember, token: int, op: GetHistory | ReadBase | ReadLog) -> OpReply:
    """A record that is damaged concerns who asks, and not the member, which does not need it."""
    try:
        return OpReply(token, _value(member, op))
    except Damaged as error:
        return OpReply(token, None, ErrorRecord.of(NotKept(f"a member's history is damaged: {error}")))
    except FleetError as error:
        return OpReply(token, None, ErrorRecord.of(error))


def _value(member: RememberingMember, op: GetHistory | ReadBase | ReadLog) -> OpValue:
    store, number, name = member.store, member.number, member.spec.name
    if isinstance(op, GetHistory):
        return _history(member)
    if isinstance(op, ReadBase):
        data = store.read_base(number, op.generation, op.offset, PART_BYTES)
        if data is None:
            raise NotKept("that state was deleted meanwhile", group=name)
        return HistoryPart(data)
    entries = store.read_entries(number, op.first, PART_BYTES)
    committed = [entry for entry in entries if entry.index <= member.core.log.commit]
    if not committed or committed[0].index != op.first:
        raise NotKept(f"entry {op.first} is not kept", group=name)
    return HistoryPart(_encode(committed))


def _history(member: RememberingMember) -> History:
    held, store = member.object, member.store
    bases = tuple(_recorded(member, base) for base in store.history(member.number))
    about = (member.core.id, member.spec.data_class, bases)
    return History(*about, member.core.log.commit, held.index, held.revision)


def _recorded(member: RememberingMember, base: Base) -> RecordedBase:
    meta = base.meta
    if meta is None:
        return RecordedBase(0, 0, 0, base.at_ms, 0, 0, b"")
    head = member.store.read_base(member.number, base.generation, 0, HEAD_BYTES) or b""
    about = (base.generation, meta.index, revision_in(head), base.at_ms)
    return RecordedBase(*about, meta.size, meta.crc, meta.data_class, meta.skipped)
