"""Scenarios of two builds side by side: nothing new is in force while an earlier build could come to read
it."""

import pytest

from fleet.errors import Rejected
from fleet.testing import Sim
from fleet.versions import Build
from tests.sim.scenes import Log, config

OLD, BOTH = Build("1.0", 1, 1), Build("1.1", 1, 2)


def restart_as(sim: Sim, name: str, build: Build) -> None:
    sim.stop(name)
    sim.nodes[name].build = build
    sim.restart(name)

    def reported() -> bool:
        managers = [node.manager for node in sim.nodes.values() if node.manager is not None]
        serving = [manager for manager in managers if manager.is_serving]
        shown = [manager.view.nodes.get(name) for manager in serving]
        return len(shown) == len(sim.nodes) and all(one is not None and one.build == build for one in shown)

    assert sim.run("30s", reported), f"{name} does not report its build"


def in_force(sim: Sim) -> set[int]:
    """As the nodes that run know it. What is in force anywhere is on every disk."""
    managers = [node.manager for node in sim.nodes.values() if node.is_up and node.manager is not None]
    known = {manager.view.version for manager in managers if manager.is_serving}
    disks = {manager.store.version for manager in managers if manager.is_serving}
    assert max(known, default=0) <= min(disks, default=9), (known, disks)
    return known


@pytest.mark.parametrize("seed", range(3))
def test_s50_a_fleet_is_rolled_forward_back_and_for_good(seed: int) -> None:
    sim = Sim(seed=seed, nodes=3)
    for name in sim.nodes:
        restart_as(sim, name, OLD)
    group = sim.group("g", Log, config=config())
    count = 0
    for build in (BOTH, OLD, BOTH):
        for name in sim.nodes:
            restart_as(sim, name, build)
            assert group.append.options(timeout=20.0)(count) == count + 1
            count += 1
            if build == BOTH and name != "n3":
                with pytest.raises(Rejected, match="not all nodes speak version 2"):
                    sim._ask_cluster("finalize", (2,))
        assert in_force(sim) == {1}
    sim.partition("n3")
    sim._ask_cluster("finalize", (2,))
    assert not sim.run("10s", lambda: in_force(sim) == {2}), "a node has not written it"
    sim.heal()
    assert sim.run("30s", lambda: in_force(sim) == {2})
    assert group.append(count) == count + 1
    assert sim.states_equal("g") and sim.explain("g") is None
    sim.stop("n3")
    sim.nodes["n3"].build = OLD
    assert not sim.nodes["n3"].start()
    assert "it has version 2 of the fleet" in sim.nodes["n3"].trouble
