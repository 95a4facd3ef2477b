"""Values of users' types are equal at the caller, in the second run of the same script, too."""

import subprocess
import sys
from pathlib import Path

TYPES = """
import enum
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
import msgspec

class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"

@dataclass(frozen=True)
class Point:
    x: int = 0
    colour: Colour = Colour.RED

    def moved(self):
        return Point(self.x + 1, self.colour)

class Size(msgspec.Struct, frozen=True):
    width: int = 1
    tags: list[str] = msgspec.field(default_factory=list)

try:
    from pydantic import BaseModel
except ImportError:
    MODELS = []
else:
    class Model(BaseModel):
        point: Point = Point()

    MODELS = [Model(point=Point(5))]

VALUES = [
    Colour.BLUE, Point(1), Point(1).moved(), Size(2, ["a"]), *MODELS, {Colour.RED, Colour.BLUE},
    {Point(1): Colour.RED}, datetime(2026, 1, 2, tzinfo=timezone.utc), timedelta(1), frozenset({Point(3)}),
]
"""
SCRIPT = """
import os
from typing import Any
import fleet
import shapes
{types}
VALUES += shapes.VALUES

class Box(fleet.Data):
    colour: Colour = Colour.RED
    values: list[Any] = []

    @fleet.command
    def put(self, values: list[Any], colour: Colour, point: Point = Point()) -> bool:
        same = values == self.values and colour is self.colour
        self.values, self.colour = values, colour
        return same

    @fleet.query
    def get(self) -> tuple[list[Any], Colour]:
        return self.values, self.colour

    @fleet.query
    def has(self, values: list[Any], colour: Colour) -> bool:
        return self.values == values and self.colour is colour

    @fleet.command
    def fail(self) -> None:
        shapes.fail()

def is_put():
    return box.get() == (VALUES, Colour.BLUE) and box.get()[1] is Colour.BLUE

is_first = not os.path.exists("data")
own = {{"secret": "a secret of a script, long enough"}}
node = fleet.Node("n1", "127.0.0.1:0", data_dir="data", found=is_first, **own)
with node, fleet.connect(node.address, **own) as client:
    box = client.create_group("box", Box, replicas=1) if is_first else client.group("box", Box)
    print(is_first or is_put(), box.put(VALUES, Colour.BLUE), is_put(), box.has(VALUES, Colour.BLUE))
    try:
        box.put(VALUES, "blue")
    except fleet.NotDone as error:
        print(error.what)
    try:
        box.fail()
    except fleet.errors.CommandFailed as error:
        print(error.remote_traceback)
"""
FAIL = """
def fail():
    raise KeyError("of this module")
"""
REFUSED = "Box.put: colour must be __main__.Colour, not 'blue' (str)"


def test_values_of_a_script_and_of_a_module_are_equal_in_two_runs(tmp_path: Path) -> None:
    (tmp_path / "shapes.py").write_text(TYPES + FAIL)
    (tmp_path / "script.py").write_text(SCRIPT.format(types=TYPES))
    for equal in ("True False True True", "True True True True"):
        told, refused, *traceback = run(tmp_path)
        assert (told, refused) == (equal, REFUSED)
        assert traceback[0] == "Traceback (most recent call last):"
        assert 'raise KeyError("of this module")' in traceback[-3]
        assert traceback[-2] == "KeyError: 'of this module'"


def run(folder: Path) -> list[str]:
    command = [sys.executable, "script.py"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
