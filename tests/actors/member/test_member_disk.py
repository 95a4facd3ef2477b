"""A member whose disk is in the test's hand: what is written when, and when the member hears of it."""

from typing import Any

import msgspec

import fleet
from fleet.actors.member.actor import Member
from fleet.actors.messages.client import ClientReply, ClientRequest
from fleet.actors.messages.local import MemberStopped, StartMember
from fleet.actors.messages.operator import DISK_FULL, OpReply
from fleet.actors.messages.peer import PeerMail
from fleet.actors.messages.values import GroupSpec
from fleet.interfaces import Write
from fleet.objects.class_refs import encode_class
from fleet.objects.payload import ErrorRecord, decode_result, encode_call
from fleet.raft.codec import encode_messages
from fleet.raft.config import GroupConfig
from fleet.raft.entries import Commands, Entry, Founded
from fleet.raft.events import Persisted, SnapshotStored, Tick
from fleet.raft.ids import GroupName, MemberId
from fleet.raft.messages import AppendEntries, InstallSnapshot, PeerMessage
from fleet.storage.memory_store import MemoryStore
from tests.support.clocks import HandClock
from tests.support.objects import applier_of

ME, PEER = MemberId("n1@a.1"), MemberId("n2@b.1")
CLIENT: Any = "client"
CONFIG = GroupConfig(snapshot_floor_bytes=2000, snapshot_factor=1, log_tail=0)


class Ledger(fleet.Data):
    values: list[int] = []

    @fleet.command
    def append(self, value: int) -> None:
        self.values.append(value)

    @fleet.command
    def spoil(self) -> None:
        self.values.append(-1)
        raise ValueError("half done")

    @fleet.query
    def all(self) -> list[int]:
        return self.values


class OwnMember(Member):
    """What it sends, also to itself, is kept."""

    myAddress = "me"

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[Any, Any]] = []
        self.wakeups: list[Any] = []

    def send(self, target: Any, message: Any) -> None:
        self.sent.append((target, message))

    def wakeupAfter(self, delay: Any, payload: Any = None) -> None:
        self.wakeups.append(payload)


def done(write: Write) -> Persisted | SnapshotStored:
    """What the disk says when the write is on it."""
    if write.is_aside:
        assert write.snapshot is not None
        return SnapshotStored(write.snapshot.meta.index)
    return Persisted(write.seq)


def mail(message: PeerMessage) -> PeerMail:
    return PeerMail(message.dst, encode_messages([message]))


class Held:
    """A member, its store, and what was submitted to the disk."""

    def __init__(
        self, founded: Founded = Founded(ME, "", CONFIG), data: type = Ledger, is_restored: bool = False
    ) -> None:
        self.store = MemoryStore("c", "n1")
        spec = GroupSpec("g", encode_class(data), CONFIG, 1, ME, founded, is_restored=is_restored)
        record = self.store.create_group(GroupName("g"), msgspec.msgpack.encode(spec))
        self.member = OwnMember()
        self.submitted: list[Write] = []
        self.stopped: list[MemberStopped] = []
        self.replies: list[ClientReply] = []
        self.told: list[OpReply] = []
        self.clock = HandClock()
        self.tell(StartMember(record, ME, "registry", "manager", self.clock, 1, self.store, "disk"))
        self.sync()

    def tell(self, message: Any) -> None:
        """The message and all that follows from it within the member."""
        member = self.member
        if type(message) is Tick:
            member.step(message)
        else:
            member.receiveMessage(message, None)
        while member.sent:
            target, sent = member.sent.pop(0)
            if target == "me":
                member.receiveMessage(sent, None)
            elif type(sent) is Write:
                self.submitted.append(sent)
            elif type(sent) is MemberStopped:
                self.stopped.append(sent)
            elif type(sent) is ClientReply:
                self.replies.append(sent)
            elif type(sent) is OpReply:
                self.told.append(sent)

    def later(self, ms: int) -> None:
        self.clock.now += ms
        self.tell(Tick())

    def write(self) -> list[Write]:
        """What was submitted is on the disk, which the member has not been told."""
        written, self.submitted = self.submitted, []
        self.store.write(written)
        return written

    def sync(self) -> None:
        while self.submitted:
            for write in self.write():
                self.tell(done(write))

    @property
    def values(self) -> Any:
        return decode_result(applier_of(self.member).query((encode_call("all", (), {}),))[0])


