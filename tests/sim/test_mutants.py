"""Proof that the simulator bites: each planted bug is found within its budget of seeds."""

import pytest

from fleet.sim.explore import OK, run_seed
from tests.sim.mutants import MUTANTS, RARE, planted


CASES = [
    pytest.param(name, marks=[pytest.mark.long] if budget > RARE else [], id=name)
    for name, (_, budget) in MUTANTS.items()
]


@pytest.mark.parametrize("name", CASES)
def test_a_planted_bug_is_found(name: str) -> None:
    _, budget = MUTANTS[name]
    with planted(name):
        assert any(run_seed(seed).verdict != OK for seed in range(1, budget + 1)), f"{name} was not found"
