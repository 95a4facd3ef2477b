"""Nodes that found a cluster together over a network and disks that fail; the decisions are watched."""

import heapq
import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import msgspec
import pytest

import fleet.cluster.founding
from fleet.cluster.founding import Founding
from fleet.cluster.founding_messages import (
    Ballot,
    Decided,
    Found,
    Founder,
    FoundingHello,
    FoundingMessage,
    Outcome,
    Persisted,
    Ready,
    Record,
    Tick,
    cluster_id,
    fingerprint,
    from_bytes,
    to_bytes,
)
from fleet.cluster.founding_proposal import NEVER
from fleet.raft.ids import NodeName
from tests.cluster.asking import Asking

decode_message = msgspec.msgpack.Decoder(FoundingMessage).decode
DECIDED_WITHIN_MS = 25_000
"""After the last fault, while a majority is up: a ballot that hangs, a back-off and every name's turn."""


def node(name: str, disk: str = "d1", address: str = "") -> Founder:
    return Founder(NodeName(name), f"{name}-{disk}", address or f"{name}:1", "z1", 1.0)


class Lost(Exception):
    """The host died in the middle of carrying out a Ready."""


class Host:
    """One node and its disk. Every step outward may be its last: see World.may_die."""

    def __init__(self, world: "World", me: Founder) -> None:
        self.world = world
        self.me = me
        self.disk = b""
        self.life = 0
        self.part: Founding | Asking | None = None
        self.alarm = (0, 0)
        self.written_at = 0
        self.ahead_ms = 0
        self.is_lost = False

    def now(self) -> int:
        return self.world.now + self.ahead_ms

    def start(self) -> None:
        if self.part is not None or self.is_lost:
            return
        self.life += 1
        world = self.world
        record = from_bytes(self.disk) if self.disk else None
        if self.me.address in world.listed:
            self.part = Founding(self.me, world.listed, self.now(), random.Random(world.rng.random()), record)
        else:
            self.part = Asking(self.me, world.listed, self.now())
        self.carry_out()

    def stop(self) -> None:
        self.part = None
        self.life += 1

    def lose(self) -> None:
        self.stop()
        self.is_lost = True

    def wipe(self) -> None:
        self.stop()
        self.disk = b""
        self.me = node(self.me.name, f"d{self.life}", self.me.address)

    def step(self, event: FoundingMessage | Tick | Persisted) -> None:
        if self.part is not None:
            self.part.step(self.now(), event)
            self.carry_out()

    def carry_out(self) -> None:
        part, world = self.part, self.world
        assert part is not None
        try:
            while (ready := part.take_ready()) is not None:
                self.put_into_effect(ready)
        except Lost:
            return
        alarm = (self.life, max(part.deadline, self.now() + 1))
        if part.deadline < NEVER and alarm != self.alarm:
            self.alarm = alarm
            world.wake(self, *alarm)

    def put_into_effect(self, ready: Ready) -> None:
        world, life = self.world, self.life
        world.may_die(self)
        for address, message in ready.send:
            world.transmit(address, message)
        world.may_die(self)
        if ready.write is not None:
            seq, data = ready.write.seq, to_bytes(ready.write.record)
            self.written_at = max(self.written_at, world.now + world.write_ms())  # writes keep their order
            world.at(self.written_at, lambda: self.wrote(seq, data) if self.life == life else None)
        if ready.outcome is not None:
            world.witness_outcome(self, ready.outcome)

    def wrote(self, seq: int, data: bytes) -> None:
        try:
            self.world.may_die(self)
            self.disk = data
            self.world.witness_record(self.me.address, from_bytes(data))
            self.world.may_die(self)
        except Lost:
            return
        self.step(Persisted(seq))


