"""The table of scenarios names tests that exist, and leaves no scenario out."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "fleet" / "docs" / "scenarios.md").read_text()
ROWS = re.findall(r"^\| (S\d\d)\*? \| [^|]+ \| (.+?) \| ([^|]*) \|$", TEXT, re.M)


def test_each_scenario_has_its_row() -> None:
    assert [name for name, _, _ in ROWS] == [f"S{number:02d}" for number in range(1, 66)]


@pytest.mark.parametrize(("name", "covered"), [row[:2] for row in ROWS], ids=[row[0] for row in ROWS])
def test_what_covers_a_scenario_exists(name: str, covered: str) -> None:
    tests = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", covered)
    assert tests or covered.startswith("waits for: ")
    for path, test in tests:
        assert re.search(rf"^def {test}\(", (ROOT / path).read_text(), re.M), f"{path}::{test}"
