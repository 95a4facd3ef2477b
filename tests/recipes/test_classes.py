"""The recipes' classes on plain instances: what they grant, refuse and forget."""

import inspect
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

import fleet
from fleet.interfaces import Context
from fleet.objects.declare import shape_of
from fleet.objects.executor import ObjectExecutor
from fleet.objects.fingerprint import fingerprint_of
from fleet.recipes import KV, Barriers, Counters, Elections, Leases, Locks, RateLimits, Semaphores
from fleet.testing import check, executing
from tests.recipes.uses import EPISODES

ARGUMENTS: dict[str, Callable[[Random], Any]] = {
    "name": lambda rng: rng.choice("ab"),
    "key": lambda rng: rng.choice("kl"),
    "owner": lambda rng: rng.choice("xyz"),
    "token": lambda rng: rng.randint(1, 20),
    "revision": lambda rng: rng.randint(0, 20),
    "ttl": lambda rng: rng.choice([0.5, 2.0, 1e5, 0.0, -1.0, float("nan")]),
    "limit": lambda rng: rng.randint(0, 2),
    "parties": lambda rng: rng.randint(0, 2),
    "rate": lambda rng: rng.choice([0.0, 1.0, 3.0]),
    "burst": lambda rng: rng.randint(0, 3),
}


@pytest.mark.parametrize("cls", [one.data_class for one in EPISODES.values()])
def test_it_is_fit_to_be_replicated(cls: type[fleet.Data]) -> None:
    shape = shape_of(cls)
    methods = (*shape.commands.values(), *shape.queries.values())
    parameters = {name for method in methods for name in inspect.signature(method).parameters}
    check(cls, 40, values={name: draw for name, draw in ARGUMENTS.items() if name in parameters})


@pytest.mark.parametrize("cls", [one.data_class for one in EPISODES.values()])
def test_what_its_commands_use_elsewhere_counts_as_its_code(cls: type[fleet.Data]) -> None:
    if "from fleet.recipes.holders import" in inspect.getsource(inspect.getmodule(cls)):  # type: ignore[arg-type]
        assert getattr(cls, "fingerprint_modules") == ["fleet.recipes.holders"]
    assert len(fingerprint_of(cls)) == 32


def test_no_state_and_no_answer_names_a_module_of_ours() -> None:
    """Files may move, and disks stay readable."""
    locks = ObjectExecutor(Locks)
    context = Context(revision=1, now_ms=1_000, session=1, seq=1, client="c")
    call = Locks.__fleet_codec__.encode_call("acquire", ("a", "x", 10.0), {})
    (answer,), _ = locks.apply(context, (call,))
    assert b"fleet" not in answer + locks.dump() and b"collections" in locks.dump()


class At:
    """Each command at a time of its own, with the next revision."""

    def __init__(self, index: int = 0) -> None:
        self.index = index

    def __call__(self, now: float, call: Callable[..., Any], *args: Any) -> Any:
        self.index += 1
        with executing(now=now, index=self.index):
            return call(*args)


def test_a_lock_is_one_holders_until_its_time_is_over() -> None:
    locks, at = Locks(), At()
    assert at(0, locks.acquire, "a", "x", 10) == (1, 0.0)
    assert at(4, locks.acquire, "a", "y", 10) == (0, 6.0)
    assert at(4, locks.acquire, "b", "y", 10) == (3, 0.0)
    assert at(9.999, locks.acquire, "a", "y", 10)[0] == 0
    assert at(10, locks.acquire, "a", "y", 10) == (5, 0.0)


def test_who_asks_again_has_one_token_and_more_time() -> None:
    """A request that its caller repeats, since it got no answer, takes no second lock."""
    locks, at = Locks(), At()
    assert at(0, locks.acquire, "a", "x", 10) == at(6, locks.acquire, "a", "x", 10) == (1, 0.0)
    assert at(15, locks.acquire, "a", "y", 10)[0] == 0
    assert at(16, locks.acquire, "a", "x", 10) == (4, 0.0), "over, and so another lease"


