"""A queue of jobs that are pushed to workers."""

from collections import OrderedDict
from heapq import heappop, heappush
from math import inf
from typing import Any, Final, NamedTuple, TypeAlias

from fleet.errors import Reject
from fleet.objects.context import ctx
from fleet.objects.declare import Data, command, query

ATTEMPTS: Final = 3
BACKOFF_S: Final = 1.0
BACKOFF_MAX_S: Final = 3600.0
KEYS_KEPT: Final = 10_000
"""Keys of jobs that are over; with the same key, no other job is put while its key is kept."""
DEAD_KEPT: Final = 10_000
SAY: Final = -1
CANCELLED: Final = 0
"""In place of an attempt: the worker is to say a word in so many seconds; and what it does was cancelled."""
Outcome: TypeAlias = tuple[int, int, str | None]
"""Job, token, and why it failed; None: it was done."""


class Assigned(NamedTuple):
    """What a worker is told."""

    id: int
    token: int
    """The revision at which it was assigned, which grows: what the job writes to may compare it."""
    attempt: int
    """From 1 on."""
    payload: Any


class Job(NamedTuple):
    payload: Any
    priority: int
    attempts: int
    """So many at most."""
    backoff: float
    key: str | None
    attempt: int = 0
    """The one that is under way, or was the last."""
    worker: str = ""
    """That has it; "": it waits."""
    token: int = 0
    until: float = 0.0
    """When its delay is over; 0.0: it has none."""
    error: str = ""
    """Why the last attempt failed."""


class Worker(NamedTuple):
    capacity: int
    lease: float
    until: float


