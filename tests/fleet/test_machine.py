import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.context import ctx
from fleet.data import Data, command, query
from fleet.errors import (
    BadArguments,
    CommandFailed,
    ConfigError,
    DataClassUnavailable,
    ImpureQuery,
    NotEncodable,
    QueryFailed,
    Reject,
    Rejected,
)
from fleet.machine import CHECKED_EVERY, CHECKED_FIRST, DataMachine, MemberMustHalt
from fleet.payload import decode_class, decode_result, encode_call
from fleet.ports import Context, Machine

ROOT = Path(__file__).parents[2]
CONTEXT = Context(index=9, now_ms=5000, session=2, seq=1, client="c1")


class Box(Data):
    """Has every way to go wrong."""

    items: dict[str, Any] = {}
    ballast: bytes = b""
    count: int = 0

    @command
    def put(self, key: str, value: Any = None, *, refuse: bool = False) -> int:
        if refuse:
            raise Reject({"taken": key})
        self.items[key] = value
        self.count += 1
        return self.count

    @command
    def load_with(self, size: int) -> None:
        self.ballast = bytes(size)

    @command
    def run(self, how: Callable[["Box"], Any]) -> Any:
        return how(self)

    @query
    def get(self, key: str) -> Any:
        return self.items[key]

    @query
    def ask(self, how: Callable[["Box"], Any]) -> Any:
        return how(self)

    def helper(self) -> None: ...


class Caller:
    """Calls a machine and decodes; keeps `clean` of the last call."""

    def __init__(self, cls: type = Box) -> None:
        self.machine = DataMachine(cls)
        self.clean = True

    def apply(self, method: str, *args: Any, **kwargs: Any) -> Any:
        result, self.clean = self.machine.apply(CONTEXT, encode_call(method, args, kwargs))
        return decode_result(result)

    def query(self, method: str, *args: Any, **kwargs: Any) -> Any:
        result, self.clean = self.machine.query(encode_call(method, args, kwargs))
        return decode_result(result)


def raise_(error: BaseException) -> Any:
    raise error


def test_a_data_machine_is_a_machine() -> None:
    machine: Machine = DataMachine(Box)
    machine.load(None)


def test_only_a_data_class_can_be_replicated() -> None:
    with pytest.raises(ConfigError, match="not a data class"):
        DataMachine(dict)


def test_a_command_changes_the_object_and_a_query_reads_it() -> None:
    box = Caller()
    assert box.apply("put", "a", 1) == 1
    assert box.clean
    assert box.query("get", "a") == 1
    assert box.clean


def test_a_command_has_ctx_and_a_query_has_not() -> None:
    box = Caller()
    assert box.apply("run", lambda _: (ctx.now, ctx.index, ctx.client)) == (5.0, 9, "c1")
    with pytest.raises(QueryFailed, match="ctx.now is not there in a query"):
        box.query("ask", lambda _: ctx.now)


# -- calls that do not fit ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "args", "kwargs", "message"),
    [
        ("gone", (), {}, "has no command 'gone'; it has: load_with, put, run"),
        ("get", ("a",), {}, "is not a command"),
        ("helper", (), {}, "has no command 'helper'"),
        ("__init__", (), {}, "has no command"),
        ("put", (), {}, "missing a required argument: 'key'"),
        ("put", ("a", 1, 2), {}, "too many positional arguments"),
        ("put", ("a",), {"n": 1}, "unexpected keyword argument 'n'"),
        ("put", ("a",), {"self": 1}, "multiple values for argument 'self'"),
    ],
)
def test_a_command_that_does_not_fit_changes_nothing(
    method: str, args: tuple[Any, ...], kwargs: dict[str, Any], message: str
) -> None:
    machine = DataMachine(Box)
    result, clean = machine.apply(CONTEXT, encode_call(method, args, kwargs))
    with pytest.raises(BadArguments, match=message):
        decode_result(result)
    assert clean
    assert machine.dump() == DataMachine(Box).dump()


