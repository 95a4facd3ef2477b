"""Arguments are checked against the annotations of their method before a call is sent."""

import re
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum
from fractions import Fraction
from functools import wraps
from typing import Annotated, Any, Literal, NewType, Protocol, TypedDict, TypeVar

import pytest
from msgspec import Struct

from fleet.errors import BadArguments, ConfigError, NotDone
from fleet.objects.arguments import expected_of
from fleet.objects.declare import Data, command, query
from fleet.objects.group_handle import bind
from fleet.objects.handles import Kind
from tests.objects.direct import Direct

T = TypeVar("T")
Name = NewType("Name", str)
UNSET: Any = None


class Colour(Enum):
    RED = 1


@dataclass
class Point:
    x: int = 0


class Pixel(Point):
    pass


class Size(Struct):
    width: int


class Movie(TypedDict):
    title: str


class Named(Protocol):
    name: str


class Count(int):
    pass


def same_name(x: int) -> Any:
    """Of another run of the same script: an instance of another class object."""
    other = type("Point", (), {"__module__": __name__, "__qualname__": "Point"})()
    other.x = x
    return other


FITTING: list[tuple[Any, Any]] = [
    (int, 1),
    (int, True),
    (int, Count(1)),
    (float, 1),
    (float, Fraction(1, 2)),
    (complex, 1.0),
    (bytes, bytearray(b"a")),
    (str, ""),
    (None, None),
    (int | None, None),
    (typing.Optional[str], "a"),  # noqa: UP045
    (list[int], [1, True]),
    (list, [object()]),
    (list[Point], [Pixel()]),
    (Sequence[str], ("a",)),
    (Mapping[str, list[int]], {"a": [1]}),
    (dict[str, Any], {"a": object()}),
    (tuple[int, ...], ()),
    (typing.Tuple, (1, 2)),  # noqa: UP006
    (tuple[int, str], (1, "a")),
    (tuple[()], ()),
    (set[Colour], {Colour.RED}),
    (Point, Pixel()),
    (Point, same_name(1)),
    (Size, Size(1)),
    (Movie, {"title": "a"}),
    (date, datetime(2026, 1, 1)),
    (Name, "a"),
    (Annotated[int, "of something"], 1),
    (Literal["a", 1], "a"),
    (Callable[[int], str], len),
    (type[int], "nobody knows"),
    (Any, 1),
    (object, 1),
    (T, 1),
    (list[T], [1]),  # type: ignore[valid-type]
    (Named, 1),
    (list[Named], [1]),
    (tuple[*tuple[int, ...], str], ("a", 1, 2)),
    ("int", "not understood as it stands"),
    (Point(), "no type at all"),
]


def word(one: object) -> str:
    """The same in each process, so without addresses in memory."""
    return re.sub(r" at 0x\w+", "", str(one))


@pytest.mark.parametrize(("annotation", "value"), FITTING, ids=word)
def test_what_fits_or_is_not_understood_is_accepted(annotation: Any, value: Any) -> None:
    expected = expected_of(annotation)
    assert expected is None or type(value) in expected.plain or expected.find(value) is None


MISFITS: list[tuple[Any, Any, str]] = [
    (int, "many", "n must be int, not 'many' (str)"),
    (int, 1.0, "n must be int, not 1.0 (float)"),
    (int, None, "n must be int, not None (NoneType)"),
    (float, "1", "n must be float, not '1' (str)"),
    (str, b"a", "n must be str, not b'a' (bytes)"),
    (bool, 1, "n must be bool, not 1 (int)"),
    (int | None, "a", "n must be int | None, not 'a' (str)"),
    (list[int], (1,), "n must be list[int], not (1,) (tuple)"),
    (list[int], [1, "a"], "n[1] must be int, not 'a' (str)"),
    (set[int], {"a"}, "n[0] must be int, not 'a' (str)"),
    (dict[str, list[int]], {"a": [0], "b": ["c"]}, "n['b'][0] must be int, not 'c' (str)"),
    (dict[str, int], {1: 1}, "n key must be str, not 1 (int)"),
    (tuple[int, str], (1,), "n must be tuple[int, str], not (1,) (tuple)"),
    (tuple[int, str], (1, 2), "n[1] must be str, not 2 (int)"),
    (list[int] | dict[str, int], ["a"], "n must be list[int] | dict[str, int], not ['a'] (list)"),
    (Literal["a", 1], "b", "n must be Literal['a', 1], not 'b' (str)"),
    (datetime, "2026-01-01", "n must be datetime.datetime, not '2026-01-01' (str)"),
    (Movie, [1], f"n must be {__name__}.Movie, not [1] (list)"),
    (Point, {"x": 1}, f"n must be {__name__}.Point, not {{'x': 1}} (dict)"),
    (Colour, 1, f"n must be {__name__}.Colour, not 1 (int)"),
    (Size, Point(), f"n must be {__name__}.Size, not Point(x=0) (Point)"),
    (Annotated[int, "of something"], "a", "n must be int, not 'a' (str)"),
]


def taking(annotation: Any, kind: Kind = "command") -> tuple[Any, Direct]:
    def put(self: Any, n: Any) -> None: ...

    put.__annotations__["n"] = annotation
    cls: Any = type("Box", (Data,), {"put": command(put) if kind == "command" else query(put)})
    caller = Direct(cls)
    return bind(cls, "g", caller).put, caller


