"""Proof that the simulator bites: each planted bug is found within its budget of seeds."""

import re
from pathlib import Path

import pytest

from tests.sim.episodes import DAYS
from tests.sim.mutants import MUTANTS, SCENARIOS, Mutant, hunt, planted, run_one
from tests.sim.profiles import PROFILES

DOC = Path(__file__).parents[2] / "fleet" / "docs" / "mutants.md"
CASES = [
    pytest.param(mutant, marks=[pytest.mark.long] if mutant.is_long else [], id=mutant.name)
    for mutant in MUTANTS
]


@pytest.mark.parametrize("mutant", CASES)
def test_a_planted_bug_is_found(mutant: Mutant) -> None:
    assert hunt(mutant) is not None, f"{mutant.name} was not found"


def test_a_planted_bug_is_gone_when_its_hunt_is_over() -> None:
    for mutant in MUTANTS:
        with planted(mutant):
            pass
    assert not run_one("storm elections", 1)


def test_what_a_bug_is_hunted_with_exists() -> None:
    """A name that is nowhere would raise, and whatever raises counts as a find."""
    storms, days = {f"storm {name}" for name in PROFILES}, {f"day {name}" for name in DAYS}
    hunts = storms | days | {"episode", "one by one", *SCENARIOS}
    assert {mutant.hunt.partition("[")[0] for mutant in MUTANTS} <= hunts


def test_the_document_lists_exactly_the_bugs_that_are_planted() -> None:
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| `([^`]+)`( \(long\))? \| (\d+) \|", DOC.read_text(), re.M)
    listed = [(name, what, how, bool(is_long), int(budget)) for name, what, how, is_long, budget in rows]
    assert listed == [(m.name, m.about, m.hunt, m.is_long, m.budget) for m in MUTANTS]
