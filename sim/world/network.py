"""Links between simulated processes: bytes in order while a link lives, and all the ways in which it ends.

As on real links, a node sends to another over the link that it dialled itself, a client is answered over
the one that it opened, what waits for a link that does not come up is lost, and so is what was on the way
when a link broke. Within one link the order is kept; messages overtake each other or come late where an
old link still delivers while a new one is up. All delays come from the world's seed.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from fleet.actors.base.addresses import ANY_BOOT, ActorId, Address, LocalId
from fleet.actors.base.dialling import DialState
from fleet.actors.base.kernel import Kernel
from fleet.actors.base.settings import LinkSettings
from fleet.actors.base.wire import LENGTH, Outbox, decode_body, decode_frame, encode_item
from fleet.sim.world.clock import SimClock
from fleet.sim.world.timeline import MS, S, Timeline

RESENT_US = 200_000
"""What was stuck comes within so long of the way being open again."""
SETTINGS = LinkSettings()
"""As real nodes have them."""
CONNECT_US = SETTINGS.connect_ms_max * MS
DEAD_AFTER_US = SETTINGS.dead_after_ms * MS


@dataclass(slots=True)
class Weather:
    """What the network does to bytes. Hosts are named; a cut or slow way is from one to another."""

    delay_us: tuple[int, int] = (100, 500)
    late: float = 0.0
    """How likely a frame takes up to `late_us` longer, and with it whatever follows on its link."""
    late_us: int = 50_000
    breaks: float = 0.0
    """How likely a frame is lost, and its link with it."""
    twice: float = 0.0
    """How likely a frame comes again later. No TCP does this, but Thespian's own base over TCP does."""
    reorder: float = 0.0
    """How likely a frame overtakes those before it, as over a new link beside a dying one."""
    cut: set[tuple[str, str]] = field(default_factory=set)
    slow_us: dict[tuple[str, str], int] = field(default_factory=dict)
    names_us: dict[str, int] = field(default_factory=dict)
    """By host, how long it takes there until a name is resolved."""
    misled: set[str] = field(default_factory=set)
    """Hosts where names lead elsewhere, to where nobody listens."""


class NetworkProcess(Protocol):
    """A process, as the network sees it."""

    clock: SimClock
    endpoint: str
    boot: int
    kernel: Kernel
    wire: "Wire"
    is_alive: bool
    is_paused: bool

    @property
    def name(self) -> str:
        """Of its host."""

    def do(self, action: Callable[[], None]) -> None: ...

    def receive(self, end: "End", frames: bytes) -> None: ...

    def is_readable(self, fileno: int) -> bool: ...

    def ends(self) -> None: ...


