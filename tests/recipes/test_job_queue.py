"""The job queue as a plain object: what each command does."""

from typing import Any

import pytest

import fleet.testing
from fleet.errors import Reject
from fleet.recipes import JobQueue
from fleet.recipes.job_queue import STALE_MAX
from tests.recipes.queue_run import Pushed, Run, dead, loaded, settled


def test_a_job_is_assigned_by_the_command_that_brings_it_or_makes_room() -> None:
    run = Run()
    assert run.put("a") == 1 and not run.told
    assert list(map(loaded, run.attach("w", 2, 10.0))) == [Pushed(1, 2, 1, "a")]
    run.put("b")
    run.put("c")
    first, second = run.pushed()
    assert (first, second) == (Pushed(1, 2, 1, "a"), Pushed(2, 3, 1, "b"))
    assert settled(run, first)
    assert run.pushed() == [Pushed(3, 5, 1, "c")]
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
    assert list(map(loaded, run.attach("w", 2, 10.0))) == [second, third] and run.pushed() == []


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


def test_a_delayed_job_comes_in_time_although_nobody_says_a_word() -> None:
    run = Run()
    run.attach("w", 5, 100.0)
    run.put("later", delay=5.0)
    run.wait(2.0)
    run.put("now")
    assert run.payloads() == ["now"] and run.counts["delayed"] == 1
    run.put("soon", delay=0.5)
    run.wait(1.0)
    assert run.payloads() == ["soon"]
    run.wait(1.9)
    assert run.payloads() == []
    run.wait(0.2)
    assert run.payloads() == ["later"]


def test_a_lost_worker_s_jobs_are_others_although_nobody_says_a_word() -> None:
    run = Run()
    run.put("a", backoff=2.0)
    run.attach("v", 1, 10.0)
    run.attach("w", 1, 60.0)
    run.wait(9.0)
    assert run.heartbeat("v") == [1]
    run.wait(9.9)
    assert run.counts["running"] == 1
    run.wait(0.2)
    assert run.counts["expired"] == 1 and run.pushed() == []
    run.wait(2.0)
    assert [(one.payload, one.attempt) for one in run.pushed()] == [("a", 2)]
    run.detach("w")
    run.cancel(1)
    run.now += 60.0
    run._look()
    assert run.queue.look_at == float("inf"), "nothing more is to come"


def test_the_reminder_of_a_delay_is_not_too_early() -> None:
    run = Run()
    run.attach("w", 1, 100.0)
    run.put("a", delay=0.0124)
    assert run.reminded_at is not None
    run.now = run.reminded_at
    run._look()
    assert run.payloads() == ["a"]


def test_a_worker_is_looked_at_once_however_often_it_came_and_went() -> None:
    run = Run()
    for _ in range(10):
        run.detach("w")
        run.attach("w", 1, 5.0)
    for _ in range(4):
        run.wait(2.0)
        run.heartbeat("w")
    assert len(run.queue.leases) == 1


@pytest.mark.parametrize("leases", [(100.0, 1.0), (1.0, 100.0)])
def test_the_lease_is_that_of_the_last_attach(leases: tuple[float, float]) -> None:
    run = Run()
    for lease in leases:
        run.attach("w", 1, lease)
    run.wait(1.5)
    assert run.counts["workers"] == (leases[1] > 1.5)


def test_whoever_attaches_after_its_lease_has_nothing_of_before() -> None:
    run = Run()
    run.attach("w", 1, 10.0)
    run.put("a", backoff=1.0)
    (job,) = run.pushed()
    run.now += 10.0
    assert run.attach("w", 1, 10.0) == [] and not settled(run, job)
    run.wait(1.1)
    assert [one.attempt for one in run.pushed()] == [2]


def test_one_job_is_put_under_a_key() -> None:
    run = Run()
    first = run.put("a", key="k")
    assert run.put("b", key="k") == first != run.put("c", key="other")
    run.attach("w", 5, 100.0)
    for job in run.pushed():
        settled(run, job)
    assert run.put("again", key="k") == first, "also when it is over"
    assert run.counts["put"] == 2


