"""`codec="msgspec"`: nothing is pickled, and what is read is what the class declares."""

import datetime
import pickle
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

import fleet
from fleet.errors import (
    BadArguments,
    CommandFailed,
    ConfigError,
    DataClassUnavailable,
    FleetError,
    NotDecodable,
    NotEncodable,
    Rejected,
    StateNotEncodable,
)
from fleet.interfaces import Context
from fleet.objects import by_value
from fleet.objects.class_refs import decode_class, encode_class, is_typed
from fleet.objects.declare import check_data_class
from fleet.objects.event import received, received_typed
from fleet.objects.executor import ObjectExecutor
from fleet.objects.payload import (
    decode_result,
    encode_call,
    encode_ok,
    encode_rejected,
    encode_typed,
    may_not_decode,
    with_traceback,
)
from fleet.raft.group_events import GroupEvent
from tests.support.classes import Counter
from tests.support.typed_shop import Color, Item, Receipt, TypedShop

HAT = Item("hat", 9.5, datetime.date(2026, 1, 2), Color.BLUE)
CODEC: Any = TypedShop.__fleet_codec__


class Evil:
    def __reduce__(self) -> Any:
        return (pytest.fail, ("it was loaded",))


class Bench:
    """An object, called as a member and a client do it."""

    def __init__(self, cls: type[Any] = TypedShop) -> None:
        self.codec: Any = cls.__fleet_codec__
        self.executor = ObjectExecutor(cls)
        self.revision = 0

    def raw(self, payload: bytes) -> bytes:
        self.revision += 1
        (value,), _ = self.executor.apply(Context(self.revision, 1000, 1, self.revision, "c"), [payload])
        return value

    def command(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return self.codec.result_reader(method)(self.raw(self.codec.encode_call(method, args, kwargs)))

    def query(self, method: str, *args: Any) -> Any:
        (value,), _ = self.executor.query([self.codec.encode_call(method, args, {})])
        return self.codec.result_reader(method)(value)


@pytest.fixture
def no_pickles(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("unpickled")

    for module, name in ((pickle, "loads"), (pickle, "load"), (by_value, "loads"), (by_value, "_Unpickler")):
        monkeypatch.setattr(module, name, refuse)


def test_arguments_results_and_states_are_what_was_declared(no_pickles: None) -> None:
    bench = Bench()
    assert bench.command("put", HAT) == 1
    found = bench.query("find", "hat")
    assert found == HAT and found.color is Color.BLUE and type(found.made) is datetime.date
    assert bench.query("find", "cap") is None
    receipt = bench.command("sell", "hat", to="me")
    assert receipt == Receipt(1, (HAT,))
    other = ObjectExecutor(TypedShop)
    other.load(bench.executor.dump())
    assert vars(other.object) == vars(bench.executor.object) and other.object.sold == [receipt]
    assert other.object.visitors == {"me"}


def test_what_somebody_sees_without_the_class_is_plain(no_pickles: None) -> None:
    bench = Bench()
    bench.command("put", HAT)
    data = bench.raw(CODEC.encode_call("sell", ("hat",), {}))
    assert decode_result(data)["items"][0]["color"] == "blue"
    (event,) = bench.executor.take_events()
    assert received(event) == received_typed(event) and received(event).value["number"] == 1


def test_a_refusal_and_a_failure_are_no_pickles(no_pickles: None, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    with pytest.raises(Rejected) as refused:
        bench.command("sell", "cap")
    assert refused.value.value == {"missing": ["cap"]}
    monkeypatch.undo()  # texts of a failure are a pickle of texts, which is looked at before it is loaded
    with pytest.raises(CommandFailed, match="as it was told to"):
        bench.command("fail")
    with pytest.raises(BadArguments):
        bench.command("unknown")


def test_a_pickle_is_not_loaded_on_a_node(no_pickles: None) -> None:
    bench = Bench()
    for payload in (
        encode_call("find", (Evil(),), {}),
        encode_call("put", (HAT,), {}),
        b"",
        b"\x0b",
        b"\x0b\xc1",
    ):
        with pytest.raises(BadArguments):
            CODEC.decode_call(payload)
        bench.raw(payload)
        bench.executor.query([payload])
    assert not bench.executor.object.items


@pytest.mark.parametrize(
    "data",
    [
        encode_ok(5),
        pickle.dumps(Evil(), 5),
        encode_rejected(Evil()),
        with_traceback(encode_rejected(Evil()), "text"),
        b"\x02" + pickle.dumps(Evil(), 5),
        b"\x03" + pickle.dumps(Evil(), 5),
        b"\x04" + pickle.dumps(Evil(), 5),
        b"\x05" + pickle.dumps(Evil(), 5),
        encode_typed({"number": "x"}),
        b"\x06\x92\xa0\x05",
        b"",
        b"\xff",
    ],
)
def test_a_pickle_is_not_loaded_at_a_caller(data: bytes) -> None:
    """Whatever a node answers, the value is what the method is said to return, or there is none."""
    with pytest.raises(NotDecodable):
        CODEC.result_reader("sell")(data)


def test_an_event_that_is_a_pickle_is_not_loaded_by_a_handle() -> None:
    with pytest.raises(NotDecodable):
        received_typed(GroupEvent(1, 0, "sold", pickle.dumps(Evil(), 5)))


def test_failures_of_any_class_are_texts_or_nothing() -> None:
    for mark in (2, 3, 4, 5):
        with pytest.raises(NotDecodable, match="more than texts"):
            decode_result(bytes((mark,)) + pickle.dumps(Evil(), 5))


@pytest.mark.parametrize(
    ("method", "args"),
    [("put", ("no item",)), ("put", ({"name": "hat"},)), ("sell", (1,)), ("find", (None,)), ("find", ([],))],
)
def test_arguments_of_another_type_are_refused(method: str, args: tuple[Any, ...]) -> None:
    with pytest.raises(BadArguments, match="cannot be read"):
        CODEC.decode_call(CODEC.encode_call(method, args, {}))


def test_what_cannot_be_encoded_says_so() -> None:
    with pytest.raises(NotEncodable, match="put: an argument"):
        CODEC.encode_call("put", (Evil(),), {})


def test_a_typed_call_needs_no_look_before_it_is_proposed() -> None:
    """All members that execute the class read it alike."""
    assert not may_not_decode(CODEC.encode_call("put", (HAT,), {}))


# -- classes -----------------------------------------------------------------------------------------


def test_a_class_that_is_imported_is_loaded_without_a_pickle(no_pickles: None) -> None:
    for cls in (TypedShop, Counter):
        assert decode_class(encode_class(cls)) is cls
    assert is_typed(encode_class(TypedShop)) and not is_typed(encode_class(Counter))


def with_field(kind: Any, value: Any) -> type[fleet.Data]:
    space = {"__annotations__": {"field": kind}, "field": value, "__module__": __name__}
    return type("Odd", (fleet.Data,), space, codec="msgspec")


class Unknown:
    pass


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        (Any, "all of its type"),
        (list, "all of its type"),
        (dict[str, Any], "all of its type"),
        (Unknown, "does not know"),
        (dict[str, list[Unknown]], "does not know"),
        ("Nowhere", "can be resolved"),
        (int | list[int] | set[int], "cannot read"),
    ],
)
def test_a_field_says_what_it_holds(kind: Any, what: str) -> None:
    cls = with_field(kind, None)
    with pytest.raises(ConfigError, match=what):
        check_data_class(cls)
    with pytest.raises(ConfigError):
        ObjectExecutor(cls)


def own_state(cls: type[fleet.Data]) -> None:
    type("Odd", (cls,), {}, codec="msgspec")


class WithState(fleet.Data):
    def __getstate__(self) -> Any:
        return {}


class Functional(fleet.Data):
    @staticmethod
    def new() -> int:
        return 0

    @staticmethod
    def command(state: int, arg: int) -> tuple[int, int]:
        return state, state + arg


@pytest.mark.parametrize("cls", [WithState, Functional])
def test_a_state_that_is_more_than_fields_has_no_types(cls: type[Any]) -> None:
    with pytest.raises(ConfigError, match="keeps annotated fields"):
        own_state(cls)


def test_the_codec_is_inherited_and_each_class_has_its_own_types() -> None:
    class More(TypedShop):
        extra: list[int] = []

        @fleet.query
        def count(self) -> int:
            return len(self.extra)

    assert More.__fleet_codec__.name == "msgspec" and More.__fleet_codec__ is not CODEC
    assert "extra" in vars(ObjectExecutor(More).copy_from(ObjectExecutor(More).dump()))
    with pytest.raises(ConfigError, match='"cloudpickle" or "msgspec"'):
        type("Odd", (fleet.Data,), {}, codec="json")


def test_a_class_by_value_keeps_its_types() -> None:
    def local() -> type[fleet.Data]:
        class Local(fleet.Data, codec="msgspec"):
            items: dict[str, list[int]] = {}

            @fleet.command
            def add(self, name: str, *numbers: int) -> list[int]:
                self.items[name] = list(numbers)
                return self.items[name]

        return Local

    cls = decode_class(encode_class(local()))
    bench = Bench(cls)
    assert bench.command("add", "a", 1, 2) == [1, 2]
    with pytest.raises(BadArguments):
        bench.command("add", "a", "b")


# -- states ------------------------------------------------------------------------------------------


def spoiled(change: Callable[[Any], None]) -> ObjectExecutor:
    executor = ObjectExecutor(TypedShop)
    change(executor.object)
    return executor


@pytest.mark.parametrize(
    "change",
    [
        lambda shop: setattr(shop, "sold", ()),
        lambda shop: setattr(shop, "reminded", True),
        lambda shop: setattr(shop, "reminded", 1.0),
        lambda shop: setattr(shop, "other", 1),
        lambda shop: shop.items.update(hat="a text"),
        lambda shop: shop.items.update({1: HAT}),
        lambda shop: shop.items.update(hat=Item("hat", 1, datetime.date(2026, 1, 1))),  # 1 comes back as 1.0
        lambda shop: shop.visitors.add(frozenset()),
    ],
)
def test_a_state_that_would_not_come_back_is_no_snapshot(change: Callable[[Any], None]) -> None:
    """A member that begins with it would differ from those that have executed the commands."""
    executor = spoiled(change)
    with pytest.raises(StateNotEncodable):
        executor.dump()
    assert executor.trouble() is not None


def test_a_pickled_state_is_of_another_class() -> None:
    kept = ObjectExecutor(Counter).dump()
    with pytest.raises(DataClassUnavailable, match="no state of the types"):
        ObjectExecutor(TypedShop).load(kept)
    with pytest.raises(FleetError):
        ObjectExecutor(TypedShop).load(b"\0\0\0\1" + msgspec.msgpack.encode({"items": 5}))
