"""A queue of jobs that are pushed to workers."""

from collections import OrderedDict
from heapq import heapify, heappop, heappush
from math import inf
from typing import TYPE_CHECKING, Any, Final, Generic

from fleet.errors import Reject
from fleet.objects.context import ctx
from fleet.objects.declare import Data, command, query, reminder
from fleet.objects.payload import encode_value
from fleet.recipes.jobs import (
    CANCELLED,
    KEY_MAX,
    NAME_MAX,
    WHOLE_MAX,
    Assigned,
    Job,
    Outcome,
    Worker,
    check_name,
    kind_of,
    seconds,
    time_after,
    whole,
)

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    T = TypeVar("T", default=Any)
else:
    from typing import TypeVar

    T = TypeVar("T")
    """Of the payloads; a queue that does not say takes any."""
ATTEMPTS: Final = 3
BACKOFF_S: Final = 1.0
BACKOFF_MAX_S: Final = 3600.0
KEYS_KEPT: Final = 10_000
"""Keys of jobs that are over; with the same key, no other job is put while its key is kept."""
DEAD_KEPT: Final = 10_000
STALE_MAX: Final = 1_000
"""A heap has no more entries that mean nothing any more than this, and one for each that does."""


class JobQueue(Data, Generic[T], events_kept=2_000):
    """Jobs wait here until a worker has room, most urgent first, and those put first among equals. A command
    that makes room, or brings a job, also assigns: the worker is told by an event of its own kind. It has the
    job for as long as its lease lasts, which `heartbeat` renews, and settles it with the token that it got:
    after the lease somebody else may have the job, and the old token is refused.

    `fleet.worker` makes a worker of a function. Each command looks after what is over, or delayed, by then; a
    reminder does when no command comes. `JobQueue[Email]` is a queue of payloads of that type.
    """

    jobs: dict[int, Job] = {}
    """All that are not over, by number."""
    workers: dict[str, Worker] = {}
    running: dict[str, OrderedDict[int, None]] = {}
    """By worker, the jobs that it has."""
    free: OrderedDict[str, None] = OrderedDict()
    """Workers with room; the first is next."""
    ready: list[tuple[int, int]] = []
    """A heap: below priority, number. Stale, where the job does not wait any more."""
    delayed: list[tuple[float, int]] = []
    """A heap: when the delay is over, number. Stale, where the job has no such delay."""
    leases: list[tuple[float, str]] = []
    """A heap: when the worker is to be looked at, which is no later than its lease is over. Stale, where that
    is not its `look_at`."""
    keys: dict[str, int] = {}
    """Of jobs that are not over, by key; each of these jobs knows its key. No key is in `over`, too."""
    over: OrderedDict[str, int] = OrderedDict()
    """Keys of jobs that are over, the oldest first."""
    dead: OrderedDict[int, Job] = OrderedDict()
    """Jobs that failed too often, until they are revived or dropped."""
    look_at: float = inf
    """When the reminder is due that looks after leases and delays; inf: there is none."""
    last: int = 0
    counts: dict[str, int] = {}

    # -- for those who have work to do -----------------------------------------------------------------

    @command
    def put(
        self,
        payload: T,
        priority: int = 0,
        delay: float = 0.0,
        key: str | None = None,
        attempts: int = ATTEMPTS,
        backoff: float = BACKOFF_S,
    ) -> int:
        """Returns the job's number. With a `key` that a job has or had, that one's.

        `delay`: seconds before it is given to a worker. `attempts`: after so many that fail, or get lost with
        their worker, it is dead. `backoff`: seconds before the second one, doubled for each further one.
        Raises Rejected: one of them is out of range.
        """
        number = self._put(payload, priority, delay, key, attempts, backoff)
        self._go_on()
        return number

    @command
    def put_many(self, payloads: list[T], priority: int = 0) -> list[int]:
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
        """Let a dead job have its attempts anew. It has its key again, unless a newer job was put under that.
        Rejected: there is none of that number."""
        job = self.dead.pop(number, None)
        if job is None:
            raise Reject(f"no dead job has the number {number}")
        key = job.key
        if key is not None and (self.keys.get(key) or self.over.get(key, number)) != number:
            key = None
        if key is not None:
            self.over.pop(key, None)
            self.keys[key] = number
        self.jobs[number] = job._replace(attempt=0, key=key)
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
        delayed = sum(self._is_delayed(until, number) for until, number in self.delayed)
        now = {"running": running, "delayed": delayed, "waiting": len(self.jobs) - running - delayed}
        return now | {"dead": len(self.dead), "workers": len(self.workers)} | self.counts

    # -- for workers -----------------------------------------------------------------------------------

    @command
    def attach(self, worker: str, capacity: int, lease: float) -> list[Assigned]:
        """Take part, or go on doing so: with room for so many jobs, each for `lease` seconds from the last
        word of it. Returns those that it has; later ones are told by events of the kind `kind_of(worker)`, as
        tuples; see CANCELLED. Whoever attaches under a name is that worker: two that run at a time need two.
        Raises Rejected: the name, the capacity or the lease is out of range."""
        check_name("a worker's name", worker, NAME_MAX)
        capacity, lease = whole("capacity", capacity, 1), seconds("lease", lease, may_be_zero=False)
        known = self.workers.get(worker)
        if known is not None and known.until <= ctx.now:
            self._lose(worker)
            known = None
        if known is None:
            self.running[worker] = OrderedDict()
        until = time_after(lease)
        self.workers[worker] = Worker(capacity, lease, until, known.look_at if known else inf)
        if until < self.workers[worker].look_at:
            self._look_again(worker, until)
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
        self._go_on()
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
        self, payload: T, priority: int, delay: float, key: str | None, attempts: int, backoff: float
    ) -> int:
        priority = whole("priority", priority, -WHOLE_MAX)
        attempts = whole("attempts", attempts, 1)
        delay, backoff = seconds("delay", delay), seconds("backoff", backoff)
        if key is not None:
            check_name("a job's key", key, KEY_MAX)
            if known := self.keys.get(key) or self.over.get(key):
                return known
        self.last += 1
        self.jobs[self.last] = Job(payload, priority, attempts, backoff, key)
        if key is not None:
            self.keys[key] = self.last
        self._count("put")
        self._wait(self.last, delay)
        return self.last

    def _wait(self, number: int, delay: float) -> None:
        job = self.jobs[number]
        until = time_after(delay) if delay > 0 else 0.0
        self.jobs[number] = job._replace(worker="", until=until)
        if until:
            heappush(self.delayed, (until, number))
        else:
            heappush(self.ready, (-job.priority, number))

    def _is_delayed(self, until: float, number: int) -> bool:
        job = self.jobs.get(number)
        return job is not None and job.until == until

    def _go_on(self) -> None:
        """What is over, or due, by now; then each job that waits to a worker with room."""
        now = ctx.now
        while self.leases and self.leases[0][0] <= now:
            at, worker = heappop(self.leases)
            known = self.workers.get(worker)
            if known is None or known.look_at != at:
                continue
            if known.until > now:
                self._look_again(worker, known.until)
            else:
                self._lose(worker)
        while self.delayed:
            until, number = self.delayed[0]
            is_delayed = self._is_delayed(until, number)
            if is_delayed and until > now:
                break
            heappop(self.delayed)
            if is_delayed:
                self._wait(number, 0.0)
        while self.ready and self.free:
            _, number = heappop(self.ready)
            if self._is_ready(number):
                self._assign(number, next(iter(self.free)))
        self._tidy()
        self._be_reminded()

    def _is_ready(self, number: int) -> bool:
        job = self.jobs.get(number)
        return job is not None and not job.worker and not job.until

    def _tidy(self) -> None:
        """Drop stale entries, once most entries are stale."""
        if len(self.ready) + len(self.delayed) > 2 * len(self.jobs) + STALE_MAX:
            self.ready = [one for one in self.ready if self._is_ready(one[1])]
            self.delayed = [one for one in self.delayed if self._is_delayed(*one)]
            heapify(self.ready)
            heapify(self.delayed)
        if len(self.leases) > 2 * len(self.workers) + STALE_MAX:
            self.leases = [(worker.look_at, name) for name, worker in self.workers.items()]
            heapify(self.leases)

    def _be_reminded(self) -> None:
        """Time passes without commands: look again when the next lease or delay may be over."""
        look_at = min(self.leases[0][0] if self.leases else inf, self.delayed[0][0] if self.delayed else inf)
        if look_at == self.look_at:
            return
        self.look_at = look_at
        if look_at < inf:
            ctx.remind("look", key="next", at=look_at)
        else:
            ctx.forget("look", key="next")

    @reminder("look")
    def _look(self) -> None:
        self.look_at = inf
        self._go_on()

    def _assign(self, number: int, worker: str) -> None:
        job = self.jobs[number]
        self.jobs[number] = job._replace(worker=worker, token=ctx.index, attempt=job.attempt + 1)
        self.running[worker][number] = None
        self._look_for_room(worker)
        ctx.emit(kind_of(worker), tuple(self._told(number)))

    def _told(self, number: int) -> Assigned:
        job = self.jobs[number]
        return Assigned(number, job.token, job.attempt, encode_value(job.payload))

    def _take_back(self, number: int) -> None:
        worker = self.jobs[number].worker
        if worker:
            del self.running[worker][number]
            self._look_for_room(worker)

    def _fail(self, number: int, what: str, error: str) -> None:
        """The attempt that is under way."""
        self._take_back(number)
        self._count(what)
        job = self.jobs[number] = self.jobs[number]._replace(worker="", error=error)
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
        self.workers[worker] = known._replace(until=time_after(known.lease))

    def _look_again(self, worker: str, at: float) -> None:
        self.workers[worker] = self.workers[worker]._replace(look_at=at)
        heappush(self.leases, (at, worker))

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
