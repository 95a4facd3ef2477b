"""What a member sends to its peers: gathered in a turn, one mail a peer, some of it held until a write is
durable."""

from collections import deque
from typing import Protocol

import msgspec

from fleet.actors.messages.local import StartMember
from fleet.actors.messages.peer import PeerMail, together
from fleet.interfaces import Durable
from fleet.raft.codec import encode_messages
from fleet.raft.config import CARRIED_BYTES_MAX
from fleet.raft.core import Core
from fleet.raft.events import SnapshotLost
from fleet.raft.ids import MemberId
from fleet.raft.leader import chunk_bytes
from fleet.raft.messages import InstallSnapshot, PeerMessage

MESSAGES_MAX = 256
"""Messages in one PeerMail."""
MAIL_BYTES_MAX = CARRIED_BYTES_MAX // 2
"""A longer PeerMail is split: a window full of large appends would not fit a frame of a link."""


class SendingMember(Protocol):
    start: StartMember
    core: Core
    store: Durable
    number: int

    def send(self, target: object, message: object) -> None: ...

    def step(self, event: object) -> None: ...


class PeerOutbox:
    """Invariant: `held` is in the order of the writes that its messages wait for."""

    def __init__(self, member: SendingMember) -> None:
        self.member = member
        self.outgoing: dict[MemberId, list[PeerMessage]] = {}
        self.held: deque[tuple[int, list[PeerMessage]]] = deque()

    def post(self, message: PeerMessage) -> None:
        """It leaves with the next `flush`."""
        outgoing = self.outgoing.get(message.dst)
        if outgoing is None:
            self.outgoing[message.dst] = [message]
        else:
            outgoing.append(message)

    def hold(self, seq: int, messages: list[PeerMessage]) -> None:
        """They leave when the write `seq` is durable."""
        self.held.append((seq, messages))

    def release(self, seq: int) -> None:
        """All writes up to `seq` are durable."""
        while self.held and self.held[0][0] <= seq:
            for message in self.held.popleft()[1]:
                self.post(message)

    def post_chunk(self, chunk: InstallSnapshot) -> None:
        """With its bytes, which the store has, unless another snapshot has replaced that one."""
        member = self.member
        count = chunk_bytes(member.core, chunk.dst)
        data = member.store.read_snapshot(member.number, chunk.meta.index, chunk.offset, count)
        if not data and chunk.meta.size:
            member.step(SnapshotLost(chunk.dst))
        else:
            self.post(msgspec.structs.replace(chunk, data=data))

    def flush(self) -> None:
        if not self.outgoing:
            return
        mails: list[PeerMail] = []
        for peer, messages in self.outgoing.items():
            if len(messages) <= MESSAGES_MAX:
                self._mail(peer, messages, mails)
                continue
            for first in range(0, len(messages), MESSAGES_MAX):
                self._mail(peer, messages[first : first + MESSAGES_MAX], mails)
        self.outgoing.clear()
        registry = self.member.start.registry
        if len(mails) == 1:
            self.member.send(registry, mails[0])
            return
        for message in together(mails):
            self.member.send(registry, message)

    def _mail(self, peer: MemberId, messages: list[PeerMessage], mails: list[PeerMail]) -> None:
        """Add one to `mails`, or several where one would be too long."""
        body = encode_messages(messages)
        half = len(messages) // 2
        if len(body) > MAIL_BYTES_MAX and half:
            self._mail(peer, messages[:half], mails)
            self._mail(peer, messages[half:], mails)
        else:
            mails.append(PeerMail(peer, body))
