"""Users' code that hangs or ends its process, in whole fleets whose objects live in executors."""

from typing import Any

import fleet
from fleet.raft.ids import node_of
from fleet.sim.world.objects import KINDS
from fleet.testing import Sim
from tests.sim.scenes import ask_cluster

COUNTER: Any = KINDS["counter"]


def test_a_command_that_hangs_in_a_group_that_is_removed_leaves_its_executor_to_others() -> None:
    """A node that is to get a member loads its class there first."""
    sim = Sim(seed=1, nodes=4, executors=1)
    counter = sim.group("counter", COUNTER)
    hanging = sim.group("hanging", COUNTER, replicas=4, config=fleet.GroupConfig(command_limit_ms=60_000))
    hanging.hang.options(timeout=5.0).submit(1)
    sim.run(0.5)
    ask_cluster(sim, "remove_group", "hanging")
    ask_cluster(sim, "set_replicas", "counter", 4)

    def is_everywhere() -> bool:
        members = sim.world.members_of("counter")
        return {node_of(member.core.id) for member in members if member.object.is_open} == {*sim.nodes}

    assert sim.run(15.0, is_everywhere)
    assert counter.add(1) == 1
