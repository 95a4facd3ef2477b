"""Classes of scripts keep their identity from run to run, and a process keeps the classes that it has."""

import os
import re
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

import cloudpickle
import pytest
from cloudpickle import cloudpickle as cloud

from fleet.objects import by_value
from fleet.objects.code_digest import digest_of

SCRIPT = """
import enum
from dataclasses import dataclass, field
from typing import Any
import msgspec

LIMIT = 5
NAMES = {"a", "b", "c"}

class Config:
    def __init__(self, step):
        self.step = step

CONFIG = Config(1)

def helper(n):
    return n + LIMIT * CONFIG.step

class Colour(enum.Enum):
    RED = 1
    BLUE = 2

@dataclass(frozen=True)
class Point:
    x: int = 0
    colour: Colour = Colour.RED
    more: list[Any] = field(default_factory=list)

    def moved(self):
        return Point(helper(self.x), self.colour) if self.x not in {"u", "v", "w"} else NAMES

class Base(msgspec.Struct, frozen=True, tag="base", rename="camel"):
    first_name: str
    tags: list[str] = msgspec.field(default_factory=list)

class Size(Base, frozen=True, kw_only=True, tag="size"):
    width: int = 1
    next: "Size | None" = None

    def __post_init__(self):
        if self.width < 0:
            raise ValueError("negative")

    def doubled(self):
        return Size(self.first_name, width=2 * self.width)
"""
MODEL = """
import pydantic

class Model(pydantic.BaseModel):
    point: Point = Point()
"""
RUN = (
    SCRIPT
    + """
import sys
from fleet.objects import by_value
VALUES = (Colour.RED, Point(1), [Point(2).moved()], {Colour.RED: Point()}, Size("a", width=2).doubled())
if len(sys.argv) == 1:
    print(by_value.dumps(VALUES).hex())
else:
    back = by_value.loads(bytes.fromhex(sys.argv[1]))
    print(back == VALUES, back[0] is Colour.RED, type(back[1]) is Point, type(back[4]) is Size)
"""
)


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From then on this process knows as little of the classes as another."""

    def forget() -> None:
        monkeypatch.setattr(cloud, "_DYNAMIC_CLASS_TRACKER_BY_ID", WeakValueDictionary())

    return forget


@pytest.fixture
def script() -> Iterator[types.ModuleType]:
    """A module that stands for a script."""
    yield loaded(SCRIPT)
    cloudpickle.unregister_pickle_by_value(sys.modules["a_script"])
    del sys.modules["a_script"]


def loaded(text: str) -> types.ModuleType:
    known = sys.modules.get("a_script")
    module = types.ModuleType("a_script")
    sys.modules["a_script"] = module
    exec(text, vars(module))
    if known is None:
        cloudpickle.register_pickle_by_value(module)
    return module


def digests(text: str) -> list[str]:
    module = loaded(text)
    return [digest_of(kind) for kind in (module.Colour, module.Point, module.Base, module.Size)]


def run(*arguments: str, seed: int) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": str(seed)}
    command = [sys.executable, "-c", RUN, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_what_one_run_of_a_script_has_made_is_equal_in_the_next() -> None:
    assert run(run(seed=1), seed=2) == "True True True True"


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("import enum\n", "import enum\n\n# a comment\n", set()),
        ("RED = 1", "RED = 3", {"Colour", "Point"}),
        ("x: int = 0", "x: int = 1", {"Point"}),
        ("x: int = 0", "x: float = 0", {"Point"}),
        ("LIMIT = 5", "LIMIT = 6", {"Point"}),
        ("n + LIMIT", "n - LIMIT", {"Point"}),
        ("Config(1)", "Config(2)", {"Point"}),
        ("default_factory=list)\n\n    def", "default_factory=lambda: [1])\n\n    def", {"Point"}),
        ("frozen=True)\nclass Point", "order=True)\nclass Point", {"Point"}),
        ("first_name: str", "first_name: bytes", {"Base", "Size"}),
        ('tag="size"', 'tag="Size"', {"Size"}),
        ("2 * self", "3 * self", {"Size"}),
    ],
)
def test_a_class_with_other_code_is_another_class(
    script: types.ModuleType, old: str, new: str, changed: set[str]
) -> None:
    assert SCRIPT.count(old) == 1
    before, after = digests(SCRIPT), digests(SCRIPT.replace(old, new))
    names = ("Colour", "Point", "Base", "Size")
    assert {name for name, *pair in zip(names, before, after, strict=True) if pair[0] != pair[1]} == changed


def test_a_class_that_stays_is_found_before_it_was_ever_sent(
    script: types.ModuleType, elsewhere: Callable[[], None]
) -> None:
    data = by_value.dumps(script.Point(1))
    again = loaded(SCRIPT)
    elsewhere()
    assert by_value.loads(data) == again.Point(1)
    assert type(by_value.loads(data)) is again.Point


def test_a_class_that_is_defined_again_as_in_a_notebook_is_found(script: types.ModuleType) -> None:
    old = script.Point
    data = by_value.dumps(old(1))
    again = loaded(SCRIPT)
    assert type(by_value.loads(data)) is again.Point is not old
    assert by_value.loads(by_value.dumps(again.Point(1))) == again.Point(1)


def test_a_class_whose_code_cannot_be_told_travels_as_before(script: types.ModuleType) -> None:
    class Odd(type):
        def __getattribute__(cls, name: str) -> Any:
            if name == "__bases__":
                raise RuntimeError("odd")
            return super().__getattribute__(name)

    with pytest.raises(RuntimeError):
        digest_of(Odd("Strange", (), {}))
    script.__dict__["Strange"] = Odd("Strange", (), {"__module__": "a_script", "__qualname__": "Strange"})
    by_value._name(script.Strange)
    assert script.Strange not in cloud._DYNAMIC_CLASS_TRACKER_BY_CLASS


def test_a_class_whose_helper_was_defined_again_is_another_one_from_then_on(
    script: types.ModuleType,
) -> None:
    first = by_value.dumps(script.Point)
    assert ids(by_value.dumps(script.Point(1)))["Point"] == ids(first)["Point"]
    script.__dict__["LIMIT"] = 6
    assert ids(by_value.dumps(script.Point(1)))["Point"] != ids(first)["Point"]
    assert type(by_value.loads(first)) is type


def test_a_class_stays_the_same_when_what_its_code_fills_is_filled(script: types.ModuleType) -> None:
    """A cache, or a count: values that were sent before must stay equal to those that are sent later."""
    script.__dict__["CACHE"] = {}
    exec("def helper(n):\n    CACHE[n] = CONFIG\n    CONFIG.step += 1\n    return n", vars(script))
    first = ids(by_value.dumps(script.Point(1)))
    script.Point(1).moved()
    assert script.CACHE and ids(by_value.dumps(script.Point(1))) == first
    script.__dict__["CACHE"] = {2: 3}
    assert ids(by_value.dumps(script.Point(1))) != first


def ids(data: bytes) -> dict[str, bytes]:
    return {name.decode(): whole for whole, name in re.findall(rb"(fleet:a_script:(\w+):[0-9a-f]{32})", data)}


def test_a_class_with_too_much_in_reach_travels_as_before(script: types.ModuleType) -> None:
    script.CONFIG.step = list(range(20_000))
    with pytest.raises(ValueError, match="too much"):
        digest_of(script.Point)
    assert "Point" not in ids(by_value.dumps(script.Point(1)))


def test_a_class_that_has_changed_is_not_taken_for_the_sent_one(
    script: types.ModuleType, elsewhere: Callable[[], None]
) -> None:
    data = by_value.dumps(script.Point(1))
    again = loaded(SCRIPT.replace("LIMIT = 5", "LIMIT = 6"))
    elsewhere()
    back = by_value.loads(data)
    assert type(back) is not again.Point
    assert back.moved().x == 6


def test_a_class_stays_as_it_is_when_its_instances_come_back(script: types.ModuleType) -> None:
    moved = script.Point.moved
    assert by_value.loads(by_value.dumps(script.Point(1))) == script.Point(1)
    assert script.Point.moved is moved


def test_a_struct_that_came_by_value_is_as_the_one_that_was_sent(
    script: types.ModuleType, elsewhere: Callable[[], None]
) -> None:
    data = by_value.dumps(script.Size("a", width=2))
    del script.Size
    elsewhere()
    size: Any = by_value.loads(data)
    kind = type(size)
    assert (size.first_name, size.tags, size.width, size.doubled().width) == ("a", [], 2, 4)
    assert kind.__struct_config__.tag == "size" and kind.__struct_encode_fields__[0] == "firstName"
    assert kind("b").tags is not kind("b").tags
    assert kind.__annotations__ == {"width": int, "next": "Size | None"}
    with pytest.raises(ValueError, match="negative"):
        kind("a", width=-1)
    with pytest.raises(TypeError):
        kind("a", [], 1)
    with pytest.raises(AttributeError):
        size.width = 1


def test_local_classes_of_one_name_stay_apart() -> None:
    def made(n: int) -> type:
        @dataclass
        class Local:
            x: int = n

        return Local

    one, other = made(1), made(2)
    assert by_value.loads(by_value.dumps((one(), other()))) == (one(), other())


def test_pydantic_models_by_value(script: types.ModuleType, elsewhere: Callable[[], None]) -> None:
    pytest.importorskip("pydantic")
    first = loaded(SCRIPT + MODEL)
    model = first.Model(point=first.Point(2))
    data = by_value.dumps(model)
    again = loaded(SCRIPT + MODEL)
    elsewhere()
    assert by_value.loads(data) == again.Model(point=again.Point(2))
    del again.Model
    elsewhere()
    back: Any = by_value.loads(data)
    assert type(back) is not type(model) and back.point.x == 2
    assert type(back)(point={"x": 3}).point.x == 3
