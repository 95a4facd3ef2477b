"""What actors cost on the fleet base, and a round trip on Thespian's multiprocTCPBase in the same run.

The round trip between processes is one small message to an actor of another process and back, timed
inside the asking actor; on the TCP base every actor is a process, so there it is any round trip.
"""

import gc
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any

from msgspec import Struct
from thespian.actors import Actor, ActorExitRequest, ActorSystem, ActorSystemMessage

from fleet.actors.base import register, remote_address, start_system
from fleet.actors.base.wire import decode_message, encode_message
from tests.benchmarks.figures import Case, Figures, Row, Scale, measured, ratio, share
from tests.benchmarks.meters import rss_mb

SECRET = b"benchmark"
IDLE_ACTORS = 10_000
SERVE = f"from {__name__} import serve; serve()"
_WAIT = timedelta(seconds=120)


class Ball(Struct, frozen=True, array_like=True, tag="bench.ball", gc=False):
    number: int
    sent_at: float
    body: bytes = b""


register(Ball)


class Wall(Actor):
    def receiveMessage(self, message: Any, sender: Any) -> None:
        if not isinstance(message, ActorSystemMessage):
            self.send(sender, message)


class Player(Actor):
    """Given (wall, rounds, make a ball): plays that many round trips, then tells how long each took."""

    def receiveMessage(self, message: Any, sender: Any) -> None:
        if isinstance(message, tuple) and message[0] == "play":
            _, self.wall, self.left, self.struct = message
            self.asker = sender
            self.took: list[float] = []
            self.serve()
        elif not isinstance(message, ActorSystemMessage):
            self.took.append(time.perf_counter() - self.begun)
            self.left -= 1
            if self.left:
                self.serve()
            else:
                self.send(self.asker, self.took)

    def serve(self) -> None:
        self.begun = time.perf_counter()
        self.send(self.wall, Ball(self.left, self.begun) if self.struct else self.left)


class Idle(Actor):
    def receiveMessage(self, message: Any, sender: Any) -> None:
        pass


def _play(system: Any, wall: Any, rounds: int, struct: bool) -> list[float]:
    player = system.createActor(Player)
    took: list[float] = []
    for part in (min(rounds, 200), rounds):  # the first part warms up
        took = system.ask(player, ("play", wall, part, struct), _WAIT)
        assert took is not None and len(took) == part
    system.tell(player, ActorExitRequest())
    return took


def round_trips(took: list[float]) -> Figures:
    times = sorted(took)
    return {"p50_us": share(times, 0.5) * 1e6, "p99_us": share(times, 0.99) * 1e6}


def between_processes(rounds: int, struct: bool) -> Figures:
    """Round trips to an actor in a second process, with a registered Struct or with an int."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stdin is not None
        endpoint = process.stdout.readline().strip()
        assert endpoint, "the other process did not start"
        system = start_system(cluster="bench", secret=SECRET)
        figures = round_trips(_play(system, remote_address(endpoint, "wall"), rounds, struct))
        system.shutdown()
        process.stdin.close()
    return figures


def serve() -> None:
    system = start_system(listen="127.0.0.1:0", cluster="bench", secret=SECRET)
    system.createActor(Wall, globalName="wall")
    print(system.base.endpoint, flush=True)
    sys.stdin.read()
    system.shutdown()


def on_tcp_base(rounds: int) -> Figures:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    system = ActorSystem("multiprocTCPBase", {"Admin Port": port}, {"version": 1}, transientUnique=True)
    try:
        return round_trips(_play(system, system.createActor(Wall), rounds, False))
    finally:
        system.shutdown()


def locally(rounds: int) -> Figures:
    """Round trips inside one process, all at once: the median of single ones would be the timer's."""
    system = start_system()
    begun = time.perf_counter()
    _play(system, system.createActor(Wall), rounds, False)
    per_round = (time.perf_counter() - begun) / (rounds + min(rounds, 200))
    system.shutdown()
    return {"each_us": per_round * 1e6}


def idle_actors(count: int) -> Figures:
    system = start_system()
    system.createActor(Idle)
    gc.collect()
    before_mb = rss_mb(os.getpid())
    begun = time.perf_counter()
    system.base.run_in_loop(lambda: [system.base.kernel.create_primary(Idle) for _ in range(count)])
    took = time.perf_counter() - begun
    gc.collect()
    grown_mb = rss_mb(os.getpid()) - before_mb
    system.shutdown()
    return {"each_us": took / count * 1e6, "bytes_each": grown_mb * 1e6 / count}


def encoding(rounds: int) -> Figures:
    ball = Ball(1, 2.0, bytes(100))
    begun = time.perf_counter()
    for _ in range(rounds):
        decode_message(encode_message(ball))
    return {"each_us": (time.perf_counter() - begun) / rounds * 1e6}


def rows(scale: Scale) -> Iterator[Row]:
    """Idle actors, messages in a process and between two, and the same on Thespian's TCP base."""
    yield Row(f"{IDLE_ACTORS:,} idle actors, created", idle_actors(IDLE_ACTORS))
    yield Row("encode and decode 100 B", encoding(scale.repeats * 50))
    yield Row("round trip in a process", locally(scale.repeats * 50))
    cases = [
        Case("between processes, a Struct", partial(between_processes, scale.repeats * 5, True)),
        Case("between processes, an int", partial(between_processes, scale.repeats * 5, False)),
        Case("multiprocTCPBase, an int", partial(on_tcp_base, scale.repeats)),
    ]
    struct, ours, theirs = measured(cases, scale.rounds)
    yield from (struct, ours, theirs)
    yield ratio("  multiprocTCPBase / fleet base", "p50_us", theirs, ours)