@pytest.mark.parametrize("newer_ends", [False, True])
def test_a_job_is_revived_whose_key_was_taken_since(
    newer_ends: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleet.recipes.job_queue.KEYS_KEPT", 1)
    run = Run()
    run.attach("w", 9, 100.0)
    old = dead(run, "old", key="k")
    dead(run, "other", key="forgets k")
    new = run.put("new", key="k")
    assert new != old
    (job,) = run.pushed()
    if newer_ends:
        assert settled(run, job)
    run.revive(old)
    assert run.put("again", key="k") == new, "the key is the newer job's"
    (revived,) = run.pushed()
    assert settled(run, revived) and run.put("again", key="k") == new
    if not newer_ends:
        assert settled(run, job)
    assert run.put("again", key="k") == new and run.queue.keys == {}


def test_a_revived_job_has_its_key_again() -> None:
    run = Run()
    run.attach("w", 9, 100.0)
    old = dead(run, "old", key="k")
    assert run.put("again", key="k") == old
    run.revive(old)
    assert run.put("again", key="k") == old and run.queue.over == {}
    assert run.cancel(old) and run.put("again", key="k") == old


@pytest.mark.parametrize("delay", [0.0, 5.0])
def test_jobs_that_are_cancelled_leave_nothing(delay: float) -> None:
    run = Run()
    kept = [run.put(number, priority=number % 7, delay=delay) for number in range(50)]
    for _ in range(3 * STALE_MAX):
        assert run.cancel(run.put("x", delay=delay))
    queue = run.queue
    assert len(queue.ready) + len(queue.delayed) <= STALE_MAX + 2 * len(kept) + 1
    run.attach("w", 100, 100.0)
    run.wait(5.0)
    assert run.payloads() == sorted(range(50), key=lambda number: (-(number % 7), number))
    assert not queue.ready and not queue.delayed


@pytest.mark.parametrize("name", ["w", "w{}"])
def test_workers_that_come_and_go_leave_nothing(name: str) -> None:
    run = Run()
    run.attach("v", 1, 10.0)
    for number in range(3 * STALE_MAX):
        run.attach(name.format(number), 1, 5.0)
        run.detach(name.format(number))
    assert len(run.queue.leases) <= STALE_MAX + 2 and set(run.queue.workers) == {"v"}
    run.wait(6.0)
    assert run.counts["workers"] == 1 and len(run.queue.leases) == 1
    run.wait(5.0)
    assert run.counts["workers"] == 0 and run.queue.leases == []


def test_a_job_is_cancelled_wherever_it_is() -> None:
    run = Run()
    run.attach("w", 1, 100.0)
    running, waiting, later = run.put("a"), run.put("b"), run.put("c", delay=9.0)
    (job,) = run.pushed()
    assert run.cancel(waiting) and run.cancel(later) and run.cancel(running)
    assert run.pushed() == [Pushed(running, job.token, 0, None)], "its worker is told"
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
        ("put", ("a", 0, 1e12)),
        ("put", ("a", "urgent")),
        ("put", ("a", 0, "soon")),
        ("put", ("a", 0, 0.0, "")),
        ("put", ("a", 0, 0.0, "k" * 256)),
        ("put", ("a", 0, 0.0, "\udc80")),
        ("put", ("a", 0, 0.0, b"k")),
        ("put", ("a", 0, 0.0, None, 1.5)),
        ("put_many", (["a", "b"], "urgent")),
        ("attach", ("w", 0, 1.0)),
        ("attach", ("w", 1.5, 1.0)),
        ("attach", ("w", 1, 0.0)),
        ("attach", ("w", 1, float("inf"))),
        ("attach", ("", 1, 1.0)),
        ("attach", ("w" * 201, 1, 1.0)),
        ("attach", ("w\udc80", 1, 1.0)),
        ("attach", (7, 1, 1.0)),
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
