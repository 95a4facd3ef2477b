"""A failing episode becomes a short one that fails for the same reason."""

import random

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings

from fleet.sim.faults.schedule import Occurrence, Plan
from fleet.sim.search.shrink import Failure, failure_of, rule_of, shrink
from fleet.sim.world.timeline import S
from tests.sim.mutants import named, planted
from tests.sim.schedules import plans

RUNS_MAX = 150


def broken(name: str, faults_min: int = 1) -> Failure:
    """The first seed that finds the bug, after so many faults."""
    with planted(named(name)):
        for seed in range(1, 60):
            failure = failure_of(Plan(seed))
            if failure is not None and len(failure.plan.faults or ()) >= faults_min:
                return failure
    raise AssertionError(f"{name} was not found")


def test_a_planted_bug_is_left_with_few_faults_and_the_same_rule_broken() -> None:
    failure = broken("vote not persisted", 30)
    with planted(named("vote not persisted")):
        least = shrink(failure, RUNS_MAX)
        again = failure_of(least.plan)
    assert again == least
    assert least.rule == failure.rule
    assert least.plan.faults is not None and len(least.plan.faults) <= 3, least.plan
    assert least.plan.duration_us < failure.plan.duration_us


def test_a_bug_that_needs_no_fault_is_left_with_none() -> None:
    failure = broken("ack before fsync", 0)
    with planted(named("ack before fsync")):
        least = shrink(failure, RUNS_MAX)
    assert least.plan.faults == () and least.plan.clients == 0 and not least.plan.has_weather


def test_shrinking_ends_after_its_runs_or_when_it_is_late() -> None:
    failure = broken("vote not persisted")
    runs: list[int] = []
    with planted(named("vote not persisted")):
        shrink(failure, 3, tell=lambda number, plan: runs.append(number))
        late = shrink(failure, is_late=lambda: True)
    assert runs == [1, 2, 3]
    assert late == failure


@pytest.mark.parametrize("name", ["vote not persisted", "majority off by one"])
def test_hypothesis_finds_a_planted_bug_and_shrinks_it_to_few_faults(name: str) -> None:
    """A schedule of its own making."""

    def breaks(plan: Plan) -> bool:
        return failure_of(plan) is not None

    with planted(named(name)):
        least = find(
            plans(),
            breaks,
            settings=settings(
                max_examples=40,
                derandomize=True,
                database=None,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                phases=(Phase.generate, Phase.shrink),
            ),
            random=random.Random(1),
        )
    assert least.faults is not None
    assert 1 <= len(least.faults) <= 2, [fault.words() for fault in least.faults]


@given(plans())
@settings(max_examples=10, derandomize=True, database=None, deadline=None)
def test_whatever_is_done_to_a_fleet_nothing_breaks(plan: Plan) -> None:
    failure = failure_of(plan)
    assert failure is None, f"{failure.sentence}: {plan.to_json()}"


def test_a_rule_is_the_sentence_without_names_and_numbers() -> None:
    one = "g0: n1@n1d1.c commits 12 of term 4, held by ['n1@n1d1.c'] of ('n1@n1d1.c', 'n2@n2d1.1')"
    other = "fleet:cluster: n2@n2d1.c commits 2 of term 2, held by [] of ('n2@n2d1.c',)"
    assert rule_of(one) == rule_of(other) == "commits of term held by of"
    assert rule_of("g0: n1 and n3 lead in term 4") != rule_of(one)
    failed = "an actor failed: {A:Member @ n1:7400/2~3} stops, on Tick: AssertionError: a.c is no newcomer"
    assert rule_of(failed + "\nTraceback") == "an actor failed AssertionError is no newcomer"


def test_faults_after_the_violation_are_not_kept() -> None:
    failure = broken("majority off by one")
    done = failure.plan.faults
    assert done is not None and all(isinstance(fault, Occurrence) for fault in done)
    assert all(failure.began + fault.at <= failure.at for fault in done)
    assert failure.at - failure.began < 15 * S
