"""Real nodes lose power under load, and every command that was acknowledged is there once (S32, S33, S56).

`python -m tests.powerloss` does it 300 times.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from .campaign import Campaign
from .disk import Chance
from .nodes import Lost

ACKNOWLEDGED_EARLY = """
from fleet.storage.writer import Writer
def _write(self, writes):
    self._finish(writes, None)
    self._store.write(writes)
Writer._write = _write
"""

Begin = Callable[..., Campaign]


@pytest.fixture
def begin(tmp_path: Path, library: Path) -> Iterator[Begin]:
    with ExitStack() as begun:

        def make(seed: int, **how: Any) -> Campaign:
            campaign = Campaign(tmp_path, library, seed, **how)
            begun.callback(campaign.close)
            return campaign

        yield make


def test_s56_three_nodes_lose_power_under_load_and_what_was_acknowledged_is_there_once(begin: Begin) -> None:
    """By this seed first one of them, then all at once."""
    totals = begin(2, groups=3).run(2, together=(1, 3), on_each_member=False)
    assert (totals.losses, totals.all_at_once, totals.nodes) == (2, 1, 4)
    assert totals.acknowledged > 100


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"plant": ACKNOWLEDGED_EARLY, "sync_us": 10_000}, id="told durable before the sync"),
        pytest.param({"deaf": "fdatasync"}, id="the disk lies", marks=pytest.mark.long),
    ],
)
def test_nodes_that_acknowledge_what_is_not_on_the_disk_are_found_out(
    begin: Begin, fault: dict[str, Any]
) -> None:
    """In the first case acknowledged commands are gone, in the second no node starts again."""
    campaign = begin(1, groups=3, chance=lambda _: Chance.nothing(), **fault)
    is_lost = "plant" in fault
    with pytest.raises(Lost if is_lost else AssertionError, match=None if is_lost else "did not start"):
        campaign.run(9, together=(3,), check_every=1)
