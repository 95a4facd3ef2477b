"""Clients that keep a group busy, and the judgement of what they saw."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fleet.objects.applier import Opened, Outcomes
from fleet.raft.entries import Commands, SessionOpened
from fleet.raft.events import Propose, ReadQuery
from fleet.raft.ids import MemberId, Millis
from fleet.raft.ready import Answer
from fleet.raft.sessions import DONE, EXPIRED
from tests.raft.ledger import FAIL, Ledger
from tests.raft.world import World

TIMEOUT_MS = 400
UNKNOWN = -1
REFUSED = -2
RAISED = -3


@dataclass
class Call:
    """One call of one client. `place`: how long the ledger was, as the group answered."""

    client: str
    payload: bytes
    """b"" for a read."""
    began: Millis
    ended: Millis = -1
    place: int = UNKNOWN


class Client:
    """One call at a time in a session of its own; the same call again until it is answered."""

    def __init__(self, world: World, name: str, calls: list[Call], reads: float) -> None:
        self.world, self.name, self.calls, self.reads = world, name, calls, reads
        self.session, self.sessions = 0, 0
        self.seq, self.acked = 1, 0
        self.count = 0
        self.current = Call(name, b"", 0)
        self.attempt = 0
        self.doubts = 0
        """Attempts of this call that were not definitely refused."""
        self.lease = True
        self.stopping = False
        self.busy = False
        self.skew = world.rng.randint(-300, 300)
        world.call(world.rng.randint(0, 100), self.next)

    def next(self) -> None:
        if self.stopping:
            self.busy = False
            return
        self.busy, self.doubts, self.lease = True, 0, True
        rng = self.world.rng
        if self.session:
            self.count += 1
            payload = b"" if rng.random() < self.reads else f"{self.name}:{self.count}".encode()
            if payload and rng.random() < 0.05:
                payload = FAIL + payload
            self.current = Call(self.name, payload, self.world.now)
            self.calls.append(self.current)
        self.try_it()

    def try_it(self) -> None:
        """Send the request to whom is believed to lead, and look after it."""
        self.attempt += 1
        attempt, world = self.attempt, self.world
        alive = [host.id for host in world.hosts.values() if not host.gone]
        leader = world.leader
        target = leader.id if leader and world.rng.random() < 0.8 else world.rng.choice(alive)
        self.doubts += 1
        make = self.request()
        if world.rng.random() >= world.weather.loss:
            world.call(
                world.rng.randint(*world.weather.delay_ms),
                lambda: self.ask(target, make, attempt),
            )
        world.call(TIMEOUT_MS, lambda: self.try_again(attempt))

    def request(self) -> Callable[[int], Any]:
        wall_ms = self.world.now + self.skew
        if not self.session:
            name = f"{self.name}.{self.sessions}"
            return lambda token: Propose(token, (SessionOpened(name, wall_ms),))
        payload = self.current.payload
        if not payload:
            lease = self.lease
            return lambda token: ReadQuery(token, lease)
        command = Commands(
            session=self.session, first=self.seq, acked=self.acked, wall_ms=wall_ms, payloads=(payload,)
        )
        return lambda token: Propose(token, (command,))

    def ask(self, target: MemberId, make: Callable[[int], Any], attempt: int) -> None:
        def answered(what: Any) -> None:
            if self.world.rng.random() >= self.world.weather.loss:
                delay = self.world.rng.randint(*self.world.weather.delay_ms)
                self.world.call(delay, lambda: self.heard(what, attempt))

        self.world.ask(target, make, answered)

    def try_again(self, attempt: int) -> None:
        if attempt == self.attempt:
            self.lease = False
            self.try_it()

    def heard(self, what: Any, attempt: int) -> None:
        if isinstance(what, Answer) and attempt == self.attempt:
            self.doubts -= 1
            is_command = bool(self.session and self.current.payload)
            if is_command and self.doubts == 0 and self.world.rng.random() < 0.2:
                self.finish(REFUSED)
                return
            self.attempt += 1
            retry = self.attempt
            self.world.call(self.world.rng.randint(1, 60), lambda: self.try_again(retry))
        elif attempt == self.attempt:
            self.take(what)

    def take(self, what: Any) -> None:
        if isinstance(what, Opened):
            if not self.session:
                self.session, self.seq, self.acked = what.session, 1, 0
                self.attempt += 1
                self.next()
        elif isinstance(what, bytes):
            self.finish(int(what))
        else:
            assert isinstance(what, Outcomes)
            assert what.status in (DONE, EXPIRED), f"seed {self.world.seed}: {what}"
            if what.status == EXPIRED:
                self.session, self.sessions = 0, self.sessions + 1
                self.finish(UNKNOWN)
                return
            self.acked, self.seq = self.seq, self.seq + 1
            (value,) = what.values
            self.finish(RAISED if value == b"failed" else int(value))

    def finish(self, place: int) -> None:
        self.attempt += 1
        call = self.current
        call.ended, call.place = self.world.now, place
        self.world.call(self.world.rng.randint(0, 80), self.next)


def judge(world: World, calls: list[Call], ledger: Ledger) -> None:
    """Every call took effect once or not at all, at one moment between its beginning and its end."""
    need = world.witness.need
    lines = ledger.lines
    need(len(lines) == len(set(lines)), "a command was executed twice")
    place_of = {line: place for place, line in enumerate(lines, 1)}
    order: dict[str, int] = {}
    for line in lines:
        client, _, number = line.decode().partition(":")
        need(order.get(client, 0) < int(number), f"{client} executed out of order at {number}")
        order[client] = int(number)
    for call in calls:
        if call.payload and call.place > 0:
            need(place_of.get(call.payload) == call.place, f"{call} is not at its place")
        elif call.payload and call.place in (REFUSED, RAISED):
            need(call.payload not in place_of, f"{call} left its line in the ledger")
    began = {call.payload: call.began for call in calls if call.payload}
    newest = 0
    latest_begin = [0]
    for line in lines:
        newest = max(newest, began[line])
        latest_begin.append(newest)
    done = sorted((call for call in calls if call.place >= 0), key=lambda call: call.ended)
    position, reached = 0, 0
    for call in sorted(done, key=lambda call: call.began):
        while position < len(done) and done[position].ended < call.began:
            reached = max(reached, done[position].place)
            position += 1
        lowest = reached + 1 if call.payload else reached
        need(call.place >= lowest, f"{call} is behind {reached}, which was answered before it began")
        need(latest_begin[call.place] <= call.ended, f"{call} sees what had not begun")
