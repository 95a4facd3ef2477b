"""Reads by zone on real nodes: a member of the client's zone answers, and another one while it cannot."""

import time

import pytest

import fleet
from fleet.errors import ConfigError
from tests.processes.fleet_nodes import NodeFleet
from tests.support.classes import Counter

NAMES = ("n1", "n2", "n3")


def test_rv16_the_member_of_a_clients_zone_answers_while_it_can(yard: NodeFleet) -> None:
    yard.start(*NAMES)
    visits = yard.client.create_group("visits", Counter)
    revision = visits.add.with_revision(1).revision
    with pytest.raises(ConfigError):
        visits.get.nearest()()
    addresses = [yard[name].address for name in NAMES]
    readers: dict[str, Counter] = {}
    for name in NAMES:
        client = fleet.connect(
            addresses, cluster="test", secret_file=yard.secret_file, zone=name, timeout=20.0
        )
        yard.clients.append(client)
        readers[name] = client.group("visits", Counter)
        assert readers[name].get.nearest().at_least(revision)() == 1 == readers[name].get.nearest()()

    for name in NAMES:
        others = [yard[other] for other in NAMES if other != name]
        for node in others:
            node.pause()
        began = time.monotonic()
        assert readers[name].get.nearest().stale(None)() == 1
        took = time.monotonic() - began
        for node in others:
            node.resume()
        assert took < 0.45, "a node that is silent is given up after half a second: none was asked"

    yard["n2"].kill()
    assert readers["n2"].get.nearest().stale(None)() == 1
