"""Generic data classes: what their type variables stand for, at the caller and for the type checker."""

from collections.abc import Awaitable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, assert_type

import pytest

from fleet.errors import BadArguments
from fleet.objects.arguments import check_of
from fleet.objects.declare import Data, command, query
from fleet.objects.group_handle import bind
from fleet.objects.type_arguments import class_of, type_arguments
from tests.objects.direct import Direct

T = TypeVar("T")
K = TypeVar("K")


@dataclass
class Email:
    to: str


class Named(Protocol):
    name: str


class Stack(Data, Generic[T]):
    items: list[T] = []

    @command
    def push(self, item: T) -> int:
        self.items.append(item)
        return len(self.items)

    @command
    def push_all(self, items: list[T], *, first: T | None = None) -> None:
        self.items += items

    @query
    def top(self) -> T:
        return self.items[-1]


class Emails(Stack[Email]):
    pass


class Lists(Stack[list[T]], Generic[T]):
    pass


class Pairs(Lists[dict[K, T]], Generic[T, K]):
    pass


class Unsaid(Stack):  # type: ignore[type-arg]
    pass


@pytest.mark.parametrize(
    ("data_class", "expected"),
    [
        (Stack[Email], Email),
        (Emails, Email),
        (Lists[int], list[int]),
        (Pairs[int, str], list[dict[str, int]]),
        (Stack, None),
        (Unsaid, None),
    ],
)
def test_a_type_variable_stands_for_what_the_class_or_its_bases_say(data_class: Any, expected: Any) -> None:
    found = type_arguments(data_class, Stack)
    assert found.get(T) == expected
    assert issubclass(class_of(data_class), Stack)


@pytest.mark.parametrize("data_class", [Stack[Email], Emails])
def test_arguments_are_checked_by_it(data_class: Any) -> None:
    stack = bind(data_class, "g", Direct(class_of(data_class)))
    assert stack.push(Email("ada")) == 1 and stack.top() == Email("ada")
    with pytest.raises(BadArguments, match=r"\.push: item must be .*Email, not 'ada' \(str\)"):
        stack.push("ada")
    with pytest.raises(BadArguments, match=r"items\[1\] must be .*Email, not 5 \(int\)"):
        stack.push_all([Email("ida"), 5])
    with pytest.raises(BadArguments, match="first must be"):
        stack.push_all.options(timeout=5.0).submit([], first=5)
    with pytest.raises(BadArguments, match="item must be"):
        stack.push.aio("ada")


@pytest.mark.parametrize("data_class", [Stack, Stack[Any], Stack[Named], Stack["nowhere"]])  # type: ignore[name-defined]
def test_where_nothing_is_known_of_it_everything_is_taken(data_class: Any) -> None:
    stack = bind(data_class, "g", Direct(Stack))
    assert stack.push("ada") == 1 and stack.push(Email("ada")) == 2


def test_two_handles_of_one_class_have_checks_of_their_own() -> None:
    texts, numbers = bind(Stack[str], "g", Direct(Stack)), bind(Stack[int], "g", Direct(Stack))
    texts.push("a")
    numbers.push(1)
    with pytest.raises(BadArguments):
        texts.push(1)  # type: ignore[arg-type]
    with pytest.raises(BadArguments):
        numbers.push("a")  # type: ignore[arg-type]
    assert check_of(Stack[int], "push") is check_of(Stack[int], "push")
    assert isinstance(numbers, Stack) and repr(numbers) == "<handle of group 'g', a Stack>"


def for_the_type_checker(caller: Any) -> None:
    stack = bind(Stack[Email], "g", caller)
    stack.push(Email("ada"))
    assert_type(stack, Stack[Email])
    assert_type(stack.top(), Email)
    assert_type(stack.top.submit(), Future[Email])
    assert_type(stack.push.aio(Email("ida")), Awaitable[int])
