"""One member's object is changed behind its back: a few seeds each time, many when asked for (S48)."""

import pytest

from tests.sim.spoiled import run_spoiled


@pytest.mark.parametrize("seed", range(1, 13))
def test_s48_a_spoiled_member_halts_and_is_repaired_and_no_other_halts(seed: int) -> None:
    run_spoiled(seed)


@pytest.mark.long
def test_s48_a_spoiled_member_halts_and_is_repaired_for_many_seeds() -> None:
    for seed in range(1000, 1300):
        run_spoiled(seed)