def test_a_query_that_does_not_fit_is_told_apart_too() -> None:
    box = Caller()
    with pytest.raises(BadArguments, match="is not a query"):
        box.query("put", "a")
    with pytest.raises(BadArguments, match=r"get\(key: str\): missing"):
        box.query("get")
    assert box.clean


def test_a_type_error_of_the_users_code_is_not_taken_for_a_bad_call() -> None:
    box = Caller()
    with pytest.raises(CommandFailed, match="len") as caught:
        box.apply("run", lambda _: len(3))  # type: ignore[arg-type]
    assert caught.value.error == "TypeError"
    with pytest.raises(CommandFailed):
        box.apply("run", lambda _: raise_(TypeError("missing a required argument")))


def test_bytes_that_are_no_call_are_refused_before_they_are_proposed() -> None:
    machine = DataMachine(Box)
    refusal = machine.check(b"junk")
    answer, clean = machine.query(b"junk")
    assert refusal is not None and clean
    for result in (refusal, answer):
        with pytest.raises(BadArguments):
            decode_result(result)
    assert machine.check(encode_call("anything", (), {})) is None


def test_s47_a_member_that_cannot_decode_what_its_leader_could_halts() -> None:
    with pytest.raises(MemberMustHalt):
        DataMachine(Box).apply(CONTEXT, b"junk")


# -- commands that do not go through ----------------------------------------------------------------


def test_a_refusal_before_any_change_is_clean() -> None:
    box = Caller()
    with pytest.raises(Rejected) as caught:
        box.apply("put", "a", refuse=True)
    assert caught.value.value == {"taken": "a"}
    assert box.clean


def spoil(box: Box) -> None:
    box.items["x"] = 1
    raise Reject("too late")


def test_a_refusal_after_a_change_is_not_clean() -> None:
    box = Caller()
    with pytest.raises(Rejected):
        box.apply("run", spoil)
    assert not box.clean


def test_the_first_refusal_of_a_larger_state_is_unproven_and_the_next_ones_are_not() -> None:
    box = Caller()
    box.apply("load_with", 100_000)
    box.machine.load(box.machine.dump())
    for proven in (False, True, True):
        box.apply("put", "a")
        with pytest.raises(Rejected):
            box.apply("put", "a", refuse=True)
        assert box.clean is proven


def test_s46_a_command_that_raises_fails_alike_on_every_member_and_the_state_can_be_taken_back() -> None:
    def half(box: Box) -> None:
        box.items["half"] = True
        raise ValueError(f"odd {object()}")

    members = [Caller(), Caller()]
    for member in members:
        member.apply("put", "a", 1)
    before = members[0].machine.dump()
    results = [member.machine.apply(CONTEXT, encode_call("run", (half,), {})) for member in members]
    assert results[0] == results[1]
    assert not results[0][1]
    with pytest.raises(CommandFailed, match="odd <object object>") as caught:
        decode_result(results[0][0])
    assert caught.value.error == "ValueError"
    assert caught.value.where.startswith(f"{__name__}:") and ".half:" in caught.value.where
    members[0].machine.load(before)
    assert members[0].machine.dump() == before
    assert members[0].apply("put", "b", 2) == 2


def test_a_failure_that_changed_nothing_is_clean() -> None:
    box = Caller()
    with pytest.raises(CommandFailed):
        box.apply("run", lambda _: 1 / 0)
    assert box.clean


@pytest.mark.parametrize("finish", [lambda _: threading.Lock(), lambda _: raise_(Reject(threading.Lock()))])
def test_a_result_that_cannot_be_encoded_is_a_failed_command(finish: Callable[[Box], Any]) -> None:
    def act(box: Box) -> Any:
        box.count += 1
        return finish(box)

    box = Caller()
    with pytest.raises(CommandFailed, match=r"\(lock\) cannot be encoded"):
        box.apply("run", act)
    assert not box.clean


