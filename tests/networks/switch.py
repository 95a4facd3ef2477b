"""A network switch in user space: hosts' frames are delayed, lost, slowed down or dropped, by ordered pair.

Run as a process by `SwitchedFleet` (tests/networks/hosts.py), with the hosts' tap devices as its file
descriptors. Commands come as lines of JSON on stdin, each answered with a line; it ends with its stdin.
"""

import heapq
import json
import os
import random
import select
import sys
import time
from dataclasses import dataclass
from typing import Any

from tests.networks import nat
from tests.networks.nat import Nat

FRAME_BYTES_MAX = 65_600
BROADCAST = b"\xff" * 6
QUEUE_S_MAX = 2.0
"""What a slow link holds, in seconds of its rate; more is dropped, as by a router."""


@dataclass(slots=True)
class Way:
    """From one host to another."""

    delay_s: float = 0.0
    jitter_s: float = 0.0
    """Up to this much more, drawn for each frame; order is kept."""
    loss: float = 0.0
    """Share of the frames."""
    bytes_per_s: float = float("inf")
    frame_bytes_max: int = FRAME_BYTES_MAX
    """Longer ones vanish without a word: a black hole for large packets."""
    is_cut: bool = False
    free_at: float = 0.0
    last_at: float = 0.0

    def due(self, now: float, size: int, rng: random.Random) -> float | None:
        """When the frame arrives; None: never."""
        if self.is_cut or size > self.frame_bytes_max or rng.random() < self.loss:
            return None
        start = max(now, self.free_at)
        if start - now > QUEUE_S_MAX:
            return None
        self.free_at = start + size / self.bytes_per_s
        self.last_at = max(self.last_at, self.free_at + self.delay_s + rng.random() * self.jitter_s)
        return self.last_at


class Switch:
    """`taps`: host name -> file descriptor of its tap device."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.taps: dict[str, int] = {}
        self.hosts: dict[bytes, str] = {}
        """By MAC address, as learned."""
        self.macs: dict[bytes, bytes] = {}
        """By IP address, as learned, of hosts that are not behind a router."""
        self.nats: dict[str, Nat] = {}
        """Routers, by the host behind each."""
        self.inside_macs: dict[str, bytes] = {}
        """Of the hosts behind them."""
        self.ways: dict[tuple[str, str], Way] = {}
        self.waiting: list[tuple[float, int, int, bytes]] = []
        self.number = 0

    def way(self, source: str, target: str) -> Way:
        return self.ways.setdefault((source, target), Way())

    def set(self, sources: list[str], targets: list[str], how: dict[str, Any]) -> None:
        """`how`: attributes of a `Way`; those that are not named are as at first."""
        for source in sources:
            for target in targets:
                if source != target:
                    self.ways[source, target] = Way(**how)

    def route(self, host: str, inside: str, outside: str, idle_s: float, forwarded: list[int]) -> None:
        """The host is behind a router from now on."""
        addresses = nat.address(inside), nat.address(outside)
        self.nats[host] = router = Nat(*addresses, idle_s, frozenset(forwarded))
        self.hosts[router.mac] = host

    def take(self, source: str, frame: bytes) -> None:
        router = self.nats.get(source)
        if router is None:
            self.pass_to_others(source, frame)
            return
        self.inside_macs[source] = frame[6:12]
        answer = router.answer(frame, is_inside=True)
        if answer is not None:
            self.put(self.taps[source], answer)
            return
        translated = router.leaving(frame, self.macs)
        if translated is not None:
            self.pass_to_others(source, translated)

    def pass_to_others(self, source: str, frame: bytes) -> None:
        self.hosts[frame[6:12]] = source
        if source not in self.nats and frame[12:14] == nat.IP:
            self.macs[frame[26:30]] = frame[6:12]
        target = self.hosts.get(frame[:6])
        known = [target] if target is not None else [name for name in self.taps if name != source]
        now = time.monotonic()
        for name in known:
            due = self.way(source, name).due(now, len(frame), self.rng)
            passed = self.routed(source, name, frame) if due is not None else None
            if due is None or passed is None:
                continue
            if due <= now and not self.waiting:
                self.put(self.taps[name], passed)
            else:
                self.number += 1
                heapq.heappush(self.waiting, (due, self.number, self.taps[name], passed))

    def routed(self, source: str, target: str, frame: bytes) -> bytes | None:
        """The frame as the target gets it; None: its router keeps it."""
        router = self.nats.get(target)
        if router is None:
            return frame
        answer = router.answer(frame, is_inside=False)
        if answer is not None:
            self.put(self.taps[source], answer)
        return router.arriving(frame, self.inside_macs.get(target, nat.BROADCAST))

    def put(self, tap: int, frame: bytes) -> None:
        try:
            os.write(tap, frame)
        except OSError:
            pass  # the host's device is down or full: the frame is lost

    def pass_on(self) -> float:
        """What is due; the seconds until the next one is."""
        while self.waiting:
            now = time.monotonic()
            due, _, tap, frame = self.waiting[0]
            if due > now:
                return due - now
            heapq.heappop(self.waiting)
            self.put(tap, frame)
        return 1.0


def main(seed: str) -> None:
    switch, names, poll = Switch(int(seed)), dict[int, str](), select.epoll()
    poll.register(0, select.EPOLLIN)
    left = b""
    while True:
        wait_s = switch.pass_on()
        for fd, _ in poll.poll(max(0.0002, wait_s)):
            if fd:
                try:
                    switch.take(names[fd], os.read(fd, FRAME_BYTES_MAX))
                except OSError:
                    pass  # no frame after all, or the host's device is down
                continue
            read = os.read(0, 65536)
            if not read:
                return
            *lines, left = (left + read).split(b"\n")
            for line in lines:
                kind, *words = json.loads(line)
                made = None
                if kind == "tap":
                    name, tap = words
                    switch.taps[name] = tap
                    names[tap] = name
                    poll.register(tap, select.EPOLLIN)
                elif kind == "route":
                    switch.route(*words)
                elif kind == "forget":
                    switch.nats[words[0]].forget()
                elif kind == "made":
                    made = switch.nats[words[0]].made
                else:
                    switch.set(*words)
                print(json.dumps(made), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
