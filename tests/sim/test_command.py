"""`fleet sim`: what a person or a script sees of seeds that hold and of seeds that break."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fleet.cli import main
from fleet.sim.faults.schedule import Plan
from fleet.sim.search.shrink import failure_of
from tests.sim.mutants import named, planted

BUG = "vote not persisted"


def say(*words: str) -> Result:
    return CliRunner().invoke(main, ["sim", *words])


@pytest.fixture(scope="module")
def seed() -> str:
    """The first that finds the bug."""
    with planted(named(BUG)):
        return next(str(seed) for seed in range(1, 60) if failure_of(Plan(seed)) is not None)


def test_a_seed_that_holds_is_a_line_and_0() -> None:
    said = say("run", "--seed", "3")
    assert said.exit_code == 0
    assert said.stdout.startswith("seed 3: nothing broke, ") and len(said.stdout.splitlines()) == 1
    assert json.loads(say("run", "--seed", "3", "--json").stdout)["ok"] is True


def test_a_seed_that_breaks_is_told_shrunk_and_ends_with_1(seed: str, tmp_path: Path) -> None:
    page, plan = tmp_path / "episode.html", tmp_path / "plan.json"
    with planted(named(BUG)):
        said = say("run", "--seed", seed, "--html", str(page), "--save", str(plan), "--runs", "20")
        again = say("run", "--plan", str(plan), "--no-shrink")
    assert said.exit_code == again.exit_code == 1
    assert "The episode:" in said.stdout and " s it is broken" in said.stdout
    assert again.stdout == said.stdout
    assert page.read_text().startswith("<!doctype html>")
    assert len(Plan.of_json(plan.read_bytes()).faults or ()) <= 3
    assert str(tmp_path) not in said.stdout


def test_as_json_it_has_the_rule_the_plan_and_the_words(seed: str) -> None:
    with planted(named(BUG)):
        said = say("run", "--seed", seed, "--no-shrink", "--json")
    assert said.exit_code == 1
    record = json.loads(said.stdout)
    assert not record["ok"] and record["rule"] and record["broken"]
    assert Plan.of_json(json.dumps(record["plan"])).seed == int(seed)
    assert record["words"][0].startswith(f"seed {seed}: ")


def test_as_text_it_has_every_event() -> None:
    said = say("run", "--seed", "3", "--text")
    assert said.exit_code == 0
    assert len(said.stdout.splitlines()) > 1000
    assert "heartbeat after" in said.stdout and "leads in term" in said.stdout


def test_explore_names_the_line_to_paste(seed: str, tmp_path: Path) -> None:
    report = tmp_path / "report.txt"
    with planted(named(BUG)):
        said = say("explore", "--seeds", f"{seed}-{seed}", "--jobs", "0", "--report", str(report))
        as_json = json.loads(say("explore", "--seeds", seed, "--jobs", "0", "--json").stdout)
    assert said.exit_code == 1
    assert said.stdout.splitlines()[-1].strip() == f"fleet sim run --seed {seed}"
    assert as_json["seeds"] == 1 and as_json["broken"][0]["run"] == f"fleet sim run --seed {seed}"
    assert report.exists()


def test_explore_of_seeds_that_hold_ends_with_0() -> None:
    said = say("explore", "--seeds", "3-4", "--jobs", "2")
    assert said.exit_code == 0
    assert said.stdout.splitlines()[-1].startswith("2 seeds, 0 broken")


@pytest.mark.parametrize("line", ["run", "run --seed x", "run --seed 1 --x", "explore", "explore --seeds x"])
def test_asked_for_wrongly_it_ends_with_2(line: str) -> None:
    assert say(*line.split()).exit_code == 2


def test_a_file_that_is_no_plan_is_asked_for_wrongly(tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    file.write_text('{"faults": 5}')
    said = say("run", "--plan", str(file))
    assert said.exit_code == 2 and "holds no plan" in said.stderr
