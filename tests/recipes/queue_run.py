"""A job queue as a plain object, with its time and what its workers are told."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from fleet.objects.payload import decode_value
from fleet.recipes import JobQueue
from fleet.recipes.jobs import Assigned, kind_of
from fleet.testing import executing


class Pushed(NamedTuple):
    """What a worker is told, with the payload itself."""

    id: int
    token: int
    attempt: int
    payload: Any


def loaded(one: Assigned) -> Pushed:
    return Pushed(*one[:3], None if one.payload is None else decode_value(one.payload))


class Run:
    """A queue, its time, its one reminder, and what its workers were told."""

    def __init__(self) -> None:
        self.queue = JobQueue()
        self.now = 1000.0
        self.index = 0
        self.told: list[tuple[str, Any]] = []
        self.reminded_at: float | None = None

    @contextmanager
    def at(self) -> Iterator[JobQueue]:
        self.index += 1
        with executing(now=self.now, index=self.index) as ran:
            yield self.queue
            self.told += [(event.kind, event.value) for event in ran.events]
            for one in ran.reminders:
                self.reminded_at = one.at

    def wait(self, seconds: float) -> None:
        """Nobody says a word, but the group calls the reminder whenever that is due."""
        until = self.now + seconds
        while self.reminded_at is not None and self.reminded_at <= until:
            self.now, self.reminded_at = self.reminded_at, None
            self._look()
        self.now = until

    def __getattr__(self, method: str) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            with self.at() as queue:
                return getattr(queue, method)(*args, **kwargs)

        return call

    def pushed(self, worker: str = "w") -> list[Pushed]:
        """Since it was asked last."""
        found = [loaded(Assigned(*value)) for kind, value in self.told if kind == kind_of(worker)]
        self.told = [one for one in self.told if one[0] != kind_of(worker)]
        return found

    def payloads(self, worker: str = "w") -> list[Any]:
        return [one.payload for one in self.pushed(worker)]

    @property
    def counts(self) -> dict[str, int]:
        return self.queue.statistics()


def settled(run: Run, job: Pushed, error: str | None = None, worker: str = "w") -> bool:
    return not run.settle(worker, [(job.id, job.token, error)])


def dead(run: Run, *args: Any, **kwargs: Any) -> int:
    """The number of a job that died."""
    number: int = run.put(*args, attempts=1, priority=9, **kwargs)
    (job,) = [one for one in run.pushed() if one.id == number]
    assert settled(run, job, "broken")
    return number
