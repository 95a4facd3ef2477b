"""What the clients of each recipe do in an episode, and which promise is judged."""

from collections import defaultdict
from math import inf
from typing import Any, ClassVar

import fleet
from fleet.recipes import KV, Barriers, Counters, Elections, Leases, Locks, RateLimits, Semaphores
from fleet.recipes.barriers import meeting
from fleet.recipes.lease import Lease, acquire, give_back, keep
from fleet.recipes.plans import Ask, Pause, Plan
from tests.recipes import judges
from tests.recipes.episodes import GROUP, SKEW_S, Episode, ask, repeated
from tests.recipes.queue_uses import JobQueueEpisode


class Holding(Episode):
    """Clients wait for names, work while they believe to hold them, and give them back; some are rude: they
    renew and give back without a look at the clock, and some are gone without a word."""

    limit: ClassVar[float] = 1
    names_held: ClassVar[tuple[str, ...]] = ("a", "b")
    acts: list[tuple[str, int, float]]

    def grant(self, holders: Any, client: str) -> Ask:
        return Ask(holders.acquire, ())

    def begin(self, client: str) -> None:
        self.acts = []
        self.party.begin(client, repeated(self, lambda: self.hold(client)))

    def hold(self, client: str) -> Plan[None]:
        rng, holders = self.rng, self.handles[client]
        lease = Lease(rng.choice(self.names_held), rng.choice([1.5, 3.0]), self.party.clock)
        limit = min(self.limit, 99)
        try:
            yield from acquire(holders, self.grant(holders, client), lease, limit, rng.choice([1.0, 5.0]))
        except fleet.FleetError:
            return
        keeping = self.party.begin(client, keep(holders, lease))
        leaves_at = self.sim.now + rng.uniform(0.0, 4.0)
        while lease.is_held and self.sim.now < leaves_at:
            self.acts.append((lease.name, lease.token, self.sim.now))
            yield Pause(rng.uniform(0.05, 0.3))
        keeping.stop()
        match rng.choice(["back", "back", "rude", "gone"]):
            case "back":
                try:
                    yield from give_back(holders, lease)
                except fleet.FleetError:
                    pass
            case "rude":
                yield Pause(rng.uniform(0.0, 2 * lease.ttl))
                yield from ask(holders.renew, lease.name, lease.token, lease.ttl)
                yield from ask(holders.release, lease.name, lease.token)

    def judge(self) -> None:
        told = self.party.told
        judges.in_order(told, {one.method for one in told} - {"count", "leader", "seen"})
        judges.never_more_than(self.limit, told, SKEW_S)
        judges.late_ones_are_refused(told, SKEW_S)
        self.nothing_is_left()

    def nothing_is_left(self) -> None:
        """What is over does not stay: a few commands drop all of it."""
        self.sim.run(10.0)
        handle = self.handles[self.names[0]]
        for _ in range(40):
            handle.live("nobody")
        assert not any(handle.count(name) for name in self.names_held), "leases that are over are kept"


class LocksEpisode(Holding):
    data_class = Locks

    def judge(self) -> None:
        super().judge()
        judges.beliefs_end_in_time(self.acts, self.party.told, SKEW_S)


class SemaphoresEpisode(Holding):
    data_class = Semaphores
    clients = 6
    limit = 2
    names_held = ("a",)

    def grant(self, holders: Any, client: str) -> Ask:
        return Ask(holders.acquire, (2,))


class LeasesEpisode(Holding):
    data_class = Leases
    limit = inf

    def grant(self, holders: Any, client: str) -> Ask:
        return Ask(holders.acquire, (client,))

    def begin(self, client: str) -> None:
        super().begin(client)
        self.party.begin(client, repeated(self, lambda: self.look(client), 1.0))

    def look(self, client: str) -> Plan[None]:
        yield from ask(self.handles[client].live, self.rng.choice(self.names_held))

    def judge(self) -> None:
        super().judge()
        judges.lists_are_right(self.party.told, SKEW_S)