class Alone(Held):
    """The only member of its group."""

    def __init__(self, data: type = Ledger) -> None:
        super().__init__(data=data)
        self.seq = 0
        self.tell(Tick())
        self.sync()
        self.ask(opens=True)
        self.sync()
        (self.session,) = applier_of(self.member).sessions.sessions

    def ask(self, *payloads: bytes, opens: bool = False) -> None:
        first, acked = self.seq + 1, self.seq
        self.seq += len(payloads)
        session = 0 if opens else self.session
        self.tell(ClientRequest("g", "c1", CLIENT, session, acked, opens, first, payloads, 0, (), first))

    def append(self, count: int) -> None:
        self.ask(*[encode_call("append", (n,), {}) for n in range(count)])


def test_a_command_is_undone_while_its_member_has_not_heard_of_a_snapshot_that_is_on_its_disk() -> None:
    """The snapshot that it was to be brought back from had been replaced: it stopped, for good."""
    alone = Alone()
    alone.append(100)
    alone.sync()
    former = alone.member.core.snapshot
    assert former is not None
    alone.append(100)
    alone.ask(encode_call("spoil", (), {}))
    appended, spoiled = alone.write()
    alone.tell(Persisted(appended.seq))
    (snapshot,) = alone.write()
    assert snapshot.snapshot is not None
    alone.tell(Persisted(spoiled.seq))
    assert alone.stopped == []
    assert alone.member.core.snapshot == former
    alone.tell(done(snapshot))
    assert alone.values == [*range(100)] * 2


def test_a_command_is_undone_while_the_leaders_snapshot_is_not_on_the_disk_yet() -> None:
    """An earlier write of the member was done meanwhile."""
    alone = Alone()
    alone.append(100)
    alone.sync()
    meta, session = alone.member.core.snapshot, alone.session
    assert meta is not None
    data = alone.store.read_snapshot(1, meta.index, 0, meta.size)
    assert data is not None
    held = Held(Founded(PEER, "", CONFIG, ((ME, ""),)))
    held.tell(mail(AppendEntries(2, PEER, ME, 1, 1, (), 0, 0, 0)))
    (promised,) = held.write()
    held.tell(mail(InstallSnapshot(2, PEER, ME, meta, 0, data, 0, 0)))
    held.tell(Persisted(promised.seq))
    spoil = Entry(2, meta.index + 1, Commands(session, 101, 0, 1000, (encode_call("spoil", (), {}),)))
    held.tell(mail(AppendEntries(2, PEER, ME, meta.index, meta.term, (spoil,), spoil.index, 0, 0)))
    assert held.stopped == []
    held.sync()
    assert held.values == [*range(100)]


def test_s86_a_client_of_a_member_that_found_no_space_is_told_so_until_a_write_succeeds() -> None:
    """It was told that no leader is known."""
    held = Held(Founded(PEER, "", CONFIG, ((ME, ""),)))
    held.member.is_full = True  # as a member whose former life found no space is started
    call = encode_call("append", (7,), {})
    told: list[ErrorRecord] = []
    for _ in range(2):
        held.tell(ClientRequest("g", "c1", CLIENT, 1, 0, False, 1, (call,), 0, (), len(told) + 1))
        told += [refusal.error for reply in held.replies for refusal in reply.refusals]
        held.replies = []
        held.tell(mail(AppendEntries(2, PEER, ME, 1, 1, (), 0, 0, 0)))
        held.sync()
    assert [(error.what, error.facts.get("node")) for error in told] == [
        (DISK_FULL, "n1"),
        ("no leader is known", None),
    ]
