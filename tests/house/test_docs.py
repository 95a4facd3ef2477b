"""The docs name files and tests that exist; the tables of scenarios and of the originals leave none out."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "fleet" / "docs" / "scenarios.md").read_text()
ROWS = re.findall(r"^\| (S\d\d)\*? \| [^|]+ \| (.+?) \| ([^|]*) \|$", TEXT, re.M)

DOCS = [ROOT / "README.md", *sorted((ROOT / "fleet" / "docs").rglob("*.md"))]
FOLDERS = (".ci/", "actors/", "fleet/", "sim/", "storage/", "tests/")


@pytest.mark.parametrize("page", DOCS, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S)
    named = [name.partition("::")[0] for name in re.findall(r"`([\w./-]+(?:::\w+)?)`", text)]
    paths = [ROOT / name for name in named if name.startswith(FOLDERS) or name.endswith((".py", ".md"))]
    links = [page.parent / link for link in re.findall(r"\]\(([^)#:]+)\)", text)]
    assert [str(path) for path in (*paths, *links) if not path.exists()] == []


UPSTREAM = (ROOT / "fleet" / "docs" / "upstream.md").read_text()
UPSTREAM_ROWS = re.findall(r"^\| (R[VF]\d+) \| [^|]+ \| (.+?) \|$", UPSTREAM, re.M)


def test_each_row_of_the_originals_is_there() -> None:
    expected = [f"RV{number}" for number in range(1, 45)] + [f"RF{number}" for number in range(1, 23)]
    assert [name for name, _ in UPSTREAM_ROWS] == expected


@pytest.mark.parametrize(("name", "shown"), UPSTREAM_ROWS, ids=[name for name, _ in UPSTREAM_ROWS])
def test_what_shows_a_row_of_the_originals_exists(name: str, shown: str) -> None:
    tests = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", shown)
    assert tests or re.search(r"(Differs|Not there yet): ", shown)
    assert_there(tests)


def test_each_scenario_has_its_row() -> None:
    assert [name for name, _, _ in ROWS] == [f"S{number:02d}" for number in range(1, 87)]


@pytest.mark.parametrize(("name", "covered"), [row[:2] for row in ROWS], ids=[row[0] for row in ROWS])
def test_what_covers_a_scenario_exists(name: str, covered: str) -> None:
    tests = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", covered)
    assert tests or covered.startswith("waits for: ")
    assert_there(tests)


def assert_there(tests: list[tuple[str, str]]) -> None:
    for path, test in tests:
        assert re.search(rf"^def {test}\(", (ROOT / path).read_text(), re.M), f"{path}::{test}"
