"""One thing after the other happens to a fleet at rest: a few seeds each time, many when asked for."""

import pytest

from tests.sim.one_by_one import run_one_by_one


@pytest.mark.parametrize("seed", range(1, 9))
def test_whatever_happens_to_a_fleet_at_rest_is_over_soon(seed: int) -> None:
    run_one_by_one(seed)


@pytest.mark.long
def test_whatever_happens_to_a_fleet_at_rest_is_over_soon_for_many_seeds() -> None:
    for seed in range(1000, 1200):
        run_one_by_one(seed)