class JobQueue(Data, events_kept=2_000):
    """Jobs wait here until a worker has room, most urgent first, and those put first among equals. A command
    that makes room, or brings a job, also assigns: the worker is told by an event of its own kind. It has the
    job for as long as its lease lasts, which `heartbeat` renews, and settles it with the token that it got:
    after the lease somebody else may have the job, and the old token is refused.

    `fleet.worker` makes a worker of a function. Time is that of the last command: each looks after what is
    over, or delayed, and workers that are there see to it that commands come.
    """

    jobs: dict[int, Job] = {}
    """All that are not over, by number."""
    workers: dict[str, Worker] = {}
    running: dict[str, OrderedDict[int, None]] = {}
    """By worker, the jobs that it has."""
    free: OrderedDict[str, None] = OrderedDict()
    """Workers with room; the first is next."""
    ready: list[tuple[int, int]] = []
    """A heap: below priority, number. With some that wait no more."""
    delayed: list[tuple[float, int]] = []
    """A heap: when the delay is over, number. With some that are over."""
    leases: list[tuple[float, str]] = []
    """A heap: when the worker is to be looked at, which is no later than its lease is over."""
    keys: dict[str, int] = {}
    over: OrderedDict[str, int] = OrderedDict()
    """Keys of jobs that are over, the oldest first."""
    dead: OrderedDict[int, Job] = OrderedDict()
    """Jobs that failed too often, until they are revived or dropped."""
    told_due: float = 0.0
    """A worker was told to say a word at that time, since a delay is over then; 0.0: none was."""
    last: int = 0
    counts: dict[str, int] = {}

    # -- for those who have work to do -----------------------------------------------------------------

    @command
    def put(
        self,
        payload: Any,
        priority: int = 0,
        delay: float = 0.0,
        key: str | None = None,
        attempts: int = ATTEMPTS,
        backoff: float = BACKOFF_S,
    ) -> int:
        """Returns the job's number. With a `key` that a job has or had, that one's.

        `delay`: seconds before it is given to a worker. `attempts`: after so many that fail, or get lost with
        their worker, it is dead. `backoff`: seconds before the second one, doubled for each further one.
        """
        number = self._put(payload, priority, delay, key, attempts, backoff)
        self._go_on()
        return number

    @command
    def put_many(self, payloads: list[Any], priority: int = 0) -> list[int]:
        """As `put` of each."""
        numbers = [self._put(one, priority, 0.0, None, ATTEMPTS, BACKOFF_S) for one in payloads]
        self._go_on()
        return numbers

    @command
    def cancel(self, number: int) -> bool:
        """Whether it was still to be done. A worker that has it is told, and can settle it no more."""
        job = self.jobs.get(number) or self.dead.pop(number, None)
        if job is None:
            return False
        if job.worker:
            ctx.emit(kind_of(job.worker), (number, job.token, CANCELLED, None))
        if number in self.jobs:
            self._end(number, "cancelled")
        self._go_on()
        return True

    @command
    def revive(self, number: int) -> None:
        """Let a dead job have its attempts anew. Rejected: there is none of that number."""
        job = self.dead.pop(number, None)
        if job is None:
            raise Reject(f"no dead job has the number {number}")
        self.jobs[number] = job._replace(attempt=0, worker="")
        if job.key is not None:
            self.over.pop(job.key, None)
            self.keys[job.key] = number
        self._wait(number, 0.0)
        self._go_on()

    @query
    def job(self, number: int) -> Job | None:
        """None: it is over, or never was."""
        return self.jobs.get(number) or self.dead.get(number)

    @query
    def dead_letters(self, limit: int = 100) -> dict[int, Job]:
        """The oldest of them."""
        return dict(list(self.dead.items())[:limit])

    @query
    def statistics(self) -> dict[str, int]:
        """How many `waiting`, `delayed`, `running`, `dead`, `workers` there are, and how many there were:
        `put`, `done`, `failed` and `expired` attempts, `died`, `cancelled`."""
        running = sum(map(len, self.running.values()))
        delayed = sum(not job.worker and job.until > 0 for job in self.jobs.values())
        now = {"running": running, "delayed": delayed, "waiting": len(self.jobs) - running - delayed}
        return now | {"dead": len(self.dead), "workers": len(self.workers)} | self.counts

    # -- for workers -----------------------------------------------------------------------------------

    @command
    def attach(self, worker: str, capacity: int, lease: float) -> list[Assigned]:
        """Take part, or go on doing so: with room for so many jobs, each for `lease` seconds from the last
        word of it. Returns those that it has; later ones are told by events of the kind `kind_of(worker)`, as
        tuples; see CANCELLED and SAY."""
        if capacity < 1 or not 0 < lease < inf:
            raise Reject(f"capacity and lease are more than 0, not {capacity!r} and {lease!r}")
        if worker not in self.workers:
            self.running[worker] = OrderedDict()
            heappush(self.leases, (ctx.now, worker))
        self.workers[worker] = Worker(capacity, lease, ctx.now + lease)
        self._look_for_room(worker)
        self._go_on()
        return [self._told(number) for number in self.running[worker]]

    @command
    def heartbeat(self, worker: str) -> list[int]:
        """Renew what it has, and say which jobs these are. Rejected: it is not known, and has none."""
        known = self.workers.get(worker)
        if known is None or known.until <= ctx.now:
            raise Reject(f"worker {worker!r} is not attached, or its lease is over: attach again")
        self._renew(worker)
        self.told_due = 0.0
        self._go_on(worker)
        return list(self.running[worker])

    @command
    def settle(self, worker: str, outcomes: list[Outcome]) -> list[int]:
        """Jobs that are done or have failed. Returns those that were refused: their tokens are not valid any
        more, since the lease was over, or the job was cancelled."""
        refused = []
        for number, token, error in outcomes:
            job = self.jobs.get(number)
            if job is None or not job.worker or job.token != token:
                refused.append(number)
            elif error is None:
                self._end(number, "done")
            else:
                self._fail(number, "failed", error)
        if worker in self.workers:
            self._renew(worker)
        self._go_on()
        return refused

    @command
    def detach(self, worker: str) -> None:
        """Leave: what it has goes to others at once, as if it had not been tried."""
        if worker in self.workers:
            for number in list(self.running[worker]):
                job = self.jobs[number]
                self.jobs[number] = job._replace(attempt=job.attempt - 1)
                self._take_back(number)
                self._wait(number, 0.0)
            self._forget(worker)
        self._go_on()

    # -- jobs ------------------------------------------------------------------------------------------

    def _put(
        self, payload: Any, priority: int, delay: float, key: str | None, attempts: int, backoff: float
    ) -> int:
        if attempts < 1 or not 0 <= delay < inf or not 0 <= backoff < inf:
            raise Reject("attempts are 1 at least, and delay and backoff no less than 0 seconds")
        if key is not None and (known := self.keys.get(key) or self.over.get(key)):
            return known
        self.last += 1
        self.jobs[self.last] = Job(payload, priority, attempts, backoff, key)
        if key is not None:
            self.keys[key] = self.last
        self._count("put")
        self._wait(self.last, delay)
        return self.last

    def _wait(self, number: int, seconds: float) -> None:
        job = self.jobs[number]
        until = ctx.now + seconds if seconds > 0 else 0.0
        self.jobs[number] = job._replace(worker="", until=until)
        if until:
            heappush(self.delayed, (until, number))
        else:
            heappush(self.ready, (-job.priority, number))

    def _go_on(self, caller: str = "") -> None:
        """What is over, or due, by now; then each job that waits to a worker with room."""
        now = ctx.now
        while self.leases and self.leases[0][0] <= now:
            _, worker = heappop(self.leases)
            known = self.workers.get(worker)
            if known is not None and known.until > now:
                heappush(self.leases, (known.until, worker))
            elif known is not None:
                self._lose(worker)
        while self.delayed and self.delayed[0][0] <= now:
            until, number = heappop(self.delayed)
            job = self.jobs.get(number)
            if job is not None and job.until == until:
                self._wait(number, 0.0)
        while self.ready and self.free:
            _, number = heappop(self.ready)
            job = self.jobs.get(number)
            if job is not None and not job.worker and not job.until:
                self._assign(number, next(iter(self.free)))
        if self.delayed and self.delayed[0][0] != self.told_due:
            self._say_when(caller or next(reversed(self.workers), ""))

    def _say_when(self, worker: str) -> None:
        """Time passes with commands: let a worker see to it that there is one when the next delay is over."""
        if worker in self.workers:
            self.told_due = self.delayed[0][0]
            seconds = max(0.0, self.told_due - ctx.now)
            ctx.emit(kind_of(worker), (0, 0, SAY, seconds))

    def _assign(self, number: int, worker: str) -> None:
        job = self.jobs[number]
        self.jobs[number] = job._replace(worker=worker, token=ctx.index, attempt=job.attempt + 1)
        self.running[worker][number] = None
        self._look_for_room(worker)
        ctx.emit(kind_of(worker), tuple(self._told(number)))

    def _told(self, number: int) -> Assigned:
        job = self.jobs[number]
        return Assigned(number, job.token, job.attempt, job.payload)

    def _take_back(self, number: int) -> None:
        worker = self.jobs[number].worker
        if worker:
            del self.running[worker][number]
            self._look_for_room(worker)

    def _fail(self, number: int, what: str, error: str) -> None:
        """The attempt that is under way."""
        self._take_back(number)
        self._count(what)
        job = self.jobs[number] = self.jobs[number]._replace(worker="", until=0.0, error=error)
        if job.attempt < job.attempts:
            self._wait(number, min(job.backoff * 2.0 ** min(job.attempt - 1, 60), BACKOFF_MAX_S))
            return
        self._end(number, "died")
        self.dead[number] = job
        ctx.emit("dead", (number, error))
        if len(self.dead) > DEAD_KEPT:
            self.dead.popitem(last=False)

    def _end(self, number: int, how: str) -> None:
        self._take_back(number)
        self._count(how)
        key = self.jobs.pop(number).key
        if key is not None:
            self.over[key] = self.keys.pop(key)
            if len(self.over) > KEYS_KEPT:
                self.over.popitem(last=False)

    def _count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    # -- workers ---------------------------------------------------------------------------------------

    def _renew(self, worker: str) -> None:
        known = self.workers[worker]
        self.workers[worker] = known._replace(until=ctx.now + known.lease)

    def _look_for_room(self, worker: str) -> None:
        if len(self.running[worker]) >= self.workers[worker].capacity:
            self.free.pop(worker, None)
        else:
            self.free[worker] = None
            self.free.move_to_end(worker)

    def _lose(self, worker: str) -> None:
        """Nothing was heard of it for the time of its lease."""
        error = f"worker {worker} was not heard of in time"  # no constant: a state's bytes would tell its age
        for number in list(self.running[worker]):
            self._fail(number, "expired", error)
        self._forget(worker)

    def _forget(self, worker: str) -> None:
        del self.workers[worker], self.running[worker]
        self.free.pop(worker, None)


def kind_of(worker: str) -> str:
    """Of the events that tell a worker of its jobs."""
    return f"job/{worker}"