def test_what_is_over_cannot_be_renewed_even_if_nobody_else_has_it() -> None:
    locks, at = Locks(), At()
    at(0, locks.acquire, "a", "x", 10)
    at(9, locks.renew, "a", 1, 10)
    with pytest.raises(fleet.Reject, match="'a' is not held with token 1"):
        at(19, locks.renew, "a", 1, 10)


def test_a_release_of_what_is_somebody_elses_by_now_is_refused() -> None:
    locks, at = Locks(), At()
    at(0, locks.acquire, "a", "x", 1)
    at(2, locks.acquire, "a", "y", 10)
    for token, name in ((1, "a"), (2, "b"), (9, "a")):
        with pytest.raises(fleet.Reject, match="is not held"):
            at(2, locks.release, name, token)
    assert locks.seen("a") == {2: None}
    at(3, locks.release, "a", 2)
    assert locks.seen("a") == {} and locks.leases == locks.owners == {}


@pytest.mark.parametrize("ttl", [0, -1, float("nan"), float("inf")])
def test_a_time_that_cannot_pass_is_refused_before_anything_changes(ttl: float) -> None:
    for call, args in ((Locks().acquire, ("a", "x", ttl)), (KV().put, ("k", 1, ttl))):
        with pytest.raises(fleet.Reject, match="ttl must be more than 0"):
            At()(0, call, *args)


def test_leases_that_are_over_never_outnumber_the_others_for_long() -> None:
    """A thousand names a second, each used once and never again."""
    locks, at = Locks(), At()
    most = 0
    for number in range(20_000):
        at(number / 1000, locks.acquire, str(number), "x", 1.0)
        most = max(most, len(locks.leases))
    assert most < 1_500, "one thousand are held at any time"
    for _ in range(500):
        at(100, locks.live, "nobody")
    assert locks.leases == locks.owners == {}


def test_no_command_drops_many_at_once() -> None:
    locks, at = Locks(), At()
    for number in range(100):
        at(0, locks.acquire, str(number), "x", 1.0)
    at(9, locks.live, "nobody")
    assert len(locks.leases) == 96


def test_a_semaphore_has_so_many_places() -> None:
    semaphores, at = Semaphores(), At()
    assert at(0, semaphores.acquire, "a", "x", 10, 2)[0] == 1
    assert at(1, semaphores.acquire, "a", "x", 10, 2)[0] == 1
    assert at(1, semaphores.acquire, "a", "y", 10, 2)[0] == 3
    assert at(2, semaphores.acquire, "a", "z", 10, 2) == (0, 9.0)
    assert at(11, semaphores.acquire, "a", "z", 10, 2)[0] == 5
    with pytest.raises(fleet.Reject, match="limit must be at least 1"):
        at(11, semaphores.acquire, "a", "z", 10, 0)


def test_leases_tell_who_is_there_now() -> None:
    leases, at = Leases(), At()
    at(0, leases.acquire, "w", "x", 10, "x:80")
    at(5, leases.acquire, "w", "y", 10, "y:80")
    assert leases.seen("w") == {1: "x:80", 2: "y:80"}
    at(6, leases.renew, "w", 1, 10)
    assert at(15, leases.live, "w") == {1: "x:80"}


def test_terms_grow_from_leader_to_leader() -> None:
    elections, at = Elections(), At()
    assert elections.leader("s") is None
    assert at(0, elections.stand, "s", "x", 10, "host-x")[0] == 1
    assert at(1, elections.stand, "s", "y", 10, "host-y")[0] == 0
    assert elections.leader("s") == (1, "host-x")
    at(2, elections.release, "s", 1)
    assert elections.leader("s") is None
    assert at(3, elections.stand, "s", "y", 10, "host-y")[0] == 4
    assert elections.leader("s") == (4, "host-y")


