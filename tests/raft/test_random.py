"""Many bad days of small groups. A seed that fails prints itself and replays exactly.

`FLEET_SEED=17` runs that one; `FLEET_SEEDS=1000:5000` runs those, too.
"""

import os

import pytest

from tests.raft.storm import Storm

FIRST, _, LAST = os.environ.get("FLEET_SEEDS", "0:0").partition(":")
ONE = os.environ.get("FLEET_SEED")


@pytest.mark.parametrize("seed", [int(ONE)] if ONE else range(90))
def test_a_group_survives_a_bad_day_and_agrees_soon_after_it(seed: int) -> None:
    Storm(seed).run()


@pytest.mark.long
@pytest.mark.skipif("FLEET_SEEDS" not in os.environ, reason="FLEET_SEEDS=first:last asks for it")
@pytest.mark.parametrize("hundred", range(int(FIRST), int(LAST), 100))
def test_a_group_survives_many_bad_days(hundred: int) -> None:
    for seed in range(hundred, hundred + 100):
        Storm(seed).run()


def test_a_seed_is_one_history() -> None:
    """Else a failure could not be replayed."""
    histories = []
    for _ in range(2):
        storm = Storm(7)
        storm.run()
        histories.append((storm.calls, storm.world.now, storm.world.messages, storm.world.witness.committed))
    assert histories[0] == histories[1]
