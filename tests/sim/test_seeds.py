"""Whole fleets under drawn faults: seeds that found something once, and some that nobody has seen."""

import random
from collections.abc import Iterable
from pathlib import Path

import pytest

from fleet.sim.checks.marks import MARKS, missed
from fleet.sim.search import episode as episode
from fleet.sim.search import explore as explore_module
from fleet.sim.search.explore import (
    CODE,
    OK,
    SeedResult,
    code_digest,
    code_files,
    explore,
    parse_seeds,
    run_seed,
)
from tests.support.aside import Aside

FOUND = [
    int(line.split()[0])
    for line in (Path(__file__).parent / "seeds.txt").read_text().splitlines()
    if line and not line.startswith("#")
]
FRESH_COUNT = 600
SAMPLE = range(5000, 5150)
MARKS_MIN = 60
"""So many of the marks does the sample reach; losing one or two by another draw is no alarm."""
JOBS = 2


@pytest.mark.parametrize("seed", FOUND)
def test_what_was_found_once_stays_away(seed: int) -> None:
    assert run_seed(seed).verdict == OK


def test_a_history_that_nobody_could_judge_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(episode, "STEPS_MAX", 2)
    monkeypatch.setattr(episode, "STEPS_EACH_MAX", 0)
    assert "undecided" in run_seed(1).verdict


def explored() -> list[SeedResult]:
    return explore(SAMPLE, jobs=1)


def test_a_sample_of_seeds_holds(aside: Aside) -> None:
    """Each change is tried on the same ones, so that a failure is the change's own."""
    results = aside(explored)
    assert [str(result) for result in results if result.verdict != OK] == []
    marks = 0
    for result in results:
        marks |= result.marks
    assert len(MARKS) - len(missed(marks)) >= MARKS_MIN, missed(marks)


@pytest.mark.long
def test_fresh_seeds_hold_too() -> None:
    """Other ones each time; a failure names its seed, which is then kept in seeds.txt."""
    assert broken_of(random.SystemRandom().sample(range(10**6, 10**9), FRESH_COUNT)) == []


def broken_of(seeds: Iterable[int]) -> list[str]:
    """`fleet sim run --seed N` tells the episode of each."""
    return [str(result) for result in explore(seeds, jobs=JOBS) if result.verdict != OK]


def test_a_report_is_gone_on_with(tmp_path: Path) -> None:
    report = tmp_path / "report.txt"
    old = "4 1 2 3 ok\n"
    known = "5 12 34000 900 a Broken: seed 5: as it was\n"
    report.write_text(f"{CODE}other\n{old}{CODE}{code_digest()}\n{known}6 cut sho")
    told: list[SeedResult] = []
    results = explore(parse_seeds("4-5"), report, told.append)
    assert [result.seed for result in told] == [4]
    assert results[1] == SeedResult(5, "Broken: seed 5: as it was", 12, 34_000, 900, 10)
    assert explore(parse_seeds("4"), report, told.append) == [results[0]]
    assert report.read_text().startswith(f"{CODE}other\n{old}")


def test_workers_find_the_same_as_one_process() -> None:
    told: list[SeedResult] = []
    results = explore(range(10, 14), tell=told.append, jobs=2)
    assert results == [run_seed(seed) for seed in range(10, 14)]
    assert {result.seed for result in told} == {10, 11, 12, 13}


def test_a_world_without_end_is_told_of() -> None:
    (result,) = explore([3], turns_max=500)
    assert result.turns == 501
    assert "seed 3, t=" in result.verdict and "no end after 500 turns" in result.verdict


def test_a_seed_that_takes_too_long_is_named_and_the_others_go_on() -> None:
    results = explore([3, 4], jobs=1, seconds_max=0.05)
    assert [result.seed for result in results] == [3, 4]
    assert all("no end after" in result.verdict for result in results)


def test_time_that_is_over_begins_no_seed() -> None:
    assert explore(parse_seeds("1-"), minutes=0) == []


ROOT = Path(__file__).resolve().parents[2]


def test_the_digest_covers_every_file_of_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A report whose results were of other code would be continued otherwise."""
    tops = [ROOT / name for name in ("fleet", "actors", "storage", "sim")]
    assert set(code_files()) == {path.resolve() for top in tops for path in top.rglob("*.py")}
    files = [tmp_path / "a.py", tmp_path / "b.py"]
    monkeypatch.setattr(explore_module, "code_files", lambda: files)
    for path in files:
        path.write_text("1")
    before = code_digest()
    files[1].write_text("2")
    assert code_digest() != before
