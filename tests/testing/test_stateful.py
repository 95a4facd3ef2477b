"""`fleet.testing.DataMachine`: hypothesis finds what is wrong with a class, under faults, with few steps."""

import subprocess
import sys

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test

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


def test_a_planted_bug_is_found_and_shrunk_and_told_with_its_seed() -> None:
    with pytest.raises(AssertionError) as caught:
        run_state_machine_as_test(ForgetfulModel, settings=FEW)
    told = "\n".join(getattr(caught.value, "__notes__", []))
    assert "state.simulate(seed=0)" in told
    assert told.count("state.deposit(cents=1)") == 2
    assert "simulated with seed 0; faults: " in told


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
