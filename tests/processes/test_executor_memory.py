"""An executor that may use so much memory, and no more (`executor_memory_max`)."""

import pytest

from fleet.errors import CommandFailed
from tests.processes.fleet_nodes import NodeFleet
from tests.processes.nodes import QUICK
from tests.support.classes import Counter
from tests.support.unruly import Unruly

MAX_BYTES = 300 << 20


def test_a_command_that_takes_more_memory_than_it_may_fails_alone(yard: NodeFleet) -> None:
    yard.start("n1", executor_memory_max=MAX_BYTES)
    other = yard.client.create_group("other", Counter, replicas=1, config=QUICK)
    group = yard.client.create_group("unruly", Unruly, replicas=1, config=QUICK)
    assert group.grow(100) == 100
    with pytest.raises(CommandFailed, match="MemoryError"):
        group.grow(1000)
    assert (group.add(), other.add()) == (1, 1)
