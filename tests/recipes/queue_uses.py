"""What producers and workers of a queue do in an episode, and what is judged of it."""

import random
from collections import Counter
from typing import Any

import fleet
from fleet.objects.watch import position_of
from fleet.recipes import JobQueue
from fleet.recipes.jobs import Assigned, Outcome
from fleet.recipes.plans import Pause, Plan
from fleet.sim.checks.appliers import applier_of
from tests.recipes.episodes import GROUP, Episode, ask, repeated
from tests.recipes.party import Told

LEASE_S = 2.0
SILENCE_S = 10.0
"""Longer than a lease and the calls of a client that gave up waiting for them."""


class JobQueueEpisode(Episode):
    """Two clients put jobs, with keys and delays, and cancel some; others work: they ask what they have by
    attaching again, stand still, die, and some settle what is not theirs any more."""

    data_class = JobQueue
    clients = 6

    def begin(self, client: str) -> None:
        self.watch(client)
        number = self.names.index(client)
        if number < 2:
            self.party.begin(client, repeated(self, lambda: self.produce(client), 0.2))
        else:
            self.party.begin(client, repeated(self, lambda: self.work(client), 0.5))

    def produce(self, client: str) -> Plan[None]:
        rng, queue = self.rng, self.handles[client]
        key = rng.choice([None, None, f"k{rng.randrange(8)}"])
        delay = rng.choice([0.0, 0.0, 1.5])
        number = yield from ask(queue.put, client, rng.randrange(3), delay, key, 99, 0.1)
        if number is not None and rng.random() < 0.1:
            yield Pause(rng.uniform(0.0, 1.0))
            yield from ask(queue.cancel, number)

    def work(self, client: str) -> Plan[None]:
        """One life of a worker, which has a name of its own."""
        rng, queue = self.rng, self.handles[client]
        name = f"{client}/{rng.getrandbits(32):08x}"
        for _ in range(rng.randrange(1, 12)):
            held = yield from ask(queue.attach, name, 2, LEASE_S)
            if held is None:
                return
            yield Pause(rng.uniform(0.0, 0.6))
            outcomes: list[Outcome] = [
                (one.id, one.token, rng.choice([None, None, None, "broken"])) for one in held
            ]
            match rng.choice(["settle", "settle", "settle", "late", "gone", "heartbeat"]):
                case "settle":
                    yield from ask(queue.settle, name, outcomes)
                case "late":
                    yield Pause(rng.uniform(0.0, 2 * LEASE_S))
                    yield from ask(queue.settle, name, outcomes)
                case "gone":
                    return
                case "heartbeat":
                    yield from ask(queue.heartbeat, name)
        if rng.random() < 0.5:
            yield from ask(queue.detach, name)

    def calm(self) -> None:
        super().calm()
        self.party.begin("c3", self.work_off("c3"))

    def work_off(self, client: str) -> Plan[None]:
        """Once nobody says a word, the queue has to take back what the others had. Then the last worker does
        all that is left, and counts."""
        queue = self.handles[client]
        while len(self.party.doing) > 1:
            yield Pause(0.5)
        yield Pause(SILENCE_S)
        counts = yield from ask(queue.statistics)
        assert counts is None or not counts["workers"], f"after {SILENCE_S} s without a word: {counts}"
        while True:
            held = yield from ask(queue.attach, "last", 50, 60.0)
            yield from ask(queue.settle, "last", [(one.id, one.token, None) for one in held or ()])
            counts = yield from ask(queue.statistics)
            left = counts is None or any(counts[what] for what in ("waiting", "delayed", "running"))
            if len(self.party.doing) == 1 and not left:
                return
            yield Pause(0.5)

    def judge(self) -> None:
        judge(self.party.told)
        self.judge_watches()

    # -- who watches -----------------------------------------------------------------------------------

    def watch(self, client: str, since: Any = 0) -> None:
        if not hasattr(self, "watches"):
            self.watches: list[tuple[str, Any, Any]] = []
            self.sim.timeout = 600.0
        watch = self.handles[client].watch(since=since)
        watch.begin()
        self.watches.append((client, watch, position_of(since)))

    def disturb(self) -> None:
        """Clients begin more watches, which share a stream with those that they have."""
        super().disturb()
        if self.own_rng.random() < 0.1:
            client, other, _ = self.own_rng.choice(self.watches)
            told = other._queue.events
            place = self.own_rng.randrange(len(told) + 1)
            self.watch(client, "{}-{}".format(*told[place - 1].position) if place else 0)

    @property
    def own_rng(self) -> random.Random:
        if not hasattr(self, "_own_rng"):
            self._own_rng = random.Random(f"{self.sim.seed} watches")
        return self._own_rng

    def judge_watches(self) -> None:
        """All are told what the members keep: no event is missed, none comes twice, and all in order."""
        members = self.sim.world.members_of(GROUP)
        kept = [applier.events for applier in map(applier_of, members) if applier is not None]
        newest = max(kept, key=lambda log: len(log.events))
        assert newest.forgotten[0] == 0, "the episode emits more than is kept"
        wanted = [(client, watch, newest.after(since)) for client, watch, since in self.watches]

        def all_told() -> bool:
            return all(len(watch._queue.events) >= len(expected) for _, watch, expected in wanted)

        self.sim.run(20.0, all_told)
        for client, watch, expected in wanted:
            told, error = list(watch._queue.events), watch._queue.error
            assert error is None, f"the watch of {client}: {error!r}"
            if told != expected:
                places = [event.position for event in told], [event.position for event in expected]
                raise AssertionError(f"{client} was told {places[0]} of {places[1]}")


