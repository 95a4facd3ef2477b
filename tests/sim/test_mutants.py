"""Proof that the simulator bites: each planted bug is found within its budget of seeds."""

import re
from pathlib import Path

import pytest

from tests.sim.episodes import DAYS
from tests.sim.mutants import HUNTS, MUTANTS, Find, Mutant, hunt, named, planted, run_one
from tests.sim.profiles import PROFILES
from tests.sim.scenarios import MODULES, SCENARIOS
from tests.support.aside import Aside

DOC = Path(__file__).parents[2] / "fleet" / "docs" / "mutants.md"


def hunt_for(name: str) -> Find | None:
    return hunt(named(name))


def marks(mutant: Mutant) -> list[pytest.MarkDecorator]:
    return [pytest.mark.long] if mutant.is_long else []


@pytest.mark.parametrize("mutant", [pytest.param(one, marks=marks(one), id=one.name) for one in MUTANTS])
def test_a_planted_bug_is_found(mutant: Mutant, aside: Aside) -> None:
    assert aside(hunt_for, mutant.name) is not None, f"{mutant.name} was not found"


def test_a_planted_bug_is_gone_when_its_hunt_is_over() -> None:
    for mutant in MUTANTS:
        with planted(mutant):
            pass
    assert not run_one("storm elections", 1)


def test_what_a_bug_is_hunted_with_exists() -> None:
    """A name that is nowhere would raise, and whatever raises counts as a find."""
    storms, days = {f"storm {name}" for name in PROFILES}, {f"day {name}" for name in DAYS}
    hunts = storms | days | {"episode", *HUNTS, *SCENARIOS}
    assert {mutant.hunt.partition("[")[0] for mutant in MUTANTS} <= hunts


def test_the_scenarios_of_every_file_are_known_by_name() -> None:
    """The list was by hand: files that nobody had added to it could not be hunted with."""
    assert len(MODULES) >= 13 and {"test_scenarios_effects", "test_scenarios_switch"} <= set(MODULES)
    assert len(SCENARIOS) >= 90
    assert {scenario.__module__ for scenario in SCENARIOS.values()} == {f"tests.sim.{one}" for one in MODULES}


def test_the_document_lists_exactly_the_bugs_that_are_planted() -> None:
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| `([^`]+)`( \(long\))? \| (\d+) \|", DOC.read_text(), re.M)
    listed = [(name, what, how, bool(is_long), int(budget)) for name, what, how, is_long, budget in rows]
    assert listed == [(m.name, m.about, m.hunt, m.is_long, m.budget) for m in MUTANTS]
