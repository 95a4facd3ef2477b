"""`@fleet.client_side`: a method that runs at the caller, with the handle as `self`."""

import time
from typing import Any

import cloudpickle
import pytest

import fleet
from fleet.errors import BadArguments, ConfigError, NoSuchGroup
from fleet.objects.client_side import client_side
from fleet.objects.group_handle import bind
from tests.objects.direct import Direct


class Stock(fleet.Data):
    left: int = 3

    @fleet.command
    def take(self, n: int) -> bool:
        if n > self.left:
            return False
        self.left -= n
        return True

    @fleet.query
    def count(self) -> int:
        return self.left

    @fleet.client_side
    def take_what_is_there(self, at_most: int) -> tuple[int, float]:
        """As many as there are."""
        n = min(self.count(), at_most)
        return (n if self.take(n) else 0), time.time()


def test_it_runs_here_and_calls_the_group() -> None:
    stock = bind(Stock, "stock", Direct(Stock))
    before = time.time()
    n, at = stock.take_what_is_there(9)
    assert n == 3 and at >= before and stock.count() == 0
    assert stock.take_what_is_there.__doc__ == "As many as there are."


def test_it_runs_on_a_plain_instance() -> None:
    stock = Stock()
    assert stock.take_what_is_there(2)[0] == 2 and stock.left == 1
    with pytest.raises(NoSuchGroup):
        stock.take.submit(1)


def test_it_is_no_command_and_travels_with_its_class() -> None:
    with pytest.raises(BadArguments, match="Stock has no command 'take_what_is_there'"):
        bind(Other, "stock", Direct(Stock)).take_what_is_there()
    copied = cloudpickle.loads(cloudpickle.dumps(by_value()))
    assert bind(copied, "stock", Direct(copied)).twice() == 2


class Other(fleet.Data):
    @fleet.command
    def take_what_is_there(self) -> None:
        """Another class has a command of this name."""


def by_value() -> Any:
    class Local(fleet.Data):
        n: int = 1

        @fleet.query
        def get(self) -> int:
            return self.n

        @fleet.client_side
        def twice(self) -> int:
            return 2 * self.get()

    return Local


def test_it_goes_on_plain_methods() -> None:
    for wrong in (3, staticmethod(lambda: None), Stock.take):
        with pytest.raises(ConfigError, match="@fleet.client_side goes on a plain method"):
            client_side(wrong)  # type: ignore[type-var]
