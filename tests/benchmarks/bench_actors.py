"""What actors cost on the fleet base, and against Thespian's multiprocTCPBase in the same run.

    python -m tests.benchmarks.bench_actors [--rounds 5000] [--without-tcp-base] [--json]

The round trip between processes is one small message to an actor of another process and back, timed
inside the asking actor; on the TCP base every actor is a process, so there it is any round trip.
"""

import argparse
import gc
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import time
from datetime import timedelta
from typing import Any

from msgspec import Struct
from thespian.actors import Actor, ActorExitRequest, ActorSystem, ActorSystemMessage

from fleet.actors.base import register, remote_address, start_system
from fleet.actors.base.wire import decode_message, encode_message

SECRET = b"benchmark"
IDLE_ACTORS = 10_000
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


def rss_bytes() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def machine() -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "cpus": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 2),
    }


def _play(system: Any, wall: Any, rounds: int, struct: bool) -> list[float]:
    player = system.createActor(Player)
    took: list[float] = []
    for part in (min(rounds, 200), rounds):  # the first part warms up
        took = system.ask(player, ("play", wall, part, struct), _WAIT)
        assert took is not None and len(took) == part
    system.tell(player, ActorExitRequest())
    return took


def _figures(took: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(took, n=100)
    return {"p50_us": round(statistics.median(took) * 1e6, 1), "p99_us": round(cuts[98] * 1e6, 1)}


def between_processes(rounds: int) -> dict[str, dict[str, float]]:
    """Round trips to an actor in a second process, with a registered Struct and with an int."""
    command = [sys.executable, "-m", "tests.benchmarks.bench_actors", "--serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdin is not None
        endpoint = process.stdout.readline().strip()
        system = start_system(cluster="bench", secret=SECRET)
        wall = remote_address(endpoint, "wall")
        result = {
            "struct": _figures(_play(system, wall, rounds, True)),
            "int": _figures(_play(system, wall, rounds, False)),
        }
        system.shutdown()
        process.stdin.close()
    return result


def serve() -> None:
    system = start_system(listen="127.0.0.1:0", cluster="bench", secret=SECRET)
    system.createActor(Wall, globalName="wall")
    print(system.base.endpoint, flush=True)
    sys.stdin.read()
    system.shutdown()


def on_tcp_base(rounds: int) -> dict[str, float]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    system = ActorSystem("multiprocTCPBase", {"Admin Port": port}, {"version": 1}, transientUnique=True)
    try:
        return _figures(_play(system, system.createActor(Wall), rounds, False))
    finally:
        system.shutdown()


def locally(rounds: int) -> dict[str, float]:
    """Round trips inside one process, all at once: the median of single ones would be the timer's."""
    system = start_system()
    begun = time.perf_counter()
    _play(system, system.createActor(Wall), rounds, False)
    per_round = (time.perf_counter() - begun) / (rounds + min(rounds, 200))
    system.shutdown()
    return {"round_trip_us": round(per_round * 1e6, 2), "message_us": round(per_round / 2 * 1e6, 2)}


def idle_actors(count: int) -> dict[str, float]:
    system = start_system()
    system.createActor(Idle)
    gc.collect()
    before = rss_bytes()
    begun = time.perf_counter()
    system.base.run_in_loop(lambda: [system.base.kernel.create_primary(Idle) for _ in range(count)])
    took = time.perf_counter() - begun
    gc.collect()
    grown = rss_bytes() - before
    system.shutdown()
    return {
        "count": count,
        "rss_mb": round(grown / 1e6, 2),
        "bytes_each": round(grown / count),
        "create_us": round(took / count * 1e6, 2),
    }


def encoding(rounds: int) -> dict[str, float]:
    ball = Ball(1, 2.0, bytes(100))
    begun = time.perf_counter()
    for _ in range(rounds):
        decode_message(encode_message(ball))
    return {"encode_decode_us": round((time.perf_counter() - begun) / rounds * 1e6, 2)}


def run(rounds: int = 5000, with_tcp_base: bool = True) -> dict[str, Any]:
    """All figures. `ratio` is the TCP base's median round trip by ours, both with an int."""
    figures: dict[str, Any] = {"machine": machine()}
    figures["idle_actors"] = idle_actors(IDLE_ACTORS)
    figures["local"] = locally(rounds * 10)
    figures["wire"] = encoding(rounds * 10)
    figures["between_processes"] = between_processes(rounds)
    if with_tcp_base:
        figures["multiprocTCPBase"] = on_tcp_base(min(rounds, 1000))
        ours = figures["between_processes"]["int"]["p50_us"]
        figures["ratio"] = round(figures["multiprocTCPBase"]["p50_us"] / ours, 1)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5000)
    parser.add_argument("--without-tcp-base", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve()
        return
    figures = run(options.rounds, not options.without_tcp_base)
    if options.json:
        print(json.dumps(figures, indent=2))
        return
    for name, value in figures.items():
        print(f"{name:20} {value}")


if __name__ == "__main__":
    main()