@pytest.mark.parametrize(("annotation", "value", "words"), MISFITS, ids=word)
def test_what_does_not_fit_is_refused_in_words(annotation: Any, value: Any, words: str) -> None:
    put, caller = taking(annotation)
    with pytest.raises(BadArguments) as refused:
        put(value)
    assert refused.value.what == f"Box.put: {words}"
    assert caller.calls == []


@pytest.mark.parametrize("kind", ["command", "query"])
def test_all_three_ways_to_call_refuse_it_as_not_done_by_place_and_by_name(kind: Kind) -> None:
    put, caller = taking(int, kind)
    for call in (put, put.submit, put.aio, put.options(timeout=1.0)):
        for args, kwargs in ((("a",), {}), ((), {"n": "a"})):
            with pytest.raises(NotDone, match="Box.put: n must be int") as refused:
                call(*args, **kwargs)
            assert refused.value.parameter == "n"
    assert caller.calls == []


class Setup(Data):
    name: str = ""

    @command
    def setup(self, name: str, /, count: int = UNSET, *more: int, key: str = "", **rest: int) -> str:
        self.name = name
        return f"{name} {count} {more} {key} {rest}"

    @command
    def later(self, point: "Point", other: "Nowhere") -> int:  # type: ignore[name-defined]  # noqa: F821
        return 1

    @query
    def nested(self, inner: "Inner") -> None: ...

    class Inner:
        pass


def test_each_kind_of_parameter_is_checked() -> None:
    setup: Any = bind(Setup, "g", Direct(Setup)).setup
    assert setup("a", 1, 2, key="k", x=3) == "a 1 (2,) k {'x': 3}"
    assert setup("a", UNSET, key="k") == "a None () k {}"  # a default always fits
    wrong: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
        ("name", (1,), {}),
        ("count", ("a", "many"), {}),
        ("more", ("a", 1, "b"), {}),
        ("key", ("a",), {"key": 1}),
        ("x", ("a",), {"x": "b"}),
    ]
    for name, args, kwargs in wrong:
        with pytest.raises(BadArguments, match=f"Setup.setup: {name} must be"):
            setup(*args, **kwargs)


def test_an_accepted_call_does_not_let_one_of_other_types_pass() -> None:
    setup: Any = bind(Setup, "g", Direct(Setup)).setup
    for _ in range(2):
        assert setup("a", 1)
        with pytest.raises(BadArguments):
            setup("a", "b")
        with pytest.raises(BadArguments):
            setup("a", count="b")


def test_items_are_looked_at_in_every_call() -> None:
    put, _ = taking(list[int])
    put([1])
    with pytest.raises(BadArguments):
        put(["a"])


def test_names_in_annotations_are_looked_up_and_unknown_ones_check_nothing() -> None:
    box: Any = bind(Setup, "g", Direct(Setup))
    assert box.later(Pixel(), "anything") == 1
    with pytest.raises(BadArguments, match="point must be"):
        box.later(1, "anything")
    with pytest.raises(BadArguments, match="inner must be .*Setup.Inner"):
        box.nested(1)


def test_a_local_class_is_not_taken_for_a_global_one_of_its_name() -> None:
    class Point:
        pass

    class Local(Data):
        @command
        def put(self, point: "Point") -> None: ...

    bind(Local, "g", Direct(Local)).put(Point())


def test_what_a_decorator_converts_is_not_checked() -> None:
    def converting(function: Any) -> Any:
        @wraps(function)
        def convert(self: Any, n: Any) -> Any:
            return function(self, int(n))

        return convert

    class Box(Data):
        @command
        @converting
        def put(self, n: int) -> int:
            return n

    assert bind(Box, "g", Direct(Box)).put("1") == 1


def test_the_functional_style_is_checked_too() -> None:
    class Sum(Data):
        @staticmethod
        def new() -> int:
            return 0

        @staticmethod
        def command(state: int, arg: int) -> tuple[int, int]:
            return state + arg, state + arg

    handle: Any = bind(Sum, "g", Direct(Sum))
    assert handle.command(5) == 5
    with pytest.raises(BadArguments, match="Sum.command: arg must be int"):
        handle.command("5")


def test_a_class_can_do_without_and_its_subclass_with_again() -> None:
    class Loose(Data, check_arguments=False):
        @command
        def put(self, n: int) -> Any:
            return n

    class Strict(Loose, check_arguments=True):
        pass

    class Heir(Loose):
        pass

    assert bind(Loose, "g", Direct(Loose)).put("a") == "a"  # type: ignore[arg-type]
    assert bind(Heir, "g", Direct(Heir)).put("a") == "a"  # type: ignore[arg-type]
    with pytest.raises(BadArguments):
        bind(Strict, "g", Direct(Strict)).put("a")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="check_arguments must be True or False"):

        class Wrong(Data, check_arguments="no"):  # type: ignore[arg-type]
            pass


def test_a_check_never_fails_for_another_reason() -> None:
    class Odd(type):
        def __instancecheck__(cls, value: object) -> bool:
            raise RuntimeError("odd")

    class Strange(metaclass=Odd):
        pass

    class Unprintable:
        def __repr__(self) -> str:
            raise RuntimeError("odd")

    taking(Strange)[0](1)
    with pytest.raises(BadArguments, match="not <Unprintable instance"):
        taking(int)[0](Unprintable())


def test_missing_surplus_and_unknown_arguments_are_left_to_the_node() -> None:
    put, caller = taking(int)
    for args, kwargs in (((), {}), ((1, "a"), {}), ((1,), {"other": "a"})):
        with pytest.raises(BadArguments, match="argument"):
            put(*args, **kwargs)
    assert len(caller.calls) == 3
