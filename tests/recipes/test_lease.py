"""The holder's side as plans, step by step, by a clock of the test."""

import pytest

from fleet.errors import LeaseLost, OutcomeUnknown, Rejected, Unavailable
from fleet.recipes import Locks
from fleet.recipes.lease import RETRY_S, Lease, acquire, keep
from fleet.recipes.plans import Ask, Pause


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def granted(clock: Clock, ttl: float = 9.0) -> tuple[Locks, Lease]:
    locks, lease = Locks(), Lease("a", ttl, clock)
    lease.token = 7
    lease.granted(clock())
    return locks, lease


def test_it_is_renewed_three_times_in_its_time() -> None:
    clock = Clock()
    locks, lease = granted(clock)
    plan = keep(locks, lease)
    assert next(plan) == Pause(3.0)
    clock.now += 3
    ask = next(plan)
    assert isinstance(ask, Ask) and ask.args == ("a", 7, 9.0) and ask.timeout == 6.0
    clock.now += 1
    assert plan.send(None) == Pause(2.0), "it counts from when it was asked for"
    assert lease.over_at == 112


def test_a_renewal_without_an_answer_is_tried_again_until_the_time_is_over() -> None:
    clock = Clock()
    locks, lease = granted(clock)
    plan = keep(locks, lease)
    next(plan)
    clock.now += 3
    for error in (Unavailable("no leader"), OutcomeUnknown("lost")):
        assert isinstance(next(plan), Ask)
        assert plan.throw(error) == Pause(RETRY_S) and lease.is_held
    assert isinstance(next(plan), Ask)
    clock.now += 6.1
    assert plan.throw(OutcomeUnknown("nothing came")) == Pause(RETRY_S)
    assert list(plan) == [] and not lease.is_held


def test_a_refusal_ends_it_at_once() -> None:
    clock = Clock()
    locks, lease = granted(clock)
    plan = keep(locks, lease)
    next(plan)
    clock.now += 3
    next(plan)
    try:
        plan.throw(Rejected("'a' is not held"))
    except StopIteration:
        pass
    assert not lease.is_held and lease.refusal == "'a' is not held"


def test_who_waits_asks_again_when_there_is_room_or_the_time_is_over() -> None:
    clock, locks = Clock(), Locks()
    lease = Lease("a", 9.0, clock)
    plan = acquire(locks, Ask(locks.acquire, ()), lease, limit=1, wait=60)
    first = next(plan)
    assert isinstance(first, Ask)
    assert isinstance(plan.send((0, 5.0)), Pause)
    look = next(plan)
    assert isinstance(look, Ask) and look.args == ("a",)
    assert isinstance(plan.send(1), Pause)
    next(plan)
    again = plan.send(0)
    assert isinstance(again, Ask) and again.args == first.args, "as the same owner"
    plan.send((0, 5.0))
    clock.now += 5
    next(plan)
    again = plan.send(1)
    assert isinstance(again, Ask) and again.args == first.args


def test_a_lease_whose_grant_was_answered_too_late_is_asked_for_again() -> None:
    clock, locks = Clock(), Locks()
    lease = Lease("a", 9.0, clock)
    plan = acquire(locks, Ask(locks.acquire, ()), lease, limit=1, wait=60)
    first = next(plan)
    clock.now += 10
    again = plan.send((7, 0.0))
    assert isinstance(first, Ask) and isinstance(again, Ask) and again.args == first.args
    with pytest.raises(StopIteration) as end:
        plan.send((8, 0.0))
    assert end.value.value is lease and lease.is_held and lease.token == 8
    clock.now += 60
    late = acquire(locks, Ask(locks.acquire, ()), Lease("a", 9.0, clock), limit=1, wait=5)
    next(late)
    clock.now += 10
    with pytest.raises(LeaseLost):
        late.send((9, 0.0))
