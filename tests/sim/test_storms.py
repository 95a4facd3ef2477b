"""One group under one kind of weather: a few seeds each time, many when asked for."""

import pytest

from tests.sim.episodes import DAYS, run_episode
from tests.sim.profiles import PROFILES
from tests.sim.storms import run_storm

MANY = range(1000, 1060)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("profile", PROFILES)
def test_a_storm_leaves_nothing_broken(profile: str, seed: int) -> None:
    run_storm(profile, seed)


@pytest.mark.long
@pytest.mark.parametrize("profile", PROFILES)
def test_many_storms_leave_nothing_broken(profile: str) -> None:
    for seed in MANY:
        run_storm(profile, seed)


@pytest.mark.parametrize("day", DAYS)
def test_a_day_of_one_kind_of_trouble_comes_right(day: str) -> None:
    run_episode(day, 1)


def test_a_day_is_judged_also_while_nobody_leads_the_cluster() -> None:
    """In its last moment the leader of this one's cluster had just handed over."""
    run_episode("classes", 1276)


@pytest.mark.long
@pytest.mark.parametrize("day", DAYS)
def test_many_days_of_one_kind_of_trouble_come_right(day: str) -> None:
    for seed in MANY:
        run_episode(day, seed)
