"""`ctx`, the world of one command: the same on every member."""

import pickle
import threading
from random import Random
from typing import Any

import pytest

import fleet.testing
from fleet.errors import (
    FleetError,
    ImpureCommand,
)
from fleet.interfaces import Context
from fleet.objects.context import ctx, executing
from fleet.objects.declare import Data, command
from tests.objects.direct import world

# -- ctx --------------------------------------------------------------------------------------------


def told() -> tuple[Any, ...]:
    return ctx.now, ctx.index, ctx.client, ctx.random.random(), ctx.random.random(), ctx.uuid()


def test_ctx_tells_every_member_the_same() -> None:
    with executing(world()):
        first = told()
    with executing(world()):
        second = told()
    assert first == second
    assert first[:3] == (1_700_000_000.5, 1, "c1")
    assert first[3] != first[4]
    assert first[5].version == 4


def test_a_test_may_lend_ctx_to_a_plain_instance() -> None:
    """As the error says that names it; it named something that users do not have."""

    class Stamped(Data):
        at: float = 0.0

        @command
        def stamp(self) -> str:
            self.at = ctx.now
            return f"{ctx.client} {ctx.index}"

    stamped = Stamped()
    with pytest.raises(ImpureCommand, match=r"in a test: `with fleet.testing.executing\(\):`"):
        stamped.stamp()
    with fleet.testing.executing(now=1.5, index=7, client="me"):
        assert stamped.stamp() == "me 7"
    assert stamped.at == 1.5


@pytest.mark.parametrize("other", [world(index=2), world(session=8), world(seq=4)])
def test_each_command_draws_other_random_numbers(other: Context) -> None:
    with executing(world()):
        first = ctx.random.random()
    with executing(other):
        assert ctx.random.random() != first


def test_ctx_random_is_what_its_documented_seed_gives_in_any_process() -> None:
    with executing(world()):
        assert ctx.random.random() == Random("1/7/3").random()


@pytest.mark.parametrize("name", ["now", "index", "client", "random", "uuid"])
def test_ctx_is_only_there_inside_a_command(name: str) -> None:
    with pytest.raises(ImpureCommand, match=f"ctx.{name} is only there while a command runs"):
        asked = getattr(ctx, name)
        asked()


def test_ctx_of_two_threads_are_apart() -> None:
    inside, done = threading.Event(), threading.Event()
    seen: list[FleetError] = []

    def outside() -> None:
        inside.wait()
        try:
            ctx.now
        except FleetError as error:
            seen.append(error)
        done.set()

    thread = threading.Thread(target=outside)
    thread.start()
    with executing(world()):
        inside.set()
        done.wait()
        assert ctx.index == 1
    thread.join()
    assert isinstance(seen[0], ImpureCommand)


def test_ctx_sent_by_value_is_the_one_of_the_receiver() -> None:
    assert pickle.loads(pickle.dumps(ctx)) is ctx
