"""In `Sim`, in `DataMachine` and below `executing`, commands are strict unless a test says otherwise."""

import time

import pytest
from hypothesis import settings

import fleet
from fleet.errors import ImpureCommand
from fleet.testing import DataMachine, Sim, executing, rule
from tests.testing.accounts import Account


class Clock(Account):
    @fleet.command
    def tick(self) -> bool:
        self.balance += 1
        return time.time() > 0


WHAT = rf"^Clock.tick uses time.time\(\) in line \d+ of {__name__}: .*; use fleet.ctx.now(\n|$)"


@pytest.mark.parametrize("executors", [0, 1])
def test_a_call_in_a_simulated_fleet_raises_what_the_command_did(executors: int) -> None:
    sim = Sim(1, nodes=1, executors=executors)
    clock = sim.group("clock", Clock, replicas=1)
    with pytest.raises(ImpureCommand, match=WHAT):
        clock.tick()
    assert clock.deposit(1) == 1
    later = clock.tick.submit()
    sim.run("2s", until=later.done)
    with pytest.raises(ImpureCommand, match=WHAT):
        later.result(0)


def test_a_simulated_fleet_need_not_be_strict() -> None:
    assert Sim(1, nodes=1, strict=False).group("clock", Clock, replicas=1).tick()


def test_a_plain_instance_with_ctx_is_strict() -> None:
    assert Clock().tick()
    with executing():
        with pytest.raises(ImpureCommand, match=WHAT):
            Clock().tick()
        assert time.time() > 0
    with executing(strict=False):
        assert Clock().tick()


class ClockModel(DataMachine[Clock]):
    nodes = replicas = 1

    @rule()
    def tick(self) -> None:
        assert self.group.tick()


class FreeClockModel(ClockModel):
    strict = False


ONCE = settings(max_examples=1, stateful_step_count=2, deadline=None, database=None)


def test_a_machine_is_strict_unless_it_says_otherwise() -> None:
    case = ClockModel.TestCase
    case.settings = ONCE
    with pytest.raises(ImpureCommand, match=WHAT):
        case().runTest()
    case = FreeClockModel.TestCase
    case.settings = ONCE
    case().runTest()