def test_a_key_is_set_by_who_knows_its_revision() -> None:
    kv, at = KV(), At()
    assert at(0, kv.compare_and_set, "k", 0, "a") == 1
    assert at(0, kv.compare_and_set, "k", 0, "b") is None
    assert at(0, kv.compare_and_set, "k", 1, "b") == 3
    assert at(0, kv.compare_and_set, "k", 1, "c") is None
    assert kv.entry("k") == ("b", 3, False)
    assert at(0, kv.delete, "k", 1) is False and at(0, kv.delete, "k", 3) is True
    assert at(0, kv.delete, "k") is False and kv.entry("k") == (None, 0, False)


def test_a_key_whose_time_is_over_is_not_there() -> None:
    kv, at = KV(), At()
    at(0, kv.put, "k", "a", 10)
    assert at(9, kv.get, "k") == "a" and at(10, kv.get, "k", "gone") == "gone"
    at(20, kv.put, "k", "b", 10)
    assert at(30, kv.compare_and_set, "k", 0, "c", 10) == 5
    at(31, kv.put, "k", "d")
    assert at(99, kv.get_with_revision, "k") == ("d", 6), "without a time to live it stays"
    for number in range(100):
        at(100, kv.put, str(number), number, 1)
    for _ in range(30):
        at(200, kv.get, "k")
        at(200, kv.delete, "nothing")
    assert kv.keys() == ["k"] and not kv.over_at


def test_all_pass_a_barrier_together_and_it_closes_again() -> None:
    barriers, at = Barriers(), At()
    assert at(0, barriers.arrive, "b", "x", 2, 10) == at(1, barriers.arrive, "b", "x", 2, 10) == 0
    assert at(2, barriers.arrive, "b", "y", 2, 10) == 3
    assert barriers.passed_at("x") == barriers.passed_at("y") == 3
    assert at(2, barriers.arrive, "b", "x", 2, 10) == 3, "it has passed, and waits for nothing more"
    assert at(3, barriers.arrive, "b", "z", 2, 10) == 0
    assert at(14, barriers.arrive, "b", "w", 2, 10) == 0, "z is gone"
    assert at(15, barriers.leave, "b", "w") == 0 and barriers.count("b") == 0
    for _ in range(3):
        at(200, barriers.leave, "b", "nobody")
    assert not (barriers.passed or barriers.leases or barriers.owners)


def test_a_bucket_lets_its_burst_through_and_then_its_rate() -> None:
    limits, at = RateLimits(), At()
    assert [at(0, limits.take, "a", 3, 3) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert at(0, limits.take, "a", 3, 3) == pytest.approx(1 / 3)
    assert at(0.3, limits.take, "a", 3, 3) == pytest.approx(1 / 3 - 0.3)
    assert at(0.334, limits.take, "a", 3, 3) == 0.0
    assert at(0.334, limits.take, "a", 3, 3, 2) > 0.6
    assert at(9, limits.take, "b", 3, 3) == 0.0 and list(limits.full_at) == ["b"], "a is full"
    for rate, burst, n in ((0, 1, 1), (1, 1, 2), (1, 1, 0), (float("nan"), 1, 1)):
        with pytest.raises(fleet.Reject, match="rate must be above 0"):
            at(9, limits.take, "a", rate, burst, n)


@pytest.mark.parametrize("rate", [0.7, 3, 999, 12_345.6])
def test_no_rounding_lets_more_through(rate: float) -> None:
    limits, at, taken = RateLimits(), At(), 0
    for ms in range(3_000):
        while at(1_700_000_000 + ms / 1000, limits.take, "a", rate, 20) == 0.0:
            taken += 1
    assert 0.99 * rate * 3 - 1 <= taken <= 20 + rate * 3


def test_a_counter_at_nought_takes_no_space() -> None:
    counters, at = Counters(), At()
    assert at(0, counters.add, "a", 5) == 5 and at(0, counters.add, "a", -5) == 0
    assert at(0, counters.reset, "a", 7) == 0 and at(0, counters.reset, "a") == 7
    assert counters.get("a") == 0 and counters.names() == [] and counters.values == {}
