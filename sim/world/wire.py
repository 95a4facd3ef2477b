"""The links of one simulated process: the kernel's transport, under the policy of the shipping links.

When to dial, what waits for a link and what is dropped is decided by `DialState` and `LinkSettings`, as
in real processes. As there, a node sends to another over the link that it dialled itself, and a client is
answered over the one that it opened.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from fleet.actors.base.addresses import ANY_BOOT, ActorId, Address, LocalId
from fleet.actors.base.dialling import DialState
from fleet.actors.base.kernel import Kernel
from fleet.actors.base.settings import LinkSettings
from fleet.actors.base.wire import Outbox, encode_item
from fleet.sim.world.clock import SimClock


class NetworkProcess(Protocol):
    """A process, as the network sees it."""

    clock: SimClock
    endpoint: str
    boot: int
    kernel: Kernel
    wire: "Wire"
    is_alive: bool

    @property
    def name(self) -> str:
        """Of its host."""

    @property
    def is_held(self) -> bool:
        """It handles nothing for now."""

    @property
    def ahead_us(self) -> int:
        """How long the turn takes that just ends."""

    def do(self, action: Callable[[], None]) -> None: ...

    def receive(self, end: "End", frames: bytes) -> None: ...

    def is_readable(self, fileno: int) -> bool: ...

    def ends(self) -> None: ...


class Ways(Protocol):
    """What the links of a process need of the network."""

    settings: LinkSettings

    def seconds(self) -> float: ...

    def chance(self) -> float: ...

    def mark(self, name: str) -> None: ...

    def dial(self, wire: "Wire", peer: "DialState[End]") -> None: ...

    def transmit(self, end: "End", frames: bytes) -> None: ...

    def backlog(self, end: "End") -> int:
        """Bytes that sockets have refused."""


class End:
    """One side's half of a link: what it sends, and the other half."""

    __slots__ = (
        "process", "other", "endpoint", "boot", "outbox", "arrives_at", "stuck", "unread", "is_open",
        "is_dirty", "peer", "senders",
    )  # fmt: skip

    def __init__(
        self, process: NetworkProcess, endpoint: str, boot: int, peer: "DialState[End] | None"
    ) -> None:
        self.process = process
        self.endpoint = endpoint
        self.boot = boot
        self.peer = peer
        self.other: End
        self.outbox = Outbox()
        self.arrives_at = 0
        self.stuck: deque[bytes] = deque()
        """Sent over a way that is cut: sent again when it is not, if the link lives so long."""
        self.unread = 0
        """Bytes that left and that the other side has not read."""
        self.is_open = True
        self.is_dirty = False
        self.senders: dict[LocalId, Address] = {}

    def sender(self, local: LocalId) -> Address:
        address = self.senders.get(local)
        if address is None:
            address = self.senders[local] = Address(ActorId(self.endpoint, self.boot, local))
        return address


class Wire:
    def __init__(self, network: Ways, process: NetworkProcess) -> None:
        self.network = network
        self.process = process
        self.peers: dict[str, DialState[End]] = {}
        self.by_boot: dict[int, End] = {}
        self.ends: dict[End, None] = {}
        self.dirty: list[End] = []
        self.watched: dict[int, LocalId] = {}

    def now(self) -> float:
        return self.process.clock.seconds()

    # -- messages ----------------------------------------------------------------------------------

    def send(self, dst: ActorId, sender: Address, message: Any) -> None:
        if not dst.endpoint:
            end = self.by_boot.get(dst.boot)
            if end is None:
                self.process.kernel.dead_letter(Address(dst), message)
                return
        else:
            peer = self.peers.get(dst.endpoint)
            if peer is None:
                peer = self.peers[dst.endpoint] = DialState(dst.endpoint)
            end = peer.link
            if end is None:
                self._send_unconnected(peer, dst, sender, message)
                return
        if dst.boot not in (ANY_BOOT, end.boot):
            self.network.mark("a message is for a former life of its receiver")
            return
        settings = self.network.settings
        waiting = len(end.outbox.frames) + end.unread
        if waiting > settings.mark and self._is_full(end):
            self.network.mark("a message is dropped, since too much waits on its link")
            return
        end.outbox.add(dst.local, sender.ident.local, message, settings.frame_bytes_max)
        self._touch(end)

    def _is_full(self, end: End) -> bool:
        backlog = self.network.backlog(end)
        waiting_all = sum(map(self.network.backlog, self.ends))
        waiting = len(end.outbox.frames) + backlog
        settings = self.network.settings
        return waiting > settings.mark and settings.is_over_budget(waiting, backlog > 0, waiting_all)

    def _touch(self, end: End) -> None:
        if not end.is_dirty:
            end.is_dirty = True
            self.dirty.append(end)

    def _send_unconnected(self, peer: DialState[End], dst: ActorId, sender: Address, message: Any) -> None:
        now = self.network.seconds()
        if peer.is_idle(now):
            peer.is_dialling = True
            self.network.dial(self, peer)
        if not peer.may_wait():
            self.network.mark("a message to a process that does not answer is dropped at once")
            return
        item = encode_item(dst.local, sender.ident.local, message)
        if not peer.wait(now, dst.boot, item, self.network.settings):
            self.network.mark("a message is dropped, since too much waits for its link")

    def connected(self, peer: DialState[End], end: End) -> None:
        items, dropped = peer.connected(end, end.boot, self.network.seconds(), self.network.settings)
        if items:
            self.network.mark("messages that waited for a link leave over it")
        if dropped:
            self.network.mark("messages that waited for a link are too old, or for a former life")
        for item in items:
            end.outbox.add_encoded(item, self.network.settings.frame_bytes_max)
        self._touch(end)

    def failed(self, peer: DialState[End], reason: str) -> None:
        """An attempt ended without a link; the next message after a while makes another."""
        peer.failed(self.network.seconds(), self.network.chance(), self.network.settings)
        self.process.kernel.link_watchers.link_refused(peer.endpoint, reason)

    def flush(self) -> None:
        """The end of a turn: one frame for each peer."""
        if not self.dirty:
            return
        dirty, self.dirty = self.dirty, []
        for end in dirty:
            end.is_dirty = False
            if end.is_open:
                end.outbox.close()
                frames = bytes(end.outbox.frames)
                end.outbox.frames.clear()
                if frames:
                    self.network.transmit(end, frames)

    # -- descriptors -------------------------------------------------------------------------------

    def watch(self, local: LocalId, filenos: Sequence[int]) -> None:
        for fileno in [fileno for fileno, watcher in self.watched.items() if watcher == local]:
            del self.watched[fileno]
        for fileno in filenos:
            self.watched[fileno] = local

    def look(self) -> bool:
        """Tell of what is readable, as between two turns. An actor that was told, and then handled another
        message first, has asked again by that: it may be told twice."""
        is_readable = self.process.is_readable
        readable = [fileno for fileno in self.watched if is_readable(fileno)]
        for fileno in readable:
            self.readable(fileno)
        return bool(readable)

    def readable(self, fileno: int) -> None:
        local = self.watched.pop(fileno, None)
        if local is not None:
            self.process.kernel.ready(local, [fileno])

    def stop(self) -> None:
        self.process.ends()
