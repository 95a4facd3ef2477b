"""`fleet.testing.DataMachine`: hypothesis finds what is wrong with a class, under faults, with few steps."""

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st

import fleet
from fleet.testing import DataMachine, Faults, rule
from tests.testing.accounts import Account

FEW = settings(max_examples=8, stateful_step_count=12, deadline=None, derandomize=True)


class AccountModel(DataMachine[Account]):
    nodes = 3
    faults = Faults.all(weight=0.3)
    linearizable = False

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    @rule(cents=st.integers(1, 10**6))
    def deposit(self, cents: int) -> None:
        self.total += cents
        assert self.group.deposit(cents) == self.total

    @rule(cents=st.integers(1, 10**6))
    def withdraw(self, cents: int) -> None:
        if cents > self.total:
            with pytest.raises(fleet.Rejected):
                self.group.withdraw(cents)
        else:
            self.total -= cents
            assert self.group.withdraw(cents) == self.total

    def finally_(self) -> None:
        assert self.group.available() == self.total


TestAccount = AccountModel.TestCase
TestAccount.settings = FEW


class Forgetful(Account):
    """Loses what comes after the first."""

    @fleet.command
    def deposit(self, cents: int) -> int:
        self.balance = self.balance or cents
        return self.balance


class ForgetfulModel(DataMachine[Forgetful]):
    nodes = 1
    replicas = 1

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    @rule(cents=st.integers(1, 9))
    def deposit(self, cents: int) -> None:
        self.total += cents
        assert self.group.deposit(cents) == self.total


def told_of(machine: type[DataMachine[Any]]) -> str:
    """What a test run prints of its failure."""
    case = machine.TestCase
    case.settings = FEW
    with pytest.raises(AssertionError) as caught:
        case().runTest()
    return "\n".join(getattr(caught.value, "__notes__", []))


def test_a_planted_bug_is_found_and_shrunk_and_told_with_its_seed() -> None:
    told = told_of(ForgetfulModel)
    assert "state.simulate(seed=0)" in told
    assert told.count("state.deposit(cents=1)") == 2
    assert "simulated with seed 0; faults: " in told


class Third(Account):
    """Loses the third."""

    @fleet.command
    def deposit(self, cents: int) -> int:
        self.seen.append("deposit")
        self.balance += cents if len(self.seen) != 3 else 0
        return self.balance


class ThirdModel(DataMachine[Third]):
    nodes = 3
    faults = Faults.all(weight=0.1)
    runs = 0

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    @rule(cents=st.integers(1, 10**6))
    def deposit(self, cents: int) -> None:
        self.total += cents
        assert self.group.deposit(cents) == self.total

    def teardown(self) -> None:
        ThirdModel.runs += 1
        super().teardown()


def test_a_bug_of_three_steps_is_shrunk_in_seconds() -> None:
    """With hypothesis' explanation it took 37 s on a machine on which it takes 2 s without; that is measured
    by the runs of the simulation (119 and 22), since time depends on what else the machine does."""
    told = told_of(ThirdModel)
    assert told.count("state.deposit(cents=1)") == 3 and told.count("state.") == 5
    assert ThirdModel.runs < 60


def test_the_class_has_to_be_named() -> None:
    class Nameless(DataMachine):  # type: ignore[type-arg]
        @rule()
        def nothing(self) -> None:
            pass

    with pytest.raises(fleet.FleetError, match=r"class X\(DataMachine\[YourClass\]\)"):
        Nameless()


def test_only_the_machine_needs_hypothesis() -> None:
    code = (
        "import sys; sys.modules['hypothesis'] = None\n"
        "from fleet.testing import Sim, check\n"
        "try:\n"
        "    from fleet.testing import DataMachine\n"
        "except ImportError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "python -m pip install 'hypothesis>=6.100'" in done.stdout
