"""A fleet loses the majority of its disks and is recovered: some seeds each time, many when asked for."""

import pytest

from tests.sim.recovered import run_recovered


@pytest.mark.parametrize("seed", [*range(1, 13), 20131])
def test_s32_a_recovered_fleet_goes_on_with_what_its_sources_held(seed: int) -> None:
    run_recovered(seed)


@pytest.mark.long
def test_s32_a_recovered_fleet_goes_on_for_many_seeds() -> None:
    for seed in range(1000, 1300):
        run_recovered(seed)
