"""The judge of every simulation, judged: by known histories, by brute force, by planted faults."""

from collections.abc import Iterable
from itertools import chain, combinations, permutations
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from fleet.sim.checks.history import UNKNOWN, History, Operation
from fleet.sim.checks.linear import Linearizable, Undecided, Violation, check
from fleet.sim.checks.models import Add, All, Append, Counter, Get, ListAppend, Model, Read, Register, Write
from tests.sim.histories import CASES, Case
from tests.sim.workloads import WORKLOADS, simulate


def follows(model: Model, order: Iterable[Operation]) -> bool:
    """Does every operation of the order answer what its client was told, and after all that preceded it?"""
    state: Any = model.start
    latest_call = -1
    for op in order:
        if op.is_known and op.return_at is not None and op.return_at < latest_call:
            return False
        latest_call = max(latest_call, op.call_at)
        output, state = model.apply(state, op.input)
        if op.is_known and not model.agrees(op.output, output):
            return False
    return True


def brute(model: Model, history: list[Operation]) -> bool:
    known = [op for op in history if op.is_known]
    unknown = [op for op in history if not op.is_known]
    some = chain.from_iterable(combinations(unknown, n) for n in range(len(unknown) + 1))
    return any(follows(model, order) for taken in some for order in permutations([*known, *taken]))


def assert_explained(model: Model, history: list[Operation], verdict: Linearizable) -> None:
    parts = model.parts(history)
    assert verdict.orders.keys() == parts.keys()
    for key, order in verdict.orders.items():
        assert follows(model, order)
        ids = [id(op) for op in order]
        assert len(ids) == len(set(ids)) and set(ids) <= set(map(id, parts[key]))
        assert {id(op) for op in parts[key] if op.is_known} <= set(ids)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_known_histories_are_judged_as_known(case: Case) -> None:
    history = case.history()
    assert brute(case.model, history) is case.linearizable
    verdict = check(history, case.model)
    assert isinstance(verdict, Linearizable if case.linearizable else Violation), str(verdict)


@st.composite
def small_histories(draw: st.DrawFn, name: str) -> list[Operation]:
    """Any spans, with outputs that the model gives to somebody, so that about half make sense."""
    model, pick = WORKLOADS[name]
    random = Random(draw(st.integers(0, 1 << 30)))
    count = draw(st.integers(1, 5))
    moments = draw(st.permutations(range(2 * count)))
    history, state = [], model.start
    for n in range(count):
        call_at, return_at = sorted(moments[2 * n : 2 * n + 2])
        output, state = model.apply(state, input := pick(random, n))
        history.append(Operation(n, "x", call_at, return_at, input, output))
    history.sort(key=lambda op: draw(st.integers(0, 9)) + op.call_at)
    order, state = [], model.start
    for op in history:  # outputs of another order than that of the calls
        output, state = model.apply(state, op.input)
        if draw(st.integers(0, 4)) == 0:
            op = replace(op, return_at=None, output=UNKNOWN)
        elif draw(st.integers(0, 5)):
            op = replace(op, output=output)
        order.append(op)
    return order


@pytest.mark.parametrize("name", WORKLOADS)
@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_brute_force_comes_to_the_same_verdict(name: str, data: st.DataObject) -> None:
    model = WORKLOADS[name][0]
    history = data.draw(small_histories(name))
    verdict = check(history, model)
    if brute(model, history):
        assert isinstance(verdict, Linearizable), str(verdict)
        assert_explained(model, history, verdict)
    else:
        assert isinstance(verdict, Violation), str(verdict)


@pytest.mark.parametrize("name", ["register, few values", "queue, few values", "counter, both ways", "list"])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_the_counter_example_is_the_shortest_prefix(name: str, data: st.DataObject) -> None:
    model = WORKLOADS[name][0]
    history = data.draw(small_histories(name))
    verdict = check(history, model)
    if isinstance(verdict, Violation):
        assert not brute(model, verdict.prefix)
        last = max(op.return_at for op in verdict.prefix if op.return_at is not None)
        before = [
            replace(op, return_at=None, output=UNKNOWN) if op.return_at == last else op
            for op in verdict.prefix
            if op.call_at < last
        ]
        assert brute(model, before)