class ElectionsEpisode(Holding):
    data_class = Elections
    names_held = ("a",)

    def grant(self, holders: Any, client: str) -> Ask:
        return Ask(holders.stand, (client,))

    def begin(self, client: str) -> None:
        super().begin(client)
        self.party.begin(client, repeated(self, lambda: self.look(client)))

    def look(self, client: str) -> Plan[None]:
        yield from ask(self.handles[client].leader, "a")

    def judge(self) -> None:
        super().judge()
        judges.terms_only_grow(self.party.told)
        judges.beliefs_end_in_time(self.acts, self.party.told, SKEW_S)


class BarriersEpisode(Episode):
    """Clients meet in threes, again and again; some give up."""

    data_class = Barriers
    clients = 6
    parties = 3

    def begin(self, client: str) -> None:
        self.party.begin(client, repeated(self, lambda: self.meet(client)))

    def meet(self, client: str) -> Plan[None]:
        rng, barriers = self.rng, self.handles[client]
        patience = rng.choice([1.0, 5.0])
        try:
            yield from meeting(barriers, "a", self.parties, 3.0, patience, self.party.clock)
        except fleet.FleetError:
            pass

    def judge(self) -> None:
        told = self.party.told
        judges.in_order(told, ("arrive", "leave"))
        judges.they_pass_together(self.parties, told)


class RateLimitsEpisode(Episode):
    data_class = RateLimits
    rate, burst = 4.0, 3

    def begin(self, client: str) -> None:
        self.party.begin(client, repeated(self, lambda: self.take(client), 0.1))

    def take(self, client: str) -> Plan[None]:
        n = self.rng.choice([1, 1, 2])
        yield from ask(self.handles[client].take, "a", self.rate, self.burst, n)

    def judge(self) -> None:
        told = self.party.told
        judges.in_order(told, ("take",))
        judges.no_more_than_the_rate(self.rate, self.burst, told, SKEW_S)


class CountersEpisode(Episode):
    """Linearizable, with the class itself as the model: it knows no time."""

    data_class = Counters

    def begin(self, client: str) -> None:
        self.party.begin(client, repeated(self, lambda: self.count(client), 0.8))

    def count(self, client: str) -> Plan[None]:
        rng, counters = self.rng, self.handles[client]
        name = rng.choice("ab")
        match rng.choice(["add", "add", "get", "reset"]):
            case "add":
                yield from ask(counters.add, name, rng.randint(-2, 3))
            case "get":
                yield from ask(counters.get, name)
            case "reset":
                yield from ask(counters.reset, name, rng.randint(0, 2))

    def judge(self) -> None:
        self.sim.calls(GROUP).cls = Counters  # not a planted one
        why = self.sim.explain(GROUP)
        assert why is None, why


class KVEpisode(Episode):
    """Clients change keys by compare-and-set and otherwise; keys that begin with t have a time to live."""

    data_class = KV
    ttl = 2.0

    def begin(self, client: str) -> None:
        self.known: dict[tuple[str, str], int] = defaultdict(int)
        self.count = 0
        self.party.begin(client, repeated(self, lambda: self.use(client), 0.2))

    def use(self, client: str) -> Plan[None]:
        rng, kv, known = self.rng, self.handles[client], self.known
        key = rng.choice(["a", "b", "t1", "t2"])
        ttl = self.ttl if key[0] == "t" else None
        self.count += 1
        match rng.choice(["cas", "cas", "cas", "put", "delete", "get", "get", "now"]):
            case "cas":
                revision = known[client, key]
                told = yield from ask(kv.compare_and_set, key, revision, self.count, ttl)
                known[client, key] = told or 0
            case "put":
                known[client, key] = (yield from ask(kv.put, key, self.count, ttl)) or 0
            case "delete":
                yield from ask(kv.delete, key, rng.choice([None, known[client, key]]))
            case "get":
                entry = yield from ask(kv.entry, key)
                known[client, key] = entry[1] if entry else 0
            case "now":
                entry = yield from ask(kv.entry_now, key)
                known[client, key] = entry[1] if entry else 0

    def judge(self) -> None:
        judges.keys_are_linearizable(self.party.told, self.ttl, SKEW_S)


EPISODES: dict[str, type[Episode]] = {
    one.data_class.__name__: one
    for one in (
        KVEpisode,
        LocksEpisode,
        SemaphoresEpisode,
        LeasesEpisode,
        ElectionsEpisode,
        BarriersEpisode,
        RateLimitsEpisode,
        CountersEpisode,
        JobQueueEpisode,
    )
}
