"""What a client's methods return can be named without a private module."""

import inspect
from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

import pytest

import fleet
from fleet import results

PUBLIC = {*fleet.__all__, *results.__all__}
METHODS = {
    name: method
    for name, method in inspect.getmembers(fleet.Fleet, inspect.isfunction)
    if not name.startswith("_") and name not in ("submit", "submit_aio")
}
"""Those two are for handles."""


def classes(hint: Any) -> Iterator[type]:
    if isinstance(hint, type) and hint.__module__.startswith("fleet."):
        yield hint
        yield from fields(hint)
    for part in get_args(hint):
        yield from classes(part)


def fields(cls: type) -> Iterator[type]:
    for hint in get_type_hints(cls).values():
        yield from classes(hint)


@pytest.mark.parametrize("name", METHODS)
def test_each_type_that_a_method_returns_is_exported(name: str) -> None:
    returned = get_type_hints(METHODS[name]).get("return")
    assert {cls.__name__ for cls in classes(returned)} <= PUBLIC
