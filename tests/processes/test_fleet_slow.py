"""One host's links are slow or cut: its groups stay right, and the others do not feel it (S19, S41, S64)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import fleet
from fleet.actors.messages.operator import GetStatus, MemberStatus
from tests.support.classes import Counter

from .fleet_nodes import CountingLoad, NodeFleet
from .relay import Relays, Slowness

FAST = ("n1", "n2", "n3")
FAST_S = 0.5
"""The longest that a command of a group may take that has no member on the slow host; they share two
processors with everything else."""
BULK = bytes(100_000)


class RelayedFleet(NodeFleet):
    """Every node advertises a relay in front of it; nobody knows the nodes' own addresses."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.relays = Relays().start()

    def add(self, name: str, **settings: Any) -> Any:
        settings.setdefault("join", [node.settings["advertise"] for node in self.nodes.values()])
        node = super().add(name, **settings)
        node.settings["advertise"] = self.relays.in_front_of(node)
        return node

    def at(self, name: str) -> str:
        return str(self[name].settings["advertise"])

    def cut(self, name: str) -> None:
        """Nothing that the node and the others say to each other arrives; clients reach all of them."""
        self.relays.cuts |= {
            frozenset((self.at(name), self.at(other))) for other in self.nodes if other != name
        }

    def heal(self) -> None:
        """What was held arrives."""
        self.relays.cuts.clear()

    def close(self) -> None:
        super().close()
        self.relays.close()


@pytest.fixture
def relayed(tmp_path: Path) -> Iterator[RelayedFleet]:
    relayed = RelayedFleet(tmp_path)
    yield relayed
    relayed.close()


@pytest.mark.parametrize("delay_s, bytes_per_s", [(0.05, 1e6), (0.2, 250_000)])
def test_a_slow_host_slows_only_its_own_groups_and_breaks_none(
    relayed: RelayedFleet, delay_s: float, bytes_per_s: float
) -> None:
    """Groups that are led from there, that only have a member there, and that have none, under load, with
    commands that fill the slow link."""
    relayed.start(*FAST, "n4", purge_after=600.0)
    slow = relayed.relays.slow[relayed.at("n4")] = Slowness()
    fast, led, held = ([f"{kind}{number}" for number in range(3)] for kind in ("fast", "led", "held"))
    relayed.create([*fast, *led, *held], replicas=3)
    for name in fast:
        relayed.client.pin_group(name, FAST)
    for name in led:
        relayed.client.pin_group(name, ["n4", "n1", "n2"])
    for name in held:
        relayed.client.pin_group(name, ["n1", "n2", "n4"])
    relayed.await_settled([*fast, *led, *held])
    terms = {name: status.term for name, status in relayed.statuses([*fast, *held]).items()}
    near = CountingLoad(relayed.client, [*fast, *held])
    with near, CountingLoad(relayed.client, led) as far:
        near.await_more(3)
        far.await_more(3)
        near.longest_s = 0.0
        slow.delay_s, slow.bytes_per_s = delay_s, bytes_per_s
        far.await_more(5, wait_s=60)
        bulk = [relayed.counter(name).swallow.submit(BULK) for name in [*led, *held] for _ in range(5)]
        assert [reply.result() for reply in bulk] == [len(BULK)] * len(bulk)
        far.await_more(5, wait_s=60)
        near.await_more(3)
        slow.delay_s, slow.bytes_per_s = 0.0, float("inf")
        far.await_more(5, wait_s=60)
    assert far.longest_s > 3 * delay_s, "it was not slow"
    assert near.longest_s < FAST_S, near.longest_s
    after = {name: status.term for name, status in relayed.statuses([*fast, *held]).items()}
    assert after == terms, "somebody had to be elected"
    relayed.await_settled([*fast, *led, *held])


def test_s19_a_leader_that_is_cut_off_and_whose_clock_is_slow_answers_no_stale_read(
    relayed: RelayedFleet,
) -> None:
    """It believes to lead for five times as long as the others wait before they elect another."""
    relayed.add("n1", zone="n1", purge_after=600.0, clock_rate=0.2).start()
    relayed.start("n2", "n3", purge_after=600.0)
    config = fleet.GroupConfig(heartbeat_ms=20, election_ms=1000)
    counter = relayed.client.create_group("g", Counter, nodes=["n1", "n2", "n3"], config=config)
    relayed.await_settled(["g"])
    with relayed.connect("n1") as client, relayed.connect("n2", "n3") as other:
        old, new = client.group("g", Counter), other.group("g", Counter)
        assert counter.add(1) == old.get() == 1  # this client will ask the one that is cut off
        relayed.cut("n1")
        assert new.add(1) == 2
        status = client._ask(GetStatus(), "g", relayed["n1"].address)
        assert isinstance(status, MemberStatus) and status.role == "leader"
        waiting = [old.get.submit() for _ in range(10)]
        assert new.add(1) == 3
        relayed.heal()
        assert {one.result(20) for one in waiting} <= {2, 3}
    relayed.await_settled(["g"])
