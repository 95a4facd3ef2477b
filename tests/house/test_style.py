"""Lint and types are part of the tests, of the package and of the tests themselves."""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.aside import Aside

ROOT = Path(__file__).resolve().parents[2]


def run(*command: str) -> str:
    result = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True)
    return "" if result.returncode == 0 else result.stdout + result.stderr


def test_the_linter_has_nothing_to_say() -> None:
    assert run("ruff", "check", "--quiet", "--no-cache") == ""


def test_the_formatter_would_change_nothing() -> None:
    assert run("ruff", "format", "--check", "--quiet", "--no-cache") == ""


def types(*options: str) -> str:
    with TemporaryDirectory() as directory:
        return run("mypy", f"--cache-dir={directory}", *options)


def test_the_types_hold(aside: Aside) -> None:
    assert aside(types) == ""


def test_the_types_hold_on_macos(aside: Aside) -> None:
    """There Python has no epoll, no eventfd and no memfd: what uses them would be found here."""
    assert aside(types, "--platform=darwin", "--package=fleet") == ""
