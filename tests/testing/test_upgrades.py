"""`check(cls, since=...)`: silent on a class that goes on from the states of the former one."""

import importlib
import itertools
import time
from typing import Any

import pytest

import fleet
from fleet.errors import ConfigError
from fleet.testing import CheckFailed, check
from tests.support.modules import Modules, modules

__all__ = ["modules"]


class Tally(fleet.Data):
    """As it was."""

    total: int = 0
    names: list[str] = []

    @fleet.command
    def add(self, name: str, n: int) -> int:
        self.names.append(name)
        self.total += n
        return self.total

    @fleet.query
    def get(self) -> int:
        return self.total


class _Renamed(fleet.Data):
    """As it is, but for `migrate`: the field has another name, and so has a command."""

    amount: int = 0
    names: list[str] = []

    @fleet.command
    def put(self, name: str, n: int) -> int:
        self.names.append(name)
        self.amount += n
        return self.amount

    @fleet.query
    def get(self) -> int:
        return self.amount


class Good(_Renamed, version=2):
    @classmethod
    def migrate(cls, from_version: int, raw: Any) -> Any:
        assert from_version == 1
        return {"amount": raw["total"], "names": raw["names"]}


class SameFields(Tally):
    """Without a new version."""

    more: int = 0

    @fleet.command
    def double(self) -> None:
        self.total *= 2
        self.more += 1


class NoVersion(_Renamed):
    pass


class NoMigrate(_Renamed, version=2):
    pass


class Lost(_Renamed, version=2):
    @classmethod
    def migrate(cls, from_version: int, raw: Any) -> Any:
        return {"names": raw["names"]}


class Misspelt(_Renamed, version=2):
    @classmethod
    def migrate(cls, from_version: int, raw: Any) -> Any:
        return {"amount": raw["totel"]}


class OtherType(_Renamed, version=2):
    @classmethod
    def migrate(cls, from_version: int, raw: Any) -> Any:
        return {"amount": raw["total"], "names": tuple(raw["names"])}


class Incomplete(_Renamed, version=2):
    def __init__(self) -> None:
        self.extra = 1

    @classmethod
    def migrate(cls, from_version: int, raw: Any) -> Any:
        return {"amount": raw["total"], "names": raw["names"]}


class Timed(_Renamed, version=2):
    at: float = 0

    @classmethod
    def migrate(cls, from_version: int, raw: Any) -> Any:
        return {"amount": raw["total"], "names": raw["names"], "at": time.time()}


class Ordered(_Renamed, version=2):
    """The order of a set is another one in every process."""

    @classmethod
    def migrate(cls, from_version: int, raw: Any) -> Any:
        return {"amount": raw["total"], "names": list({*raw["names"], "x", "y", "z"})}


@pytest.mark.parametrize("cls", [Good, SameFields, Tally])
def test_a_class_that_goes_on_passes(cls: type[fleet.Data]) -> None:
    check(cls, seeds=15, since=Tally, hash_seeds=(1, 2))


@pytest.mark.parametrize(
    ("cls", "what"),
    [
        (NoVersion, r"total of Tally is left over, and the class has no such field: let NoVersion.migrate"),
        (NoMigrate, r"total of Tally is left over, .*: let NoMigrate.migrate\(1, raw\) take it over"),
        (Lost, r"get\(\) answers otherwise after the switch: .* or if it is meant, say differing=\['get'\]"),
        (
            Misspelt,
            r"Misspelt.migrate\(1, raw\) raises KeyError: 'totel' in .*migrate:\d+, with this",
        ),
        (OtherType, r"put\(.*\) raises AttributeError: 'tuple' .* on a new object: let OtherType.migrate"),
        (Incomplete, r"there is no extra after the switch, .*: let Incomplete.migrate\(1, raw\) give it, or"),
        (Timed, r"Timed.migrate uses time.time\(\) in line \d+ of .*; use fleet.ctx.now"),
        (Ordered, r"the switch differs from process to process"),
    ],
)
def test_what_does_not_go_on_is_told_with_method_remedy_and_seed(cls: type[fleet.Data], what: str) -> None:
    with pytest.raises(CheckFailed, match=what) as caught:
        check(cls, seeds=10, since=Tally, hash_seeds=(1, 2))
    told = str(caught.value)
    assert f"again: check({cls.__name__}, seeds=[" in told and ", since=Tally)" in told
    seed = int(told.rpartition("seeds=[")[2].partition("]")[0])
    with pytest.raises(CheckFailed, match=what):
        check(cls, seeds=[seed], since=Tally, hash_seeds=(1, 2))