@pytest.mark.parametrize("name", WORKLOADS)
@pytest.mark.parametrize("lost", [0.0, 0.03])
def test_a_history_of_one_true_object_is_linearizable(name: str, lost: float) -> None:
    model, pick = WORKLOADS[name]
    count = 60 if lost or name == "queue, few values" else 200
    for seed in range(6):
        history = simulate(model, pick, count, clients=4, seed=seed, lost=lost)
        verdict = check(history, model)
        assert isinstance(verdict, Linearizable), f"seed {seed}: {verdict}"
        assert_explained(model, history, verdict)


# -- planted faults ------------------------------------------------------------------------------


def late_known(history: list[Operation], kind: type) -> list[int]:
    half = len(history) // 2
    return [n for n, op in enumerate(history) if n > half and op.is_known and type(op.input) is kind]


def test_a_stale_read_is_found() -> None:
    model, pick = WORKLOADS["register, unique writes"]
    for seed in range(20):
        history = simulate(model, pick, 400, clients=6, seed=seed, lost=0.01)
        at = late_known(history, Read)[0]
        long_ago = next(op for op in history[10:] if op.is_known and type(op.input) is Write)
        history[at] = replace(history[at], output=long_ago.input.value)
        verdict = check(history, model)
        assert isinstance(verdict, Violation), f"seed {seed}"
        assert history[at] in verdict.stuck.waiting


def test_a_lost_write_is_found() -> None:
    """The client was told that its append is there; the list never had it."""
    for seed in range(20):
        model, pick = WORKLOADS["list"]
        history = simulate(model, pick, 300, clients=5, seed=seed)
        lost = history[late_known(history, Append)[0]].input.value
        seen = [n for n, op in enumerate(history) if type(op.input) is All and lost in op.output]
        assert seen
        for n in seen:
            history[n] = replace(history[n], output=[value for value in history[n].output if value != lost])
        verdict = check(history, model)
        assert isinstance(verdict, Violation), f"seed {seed}"


def test_an_add_that_was_executed_twice_is_found() -> None:
    for seed in range(20):
        model, pick = WORKLOADS["counter"]
        history = simulate(model, pick, 300, clients=5, seed=seed, lost=0.01)
        twice = history[late_known(history, Add)[0]]
        for n, op in enumerate(history):
            if op.is_known and op is not twice and op.output >= twice.output:
                history[n] = replace(op, output=op.output + twice.input.n)
        verdict = check([op for op in history if op.is_known], model)
        assert isinstance(verdict, Violation), f"seed {seed}"


def test_an_effect_of_a_definite_failure_is_found() -> None:
    history = History()
    failed = history.call("a", "x", Write(1), now=5)
    history.failed(failed)
    read = history.call("b", "x", Read(), now=5)
    history.done(read, 1, now=5)
    assert isinstance(check(history.operations(), Register(0)), Violation)


# -- keys, budgets, words ------------------------------------------------------------------------


def test_every_key_is_an_object_of_its_own() -> None:
    ops = [
        Operation("a", "x", 1, 2, Write(1), None),
        Operation("b", "y", 3, 4, Read(), 0),
        Operation("b", "x", 5, 6, Read(), 1),
    ]
    verdict = check(ops, Register(0))
    assert isinstance(verdict, Linearizable)
    assert set(verdict.orders) == {"x", "y"}
    bad = check([*ops, Operation("c", "y", 7, 8, Read(), 1)], Register(0))
    assert isinstance(bad, Violation) and bad.key == "y"


def hard_history(key: str = "x", total: int = 7, count: int = 24) -> list[Operation]:
    """Sums of many numbers all at once, and then a total; no subset has an odd one."""
    adds = [Operation(n, key, 0, None, Add(2 << n), UNKNOWN) for n in range(count)]
    return [*adds, Operation("r", key, 1, 2, Add(-2), -2), Operation("r", key, 3, 4, Get(), total)]


def test_too_hard_is_undecided_and_not_for_ever() -> None:
    verdict = check(hard_history(), Counter(), steps_max=20_000)
    assert isinstance(verdict, Undecided)
    assert verdict.steps < 30_000
    assert [op.input for op in verdict.furthest.waiting] == [Get()]
    assert "r get() -> 7 [3, 4]" in str(verdict)


