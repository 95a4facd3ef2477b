"""Exactly one cluster from one list of seeds, whatever happens (S55)."""

import heapq
import os
import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fleet.founding
from fleet.errors import ConfigError, Damaged, WrongDirectory
from fleet.founding import BALLOT_MS, JOIN_AFTER_MS, NEVER, Founding
from fleet.seed_words import (
    NO_BALLOT,
    Accept,
    Accepted,
    Ballot,
    Decided,
    Exists,
    Found,
    Founder,
    FoundingMessage,
    Join,
    Outcome,
    Persisted,
    Prepare,
    Promise,
    Ready,
    Record,
    Refused,
    SeedHello,
    Tick,
    Vote,
    check_seeds,
    cluster_id,
    fingerprint,
    from_bytes,
    to_bytes,
)
from fleet.raft.ids import NodeName
from tests.fleet.asking import Asking

decode_message = msgspec.msgpack.Decoder(FoundingMessage).decode
FIRST, _, LAST = os.environ.get("FLEET_SEEDS", "0:300").partition(":")
STORMS = (int(FIRST), int(LAST))
"""`FLEET_SEEDS=1000:5000` runs those instead."""
DECIDED_WITHIN_MS = 25_000
"""After the last fault, while a majority is up: a ballot that hangs, a back-off and every name's turn."""


def node(name: str, disk: str = "d1", address: str = "") -> Founder:
    return Founder(NodeName(name), f"{name}-{disk}", address or f"{name}:1", "z1", 1.0)


A, B, C, D, E = (node(name) for name in "abcde")
THREE = ("a:1", "b:1", "c:1")
FIVE = (*THREE, "d:1", "e:1")


# -- a world ---------------------------------------------------------------------------------------


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
        if self.me.address in world.seeds:
            self.part = Founding(self.me, world.seeds, self.now(), random.Random(world.rng.random()), record)
        else:
            self.part = Asking(self.me, world.seeds, self.now())
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
            world.at(self.written_at, lambda: self.life == life and self.wrote(seq, data))
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

    def __init__(self, seed: int, seeds: int, others: int = 0) -> None:
        self.rng = random.Random(seed)
        self.now = 0
        names = [chr(ord("a") + i) for i in range(seeds)]
        self.seeds = tuple(f"{name}:1" for name in names)
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
        self.at(at, lambda: host.alarm == (life, at) and host.life == life and host.step(Tick()))

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
            if len(self.votes[ballot]) > len(self.seeds) // 2:
                self.decide(founders)
        if record.decided:
            self.decide(record.decided)

    def decide(self, founders: tuple[Founder, ...]) -> None:
        self.decisions.add(founders)
        assert len(self.decisions) == 1, f"two decisions: {self.decisions}"
        assert len({founder.address for founder in founders} & set(self.seeds)) > len(self.seeds) // 2

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
        """The faults are over; whoever is not lost for good is up, a majority of the seeds among them."""
        self.heal()
        self.run(self.now + DECIDED_WITHIN_MS, self.all_know)
        assert self.all_know(), [host.me.address for host in self.living()]


