"""One host's links are slow: its groups stay right, and the others do not feel it (S41, S64)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

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
        node.settings["advertise"] = self.relays.in_front_of(node.address)
        return node

    def at(self, name: str) -> str:
        return str(self[name].settings["advertise"])

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
    relayed["n4"].kill()  # from here on its links are known as slow ones
    relayed["n4"].start()
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