@pytest.mark.parametrize(
    "kind", [MemoryError, RecursionError, SystemError, KeyboardInterrupt, SystemExit, GeneratorExit]
)
def test_s47_what_other_members_may_not_share_halts_the_member(kind: type[BaseException]) -> None:
    box, error = Caller(), kind()
    with pytest.raises(MemberMustHalt) as caught:
        box.machine.apply(CONTEXT, encode_call("run", (lambda _: raise_(error),), {}))
    assert caught.value.error == type(error).__name__
    assert "raise_" in caught.value.where


def test_s47_running_out_of_stack_halts_the_member() -> None:
    def dig(box: Box) -> Any:
        return dig(box)

    with pytest.raises(MemberMustHalt):
        Caller().machine.apply(CONTEXT, encode_call("run", (dig,), {}))


@pytest.mark.parametrize("error", [RecursionError(), SystemExit(), ValueError("odd")])
def test_a_query_that_raises_harms_nobody(error: BaseException) -> None:
    box = Caller()
    with pytest.raises(QueryFailed) as caught:
        box.query("ask", lambda _: raise_(error))
    assert caught.value.error == type(error).__name__
    assert box.clean


# -- S49 ----------------------------------------------------------------------------------------------


def test_s49_an_argument_or_result_changed_later_does_not_reach_the_object() -> None:
    box = Caller()
    mine = [1]
    box.apply("put", "a", mine)
    mine.append(2)
    box.query("get", "a").append(3)
    assert box.query("get", "a") == [1]


def test_s49_a_result_is_encoded_before_anything_else_can_change_the_state() -> None:
    machine = DataMachine(Box)
    machine.apply(CONTEXT, encode_call("put", ("a", [1]), {}))
    early, _ = machine.query(encode_call("get", ("a",), {}))
    machine.apply(CONTEXT, encode_call("run", (lambda box: box.items["a"].append(2),), {}))
    assert decode_result(early) == [1]


def deepen(box: Box) -> None:
    box.items["deep"] = 1


def assign(box: Box) -> None:
    box.count += 1


def change_and_raise(box: Box) -> None:
    box.items["deep"] = 1
    raise ValueError


@pytest.mark.parametrize(
    ("how", "changed"),
    [
        (deepen, "items"),
        (assign, "count"),
        (change_and_raise, "items"),
        (lambda box: box.put("a"), "count, items"),
        (lambda box: setattr(box, "extra", 1), "extra"),
    ],
)
def test_s49_a_query_that_changes_the_object_is_found(how: Callable[[Box], Any], changed: str) -> None:
    box = Caller()
    box.apply("put", "b", 1)
    with pytest.raises(ImpureQuery) as caught:
        box.query("ask", how)
    assert caught.value.changed == changed
    assert not box.clean


def test_s49_in_a_large_state_an_assignment_is_found_each_time_and_a_deep_change_at_samples() -> None:
    box = Caller()
    box.apply("load_with", 100_000)
    found = []
    for _ in range(CHECKED_EVERY + 1):
        assert box.query("ask", lambda box: None) is None
    for how in (deepen, assign):
        try:
            box.query("ask", how)
            found.append(False)
        except ImpureQuery:
            found.append(True)
    assert found == [False, True]
    fresh = Caller()
    fresh.apply("load_with", 100_000)
    for _ in range(CHECKED_FIRST - 1):
        fresh.query("ask", lambda box: None)
    with pytest.raises(ImpureQuery):
        fresh.query("ask", deepen)


def test_a_state_that_is_never_encoded_twice_alike_is_not_called_changed() -> None:
    box = Caller()
    box.apply("put", "a", Restless())
    assert box.query("ask", lambda box: len(box.items)) == 1
    assert box.clean


