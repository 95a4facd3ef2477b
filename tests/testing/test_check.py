"""`fleet.testing.check`: silent on a class that is fit, and in words about one that is not."""

import enum
import os
import random
import subprocess
import sys
import time
from typing import Literal

import pytest

import fleet
from fleet.errors import ConfigError
from fleet.testing import CheckFailed, check, checking
from fleet.testing.canonical import canonical
from fleet.testing.values import Maker
from tests.testing import accounts


def test_a_fit_class_passes() -> None:
    check(accounts.Account, seeds=20)


@pytest.mark.parametrize(
    ("cls", "what"),
    [
        (accounts.SetOrder, "differs from process to process"),
        (accounts.HashOfText, "differs from process to process"),
        (
            accounts.UnseededRandom,
            r"UnseededRandom.draw uses random.random\(\) in line \d+ of tests.testing.acc",
        ),
        (accounts.OutsideState, "goes on differently from a snapshot"),
        (accounts.LostOnTheWay, "goes on differently from a snapshot"),
        (accounts.ReadsIdentity, "differs|differently"),
        (accounts.ImpureQuery, r"the query look\(\) changes the object"),
        (accounts.LateReject, "raises Reject after it has changed the object"),
        (accounts.KeptArgument, "keeps argument 1 itself"),
        (accounts.NotEncodable, "cannot be encoded"),
    ],
)
def test_what_does_not_fit_is_found_and_told_with_its_seed(cls: type[fleet.Data], what: str) -> None:
    with pytest.raises(CheckFailed, match=what) as caught:
        check(cls, seeds=15, hash_seeds=(1, 2))
    seed = str(caught.value).rpartition("seeds=[")[2].rstrip("])")
    with pytest.raises(CheckFailed, match=what):
        check(cls, seeds=[int(seed)], hash_seeds=(1, 2))


class Loud(fleet.Data):
    count: int = 0

    @fleet.command
    def add(self) -> int:
        print("from", "python")
        os.write(1, b"from beneath it")
        self.count += 1
        return self.count


def test_a_class_that_prints_is_fit() -> None:
    check(Loud, seeds=2, hash_seeds=(1, 2))


class Endless(fleet.Data):
    @fleet.command
    def loop(self) -> None:
        time.sleep(60)


def test_a_class_that_comes_to_no_end_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "PROCESS_S", 2)
    with pytest.raises(CheckFailed, match="Endless: its scripts take longer than 2 s"):
        check(Endless, seeds=1, hash_seeds=(1, 2))


def test_a_class_of_a_script_travels_to_the_other_processes(tmp_path) -> None:  # type: ignore[no-untyped-def]
    script = tmp_path / "script.py"
    script.write_text(
        "import fleet\n"
        "from fleet.testing import check\n"
        "class Named(fleet.Data):\n"
        "    names: set[str] = set()\n"
        "    @fleet.command\n"
        "    def add(self, name: str) -> list[str]:\n"
        "        self.names.add(name)\n"
        "        return ORDER(self.names)\n"
        "ORDER = sorted\n"
        "check(Named, seeds=5, hash_seeds=(1, 2))\n"
        "ORDER = list\n"
        "try:\n"
        "    check(Named, seeds=5, hash_seeds=(1, 2))\n"
        "except AssertionError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert "differs from process to process" in done.stdout


def test_arguments_without_annotation_are_asked_for() -> None:
    class Bare(fleet.Data):
        total: int = 0

        @fleet.command
        def add(self, n):  # type: ignore[no-untyped-def]
            self.total += n

    with pytest.raises(
        ConfigError, match=r"Bare.add: parameter n: it has no annotation; .* check\(Bare, values={'n'"
    ):
        check(Bare, seeds=1)
    check(Bare, seeds=5, calls={"add": lambda rng: (rng.randint(1, 9),)}, hash_seeds=())
    with pytest.raises(ConfigError, match="no command or query 'sub'"):
        check(Bare, calls={"sub": lambda rng: ()})


def test_a_class_without_methods_is_refused() -> None:
    class Empty(fleet.Data):
        pass

    with pytest.raises(ConfigError, match="nothing|no @fleet.command"):
        check(Empty)


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


@pytest.mark.parametrize(
    ("hint", "kinds"),
    [
        (int, (int,)),
        (str | None, (str, type(None))),
        (list[int], (list,)),
        (tuple[int, str], (tuple,)),
        (tuple[int, ...], (tuple,)),
        (dict[str, int], (dict,)),
        (frozenset[str], (frozenset,)),
        (set[int], (set,)),
        (Literal["a", "b"], (str,)),
        (Colour, (Colour,)),
        (bytes, (bytes,)),
    ],
)
def test_arguments_are_of_their_types(hint: object, kinds: tuple[type, ...]) -> None:
    rng = random.Random(1)
    for _ in range(20):
        assert isinstance(Maker().draw(hint)(rng), kinds)


def test_equal_values_have_equal_texts() -> None:
    assert canonical({"b", "a"}) == canonical({"a", "b"}) == "{'a', 'b'}"
    assert canonical({1: (2, [3])}) == "{1: (2, [3])}"
    assert canonical({1: 2, 3: 4}) != canonical({3: 4, 1: 2})
    ring: list[object] = [1]
    ring.append(ring)
    assert canonical(ring) == "[1, <the list 1 up>]"
    assert "0x" not in canonical(lambda: 1)
