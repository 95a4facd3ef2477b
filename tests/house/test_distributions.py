"""sdist and wheel are built, and the wheel runs where nothing else of the checkout is: on each Python that
fleet supports, as far as this machine has it."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from functools import cache
from importlib.metadata import version
from pathlib import Path
from tempfile import mkdtemp
from zipfile import ZipFile

import pytest

import fleet
from tests.support.aside import Aside
from tests.support.pythons import find_python

ROOT = Path(__file__).resolve().parents[2]
METADATA = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
VERSIONS = ("3.11", "3.12", "3.13", "3.14")
UNTRIED = {"3.14"}
"""None of it could be had so far."""
SHOP = """
import fleet

class Till(fleet.Data):
    cents: int = 0

    @fleet.command
    def sell(self, cents: int) -> int:
        self.cents += cents
        return self.cents
"""
BY_REFERENCE = """
import fleet, shop

with fleet.Node("n2", listen="127.0.0.1:0") as node, fleet.connect(node.address) as f:
    till = f.create_group("till", shop.Till, replicas=1)
    print("class:", f.status("till").data_class, "till:", till.sell(250))
"""
SAYS = f"visits: 1\nclass: shop.Till till: 250\nfleet, version {fleet.__version__}\n"


def run(*command: str, directory: Path) -> str:
    """What it prints; of a command that fails, all that it says."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("FLEET_", "PYTHON"))}
    done = subprocess.run(
        command,
        cwd=directory,
        env=kept | {"FLEET_SECRET": "a secret of the tests, long enough"},
        capture_output=True,
        text=True,
    )
    return done.stdout if done.returncode == 0 else f"{' '.join(command)}:\n{done.stdout}{done.stderr}"


@cache
def built() -> Path:
    """A directory with an sdist, made of what git knows, and with the wheel that was made of that."""
    directory = Path(mkdtemp())
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in listed.stdout.split("\0"):
        if name and (ROOT / name).exists():
            (directory / "src" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, directory / "src" / name, follow_symlinks=False)
    said = run(sys.executable, "-m", "build", "--outdir", ".", "src", directory=directory)
    assert said.endswith(".whl\n"), said
    return directory


def installed_in(python: str) -> str:
    """What the README's first example, a class by reference and `fleet --version` say in a fresh environment
    of that interpreter."""
    wheel = next(built().glob("*.whl"))
    directory = Path(mkdtemp())
    own = directory / "env" / "bin"
    run(python, "-m", "venv", "--without-pip", "env", directory=directory)
    install = ("install", "--quiet", "--no-compile", str(wheel))
    said = run(sys.executable, "-m", "pip", "--python", str(own / "python"), *install, directory=directory)
    (directory / "shop.py").write_text(SHOP)
    (example,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    for program in (example, BY_REFERENCE):
        (directory / "program.py").write_text(program)
        said += run(str(own / "python"), "program.py", directory=directory)
    return said + run(str(own / "fleet"), "--version", directory=directory)


def names_in_distributions() -> tuple[set[str], set[str]]:
    """The files of the sdist, without its own folder, and of the wheel."""
    with tarfile.open(next(built().glob("*.tar.gz"))) as source:
        inside = {name.partition("/")[2] for name in source.getnames()}
    with ZipFile(next(built().glob("*.whl"))) as wheel:
        return inside, set(wheel.namelist())


def on(minor: str) -> object:
    python = find_python(minor)
    missing = pytest.mark.skipif(python is None, reason=f"no Python {minor} on this machine")
    return pytest.param(python, id=minor, marks=missing)


@pytest.mark.parametrize("python", [on(minor) for minor in VERSIONS])
def test_the_wheel_runs_in_a_fresh_environment(python: str, aside: Aside) -> None:
    assert aside(installed_in, python) == SAYS


def test_both_hold_what_is_needed_and_nothing_of_ours_is_top_level_but_fleet(aside: Aside) -> None:
    source, wheel = aside(names_in_distributions)
    assert {"README.md", "LICENSE", "pyproject.toml", "actors/__init__.py", "fleet/py.typed"} <= source
    assert {"fleet/py.typed", "fleet/actors/__init__.py", "fleet/raft/core.py"} <= wheel
    assert {name.partition("/")[0] for name in wheel} == {
        "fleet",
        f"fleet_raft-{fleet.__version__}.dist-info",
    }


def test_the_version_is_said_once() -> None:
    assert "version" in METADATA["dynamic"]
    assert version(METADATA["name"]) == fleet.__version__


def test_every_version_of_python_that_was_tried_is_listed_and_no_other() -> None:
    listed = [line for line in METADATA["classifiers"] if re.fullmatch(r".* :: 3\.\d+", line)]
    assert [line.rpartition(" ")[2] for line in listed] == [one for one in VERSIONS if one not in UNTRIED]
