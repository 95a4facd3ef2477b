"""Links between simulated processes: bytes in order while a link is up, and every way in which it ends.

What is under way when a link breaks may be lost. Within one link the order is kept; messages overtake each
other or come late where an old link still delivers while a new one is up. All delays come from the
world's seed.
"""

from functools import partial

from fleet.actors.base.dialling import DialState
from fleet.actors.base.settings import LinkSettings
from fleet.actors.base.wire import LENGTH, decode_body, decode_frame
from fleet.sim.world.timeline import MS, S, Timeline
from fleet.sim.world.weather import Weather
from fleet.sim.world.wire import End, NetworkProcess, Wire

RESENT_US = 200_000
"""Frames held back by a cut arrive within this time after it ends."""


class Network:
    def __init__(self, world: Timeline) -> None:
        self.world = world
        self.weather = Weather()
        self.settings = LinkSettings()
        """As real nodes have them."""
        self.listening: dict[str, NetworkProcess] = {}
        """The process that listens at each endpoint."""
        self.places: dict[str, str] = {}
        """The host of each endpoint, also while no process listens there."""
        self.powered: set[str] = set()
        """Hosts whose operating system answers."""
        self.links: dict[End, None] = {}
        """One end of each."""
        self.frames = 0
        self.bytes = 0

    def seconds(self) -> float:
        return self.world.now / S

    def chance(self) -> float:
        return self.world.rng.random()

    def mark(self, name: str) -> None:
        self.world.mark(name)

    def is_open(self, src: str, dst: str) -> bool:
        return (src, dst) not in self.weather.cut

    @property
    def _connect_us(self) -> int:
        return self.settings.connect_ms_max * MS

    @property
    def _dead_after_us(self) -> int:
        return self.settings.dead_after_ms * MS

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
        named_us = self.weather.names_us.get(src, 0)
        there_and_back = self.delay(src, dst) + self.delay(dst, src)
        is_open = self.is_open(src, dst) and self.is_open(dst, src)
        if not is_open or dst not in self.powered or there_and_back > self._connect_us:
            self.world.after(named_us + self._connect_us, self._refuse, wire, peer, "timeout")
        elif peer.endpoint not in self.listening or src in self.weather.misled:
            self.world.after(named_us + there_and_back, self._refuse, wire, peer, "refused")
        else:
            self.world.after(named_us + 2 * there_and_back, self._connect, wire, peer)

    def _refuse(self, wire: Wire, peer: DialState[End], reason: str) -> None:
        wire.process.do(partial(wire.failed, peer, reason))

    def _connect(self, wire: Wire, peer: DialState[End]) -> None:
        """The end of the handshake, unless something prevents it."""
        one, other = wire.process, self.listening.get(peer.endpoint)
        if not one.is_alive:
            return
        src, dst = one.name, self.places[peer.endpoint]
        if other is None:
            self._refuse(wire, peer, "refused" if dst in self.powered else "timeout")
        elif other.is_held or not (self.is_open(src, dst) and self.is_open(dst, src)):
            self.world.after(self._connect_us, self._refuse, wire, peer, "timeout")
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

    def backlog(self, end: End) -> int:
        return max(0, end.unread - self.weather.socket_bytes)

    def transmit(self, end: End, frames: bytes) -> None:
        world, weather = self.world, self.weather
        src, dst = end.process.name, end.other.process.name
        end.unread += len(frames)
        leaves_at = world.now + end.process.ahead_us
        if world.events is not None:
            world.events.sent(leaves_at, src, dst, frames)
        if end.stuck or (src, dst) in weather.cut:
            if not end.stuck:
                world.after(self._dead_after_us, self._give_up, end, frames)
            end.stuck.append(frames)
            return
        if weather.breaks and world.rng.random() < weather.breaks:
            self.break_link(end)
            return
        at = leaves_at + self.delay(src, dst)
        is_between_nodes = end.endpoint and end.process.endpoint
        if weather.reorder and is_between_nodes and world.rng.random() < weather.reorder:
            at += int(world.rng.random() * weather.late_us)
        else:
            at = end.arrives_at = max(at, end.arrives_at)
        world.at(at, self._arrive, end.other, frames)
        if weather.twice and world.rng.random() < weather.twice:
            end.unread += len(frames)
            world.after(self.delay(src, dst) + int(world.rng.random() * weather.late_us),
                        self._arrive, end.other, frames)  # fmt: skip

    def _arrive(self, end: End, frames: bytes) -> None:
        process = end.process
        if not process.is_alive or not end.is_open:
            if process.name in self.powered:
                self.mark("a frame arrives where its link is closed")
                self._tell_closed(end, is_reset=True)
            return
        process.receive(end, frames)

    def deliver(self, end: End, frames: bytes) -> None:
        """Put what came into the mailboxes of the process."""
        end.other.unread -= len(frames)
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
        """Like a reset: each side notices in its own time, and frames under way may arrive or not."""
        self.world.after(0, end.process.do, partial(self.close, end))
        self._tell_closed(end)

    def _tell_closed(self, end: End, is_reset: bool = False) -> None:
        """Let the other side notice that this one is closed, at once or when it gives up. `is_reset`: in
        answer to what came after the end, so it does not wait for what this side had still to send; a process
        may have died in a turn that was to take long."""
        src, dst = end.process.name, end.other.process.name
        if self.is_open(src, dst):
            at = self.world.now + self.delay(src, dst)
            self.world.at(at if is_reset else max(end.arrives_at, at), self._closed_there, end.other)
        else:
            self.world.after(self._dead_after_us, self._closed_there, end.other)

    def _closed_there(self, end: End) -> None:
        if end.is_open:
            end.process.do(partial(self.close, end))

    def close(self, end: End) -> None:
        """Close this side."""
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
            end.peer.lost(self.seconds(), self.world.rng.random(), self.settings)
        if wire.by_boot.get(end.boot) is end:
            del wire.by_boot[end.boot]
        if was_up:
            end.process.kernel.link_watchers.link_down(end.endpoint, end.boot)

    def _give_up(self, end: End, oldest: bytes) -> None:
        if end.stuck and end.stuck[0] is oldest and end.process.is_alive:
            self.mark("a link is given up after a long silence")
            end.process.do(partial(self.close, end))
            self._tell_closed(end)

    def died(self, process: NetworkProcess, with_notice: bool) -> None:
        """With notice: its operating system closes its links, as after kill -9. Without: its host is off."""
        for end in list(process.wire.ends):
            end.is_open = False
            self.links.pop(end, None)
            self.links.pop(end.other, None)
            if with_notice:
                self._tell_closed(end, is_reset=True)
            else:
                self.world.after(self._dead_after_us, self._closed_there, end.other)

    def heal(self) -> None:
        """Send again what was held back on ways that are open now."""
        for one in list(self.links):
            for end in (one, one.other):
                src, dst = end.process.name, end.other.process.name
                if not end.stuck or not self.is_open(src, dst):
                    continue
                resent = int(self.world.rng.random() * RESENT_US)
                end.arrives_at = self.world.now + self.delay(src, dst) + resent
                while end.stuck:
                    self.world.at(end.arrives_at, self._arrive, end.other, end.stuck.popleft())
