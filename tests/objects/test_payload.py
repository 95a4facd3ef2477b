import json
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fleet.errors import (
    BadArguments,
    CommandFailed,
    DataClassUnavailable,
    ImpureQuery,
    NotDecodable,
    NotEncodable,
    QueryFailed,
    Rejected,
)
from fleet.objects.class_refs import class_name, decode_class, encode_class
from fleet.objects.declare import Data, command
from fleet.objects.described import describe
from fleet.objects.payload import (
    decode_call,
    decode_result,
    encode_bad_call,
    encode_call,
    encode_failed,
    encode_impure,
    encode_ok,
    encode_rejected,
    encode_value,
)

ROOT = Path(__file__).parents[2]
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
KEYS = st.text() | st.integers() | st.tuples(st.text(), st.integers())
VALUES = st.recursive(
    SCALARS | st.frozensets(st.integers()) | st.sets(st.text()),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(KEYS, inner),
    max_leaves=20,
)


class Gone:
    """Pickled by reference to a module that the tests take away."""


def run_python(code: str) -> str:
    """What a process of its own prints, so that its classes are those of another `__main__`."""
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout


@given(args=st.lists(VALUES).map(tuple), kwargs=st.dictionaries(st.text(), VALUES))
def test_a_call_arrives_as_it_was_made(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    assert decode_call(encode_call("add", args, kwargs)) == ("add", args, kwargs)


@given(VALUES)
def test_a_result_arrives_as_it_was_returned(value: Any) -> None:
    assert decode_result(encode_ok(value)) == value


@given(VALUES)
def test_a_refusal_arrives_with_its_value(value: Any) -> None:
    with pytest.raises(Rejected) as caught:
        decode_result(encode_rejected(value))
    assert caught.value.value == value


def test_s49_what_arrives_shares_nothing_with_what_was_sent() -> None:
    items = [1, 2]
    _, (received,), _ = decode_call(encode_call("put", (items,), {}))
    items.append(3)
    assert received == [1, 2]


def test_a_local_function_and_a_local_class_travel_by_value() -> None:
    class Local:
        size = 3

    _, (double, cls), _ = decode_call(encode_call("put", (lambda n: 2 * n, Local), {}))
    assert double(4) == 8
    assert cls.size == 3


def test_a_class_of_main_travels_by_value_although_plain_pickle_would_take_it() -> None:
    code = """
from fleet.objects.payload import encode_call
class Point:
    def __init__(self, x): self.x = x
print(encode_call("put", (Point(7),), {}).hex())
"""
    _, (point,), _ = decode_call(bytes.fromhex(run_python(code)))
    assert point.x == 7
    assert not hasattr(sys.modules["__main__"], "Point")


def test_a_class_of_a_registered_module_travels_by_value() -> None:
    module = sys.modules[Gone.__module__]
    by_reference = encode_value(Gone())
    cloudpickle.register_pickle_by_value(module)
    try:
        by_value = encode_value(Gone())
    finally:
        cloudpickle.unregister_pickle_by_value(module)
    assert by_reference == pickle.dumps(Gone(), 5)
    assert b"_make_skeleton_class" in by_value


def test_the_word_main_in_a_text_does_no_harm() -> None:
    assert decode_call(encode_call("put", ("__main__",), {})) == ("put", ("__main__",), {})


@pytest.mark.parametrize(
    ("args", "kwargs", "named"),
    [
        ((1, threading.Lock()), {}, "argument 2 (lock)"),
        ((1,), {"by": [threading.Lock()]}, "argument 'by' (list)"),
    ],
)
def test_what_cannot_be_encoded_is_named(args: tuple[Any, ...], kwargs: dict[str, Any], named: str) -> None:
    with pytest.raises(NotEncodable, match="put: ") as caught:
        encode_call("put", args, kwargs)
    assert named in str(caught.value)


def test_an_argument_nested_without_end_is_not_encodable() -> None:
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    with pytest.raises(NotEncodable):
        encode_call("put", (nested,), {})


@example(b"\x8e\x00\x00\x00\x00\x00\x00\x00\x01")
@given(st.binary())
def test_bytes_that_are_no_call_are_refused(junk: bytes) -> None:
    with pytest.raises(BadArguments):
        decode_call(junk)


@pytest.mark.parametrize("shape", [1, ("add",), ("add", [], {}), (1, (), {}), ("add", (), None)])
def test_a_pickle_that_is_no_call_is_refused(shape: Any) -> None:
    with pytest.raises(BadArguments):
        decode_call(pickle.dumps(shape))


def test_each_record_raises_its_own_error_with_its_facts() -> None:
    with pytest.raises(CommandFailed, match="odd") as command_failed:
        decode_result(encode_failed("command", "ValueError", "odd", "shop:Cart.add:12"))
    assert (command_failed.value.error, command_failed.value.where) == ("ValueError", "shop:Cart.add:12")
    with pytest.raises(QueryFailed, match="odd") as query_failed:
        decode_result(encode_failed("query", "ValueError", "odd", "shop:Cart.get:15"))
    assert query_failed.value.where == "shop:Cart.get:15"
    with pytest.raises(BadArguments, match="no such"):
        decode_result(encode_bad_call("no such"))
    with pytest.raises(ImpureQuery) as impure:
        decode_result(encode_impure("Cart.get changed the object", "items"))
    assert impure.value.changed == "items"


@pytest.mark.parametrize("data", [b"", b"\x63", b"\x80", b"\x01", b"\x80\x05junk"])
def test_bytes_that_are_no_result_are_not_decodable(data: bytes) -> None:
    with pytest.raises(NotDecodable):
        decode_result(data)


@pytest.mark.parametrize("encode", [encode_ok, encode_rejected])
def test_a_result_whose_class_is_not_here_is_not_decodable(
    encode: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = encode(Gone())
    monkeypatch.delitem(globals(), "Gone")
    with pytest.raises(NotDecodable, match="Gone"):
        decode_result(data)


def test_an_error_is_described_without_addresses_and_paths() -> None:
    def fail() -> None:
        raise ValueError(f"odd: {object()!r}")

    try:
        fail()
    except ValueError as error:
        name, message, where = describe(error, __name__)
    assert (name, message) == ("ValueError", "odd: <object object>")
    module, function, line = where.split(":")
    assert (module, function.rpartition(".")[2]) == (__name__, "fail")
    assert int(line) == fail.__code__.co_firstlineno + 1


def test_where_is_the_innermost_line_of_the_users_and_not_of_a_library() -> None:
    def parse() -> None:
        json.loads("{")

    try:
        parse()
    except ValueError as error:
        where = describe(error, __name__)[2]
    assert "parse" in where and "json" not in where


def test_an_error_that_cannot_be_told_is_told_as_that() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert describe(Mute(), __name__)[1] == "its __str__ raised RuntimeError"


class Known(Data):
    value: int = 0


def test_a_class_of_an_importable_module_travels_by_reference() -> None:
    data = encode_class(Known)
    assert decode_class(data) is Known
    assert class_name(data) == f"{__name__}.Known"


def test_a_local_class_travels_by_value() -> None:
    class Local(Data, version=3):
        value: int = 2

        @command
        def add(self, n: int) -> int:
            self.value += n
            return self.value

    cls: Any = decode_class(encode_class(Local))
    assert cls().add(5) == 7
    assert cls.__fleet_version__ == 3


def test_a_class_that_is_not_here_is_unavailable_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode_class(Known)
    monkeypatch.delitem(globals(), "Known")
    with pytest.raises(DataClassUnavailable) as caught:
        decode_class(data)
    assert (caught.value.data_class, caught.value.module) == ("Known", __name__)
    assert class_name(data) == f"{__name__}.Known"


def test_a_class_that_holds_a_lock_is_not_encodable() -> None:
    class Local(Data):
        lock = threading.Lock()

    with pytest.raises(NotEncodable, match="Local"):
        encode_class(Local)


@given(st.binary())
@example(b"\x93\xa1\x80")  # a text that is not UTF-8: msgspec lets UnicodeDecodeError out
def test_bytes_that_are_no_class_are_unavailable(junk: bytes) -> None:
    with pytest.raises(DataClassUnavailable):
        decode_class(junk)
