"""Whole fleets under drawn faults: seeds that found something once, and some that nobody has seen."""

import random
from pathlib import Path

import pytest

from fleet.sim.explore import OK, Result, explore, parse_seeds, run_seed

FOUND = [
    int(line.split()[0])
    for line in (Path(__file__).parent / "seeds.txt").read_text().splitlines()
    if line and not line.startswith("#")
]
FRESH_COUNT = 60
SAMPLE = range(5000, 5012)
"""Each change is tried on the same ones, so that a failure is the change's own."""


@pytest.mark.parametrize("seed", FOUND)
def test_what_was_found_once_stays_away(seed: int) -> None:
    assert run_seed(seed).verdict == OK


@pytest.mark.parametrize("seed", SAMPLE)
def test_a_sample_of_seeds_holds(seed: int) -> None:
    assert run_seed(seed).verdict == OK


@pytest.mark.long
def test_fresh_seeds_hold_too() -> None:
    """Other ones each time; a failure names its seed, which is then kept in seeds.txt."""
    seeds = random.SystemRandom().sample(range(10**6, 10**9), FRESH_COUNT)
    broken = [str(result) for result in explore(seeds) if result.verdict != OK]
    assert not broken


def test_a_report_is_gone_on_with(tmp_path: Path) -> None:
    report = tmp_path / "report.txt"
    report.write_text("5 12 34000 Broken: seed 5: as it was\n6 cut sho")
    told: list[Result] = []
    results = explore(parse_seeds("4-5"), report, told.append)
    assert [result.seed for result in told] == [4]
    assert results[1] == Result(5, "Broken: seed 5: as it was", 12, 34_000)
    assert explore(parse_seeds("4"), report, told.append) == [results[0]]