class End:
    """One side's half of a link: what it sends, and the other half."""

    __slots__ = (
        "process", "other", "endpoint", "boot", "outbox", "arrives_at", "stuck", "is_open", "is_dirty",
        "peer", "senders",
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
        self.is_open = True
        self.is_dirty = False
        self.senders: dict[LocalId, Address] = {}

    def sender(self, local: LocalId) -> Address:
        address = self.senders.get(local)
        if address is None:
            address = self.senders[local] = Address(ActorId(self.endpoint, self.boot, local))
        return address


class Wire:
    """The kernel's transport in one process."""

    def __init__(self, network: "Network", process: NetworkProcess) -> None:
        self.network = network
        self.process = process
        self.peers: dict[str, DialState[End]] = {}
        self.by_boot: dict[int, End] = {}
        self.ends: dict[End, None] = {}
        self.dirty: list[End] = []
        self.watched: dict[int, LocalId] = {}

    def now(self) -> float:
        return self.process.clock.seconds()

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
            return
        end.outbox.add(dst.local, sender.ident.local, message, SETTINGS.frame_bytes_max)
        self._touch(end)

    def _touch(self, end: End) -> None:
        if not end.is_dirty:
            end.is_dirty = True
            self.dirty.append(end)

    def _send_unconnected(self, peer: DialState[End], dst: ActorId, sender: Address, message: Any) -> None:
        now = self.network.seconds()
        if peer.is_idle(now):
            peer.is_dialling = True
            self.network.dial(self, peer)
        if peer.may_wait():
            item = encode_item(dst.local, sender.ident.local, message)
            peer.wait(now, dst.boot, item, SETTINGS)

    def connected(self, peer: DialState[End], end: End) -> None:
        items, _ = peer.connected(end, end.boot, self.network.seconds(), SETTINGS)
        for item in items:
            end.outbox.add_encoded(item, SETTINGS.frame_bytes_max)
        self._touch(end)

    def failed(self, peer: DialState[End], reason: str) -> None:
        """An attempt ended without a link; the next message after a while makes another."""
        peer.failed(self.network.seconds(), self.network.world.rng.random(), SETTINGS)
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


class Network:
    def __init__(self, world: Timeline) -> None:
        self.world = world
        self.weather = Weather()
        self.listening: dict[str, NetworkProcess] = {}
        """Who listens at each endpoint now."""
        self.places: dict[str, str] = {}
        """The host of each endpoint, whether anybody listens there or not."""
        self.powered: set[str] = set()
        """Hosts whose operating system answers."""
        self.links: dict[End, None] = {}
        """One end of each."""
        self.frames = 0
        self.bytes = 0

    def seconds(self) -> float:
        return self.world.now / S

    def is_open(self, src: str, dst: str) -> bool:
        return (src, dst) not in self.weather.cut

    def delay(self, src: str, dst: str) -> int:
        weather, random = self.weather, self.world.rng.random
        least, most = weather.delay_us
        delay = least + int(random() * (most - least + 1))
        if weather.late and random() < weather.late:
            delay += int(random() * weather.late_us)
        if weather.slow_us:
            delay += weather.slow_us.get((src, dst), 0)
        return delay

    # -- making links ------------------------------------------------------------------------------

    def dial(self, wire: Wire, peer: DialState[End]) -> None:
        src = wire.process.name
        dst = self.places.get(peer.endpoint, "")
        there = self.delay(src, dst) + self.delay(dst, src) + self.weather.names_us.get(src, 0)
        if not (self.is_open(src, dst) and self.is_open(dst, src)) or dst not in self.powered:
            self.world.after(CONNECT_US, self._refuse, wire, peer, "timeout")
        elif peer.endpoint not in self.listening or src in self.weather.misled:
            self.world.after(there, self._refuse, wire, peer, "refused")
        else:
            self.world.after(2 * there, self._connect, wire, peer)

    def _refuse(self, wire: Wire, peer: DialState[End], reason: str) -> None:
        wire.process.do(partial(wire.failed, peer, reason))

    def _connect(self, wire: Wire, peer: DialState[End]) -> None:
        """The handshake is over, if nothing got between."""
        one, other = wire.process, self.listening.get(peer.endpoint)
        if not one.is_alive:
            return
        src, dst = one.name, self.places[peer.endpoint]
        if other is None:
            self._refuse(wire, peer, "refused" if dst in self.powered else "timeout")
        elif other.is_paused or not (self.is_open(src, dst) and self.is_open(dst, src)):
            self.world.after(CONNECT_US, self._refuse, wire, peer, "timeout")
        else:
            mine = End(one, peer.endpoint, other.boot, peer)
            theirs = End(other, one.endpoint, one.boot, None)
            mine.other, theirs.other = theirs, mine
            self.links[mine] = None
            one.do(partial(self._up, mine))
            other.do(partial(self._up, theirs))

    def _up(self, end: End) -> None:
        process = end.process
        wire = process.wire
        wire.ends[end] = None
        if end.peer is not None:
            wire.connected(end.peer, end)
        elif not end.endpoint:
            wire.by_boot[end.boot] = end
        elif end.endpoint in wire.peers:
            wire.peers[end.endpoint].answered()
        process.kernel.link_watchers.link_up(end.endpoint, end.boot)

    # -- bytes -------------------------------------------------------------------------------------

    def transmit(self, end: End, frames: bytes) -> None:
        world, weather = self.world, self.weather
        src, dst = end.process.name, end.other.process.name
        if world.events is not None:
            world.events.sent(world.now, src, dst, frames)
        if end.stuck or (src, dst) in weather.cut:
            if not end.stuck:
                world.after(DEAD_AFTER_US, self._give_up, end, frames)
            end.stuck.append(frames)
            return
        if weather.breaks and world.rng.random() < weather.breaks:
            self.break_link(end)
            return
        at = world.now + self.delay(src, dst)
        is_between_nodes = end.endpoint and end.process.endpoint
        if weather.reorder and is_between_nodes and world.rng.random() < weather.reorder:
            at += int(world.rng.random() * weather.late_us)
        else:
            at = end.arrives_at = max(at, end.arrives_at)
        world.at(at, self._arrive, end.other, frames)
        if weather.twice and world.rng.random() < weather.twice:
            world.after(self.delay(src, dst) + int(world.rng.random() * weather.late_us),
                        self._arrive, end.other, frames)  # fmt: skip

    def _arrive(self, end: End, frames: bytes) -> None:
        process = end.process
        if not process.is_alive or not end.is_open:
            if process.name in self.powered:
                self._tell_closed(end)
            return
        process.receive(end, frames)

    def deliver(self, end: End, frames: bytes) -> None:
        """Put what came into the mailboxes of the process."""
        if not end.is_open:
            return
        self.frames += 1
        self.bytes += len(frames)
        if self.world.events is not None:
            self.world.events.arrived(self.world.now, frames)
        deliver, sender = end.process.kernel.deliver, end.sender
        view = memoryview(frames)
        start = 0
        while start < len(frames):
            (size,) = LENGTH.unpack_from(frames, start)
            start += LENGTH.size
            for dst, src, tag, body in decode_frame(view[start : start + size]):
                deliver(dst, sender(src), decode_body(tag, body))
            start += size

    # -- ends of links -----------------------------------------------------------------------------

    def break_link(self, end: End) -> None:
        """As a reset on the way: each side learns of it in its own time, and what is under way may
        arrive or not."""
        self.world.after(0, end.process.do, partial(self.close, end))
        self._tell_closed(end)

    def _tell_closed(self, end: End) -> None:
        """The other side hears of the end of this one, if there is a way."""
        src, dst = end.process.name, end.other.process.name
        if self.is_open(src, dst):
            at = max(end.arrives_at, self.world.now + self.delay(src, dst))
            self.world.at(at, self._closed_there, end.other)
        else:
            self.world.after(DEAD_AFTER_US, self._closed_there, end.other)

    def _closed_there(self, end: End) -> None:
        if end.is_open:
            end.process.do(partial(self.close, end))

    def close(self, end: End) -> None:
        """This side takes the link for dead."""
        if not end.is_open:
            return
        end.is_open = False
        end.stuck.clear()
        wire = end.process.wire
        was_up = end in wire.ends
        wire.ends.pop(end, None)
        if not end.other.is_open or not end.other.process.is_alive:
            self.links.pop(end, None)
            self.links.pop(end.other, None)
        if end.peer is not None and end.peer.link is end:
            end.peer.lost(self.seconds(), self.world.rng.random(), SETTINGS)
        if wire.by_boot.get(end.boot) is end:
            del wire.by_boot[end.boot]
        if was_up:
            end.process.kernel.link_watchers.link_down(end.endpoint, end.boot)

    def _give_up(self, end: End, oldest: bytes) -> None:
        if end.stuck and end.stuck[0] is oldest and end.process.is_alive:
            end.process.do(partial(self.close, end))
            self._tell_closed(end)

    def died(self, process: NetworkProcess, with_notice: bool) -> None:
        """With notice: its operating system closes its links, as after kill -9. Without: its host is off."""
        for end in list(process.wire.ends):
            end.is_open = False
            self.links.pop(end, None)
            self.links.pop(end.other, None)
            if with_notice:
                self._tell_closed(end)
            else:
                self.world.after(DEAD_AFTER_US, self._closed_there, end.other)

    def heal(self) -> None:
        """What was stuck on ways that are open now is sent again."""
        for one in list(self.links):
            for end in (one, one.other):
                src, dst = end.process.name, end.other.process.name
                if not end.stuck or not self.is_open(src, dst):
                    continue
                resent = int(self.world.rng.random() * RESENT_US)
                end.arrives_at = self.world.now + self.delay(src, dst) + resent
                while end.stuck:
                    self.world.at(end.arrives_at, self._arrive, end.other, end.stuck.popleft())