def test_a_caller_with_a_clock_can_stop_it() -> None:
    asked: list[int] = []

    def expired() -> bool:
        if len(asked) < 3:
            asked.append(1)
            return False
        return True

    verdict = check(hard_history(), Counter(), expired=expired)
    assert isinstance(verdict, Undecided) and len(asked) == 3
    asked.clear()

    def is_over() -> bool:
        asked.append(1)
        return True

    both = [*hard_history("x"), *hard_history("y")]
    assert isinstance(check(both, Counter(), expired=is_over), Undecided) and len(asked) == 2


def test_a_violation_is_told_even_if_another_key_is_undecided() -> None:
    bad = [Operation("a", "y", 1, 2, Get(), 5)]
    assert isinstance(check(bad + hard_history(), Counter(), steps_max=20_000), Violation)
    assert isinstance(check(hard_history() + bad, Counter(), steps_max=20_000), Violation)


def test_an_easy_violation_does_not_wait_until_hard_parts_have_used_their_steps() -> None:
    """`c50-bad` of Porcupine's key-value histories took 19 s, and 0.2 s with its keys in another order."""
    asked: list[int] = []

    def expired() -> bool:
        asked.append(1)
        return False

    hard = [op for key in "abcdefg" for op in hard_history(key)]
    bad = [Operation("a", "y", 1, 2, Get(), 5)]
    verdict = check(hard + bad, Counter(), steps_max=1_000_000, expired=expired)
    assert isinstance(verdict, Violation) and verdict.key == "y"
    assert len(asked) < 10, "thousands of steps"


def test_what_a_few_steps_do_not_decide_is_decided_with_more() -> None:
    parts = {}
    for key, count in (("a", 10), ("b", 2)):
        half = sum(2 << n for n in range(1, count, 2))
        parts[key] = hard_history(key, half - 2, count)
    verdict = check([op for part in parts.values() for op in part], Counter())
    assert isinstance(verdict, Linearizable) and [*verdict.orders] == [*parts]
    assert all(follows(Counter(), order) for order in verdict.orders.values())
    hard = check([*parts["a"], *hard_history("b"), *hard_history("c")], Counter(), steps_max=20_000)
    assert isinstance(hard, Undecided) and hard.key == "b" and 20_000 < hard.steps < 30_000


def test_ten_thousand_operations_one_after_the_other_meet_no_recursion_limit() -> None:
    ops = [Operation("a", "x", 2 * n, 2 * n + 1, Add(1), n + 1) for n in range(10_000)]
    assert isinstance(check(ops, Counter()), Linearizable)
    assert isinstance(check([*ops, Operation("a", "x", 30_000, 30_001, Get(), 7)], Counter()), Violation)


def test_the_counter_example_says_in_words_what_went_wrong() -> None:
    verdict = check(
        [
            Operation("a", "x", 1, 2, Write(1), None),
            Operation("b", "x", 3, 4, Read(), 0),
            Operation("c", "x", 3, None, Write(2), UNKNOWN),
            Operation("c", "x", 5, 6, Read(), 1),
        ],
        Register(0),
    )
    assert str(verdict).splitlines() == [
        "not linearizable: register 'x', the first 3 of 4 operations",
        "placed, in this order:",
        "    a write(1) -> None [1, 2]",
        "then the register is 1, and none of these can follow:",
        "    b read() -> 0 [3, 4], but would have been told 1",
        "nor does any of 1 unknown outcomes help, among them:",
        "    c write(2) -> never known [3, ...]",
    ]


def test_events_of_one_virtual_millisecond_keep_their_order() -> None:
    history = History()
    for value in (1, 2):
        history.done(history.call("a", "x", Append(value), now=7), None, now=7)
    history.done(history.call("b", "x", All(), now=7), [2, 1], now=7)
    assert isinstance(check(history.operations(), ListAppend()), Violation)
    assert history.operations()[0].call_at == 7000


def test_a_call_that_is_lost_or_still_under_way_is_unknown() -> None:
    history = History()
    history.lost(history.call("a", "x", Write(1), now=1))
    history.call("b", "x", Write(2), now=2)
    assert [op.is_known for op in history.operations()] == [False, False]
    history.done(history.call("c", "x", Read(), now=3), 2, now=4)
    history.done(history.call("c", "x", Read(), now=5), 1, now=6)
    assert isinstance(check(history.operations(), Register()), Linearizable)