class Doubled(_Renamed, version=2):
    """Means it."""

    @classmethod
    def migrate(cls, from_version: int, raw: Any) -> Any:
        return {"amount": raw["total"] * 2, "names": raw["names"]}


def test_an_answer_that_is_meant_to_change_may_be_named() -> None:
    with pytest.raises(CheckFailed, match="answers otherwise"):
        check(Doubled, seeds=10, since=Tally, hash_seeds=())
    check(Doubled, seeds=10, since=Tally, hash_seeds=(), differing=["get"])


class Fussy(_Renamed, version=2):
    """Fails for one state only."""

    @classmethod
    def migrate(cls, from_version: int, raw: Any) -> Any:
        if "zoe" in raw["names"]:
            raise LookupError("zoe")
        return {"amount": raw["total"], "names": raw["names"]}


def test_recorded_calls_are_replayed_in_place_of_made_up_ones() -> None:
    check(Fussy, seeds=20, since=Tally, hash_seeds=())
    history = [("add", ("ann", 1)), ("add", ("zoe",), {"n": 2}), ("get",)]
    with pytest.raises(CheckFailed, match=r"Fussy.migrate\(1, raw\) raises LookupError: zoe") as caught:
        check(Fussy, seeds=20, since=Tally, hash_seeds=(), history=history)
    assert "add('ann', 1) -> 1\n  add('zoe', n=2) -> 3" in str(caught.value)


def test_every_point_is_drawn() -> None:
    """Also before the first call, and after the last."""
    from fleet.testing.arguments import Drawer
    from fleet.testing.upgrades import Former, Upgrade

    former = Former(Tally, Drawer(Tally, {}, {}), [("add", ("a", 1))] * 3)
    points = {len(Upgrade(former, Good, Drawer(Good, {}, {}), seed).former.drawn) for seed in range(40)}
    assert points == {0, 1, 2, 3}


def test_values_and_calls_may_be_about_either_class() -> None:
    def one(rng: Any) -> tuple[str, int]:
        return "only", 1

    check(Good, seeds=3, since=Tally, hash_seeds=(), calls={"add": one, "put": one})
    check(Good, seeds=3, since=Tally, hash_seeds=(), values={"name": lambda rng: "only"})
    with pytest.raises(ConfigError, match="no command or query 'sum'"):
        check(Good, seeds=3, since=Tally, hash_seeds=(), calls={"sum": one})


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"since": int}, "since=<class 'int'> is not a data class"),
        ({"since": Tally, "differing": ["put"]}, "differing: Good has no query 'put'"),
        ({"since": Tally, "history": [("sum", (1,))]}, "Tally has no command or query 'sum', as in history"),
        ({"history": [("add", ("a", 1))]}, "history and differing are about a former version"),
    ],
)
def test_wrong_settings_are_told(settings: dict[str, Any], what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        check(Good, seeds=1, **settings)


def test_a_class_cannot_follow_one_of_a_higher_version() -> None:
    with pytest.raises(ConfigError, match="since=Good has version 2, Tally only 1; raise it"):
        check(Tally, seeds=1, since=Good)


SHELF = """
from dataclasses import dataclass
import fleet

@dataclass(frozen=True)
class Item:
    name: str

class Shelf(fleet.Data):
    items: list[Item] = []

    @fleet.command
    def put(self, item: Item) -> None:
        self.items.append(item)

    @fleet.query
    def first(self) -> str | None:
        return self.items[0].name if self.items else None
"""


def test_the_classes_of_the_former_module_become_those_of_the_new_one(modules: Modules) -> None:
    """As they do where the new file stands in the place of the old one."""
    new = SHELF.replace("    name: str\n", "    name: str\n    def label(self):\n        return self.name\n")
    new = new.replace("items[0].name", "items[0].label()")
    modules.write(old_shelf=SHELF)
    shelf = modules.load(shelf=new)
    check(shelf.Shelf, seeds=10, since=importlib.import_module("old_shelf").Shelf, hash_seeds=(1,))
    broken = modules.load(shelf=new.replace("return self.name", "return self.nome"))
    with pytest.raises(CheckFailed, match=r"first\(\) answers otherwise after the switch"):
        check(broken.Shelf, seeds=10, since=importlib.import_module("old_shelf").Shelf, hash_seeds=())


COUNTS = itertools.count()


class Counting(_Renamed, version=2):
    @classmethod
    def migrate(cls, from_version: int, raw: Any) -> Any:
        return {"amount": raw["total"], "names": [*raw["names"], str(next(COUNTS))]}


def test_a_state_that_is_another_one_each_time_is_found() -> None:
    with pytest.raises(CheckFailed, match=r"Counting.migrate\(1, raw\) makes another state each time"):
        check(Counting, seeds=3, since=Tally, hash_seeds=())
