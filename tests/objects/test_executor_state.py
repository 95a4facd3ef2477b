"""The state of a data class: encoded, loaded, migrated, and at home on other hosts."""

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.errors import DataClassUnavailable, NotEncodable
from fleet.objects.class_refs import decode_class
from fleet.objects.declare import Data, query
from fleet.objects.executor import ObjectExecutor
from fleet.objects.payload import decode_result
from tests.objects.boxes import CONTEXT, Box, Caller

ROOT = Path(__file__).parents[2]
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()


@given(st.dictionaries(st.text(), SCALARS | st.lists(SCALARS) | st.sets(st.integers())))
def test_a_loaded_object_is_the_dumped_one(items: dict[str, Any]) -> None:
    box = Caller()
    for key, value in items.items():
        box.apply("put", key, value)
    other = Caller()
    other.executor.load(box.executor.dump())
    assert other.query("ask", lambda box: (box.items, box.count)) == (items, len(items))
    assert box.executor.dump() == box.executor.dump()


def test_load_of_nothing_is_a_new_object() -> None:
    box = Caller()
    box.apply("put", "a")
    box.executor.load(None)
    assert box.executor.dump() == ObjectExecutor(Box).dump()


def test_a_state_that_cannot_be_encoded_names_the_field() -> None:
    box = Caller()
    box.apply("run", lambda box: setattr(box, "guard", threading.Lock()))
    with pytest.raises(NotEncodable) as caught:
        box.executor.dump()
    assert caught.value.field == "guard"


@pytest.mark.parametrize("state", [b"", b"\0\0\0\1", b"\0\0\0\1junk"])
def test_a_state_that_cannot_be_read_leaves_the_object(state: bytes) -> None:
    box = Caller()
    box.apply("put", "a", 1)
    with pytest.raises(DataClassUnavailable, match="cannot be loaded"):
        box.executor.load(state)
    assert box.query("get", "a") == 1


def versions() -> tuple[type[Data], type[Data]]:
    class Old(Data):
        cents: int = 5

    class New(Data, version=3):
        euros: float = 0.0
        currency: str = "EUR"

        @classmethod
        def migrate(cls, from_version: int, raw: Any) -> Any:
            return {"euros": raw["cents"] / 100, "was": from_version}

        @query
        def told(self) -> dict[str, Any]:
            return self.__dict__

    return Old, New


def test_an_older_state_is_migrated_and_new_fields_get_their_defaults() -> None:
    old, new = versions()
    caller = Caller(new)
    caller.executor.load(ObjectExecutor(old).dump())
    assert caller.query("told") == {"euros": 0.05, "currency": "EUR", "was": 1}
    assert caller.executor.dump()[:4] == b"\0\0\0\3"


def test_a_newer_state_is_refused() -> None:
    old, new = versions()
    with pytest.raises(DataClassUnavailable, match="version 3, the class here only 1"):
        ObjectExecutor(old).load(ObjectExecutor(new).dump())


class Cached(Data):
    """Keeps what can be computed again out of its state."""

    total: int = 3
    cache: dict[str, int] = {}

    def __getstate__(self) -> int:
        return self.total

    def __setstate__(self, total: int) -> None:
        self.total = total

    @query
    def doubled(self) -> int:
        self.cache["doubled"] = 2 * self.total
        return self.cache["doubled"]


def test_getstate_and_setstate_say_what_the_state_is() -> None:
    caller = Caller(Cached)
    assert caller.query("doubled") == 6
    assert caller.clean
    caller.executor.load(caller.executor.dump())
    assert caller.query("doubled") == 6


SCRIPT = """
from fleet.objects.context import ctx
from fleet.objects.declare import Data, command, query
from fleet.objects.class_refs import encode_class
from fleet.objects.payload import encode_call
class Item:
    def __init__(self, n): self.n = n
class Shop(Data, version=2):
    items: list[Item] = []
    @command
    def put(self, n):
        self.items.append(Item(n * ctx.index))
        return len(self.items)
    @query
    def total(self):
        assert all(isinstance(item, Item) for item in self.items)
        return sum(item.n for item in self.items)
print(encode_class(Shop).hex(), encode_call("put", (3,), {}).hex(), encode_call("total", (), {}).hex())
"""
HOST = """
import sys
from fleet.objects.executor import ObjectExecutor
from fleet.objects.class_refs import decode_class
from fleet.objects.payload import decode_result
cls, state, query = map(bytes.fromhex, sys.argv[1:])
executor = ObjectExecutor(decode_class(cls))
executor.load(state)
print(decode_result(executor.query((query,))[0][0]))
"""


def run_python(code: str, *args: str) -> str:
    """What a process of its own prints, so that its classes are those of another `__main__`."""
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, *args]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout


def test_a_class_of_main_lives_on_other_hosts_and_its_state_moves_between_them() -> None:
    cls, put, total = run_python(SCRIPT).split()
    executor = ObjectExecutor(decode_class(bytes.fromhex(cls)))
    (result,), _ = executor.apply(CONTEXT, (bytes.fromhex(put),))
    assert decode_result(result) == 1
    assert decode_result(executor.query((bytes.fromhex(total),))[0][0]) == 27
    assert executor.dump()[:4] == b"\0\0\0\2"
    assert run_python(HOST, cls, executor.dump().hex(), total) == "27\n"