def judge(told: list[Told]) -> None:
    known = [one for one in told if one.error is None and one.method != "statistics"]
    known.sort(key=lambda one: one.revision)
    seen: dict[int, tuple[int, str]] = {}
    """The latest token of each job that was told, and to whom."""
    ended: dict[int, Told] = {}
    keys: dict[str, int] = {}
    for one in known:
        if one.method == "put":
            key = one.args[3]
            assert key is None or keys.setdefault(key, one.value) == one.value, f"{one}: two jobs of a key"
        elif one.method == "attach":
            assert len(one.value) <= one.args[1], f"{one}: more than it has room for"
            for job in one.value:
                note(seen, ended, one, job)
        elif one.method == "cancel" and one.value:
            assert one.args[0] not in ended, f"{one}: it was over by {ended[one.args[0]]}"
            ended[one.args[0]] = one
        elif one.method == "settle":
            take(seen, ended, one)
    last = [one for one in told if one.method == "statistics" and one.error is None][-1].value
    done = Counter("cancelled" if one.method == "cancel" else "done" for one in ended.values())
    unsure = sum(one.error is not None for one in told if one.method in ("settle", "put", "cancel"))
    assert last.get("put", 0) == last.get("done", 0) + last.get("cancelled", 0), f"jobs got lost: {last}"
    for what in ("done", "cancelled"):
        least, most = done[what], done[what] + (unsure and last.get("put", 0))
        assert least <= last.get(what, 0) <= most, f"{what}: {done[what]} were told, and {last} counted"


def note(seen: dict[int, tuple[int, str]], ended: dict[int, Told], one: Told, job: Assigned) -> None:
    """A worker is told that it has a job."""
    assert job.id not in ended, f"{one}: has job {job.id}, which was over by {ended[job.id]}"
    token, worker = seen.get(job.id, (0, ""))
    assert job.token <= one.revision, f"{one}: a token of the future"
    assert job.token >= token, f"{one}: has job {job.id} after {worker} got it with token {token}"
    assert job.token > token or worker == one.args[0], f"{one}: the token of {worker}"
    seen[job.id] = (job.token, one.args[0])


def take(seen: dict[int, tuple[int, str]], ended: dict[int, Told], one: Told) -> None:
    """What was settled, but for what was refused."""
    refused = Counter(one.value)
    for number, token, error in one.args[1]:
        if refused[number]:
            continue
        assert number not in ended, f"{one}: settles job {number}, which was over by {ended[number]}"
        latest, worker = seen.get(number, (0, ""))
        assert token >= latest, f"{one}: settles job {number}, which {worker} has with token {latest}"
        if error is None:
            ended[number] = one


class IgnoresTokens(JobQueue):
    """Whoever settles a job that somebody has is taken at its word."""

    @fleet.command
    def settle(self, worker: str, outcomes: list[Outcome]) -> list[int]:
        mine: Any = [
            (number, self.jobs[number].token, error) for number, _, error in outcomes if number in self.jobs
        ]
        return JobQueue.settle(self, worker, mine)


class ForgetsWhoIsGone(JobQueue):
    """What a worker had that is gone stays with it."""

    def _lose(self, worker: str) -> None:
        self.free.pop(worker, None)


class PutsAgain(JobQueue):
    """A key is forgotten with its job."""

    def _end(self, number: int, how: str) -> None:
        super()._end(number, how)
        self.over.clear()


class NeedsAWord(JobQueue):
    """It looks after leases and delays when a command comes, and at no other time."""

    def _be_reminded(self) -> None:
        pass