class Restless:
    ticks = 0

    def __reduce__(self) -> Any:
        Restless.ticks += 1
        return Restless, (), {"tick": Restless.ticks}


# -- state ----------------------------------------------------------------------------------------

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()


@given(st.dictionaries(st.text(), SCALARS | st.lists(SCALARS) | st.sets(st.integers())))
def test_a_loaded_object_is_the_dumped_one(items: dict[str, Any]) -> None:
    box = Caller()
    for key, value in items.items():
        box.apply("put", key, value)
    other = Caller()
    other.machine.load(box.machine.dump())
    assert other.query("ask", lambda box: (box.items, box.count)) == (items, len(items))
    assert box.machine.dump() == box.machine.dump()


def test_load_of_nothing_is_a_new_object() -> None:
    box = Caller()
    box.apply("put", "a")
    box.machine.load(None)
    assert box.machine.dump() == DataMachine(Box).dump()


def test_a_state_that_cannot_be_encoded_names_the_field() -> None:
    box = Caller()
    box.apply("run", lambda box: setattr(box, "guard", threading.Lock()))
    with pytest.raises(NotEncodable) as caught:
        box.machine.dump()
    assert caught.value.field == "guard"


@pytest.mark.parametrize("state", [b"", b"\0\0\0\1", b"\0\0\0\1junk"])
def test_a_state_that_cannot_be_read_leaves_the_object(state: bytes) -> None:
    box = Caller()
    box.apply("put", "a", 1)
    with pytest.raises(DataClassUnavailable, match="cannot be loaded"):
        box.machine.load(state)
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
    caller.machine.load(DataMachine(old).dump())
    assert caller.query("told") == {"euros": 0.05, "currency": "EUR", "was": 1}
    assert caller.machine.dump()[:4] == b"\0\0\0\3"


def test_a_newer_state_is_refused() -> None:
    old, new = versions()
    with pytest.raises(DataClassUnavailable, match="version 3, the class here only 1"):
        DataMachine(old).load(DataMachine(new).dump())


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
    caller.machine.load(caller.machine.dump())
    assert caller.query("doubled") == 6


SCRIPT = """
from fleet.context import ctx
from fleet.data import Data, command, query
from fleet.payload import encode_call, encode_class
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
from fleet.machine import DataMachine
from fleet.payload import decode_class, decode_result
cls, state, query = map(bytes.fromhex, sys.argv[1:])
machine = DataMachine(decode_class(cls))
machine.load(state)
print(decode_result(machine.query(query)[0]))
"""


def run_python(code: str, *args: str) -> str:
    """What a process of its own prints, so that its classes are those of another `__main__`."""
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, *args]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout


def test_a_class_of_main_lives_on_other_hosts_and_its_state_moves_between_them() -> None:
    cls, put, total = run_python(SCRIPT).split()
    machine = DataMachine(decode_class(bytes.fromhex(cls)))
    result, _ = machine.apply(CONTEXT, bytes.fromhex(put))
    assert decode_result(result) == 1
    assert decode_result(machine.query(bytes.fromhex(total))[0]) == 27
    assert machine.dump()[:4] == b"\0\0\0\2"
    assert run_python(HOST, cls, machine.dump().hex(), total) == "27\n"


class Dice(Data):
    drawn: list[float] = []

    @command
    def roll(self) -> float:
        self.drawn.append(ctx.random.random())
        return self.drawn[-1]

    @command
    def fail(self) -> None:
        self.drawn.append(0.0)
        raise ValueError("half done")


def test_a_command_that_is_replayed_after_a_failure_draws_what_it_drew() -> None:
    """The draw went on where the first run had ended, and the state was another one than the result said;
    on a member with a longer journal it was not."""
    machine = DataMachine(Dice)
    drawn, _ = machine.apply(CONTEXT, encode_call("roll", (), {}))
    machine.load(None)
    again, _ = machine.apply(CONTEXT, encode_call("roll", (), {}))
    assert again == drawn