@contextmanager
def haste(dice: random.Random) -> Iterator[None]:
    """Nobody waits for anybody: many ballots at once, which the turns are there to avoid."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("TURN_MS", "BALLOT_MS", "HELLO_MS", "RESEND_MS", "BACKOFF_MS"):
            patch.setattr(fleet.founding, name, dice.choice((5, 20, 100, 400)))
        yield


def storm(seed: int) -> World:
    """Loss, duplicates, reordering, slow disks, crashes between any two effects, a minority lost for good."""
    dice = random.Random(f"storm {seed}")
    world = World(seed, dice.choice((1, 3, 3, 5, 5, 7)), dice.choice((0, 0, 1)))
    world.loss, world.twice = dice.choice((0.0, 0.1, 0.4)), dice.choice((0.0, 0.2))
    world.delay_ms, world.disk_ms = dice.choice((20, 300, 4000)), dice.choice((5, 200, 2000))
    world.death = dice.choice((0.0, 0.005, 0.03, 0.1))
    minority = dice.sample(world.seeds, dice.randrange(len(world.seeds) // 2 + 1))
    for host in world.hosts.values():
        world.at(dice.choice((0, 0, dice.randrange(3000), dice.randrange(20_000))), host.start)
    for address in minority:
        world.at(dice.choice((0, dice.randrange(2000), dice.randrange(15_000))), world.hosts[address].lose)
    for _ in range(dice.randrange(6)):
        deaf = set(dice.sample(world.seeds, dice.randrange(len(world.seeds) + 1)))
        world.at(dice.randrange(15_000), lambda deaf=deaf: setattr(world, "deaf", deaf))
    if dice.random() < 0.5:
        with haste(dice):
            world.run(3000)
    world.run(20_000)
    return world


@pytest.mark.parametrize("first", range(*STORMS, 50))
def test_s55_whatever_happens_there_is_one_decision_and_soon_after_it_all_know(first: int) -> None:
    for seed in range(first, first + 50):
        try:
            storm(seed).settle()
        except AssertionError as error:
            raise AssertionError(f"storm({seed})") from error


@given(
    st.integers(0, 1 << 32),
    st.sampled_from((3, 5)),
    st.lists(st.tuples(st.integers(1, 150), st.booleans()), max_size=8),
)
def test_deaths_at_chosen_moments_do_not_divide_the_seeds(
    seed: int, count: int, deaths: list[tuple[int, bool]]
) -> None:
    world = World(seed, count)
    world.kill_at = {moment: Host.stop for moment, _ in deaths}
    for moment, _ in [death for death in deaths if death[1]][: count // 2]:
        world.kill_at[moment] = Host.lose
    for host in world.hosts.values():
        host.start()
    world.run(5000)
    world.settle()


class Pool(World):
    """Any message that was ever sent may arrive next, any clock may run ahead, anybody may die."""

    def __init__(self, seed: int, seeds: int) -> None:
        super().__init__(seed, seeds)
        self.sent: list[tuple[str, bytes]] = []

    def transmit(self, address: str, message: FoundingMessage) -> None:
        if not isinstance(message, (SeedHello, Decided)):
            self.sent.append((address, msgspec.msgpack.encode(message)))

    def wake(self, host: Host, life: int, at: int) -> None:
        pass

    def turn(self) -> None:
        host = self.hosts[self.rng.choice(self.seeds)]
        part, dice = host.part, self.rng.random()
        if not isinstance(part, Founding):
            host.start()
        elif dice < 0.01:
            host.stop()
        elif dice < 0.08:
            host.ahead_ms += self.rng.choice((10, 300, 1000))
            for other in self.hosts.values():
                host.step(SeedHello(other.me, fingerprint(self.seeds), ()))
            host.step(Tick())
        elif dice < 0.4 and self.queue:
            self.run(self.queue[0][0])
        elif self.sent:
            newest = self.rng.random() < 0.8
            late = self.sent[-12:] if newest else self.sent
            self.deliver(*self.rng.choice(late))


@pytest.mark.parametrize("first", range(0, 300, 50))
def test_no_order_of_anything_makes_two_decisions(first: int) -> None:
    decided = 0
    for seed in range(first, first + 50):
        world = Pool(seed, 3 if seed % 3 else 5)
        with haste(random.Random(seed)):
            for _ in range(600):
                world.turn()
        decided += len(world.decisions)
    assert decided > 5, "else it says nothing"


def test_a_storm_is_one_history() -> None:
    first, second = storm(11), storm(11)
    assert (first.count, first.moments, first.outcomes) == (second.count, second.moments, second.outcomes)


def moments_of(count: int) -> int:
    world = World(1, count)
    world.settle()
    return world.moments


@pytest.mark.parametrize("count", [3, 5])
@pytest.mark.parametrize("death", [Host.stop, Host.lose], ids=["restarted", "lost"])
def test_s55_any_seed_may_die_at_any_moment(count: int, death: Callable[[Host], None]) -> None:
    """Between any two effects of the whole founding: before and after each send and each write."""
    for moment in range(1, moments_of(count) + 1):
        world = World(1, count)
        world.kill_at = {moment: death}
        world.settle()
        assert len(world.decisions) == 1


@pytest.mark.parametrize("count", [3, 5])
def test_s55_a_proposer_is_lost_for_good_at_every_step_and_one_of_the_others_dies_too(count: int) -> None:
    """And the next one is killed and comes back: the second proposal meets what is left of the first."""
    for moment in range(1, moments_of(count) + 1, 2):
        for later in range(2, 40, 7):
            world = World(moment * 100 + later, count)
            smallest = world.hosts["a:1"]

            def lose(host: Host, smallest: Host = smallest) -> None:
                smallest.lose()
                host.stop()

            world.kill_at = {moment: lose, moment + later: Host.stop}
            world.settle()
            assert len(world.decisions) == 1


@pytest.mark.parametrize("count", [3, 5])
@pytest.mark.parametrize("seed", range(10))
def test_s55_twenty_nodes_at_once_are_one_cluster(count: int, seed: int) -> None:
    world = World(seed, count, 20 - count)
    world.settle()
    (founders,) = world.decisions
    assert {founder.address for founder in founders} == set(world.seeds), "all were here in time"
    assert len(world.outcomes) == 20
    assert sum(isinstance(outcome, Found) for outcome in world.outcomes.values()) == count


@pytest.mark.parametrize("seed", range(10))
def test_a_minority_that_is_down_is_not_waited_for_and_joins_later(seed: int) -> None:
    world = World(seed, 5)
    early = ["b:1", "c:1", "e:1"]
    for address in early:
        world.hosts[address].start()
    world.run(4000)
    assert sorted(world.outcomes) == early
    assert all(isinstance(outcome, Found) for outcome in world.outcomes.values())
    world.hosts["b:1"].lose()
    world.settle()
    assert isinstance(world.outcomes["a:1"], Join) and isinstance(world.outcomes["d:1"], Join)


def test_a_minority_founds_nothing() -> None:
    world = World(1, 5)
    for address in ("a:1", "b:1"):
        world.hosts[address].start()
    world.run(100_000)
    assert not world.decisions
    part = world.hosts["a:1"].part
    assert isinstance(part, Founding)
    assert part.problems() == ("2 of 5 seeds answer; a majority must",)


@pytest.mark.parametrize("seed", range(60))
def test_a_minority_of_wiped_disks_makes_no_second_cluster(seed: int) -> None:
    """Wiped when the others have heard of the disk: from then on nobody counts that address."""
    world = World(seed, random.Random(seed).choice((3, 5)))
    world.loss, world.delay_ms, world.disk_ms = 0.2, 200, 50
    doomed = world.rng.sample(world.seeds, len(world.seeds) // 2)
    for host in world.hosts.values():
        host.start()

    def is_known(host: Host) -> bool:
        mine = (host.me.address, host.me.incarnation)
        others = [other for other in world.hosts.values() if other.me.address not in doomed]
        return all(other.disk and mine in from_bytes(other.disk).disks for other in others)

    for _ in range(12):
        world.run(world.now + world.rng.randrange(600))
        host = world.hosts[world.rng.choice(doomed)]
        if is_known(host):
            host.wipe()
        host.start()
        crashed = world.hosts[world.rng.choice(world.seeds)]
        crashed.stop()
        world.at(world.now + world.rng.randrange(2000), crashed.start)
    world.settle()


# -- rules -----------------------------------------------------------------------------------------


class Bench:
    """One seed on its own; every write is durable at once unless `holds`."""

    def __init__(self, me: Founder = A, seeds: tuple[str, ...] = THREE, record: Record | None = None) -> None:
        self.part = Founding(me, seeds, 0, random.Random(1), record)
        self.seeds = fingerprint(seeds)
        self.holds = False
        self.written: list[Record] = []
        self.outcomes: list[Outcome] = []
        self.sent: list[tuple[str, Any]] = []
        self.settle()

    def settle(self) -> None:
        while (ready := self.part.take_ready()) is not None:
            self.sent += ready.send
            if ready.outcome is not None:
                self.outcomes.append(ready.outcome)
            if ready.write is not None:
                self.written.append(ready.write.record)
                if not self.holds:
                    self.part.step(self.part.now, Persisted(ready.write.seq))

    def step(self, event: FoundingMessage | Tick | Persisted) -> list[tuple[str, Any]]:
        """What leaves because of it."""
        self.sent = []
        self.part.step(self.part.now, event)
        self.settle()
        return [(address, message) for address, message in self.sent if not isinstance(message, SeedHello)]

    def wait(self, until: int) -> list[tuple[str, Any]]:
        """Every deadline on the way is kept."""
        self.sent = []
        while self.part.now < until:
            self.part.step(max(self.part.now, min(self.part.deadline, until)), Tick())
            self.settle()
        return self.sent

    def said(self, src: Founder, kind: Any, *parts: Any, disks: tuple[tuple[str, str], ...] = ()) -> Any:
        return kind(src, self.seeds, disks, *parts)


def proposing(seeds: tuple[str, ...] = THREE, *others: Founder) -> tuple[Bench, Ballot]:
    """The smallest name, whose Prepare has left."""
    bench = Bench(A, seeds)
    for other in others or (B,):
        bench.step(bench.said(other, SeedHello))
    bench.wait(1)
    ballot = bench.part.record.promised
    assert ballot.address == "a:1"
    return bench, ballot


OF_B = Ballot(7, "b:1", B.incarnation)
OF_C = Ballot(8, "c:1", C.incarnation)


@pytest.mark.parametrize(
    ("seeds", "says"),
    [
        ((), "at least one"),
        (("a:1", ""), "empty"),
        (("a:1", "b:1"), "odd number"),
        (("a:1", "b:1", "b:1"), "listed twice"),
        (("b:1", "c:1", "d:1"), "own address"),
    ],
)
def test_a_list_that_cannot_be_is_refused_at_once(seeds: tuple[str, ...], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Founding(A, seeds, 0, random.Random(1))
    check_seeds(THREE, "b:1")


def test_one_seed_founds_alone() -> None:
    bench = Bench(A, ("a:1",))
    bench.wait(1)
    assert bench.outcomes == [Found(cluster_id((A,)), (A,))]
    assert bench.part.deadline == NEVER


def test_the_smallest_name_proposes_and_the_others_leave_it_its_turn() -> None:
    small, large = Bench(A), Bench(C)
    assert any(isinstance(message, Prepare) for _, message in small.step(small.said(C, SeedHello)))
    large.step(large.said(A, SeedHello))
    assert not any(isinstance(message, Prepare) for _, message in large.wait(900))
    assert any(isinstance(message, Prepare) for _, message in large.wait(1300)), "and not for ever"


def test_nothing_leaves_before_it_is_durable() -> None:
    bench = Bench(A)
    bench.holds = True
    assert bench.step(bench.said(B, Prepare, OF_B)) == []
    assert bench.written[-1].promised == OF_B
    ((_, promise),) = bench.step(Persisted(bench.part._seq))
    assert promise.ballot == OF_B
    assert bench.step(bench.said(B, Accept, OF_B, (A, B))) == []
    assert bench.written[-1].accepted == Vote(OF_B, (A, B))
    assert [type(message) for _, message in bench.step(Persisted(bench.part._seq))] == [Accepted]
    assert bench.step(bench.said(B, Decided, (A, B))) == []
    assert bench.outcomes == [] and bench.part.outcome is None
    bench.step(Persisted(bench.part._seq))
    assert bench.outcomes == [Found(cluster_id((A, B)), (A, B))]


def test_a_proposers_ballot_is_durable_before_anybody_hears_of_it() -> None:
    bench = Bench(A)
    bench.holds = True
    bench.step(bench.said(B, SeedHello))
    assert not any(isinstance(message, Prepare) for _, message in bench.wait(100))
    assert bench.written[-1].promised.address == "a:1"
    again = Bench(A, record=bench.written[-1])
    again.step(again.said(B, SeedHello))
    again.wait(100)
    assert again.part.record.promised > bench.written[-1].promised, "no ballot is used in two lives"


def test_a_lower_ballot_is_refused_with_the_higher_one() -> None:
    bench = Bench(A)
    bench.step(bench.said(C, Prepare, OF_C))
    for late in (bench.said(B, Prepare, OF_B), bench.said(B, Accept, OF_B, (A, B))):
        ((address, refused),) = bench.step(late)
        assert (address, refused.ballot, refused.promised) == ("b:1", OF_B, OF_C)
    assert bench.part.record.accepted is None


def test_the_same_again_is_answered_again() -> None:
    bench = Bench(A)
    for message in (bench.said(B, Prepare, OF_B), bench.said(B, Accept, OF_B, (A, B))):
        first = bench.step(message)
        written = len(bench.written)
        assert bench.step(message)[0][0] == first[0][0] == "b:1"
        assert len(bench.written) == written


def test_a_promise_tells_what_was_accepted_also_after_a_restart() -> None:
    bench = Bench(A)
    bench.step(bench.said(B, Accept, OF_B, (A, B)))
    again = Bench(A, record=from_bytes(to_bytes(bench.written[-1])))
    ((_, promise),) = again.step(again.said(C, Prepare, OF_C))
    assert promise.accepted == Vote(OF_B, (A, B))
    ((_, refused),) = again.step(again.said(B, Prepare, OF_B))
    assert isinstance(refused, Refused)


def test_a_majority_waits_a_grace_for_the_slower_ones() -> None:
    bench, ballot = proposing()
    bench.step(bench.said(B, Promise, ballot, None))
    assert not any(isinstance(message, Accept) for _, message in bench.wait(400))
    sent = bench.step(bench.said(C, Promise, ballot, None))
    assert {(address, message.founders) for address, message in sent if isinstance(message, Accept)} == {
        ("b:1", (A, B, C)),
        ("c:1", (A, B, C)),
    }, "and no longer than until all are here"


def test_after_the_grace_those_who_are_here_found() -> None:
    bench, ballot = proposing()
    bench.step(bench.said(B, Promise, ballot, None))
    accepts = [message for _, message in bench.wait(700) if isinstance(message, Accept)]
    assert accepts and accepts[0].founders == (A, B)
    bench.step(bench.said(B, Accepted, ballot))
    assert bench.outcomes == [Found(cluster_id((A, B)), (A, B))]
    assert ("c:1", Decided) in [(address, type(message)) for address, message in bench.sent]


def test_the_highest_accepted_value_is_taken_over() -> None:
    bench, ballot = proposing(FIVE, B, C, D, E)
    bench.step(bench.said(B, Promise, ballot, Vote(Ballot(1, "b:1", "x"), (B, C, D))))
    bench.step(bench.said(C, Promise, ballot, Vote(Ballot(2, "c:1", "x"), (C, D, E))))
    sent = bench.wait(700)
    assert {message.founders for _, message in sent if isinstance(message, Accept)} == {(C, D, E)}


def test_only_who_promised_is_counted_when_it_accepts() -> None:
    bench, ballot = proposing()
    bench.step(bench.said(B, Promise, ballot, None))
    bench.wait(700)
    bench.step(bench.said(C, Accepted, ballot))
    assert not bench.outcomes
    bench.step(bench.said(node("b", "d2"), Accepted, ballot))
    assert not bench.outcomes, "another disk at that address"


def test_a_wiped_seed_is_not_counted_by_who_knew_it() -> None:
    bench, ballot = proposing()
    bench.step(bench.said(node("b", "d2"), Promise, ballot, None))
    assert not any(isinstance(message, Accept) for _, message in bench.wait(2000))
    assert any("b:1 lost its disk" in problem for problem in bench.part.problems())


def test_a_wiped_seed_is_not_counted_by_who_was_told() -> None:
    bench = Bench(A)
    bench.step(bench.said(node("b", "d2"), SeedHello))
    bench.step(bench.said(C, SeedHello, disks=(("b:1", B.incarnation),)))
    bench.wait(1)
    ballot = bench.part.record.promised
    bench.step(bench.said(node("b", "d2"), Promise, ballot, None))
    assert not any(isinstance(message, Accept) for _, message in bench.wait(2000))


def test_a_wiped_seed_that_learns_it_neither_votes_nor_proposes() -> None:
    bench = Bench(node("a", "d2"))
    assert bench.step(bench.said(B, Prepare, OF_B, disks=(("a:1", A.incarnation),))) == []
    assert bench.part.record.promised == NO_BALLOT
    bench.step(bench.said(C, Decided, (A, B, C)))
    assert bench.outcomes == [Join(cluster_id((A, B, C)), THREE)], "the founder was the old disk"


def test_one_disk_at_two_addresses_is_no_two_seeds() -> None:
    bench, ballot = proposing()
    copy = Founder(NodeName("c"), B.incarnation, "c:1", "z1", 1.0)
    bench.step(bench.said(B, Promise, ballot, None))
    bench.step(bench.said(copy, Promise, ballot, None))
    assert not any(isinstance(message, Accept) for _, message in bench.wait(2000))


def test_two_seeds_of_one_name_do_not_found() -> None:
    twin = node("b", "d9", "c:1")
    bench, ballot = proposing(THREE, B, twin)
    bench.step(bench.said(B, Promise, ballot, None))
    bench.step(bench.said(twin, Promise, ballot, None))
    assert not any(isinstance(message, Accept) for _, message in bench.sent)
    assert bench.part.problems() == ("two seeds are called 'b'",)


def test_a_seed_with_another_list_is_not_counted() -> None:
    bench = Bench(A)
    assert bench.step(Prepare(B, fingerprint(FIVE), (), OF_B)) == []
    assert bench.part.record.promised == NO_BALLOT
    assert "b:1 has another list of seeds" in bench.part.problems()


def test_a_vote_from_no_seed_is_no_vote() -> None:
    bench, ballot = proposing()
    bench.step(bench.said(node("x"), Promise, ballot, None))
    assert bench.part.record.disks == (("a:1", "a-d1"), ("b:1", "b-d1"))
    assert not any(isinstance(message, Accept) for _, message in bench.wait(2000))


def test_an_answer_to_an_older_ballot_counts_for_nothing() -> None:
    bench, ballot = proposing()
    older = Ballot(0, ballot.address, ballot.incarnation)
    bench.step(bench.said(B, Promise, older, None))
    assert not any(isinstance(message, Accept) for _, message in bench.wait(700))
    bench.step(bench.said(B, Promise, ballot, None))
    bench.wait(1400)
    bench.step(bench.said(B, Accepted, older))
    assert not bench.outcomes
    bench.step(bench.said(B, Accepted, ballot))
    assert bench.outcomes


def test_accepting_is_a_promise_too() -> None:
    bench = Bench(A)
    bench.step(bench.said(B, Prepare, OF_B))
    bench.step(bench.said(C, Accept, OF_C, (A, C)))
    again = Bench(A, record=bench.written[-1])
    for late in (bench.said(B, Prepare, OF_B), bench.said(B, Accept, OF_B, (A, B))):
        answers = {type(message) for _, message in again.step(late)} - {Prepare}
        assert answers == {Refused}
    assert again.part.record.accepted == Vote(OF_C, (A, C))


def test_a_higher_ballot_ends_ones_own() -> None:
    bench, ballot = proposing()
    bench.step(bench.said(C, Prepare, OF_C))
    assert bench.step(bench.said(B, Promise, ballot, None)) == []
    assert not any(isinstance(message, Prepare) for _, message in bench.wait(BALLOT_MS - 1))


def test_a_refused_proposer_comes_back_with_a_higher_ballot() -> None:
    bench, ballot = proposing()
    bench.step(bench.said(B, Refused, ballot, OF_C))
    sent = bench.wait(2000)
    assert {message.ballot.round for _, message in sent if isinstance(message, Prepare)} == {OF_C.round + 1}


@pytest.mark.parametrize("ask", [SeedHello, Prepare, Promise])
def test_who_asks_late_is_told_the_decision(ask: Any) -> None:
    """Also by a founder that was started again, and also a node that is no seed."""
    bench = Bench(A)
    bench.step(bench.said(B, Decided, (A, B)))
    again = Bench(A, record=from_bytes(to_bytes(bench.written[-1])))
    assert again.outcomes == bench.outcomes == [Found(cluster_id((A, B)), (A, B))]
    parts = {SeedHello: (), Prepare: (OF_C,), Promise: (OF_C, None)}[ask]
    for src in (C, node("x")):
        ((address, decided),) = again.step(again.said(src, ask, *parts))
        assert (address, decided.founders) == (src.address, (A, B))
    assert again.part.deadline == NEVER


def test_the_record_of_a_decision_outlives_the_list() -> None:
    bench = Bench(A)
    bench.step(bench.said(B, Decided, (A, B)))
    part = Founding(A, ("x:1", "y:1"), 0, random.Random(1), bench.written[-1])
    assert isinstance(part.outcome, Found)


def test_who_is_not_among_the_founders_joins() -> None:
    bench = Bench(C)
    bench.step(bench.said(A, Decided, (A, B)))
    assert bench.outcomes == [Join(cluster_id((A, B)), ("a:1", "b:1"))]


def test_who_hears_of_a_cluster_joins_and_tells_others() -> None:
    bench = Bench(A)
    bench.step(Exists("x1", ("x:1",)))
    assert bench.outcomes == [Join("x1", ("x:1",))]
    again = Bench(A, record=from_bytes(to_bytes(bench.written[-1])))
    assert again.outcomes == bench.outcomes
    assert again.step(again.said(B, Prepare, OF_B)) == [("b:1", Exists("x1", ("x:1",)))]


def test_a_possible_founder_waits_for_the_founders_before_it_joins() -> None:
    bench = Bench(A)
    bench.step(bench.said(B, Prepare, OF_B))
    bench.step(Exists("x1", ("x:1",)))
    assert not any(isinstance(message, Prepare) for _, message in bench.wait(JOIN_AFTER_MS - 1))
    assert not bench.outcomes
    told = Bench(A, record=bench.written[-1])
    told.step(Exists("x1", ("x:1",)))
    told.step(told.said(B, Decided, (A, B)))
    assert told.outcomes == [Found(cluster_id((A, B)), (A, B))]
    bench.wait(JOIN_AFTER_MS)
    assert bench.outcomes == [Join("x1", ("x:1",))]


def test_a_decision_of_another_list_is_a_cluster_to_join() -> None:
    bench = Bench(A)
    bench.step(Decided(D, fingerprint(FIVE), (), (C, D, E)))
    assert bench.outcomes == [Join(cluster_id((C, D, E)), ("c:1", "d:1", "e:1"))]


# -- the record ------------------------------------------------------------------------------------


def records() -> Iterator[Record]:
    fresh = Record(A, fingerprint(THREE), (("a:1", "a-d1"),))
    yield fresh
    yield msgspec.structs.replace(fresh, promised=OF_C, accepted=Vote(OF_B, (A, B)))
    yield msgspec.structs.replace(fresh, decided=(A, B))
    yield msgspec.structs.replace(fresh, joined=Join("x1", ("x:1",)))


@pytest.mark.parametrize("record", list(records()))
def test_a_record_comes_back_as_it_was(record: Record) -> None:
    assert from_bytes(to_bytes(record)) == record


@pytest.mark.parametrize("data", [b"", b"\x01", b"\x09abc", to_bytes(next(records()))[:-1]])
def test_a_damaged_record_is_no_record(data: bytes) -> None:
    with pytest.raises(Damaged):
        from_bytes(data)


def test_another_disks_record_is_refused() -> None:
    with pytest.raises(WrongDirectory):
        Founding(node("a", "d2"), THREE, 0, random.Random(1), next(records()))


def test_a_promise_binds_to_the_list_and_the_address() -> None:
    """Else it would be one vote under two names."""
    fresh, promised, *_ = records()
    moved = node("a", address="b:1")
    assert Founding(A, FIVE, 0, random.Random(1), fresh).record.seeds == fingerprint(FIVE)
    assert Founding(moved, THREE, 0, random.Random(1), fresh).record.disks == (("b:1", "a-d1"),)
    for me, seeds in ((A, FIVE), (moved, THREE)):
        with pytest.raises(ConfigError, match="changed while"):
            Founding(me, seeds, 0, random.Random(1), promised)


def test_the_clusters_name_does_not_depend_on_how_a_weight_was_written() -> None:
    whole = msgspec.structs.replace(A, weight=1)
    assert cluster_id((whole, B)) == cluster_id((A, B)) != cluster_id((A, C))
