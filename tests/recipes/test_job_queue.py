"""The job queue as a plain object: what each command does."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import fleet.testing
from fleet.errors import Reject
from fleet.recipes import JobQueue
from fleet.recipes.job_queue import SAY, Assigned, kind_of
from fleet.testing import executing


class Run:
    """A queue, its time, and what its workers were told."""

    def __init__(self) -> None:
        self.queue = JobQueue()
        self.now = 1000.0
        self.index = 0
        self.told: list[tuple[str, Any]] = []

    @contextmanager
    def at(self) -> Iterator[JobQueue]:
        self.index += 1
        with executing(now=self.now, index=self.index) as ran:
            yield self.queue
            self.told += [(event.kind, event.value) for event in ran.events]

    def __getattr__(self, method: str) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            with self.at() as queue:
                return getattr(queue, method)(*args, **kwargs)

        return call

    def pushed(self, worker: str = "w") -> list[Assigned]:
        """Since it was asked last."""
        found = [Assigned(*value) for kind, value in self.told if kind == kind_of(worker)]
        found = [one for one in found if one.attempt != SAY]
        self.told = [one for one in self.told if one[0] != kind_of(worker)]
        return found

    def payloads(self, worker: str = "w") -> list[Any]:
        return [one.payload for one in self.pushed(worker)]

    @property
    def counts(self) -> dict[str, int]:
        return self.queue.statistics()


def settled(run: Run, job: Assigned, error: str | None = None, worker: str = "w") -> bool:
    return not run.settle(worker, [(job.id, job.token, error)])


def test_a_job_is_assigned_by_the_command_that_brings_it_or_makes_room() -> None:
    run = Run()
    assert run.put("a") == 1 and not run.told
    assert run.attach("w", 2, 10.0) == [Assigned(1, 2, 1, "a")]
    run.put("b")
    run.put("c")
    first, second = run.pushed()
    assert (first, second) == (Assigned(1, 2, 1, "a"), Assigned(2, 3, 1, "b"))
    assert settled(run, first)
    assert run.pushed() == [Assigned(3, 5, 1, "c")]
    assert run.counts["running"] == 2 and run.counts["done"] == 1


def test_the_most_urgent_comes_first_and_among_equals_the_oldest() -> None:
    run = Run()
    for payload, priority in [("a", 0), ("b", 5), ("c", -1), ("d", 5), ("e", 0)]:
        run.put(payload, priority=priority)
    run.attach("w", 5, 10.0)
    assert run.payloads() == ["b", "d", "a", "e", "c"]


def test_workers_with_room_take_turns() -> None:
    run = Run()
    run.attach("v", 2, 10.0)
    run.attach("w", 2, 10.0)
    run.put_many(["a", "b", "c", "d", "e"])
    assert (run.payloads("v"), run.payloads("w")) == (["a", "c"], ["b", "d"])
    assert run.counts["waiting"] == 1


def test_a_worker_that_is_not_heard_of_loses_its_jobs_to_others() -> None:
    run = Run()
    run.attach("w", 1, 10.0)
    run.put("a")
    (job,) = run.pushed()
    run.now += 9
    run.attach("v", 1, 10.0)
    assert run.heartbeat("w") == [1]
    run.now += 9
    assert run.heartbeat("v") == [] and run.pushed("v") == []
    run.now += 2
    assert run.heartbeat("v") == []
    run.now += 1.1  # the second attempt waits for a second
    run.heartbeat("v")
    (again,) = run.pushed("v")
    assert again.attempt == 2 and again.token > job.token
    assert not settled(run, job) and settled(run, again, worker="v")
    assert run.counts["done"] == 1 and run.counts["expired"] == 1
    with pytest.raises(Reject, match="attach again"):
        run.heartbeat("w")


def test_a_worker_that_is_idle_and_dies_gets_no_more() -> None:
    run = Run()
    run.attach("w", 1, 10.0)
    run.now += 11
    run.put("a")
    assert run.pushed() == [] and run.counts["workers"] == 0


def test_a_worker_that_attaches_again_is_told_what_it_has() -> None:
    run = Run()
    run.attach("w", 2, 10.0)
    run.put_many(["a", "b", "c"])
    first, second = run.pushed()
    run.settle("w", [(first.id, first.token, None)])
    (third,) = run.pushed()
    assert run.attach("w", 2, 10.0) == [second, third] and run.pushed() == []


def test_a_job_that_fails_is_tried_again_later_and_later_and_dies_at_last() -> None:
    run = Run()
    run.attach("w", 1, 100.0)
    number = run.put("a", attempts=3, backoff=2.0)
    for pause in (2.0, 4.0):
        (job,) = run.pushed()
        assert settled(run, job, "broken")
        assert run.counts["delayed"] == 1
        run.now += pause - 0.1
        run.heartbeat("w")
        assert run.pushed() == []
        run.now += 0.2
        run.heartbeat("w")
    (job,) = run.pushed()
    assert job.attempt == 3 and settled(run, job, "broken for good")
    assert run.counts["dead"] == run.counts["died"] == 1 and run.counts["failed"] == 3
    assert ("dead", (number, "broken for good")) in run.told
    (dead,) = run.queue.dead_letters().values()
    assert run.queue.job(number) == dead and dead.error == "broken for good"
    run.revive(number)
    (job,) = run.pushed()
    assert (job.id, job.attempt) == (number, 1) and settled(run, job)
    with pytest.raises(Reject, match="no dead job"):
        run.revive(number)


def test_a_poisonous_job_does_not_kill_workers_for_ever() -> None:
    run = Run()
    run.put("poison", attempts=2, backoff=0.0)
    for name in "vw":
        run.attach(name, 1, 10.0)
        run.now += 11
    run.put("good")
    (dead,) = run.queue.dead_letters().values()
    assert dead.payload == "poison" and dead.error == "worker w was not heard of in time"


def test_a_delayed_job_waits_for_its_time() -> None:
    run = Run()
    run.attach("w", 5, 100.0)
    run.put("later", delay=5.0)
    assert run.told == [(kind_of("w"), (0, 0, SAY, 5.0))], "it is told to say a word then"
    run.now += 2
    run.put("now")
    assert run.payloads() == ["now"] and run.counts["delayed"] == 1
    run.heartbeat("w")
    assert run.told == [(kind_of("w"), (0, 0, SAY, 3.0))]
    run.now -= 2
    run.now += 5
    run.heartbeat("w")
    assert run.payloads() == ["later"]


def test_one_job_is_put_under_a_key() -> None:
    run = Run()
    first = run.put("a", key="k")
    assert run.put("b", key="k") == first != run.put("c", key="other")
    run.attach("w", 5, 100.0)
    for job in run.pushed():
        settled(run, job)
    assert run.put("again", key="k") == first, "also when it is over"
    assert run.counts["put"] == 2


def test_a_job_is_cancelled_wherever_it_is() -> None:
    run = Run()
    run.attach("w", 1, 100.0)
    running, waiting, later = run.put("a"), run.put("b"), run.put("c", delay=9.0)
    (job,) = run.pushed()
    assert run.cancel(waiting) and run.cancel(later) and run.cancel(running)
    assert run.pushed() == [Assigned(running, job.token, 0, None)], "its worker is told"
    assert not settled(run, job)
    assert not run.cancel(running) and run.counts["cancelled"] == 3
    assert run.queue.jobs == {} and run.put("d") and run.payloads() == ["d"]


def test_whoever_detaches_gives_its_jobs_back_as_if_untried() -> None:
    run = Run()
    run.attach("w", 2, 100.0)
    run.put_many(["a", "b"])
    run.detach("w")
    run.detach("w")
    run.attach("v", 2, 100.0)
    assert [(one.payload, one.attempt) for one in run.pushed("v")] == [("a", 1), ("b", 1)]
    assert run.counts["workers"] == 1


@pytest.mark.parametrize(
    ("method", "args"),
    [
        ("put", ("a", 0, -1.0)),
        ("put", ("a", 0, 0.0, None, 0)),
        ("put", ("a", 0, 0.0, None, 1, float("nan"))),
        ("attach", ("w", 0, 1.0)),
        ("attach", ("w", 1, 0.0)),
        ("heartbeat", ("nobody",)),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(method: str, args: Any) -> None:
    run = Run()
    with pytest.raises(Reject):
        getattr(run, method)(*args)
    assert vars(run.queue) == vars(JobQueue())


def test_the_class_can_be_replicated() -> None:
    fleet.testing.check(JobQueue, seeds=5, calls={"settle": lambda rng: ("w", [(1, 2, None)])})
