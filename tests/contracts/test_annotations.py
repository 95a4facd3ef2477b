"""Annotations as text, and which accepts which."""

import collections.abc
import typing
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NewType, Optional, TypeVar, Union

import pytest

from fleet.contracts.annotations import accepts, text_of

T = TypeVar("T")
Money = NewType("Money", int)


class Box(Generic[T]):
    pass


@pytest.mark.parametrize(
    ("hint", "text"),
    [
        (int, "int"),
        (None, "None"),
        (Any, "Any"),
        (Optional[int], "int | None"),  # noqa: UP045
        (Union[None, str, int], "int | str | None"),  # noqa: UP007
        (int | None, "int | None"),
        (typing.List[int], "list[int]"),  # noqa: UP006
        (typing.Dict, "dict"),  # noqa: UP006
        (dict[str, list[int] | None], "dict[str, list[int] | None]"),
        (tuple[int, ...], "tuple[int, ...]"),
        (typing.Sequence[int], "Sequence[int]"),
        (collections.abc.Sequence[int], "Sequence[int]"),
        (collections.abc.Callable[[int], str], "Callable[[int], str]"),
        (Literal["b", "a"], "Literal['a', 'b']"),
        (Annotated[int, "unit"], "int"),
        (Money, "int"),
        (Decimal, "decimal.Decimal"),
        (Box[int], f"{__name__}.Box[int]"),
        (T, "T"),
        ("list[Later]", "list[Later]"),
        (typing.ForwardRef("Later"), "Later"),
    ],
)
def test_an_annotation_is_the_same_text_however_it_is_written(hint: Any, text: str) -> None:
    assert text_of(hint) == text


WIDE = [
    ("int", "bool"),
    ("float", "int"),
    ("", "int"),
    ("Any", "str | None"),
    ("object", "str"),
    ("int | None", "int"),
    ("int | str | None", "None | str"),
    ("float | None", "int | None"),
    ("Sequence[int]", "list[int]"),
    ("Sequence[int | None]", "list[int]"),
    ("Iterable[float]", "set[int]"),
    ("list", "list[int]"),
    ("list[Any]", "list[int]"),
    ("tuple[int, ...]", "tuple[int, int]"),
    ("Sequence[int]", "tuple[int, ...]"),
    ("Mapping[str, float]", "dict[str, int]"),
    ("str", "Literal['a']"),
    ("Literal['a', 'b']", "Literal['a']"),
    ("Literal['a', 'b'] | None", "Literal['a'] | None"),
    ("int | str", "Literal['a', 1]"),
]
APART = [
    ("int", "str"),
    ("list[int]", "list[str]"),
    ("list[int]", "tuple[int, ...]"),
    ("dict[str, int]", "dict[int, str]"),
    ("tuple[int, int]", "tuple[int]"),
    ("Literal['a']", "Literal['b']"),
    ("str", "Literal[1]"),
    ("app.Item", "app.Thing"),
    ("no annotation", "int"),
]


@pytest.mark.parametrize(("wide", "narrow"), WIDE)
def test_what_is_wider_accepts_and_what_is_narrower_does_not(wide: str, narrow: str) -> None:
    assert accepts(wide, narrow)
    assert not accepts(narrow, wide)
    assert accepts(wide, wide)


@pytest.mark.parametrize(("one", "other"), APART)
def test_what_is_apart_is_not_accepted(one: str, other: str) -> None:
    assert not accepts(one, other) and not accepts(other, one)
