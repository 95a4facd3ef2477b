"""`fleet contracts`, in a folder with a class, as in somebody's CI: no node, no cluster."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

COUNTER = """
import fleet

class Counter(fleet.Data):
    value: int = 0

    @fleet.command
    def add(self, n: int = 1) -> int:
        self.value += n
        return self.value

class Other(fleet.Data):
    pass
"""


class Said(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Said]:
    (tmp_path / "app.py").write_text(COUNTER)

    def run(*words: str) -> Said:
        command = [sys.executable, "-m", "fleet.cli", "contracts", *words]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
        )
        return Said(done.returncode, done.stdout, done.stderr)

    return run


def edit(folder: Path, old: str, new: str) -> None:
    text = (folder / "app.py").read_text()
    assert text.count(old) == 1
    (folder / "app.py").write_text(text.replace(old, new))


def test_a_class_that_stays_is_as_in_the_file(run: Callable[..., Said], tmp_path: Path) -> None:
    assert run("update", "app:Counter", "app:Other") == (0, "fleet.contracts.json holds 2 classes\n", "")
    lock = json.loads((tmp_path / "fleet.contracts.json").read_text())
    counter = lock["classes"]["app:Counter"]
    assert counter["version"] == 1 and len(counter["fingerprint"]) == 32
    assert counter["commands"]["add"]["parameters"][0]["annotation"] == "int"
    assert run("check") == (0, "2 classes as in fleet.contracts.json\n", "")


def test_what_breaks_something_ends_with_one_and_says_what_to_do(
    run: Callable[..., Said], tmp_path: Path
) -> None:
    run("update", "app:Counter")
    edit(tmp_path, "n: int = 1", "n: int")
    edit(tmp_path, "value: int = 0\n", "value: int = 0\n    more: int = 0\n")
    said = run("check")
    assert said.code == 1 and said.err == ""
    assert said.out.splitlines() == [
        "app:Counter",
        "  ✗ breaks callers: add: the parameter n has no default any more - give it a default",
        "  ✓ more: the field is new; where it is not stored it has its default",
        "1 difference that breaks something, of 2; mend it, or accept it by `fleet contracts update`",
    ]
    told: Any = json.loads(run("check", "--json").out)
    assert (told["breaking"], told["classes"], told["file"]) == (1, ["app:Counter"], "fleet.contracts.json")
    assert told["changes"][0] == {
        "class": "app:Counter",
        "where": "add",
        "what": "the parameter n has no default any more",
        "breaks": "callers",
        "remedy": "give it a default",
    }
    accepted = run("update")
    assert accepted.code == 0 and "✗ breaks callers: add" in accepted.out
    assert run("check").code == 0


def test_what_breaks_nothing_ends_with_zero(run: Callable[..., Said], tmp_path: Path) -> None:
    run("update", "app:Counter")
    edit(tmp_path, "self.value += n", "self.value -= n")
    said = run("check")
    assert said.code == 0
    assert said.out.splitlines()[1:] == [
        "  ✓ other code, with the same signatures and fields",
        "1 difference that breaks nothing; accept it by `fleet contracts update`",
    ]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("class Counter", "class Renamed", "module 'app' has no attribute 'Counter'"),
        ("import fleet\n", "import fleet, nothing_of_this_name\n", "No module named 'nothing_of_this_name'"),
    ],
)
def test_a_class_that_is_gone_breaks_callers(
    run: Callable[..., Said], tmp_path: Path, old: str, new: str, says: str
) -> None:
    run("update", "app:Counter", "app:Other")
    edit(tmp_path, old, new)
    said = run("check", "app:Counter")
    assert said.code == 1 and says in said.out and "--drop app:Counter" in said.out
    (tmp_path / "app.py").write_text(COUNTER)
    assert run("update", "--drop", "app:Counter").out == "fleet.contracts.json holds 1 class\n"
    assert run("check").out == "1 class as in fleet.contracts.json\n"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["check"], "there is no fleet.contracts.json; write it by `fleet contracts update module:Class"),
        (["update"], "there is no fleet.contracts.json"),
        (["update", "app"], "'app' is not module:Class"),
        (["update", "app:Nobody"], "app:Nobody cannot be loaded here"),
        (["update", "app:fleet"], "is not a data class; derive it from fleet.Data"),
        (["check", "--file", "other.json"], "other.json holds no contracts"),
        (["check", "--file", "newer.json"], "newer.json has format 9, this fleet knows 1"),
        (["check", "--file", "empty.json", "app:Counter"], "has no app:Counter; add it by `fleet contracts"),
        (["update", "--file", "empty.json", "--drop", "app:Counter"], "has no app:Counter; it has: none"),
    ],
)
def test_wrong_usage_ends_with_two(
    run: Callable[..., Said], tmp_path: Path, words: list[str], says: str
) -> None:
    for name, text in (("other", "[]"), ("newer", '{"format": 9}'), ("empty", "{}")):
        (tmp_path / f"{name}.json").write_text(text)
    said = run(*words)
    assert said.code == 2 and says in said.err and said.out == ""
    as_json = run(*words, "--json")
    assert as_json.code == 2 and says in json.loads(as_json.err)["message"]
    assert not (tmp_path / "fleet.contracts.json").exists()
