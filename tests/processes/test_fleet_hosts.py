"""Nodes on hosts of their own, with the network between them cut, one-way cut and healed (S31)."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.actors.messages.operator import ClusterSeen, GetCluster
from fleet.raft.ids import NodeName, node_of
from tests.support.waiting import eventually

from .fleet_hosts import HostFleet, why_not
from .fleet_nodes import PURGE_S, add_all, counting, group_names

WHY_NOT = why_not()
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[HostFleet]:
    hosts = HostFleet(tmp_path)
    yield hosts
    hosts.close()


def seen_by(hosts: HostFleet, name: str) -> ClusterSeen:
    value = hosts.client._ask(GetCluster(), address=hosts[name].address, timeout=2.0)
    assert isinstance(value, ClusterSeen)
    return value


def nodes_seen_by(hosts: HostFleet, name: str) -> set[str]:
    view = seen_by(hosts, name).view
    return {node.name for node in view.nodes} if view is not None else set()


@pytest.mark.parametrize("count", [20, pytest.param(60, marks=pytest.mark.long)])
def test_s31_two_of_five_are_split_off_for_longer_than_the_purge_window(hosts: HostFleet, count: int) -> None:
    """The minority changes nothing, the majority purges and heals, each group has one history, and the
    nodes that were purged belong again when they are back."""
    hosts.start("n1", "n2", "n3", "n4", "n5")
    names = hosts.create(group_names(count))
    add_all(hosts, names, 1)
    homes = {name: {*map(node_of, members)} for name, members in hosts.places(names).items()}
    most = [name for name in names if len(homes[name] & {"n1", "n2"}) < 2]
    assert 0 < len(most) < count, "some groups have their majority on either side"
    with counting(hosts, names, dict.fromkeys(names, 1)) as load:
        load.await_more(2)
        hosts.split(["n1", "n2"], ["n3", "n4", "n5"])
        eventually(lambda: nodes_seen_by(hosts, "n3") == {"n3", "n4", "n5"}, what="the majority to purge")
        silent_ms = eventually(lambda: seen_by(hosts, "n1").unreachable_ms.get(NodeName("n4")))
        until = time.monotonic() + PURGE_S
        while time.monotonic() < until or silent_ms < 2000 * PURGE_S:
            assert nodes_seen_by(hosts, "n1") == nodes_seen_by(hosts, "n2") == set(hosts.nodes)
            silent_ms = seen_by(hosts, "n1").unreachable_ms[NodeName("n4")]
        assert all(load.counted[name] > 2 for name in most)
        hosts.heal()
        hosts.await_nodes(*hosts.nodes)
        hosts.await_settled(names)
        load.await_more(2)


def test_one_host_is_alone_and_then_heard_one_way_only(hosts: HostFleet) -> None:
    hosts.start("n1", "n2", "n3", "n4", purge_after=600.0)
    names = hosts.create(group_names(16))
    before = hosts.places(names)
    with counting(hosts, names) as load:
        load.await_more()
        hosts.split(["n4"], ["n1", "n2", "n3"])
        load.await_more()
        hosts.heal()
        hosts.await_settled(names)
        for target in ("n2", "n3", "n4"):
            hosts.cut("n1", target)
        load.await_more()
        hosts.heal()
        hosts.await_settled(names)
        load.await_more()
    assert hosts.places(names) == before
