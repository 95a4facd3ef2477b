"""Two clusters that share secret and name: clients and nodes stay with the one that answered first."""

import logging
from typing import Any

import pytest

import fleet
from fleet.errors import FleetError, WrongCluster
from tests.support.classes import Counter
from tests.support.nodes_here import NodesHere, node_names
from tests.support.waiting import eventually


def counter(client: fleet.Fleet) -> Any:
    return client.create_group("visits", Counter, replicas=1, exist_ok=True)


def test_a_client_of_two_clusters_writes_to_one_and_names_the_other(
    nodes: NodesHere, caplog: pytest.LogCaptureFixture
) -> None:
    """It wrote to both in turn."""
    for name in ("n1", "n2"):
        nodes.start(name)
        assert counter(nodes.connect(name)).add(100) == 100
    client = nodes.connect("n1", "n2")
    handle = counter(client)
    eventually(lambda: "belongs to cluster" in caplog.text)
    assert [handle.add(1) for _ in range(30)] == list(range(101, 131))
    alone = {name: counter(nodes.connect(name)).add(0) for name in ("n1", "n2")}
    assert sorted(alone.values()) == [100, 130]
    (other,) = [nodes.addresses[name] for name, value in alone.items() if value == 100]
    with pytest.raises(WrongCluster) as caught:
        client.members(other)
    assert caught.value.address == other and caught.value.theirs != caught.value.ours
    assert len([record for record in caplog.records if other in record.getMessage()]) == 1


def test_a_client_whose_cluster_is_gone_is_not_served_by_the_one_in_its_place(nodes: NodesHere) -> None:
    nodes.start("n1")
    client = nodes.connect("n1")
    handle = counter(client)
    handle.add(1)
    nodes.empty("n1")
    nodes.start("n1")
    with pytest.raises(FleetError) as caught:
        handle.add(1)
    assert "belongs to cluster" in str(caught.value)
    with pytest.raises(WrongCluster):
        client.nodes()
    fresh = nodes.connect("n1")
    eventually(lambda: node_names(fresh) == ["n1"])
    assert fresh.groups() == []


def test_a_node_stays_with_its_cluster_when_the_first_founds_another(
    nodes: NodesHere, caplog: pytest.LogCaptureFixture
) -> None:
    """The second was in both, and served whichever was asked for."""
    caplog.set_level(logging.ERROR)
    nodes.start("n1")
    nodes.start("n2", "n1")
    eventually(lambda: node_names(nodes.connect("n1")) == ["n1", "n2"])
    nodes.empty("n1")
    nodes.start("n1")
    assert counter(nodes.connect("n1")).add(1) == 1
    nodes.running.pop("n2").stop()
    nodes.start("n2", "n1")
    first = nodes.addresses["n1"]
    eventually(lambda: f"{first} belongs to cluster" in caplog.text)
    assert node_names(nodes.connect("n1")) == ["n1"]
    with pytest.raises(WrongCluster):
        client = nodes.connect("n2")
        client.members(nodes.addresses["n2"])
        client.members(first)