class World:
    """Hosts, a network and a clock. After every durable write and outcome there is one decision."""

    def __init__(self, seed: int, count: int, others: int = 0) -> None:
        self.rng = random.Random(seed)
        self.now = 0
        names = [chr(ord("a") + i) for i in range(count)]
        self.listed = tuple(f"{name}:1" for name in names)
        names += [f"n{i:02}" for i in range(others)]
        self.hosts = {f"{name}:1": Host(self, node(name)) for name in names}
        self.queue: list[tuple[int, int, Callable[[], object]]] = []
        self.count = 0
        self.loss = self.twice = self.death = 0.0
        self.delay_ms, self.disk_ms = 20, 5
        self.deaf: set[str] = set()
        self.moments = 0
        self.kill_at: dict[int, Callable[[Host], None]] = {}
        self.votes: dict[Ballot, dict[str, tuple[Founder, ...]]] = defaultdict(dict)
        self.decisions: set[tuple[Founder, ...]] = set()
        self.outcomes: dict[str, Outcome] = {}

    def at(self, when: int, what: Callable[[], object]) -> None:
        self.count += 1
        heapq.heappush(self.queue, (when, self.count, what))

    def run(self, until: int, is_enough: Callable[[], bool] = lambda: False) -> None:
        while self.queue and self.queue[0][0] <= until and not is_enough():
            when, _, what = heapq.heappop(self.queue)
            self.now = max(self.now, when)
            what()
        if not is_enough():
            self.now = max(self.now, until)

    def wake(self, host: Host, life: int, at: int) -> None:
        def ring() -> None:
            if host.alarm == (life, at) and host.life == life:
                host.step(Tick())

        self.at(at, ring)

    def transmit(self, address: str, message: FoundingMessage) -> None:
        copies = (self.rng.random() >= self.loss) + (self.rng.random() < self.twice)
        data = msgspec.msgpack.encode(message)
        for _ in range(copies):
            late = self.now + 1 + self.rng.randrange(self.delay_ms)
            self.at(late, lambda: self.deliver(address, data))

    def deliver(self, address: str, data: bytes) -> None:
        if address in self.hosts and address not in self.deaf:
            self.hosts[address].step(decode_message(data))

    def write_ms(self) -> int:
        return 1 + self.rng.randrange(self.disk_ms)

    def may_die(self, host: Host) -> None:
        self.moments += 1
        kill = self.kill_at.get(self.moments)
        if kill is None and self.rng.random() < self.death:
            kill = Host.stop
        if kill is not None:
            kill(host)
            if not host.is_lost:
                self.at(self.now + 1 + self.rng.randrange(3000), host.start)
            raise Lost

    # -- what must hold ----------------------------------------------------------------------------

    def witness_record(self, address: str, record: Record) -> None:
        if record.accepted is not None:
            ballot, founders = record.accepted.ballot, record.accepted.founders
            assert all(other == founders for other in self.votes[ballot].values()), f"two values in {ballot}"
            self.votes[ballot][address] = founders
            if len(self.votes[ballot]) > len(self.listed) // 2:
                self.decide(founders)
        if record.decided:
            self.decide(record.decided)

    def decide(self, founders: tuple[Founder, ...]) -> None:
        self.decisions.add(founders)
        assert len(self.decisions) == 1, f"two decisions: {self.decisions}"
        assert len({founder.address for founder in founders} & set(self.listed)) > len(self.listed) // 2

    def witness_outcome(self, host: Host, outcome: Outcome) -> None:
        assert len(self.decisions) == 1, "an outcome, and nothing was decided"
        (founders,) = self.decisions
        assert outcome.cluster == cluster_id(founders)
        is_founder = host.me in founders
        assert isinstance(outcome, Found) == is_founder, f"{host.me} of {founders}: {outcome}"
        self.outcomes[host.me.address] = outcome

    def living(self) -> list[Host]:
        return [host for host in self.hosts.values() if not host.is_lost]

    def all_know(self) -> bool:
        return all(host.part is not None and host.part.outcome is not None for host in self.living())

    def heal(self) -> None:
        self.loss = self.twice = self.death = 0.0
        self.delay_ms, self.disk_ms = 20, 5
        self.deaf.clear()
        for host in self.hosts.values():
            host.start()

    def settle(self) -> None:
        """The faults are over; all hosts but those lost for good run, a majority of the listed among them."""
        self.heal()
        self.run(self.now + DECIDED_WITHIN_MS, self.all_know)
        assert self.all_know(), [host.me.address for host in self.living()]


@contextmanager
def haste(dice: random.Random) -> Iterator[None]:
    """Nobody waits for anybody: many ballots at once, which the turns are there to avoid."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("TURN_MS", "BALLOT_MS", "HELLO_MS", "RESEND_MS", "BACKOFF_MS"):
            patch.setattr(fleet.cluster.founding, name, dice.choice((5, 20, 100, 400)))
        yield


def storm(seed: int) -> World:
    """Loss, duplicates, reordering, slow disks, crashes between any two effects, a minority lost for good."""
    dice = random.Random(f"storm {seed}")
    world = World(seed, dice.choice((1, 3, 3, 5, 5, 7)), dice.choice((0, 0, 1)))
    world.loss, world.twice = dice.choice((0.0, 0.1, 0.4)), dice.choice((0.0, 0.2))
    world.delay_ms, world.disk_ms = dice.choice((20, 300, 4000)), dice.choice((5, 200, 2000))
    world.death = dice.choice((0.0, 0.005, 0.03, 0.1))
    minority = dice.sample(world.listed, dice.randrange(len(world.listed) // 2 + 1))
    for host in world.hosts.values():
        world.at(dice.choice((0, 0, dice.randrange(3000), dice.randrange(20_000))), host.start)
    for address in minority:
        world.at(dice.choice((0, dice.randrange(2000), dice.randrange(15_000))), world.hosts[address].lose)
    for _ in range(dice.randrange(6)):
        deaf = set(dice.sample(world.listed, dice.randrange(len(world.listed) + 1)))
        world.at(dice.randrange(15_000), partial(setattr, world, "deaf", deaf))
    if dice.random() < 0.5:
        with haste(dice):
            world.run(3000)
    world.run(20_000)
    return world


class Pool(World):
    """Any message that was ever sent may arrive next, any clock may run ahead, anybody may die."""

    def __init__(self, seed: int, count: int) -> None:
        super().__init__(seed, count)
        self.sent: list[tuple[str, bytes]] = []

    def transmit(self, address: str, message: FoundingMessage) -> None:
        if not isinstance(message, (FoundingHello, Decided)):
            self.sent.append((address, msgspec.msgpack.encode(message)))

    def wake(self, host: Host, life: int, at: int) -> None:
        pass

    def turn(self) -> None:
        host = self.hosts[self.rng.choice(self.listed)]
        part, dice = host.part, self.rng.random()
        if not isinstance(part, Founding):
            host.start()
        elif dice < 0.01:
            host.stop()
        elif dice < 0.08:
            host.ahead_ms += self.rng.choice((10, 300, 1000))
            for other in self.hosts.values():
                host.step(FoundingHello(other.me, fingerprint(self.listed), ()))
            host.step(Tick())
        elif dice < 0.4 and self.queue:
            self.run(self.queue[0][0])
        elif self.sent:
            newest = self.rng.random() < 0.8
            late = self.sent[-12:] if newest else self.sent
            self.deliver(*self.rng.choice(late))
