"""Nodes on Thespian's own base, each on a host of its own: nothing is local but their own processes."""

from collections.abc import Iterator

import pytest

from fleet.actors.messages.operator import GetStatus, MemberStatus
from tests.processes.fleet_hosts import HostFleet, why_not
from tests.processes.fleet_nodes import NodeFleet
from tests.processes.nodes import QUICK
from tests.support.classes import Counter
from tests.support.waiting import eventually

WHY_NOT = why_not()
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)
NAMES = ["n1", "n2", "n3"]
CALLS = 40


@pytest.fixture
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostFleet]:
    made = HostFleet(tmp_path_factory.mktemp("sealed-hosts"))
    try:
        made.start(*NAMES, base="multiprocTCPBase", purge_after=600.0)
        yield made
    finally:
        made.close()


def applied(hosts: NodeFleet, name: str) -> int:
    value = hosts.client._ask(GetStatus(), "visits", hosts[name].address, timeout=1.0)
    assert isinstance(value, MemberStatus)
    return value.applied if value.member.startswith(f"{name}@") else 0


def test_a_host_that_became_a_black_hole_holds_up_nobody_and_catches_up_later(hosts: HostFleet) -> None:
    visits = hosts.client.create_group("visits", Counter, replicas=3, config=QUICK)
    hosts.client.pin_group("visits", NAMES)
    eventually(lambda: hosts.client.status("visits").member.startswith("n1@"), what="n1 to lead")
    count = visits.add(1)
    hosts.split(["n3"], ["n1", "n2"])
    for number in range(1, CALLS + 1):
        assert visits.add(1) == count + number
    hosts.heal()
    target = hosts.client.status("visits").commit
    eventually(lambda: applied(hosts, "n3") >= target, what="n3 to catch up")
    assert visits.add(1) == count + CALLS + 1
