"""The package list is written by hand: it must name what is on disk."""

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {"fleet": "fleet", "actors": "fleet.actors", "storage": "fleet.storage", "sim": "fleet.sim"}


def test_every_folder_with_code_is_a_package_that_ships() -> None:
    with open(ROOT / "pyproject.toml", "rb") as file:
        setuptools = tomllib.load(file)["tool"]["setuptools"]
    found = set()
    for folder, package in FOLDERS.items():
        for init in (ROOT / folder).rglob("__init__.py"):
            relative = init.parent.relative_to(ROOT / folder)
            if not any((ROOT / folder / part).is_symlink() for part in relative.parts[:1]):
                found.add(".".join((package, *relative.parts)))
    assert found == set(setuptools["packages"])
    for package, folder in setuptools["package-dir"].items():
        assert (ROOT / folder / "__init__.py").exists(), package


def test_a_folder_is_not_imported_under_two_names() -> None:
    for folder in ("actors", "storage", "sim"):
        code = f"import {folder}"
        result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
        assert f"installs as fleet.{folder}" in result.stderr


def test_the_top_level_holds_what_was_agreed() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    top = {line.partition("/")[0] for line in listed.splitlines()}
    assert top <= {
        "fleet", "actors", "storage", "sim", "tests", "setup.cfg", "pyproject.toml", "README.md",
        ".ci", ".gitignore", "LICENSE", "CHANGELOG.md",
    }  # fmt: skip
