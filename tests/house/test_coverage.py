"""How much of the protocol its own tests reach. Whole nodes and simulations reach the same code, but do not
say when it is wrong: they are not counted."""

import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support.aside import Aside

ROOT = Path(__file__).resolve().parents[2]
PERCENT_MIN = 97.0


def coverage_of_the_protocol() -> str:
    """What `coverage report` prints."""
    with TemporaryDirectory() as directory:
        data = f"--data-file={directory}/data"
        coverage = [sys.executable, "-m", "coverage"]
        run = [*coverage, "run", data, "--branch", "--source=fleet/raft", "-m", "pytest", "-q", "tests/raft"]
        tests = subprocess.run([*run, "-p", "no:cacheprovider"], cwd=ROOT, capture_output=True, text=True)
        assert tests.returncode == 0, tests.stdout[-3000:]
        report = [*coverage, "report", data, "--precision=1"]
        return subprocess.run(report, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_the_protocols_tests_reach_nearly_all_of_it(aside: Aside, capsys: pytest.CaptureFixture[str]) -> None:
    told = aside(coverage_of_the_protocol)
    total = told.splitlines()[-1]
    with capsys.disabled():
        print(f"\nfleet/raft, lines and branches reached by tests/raft: {total.split()[-1]}")
    reached = re.search(r"([\d.]+)%$", total)
    assert reached is not None and float(reached[1]) >= PERCENT_MIN, told
