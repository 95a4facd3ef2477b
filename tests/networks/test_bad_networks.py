"""Nodes on hosts of their own behind a network that is slow, loses frames, is cut in one direction, or
forgets connections. What fleet does then is measured in fleet/docs/networks.md."""

import random
import time
from collections import Counter as Tally
from collections.abc import Iterator
from itertools import count

import pytest

import fleet
from tests.processes.fleet_nodes import counting, group_names
from tests.support.classes import Shelf
from tests.support.waiting import eventually

from .hosts import SwitchedFleet, why_not

WHY_NOT = why_not()
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)
THREE = ("n1", "n2", "n3")
NAMES = group_names(6)
SNAPSHOT_BYTES = 600_000


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SwitchedFleet]:
    hosts = SwitchedFleet(tmp_path_factory.mktemp("hosts"))
    try:
        hosts.start(*THREE, purge_after=600.0)
        for name in hosts.create(NAMES):
            hosts.client.pin_group(name, THREE)  # led from n1
        yield hosts
    finally:
        hosts.close()


@pytest.fixture
def hosts(started: SwitchedFleet) -> Iterator[SwitchedFleet]:
    """Three nodes with groups, all of which are well."""
    started.await_settled(NAMES)
    yield started
    started.heal()


def terms(hosts: SwitchedFleet) -> dict[str, int]:
    return {name: status.term for name, status in hosts.statuses(NAMES).items()}


def counted_by(hosts: SwitchedFleet) -> dict[str, int]:
    """What each counter stands at: the tests share them."""
    return {name: hosts.counter(name).get() for name in NAMES}


@pytest.mark.parametrize(
    ("delay_s", "loss", "bytes_per_s"),
    [(0.1, 0.0, 1e9), (0.005, 0.05, 1e9), (0.02, 0.01, 1.25e6)],
    ids=["200 ms round trip", "5 % loss", "10 Mbit/s with 40 ms and 1 % loss"],
)
def test_commands_are_executed_once_and_nobody_is_elected_anew(
    hosts: SwitchedFleet, delay_s: float, loss: float, bytes_per_s: float
) -> None:
    """By the default settings, or those that fleet/docs/networks.md advises."""
    before = terms(hosts)
    hosts.everywhere(delay_s=delay_s, loss=loss, bytes_per_s=bytes_per_s)
    with counting(hosts, NAMES, counted_by(hosts), pace_s=0.02) as load:
        load.await_more(10, wait_s=60)
    assert terms(hosts) == before


def test_a_connection_that_only_one_side_remembers_is_replaced(hosts: SwitchedFleet) -> None:
    """The host is cut off, its node dies there unheard and starts again: the others' connections are half
    open, and the packets that would have told them were lost."""
    with counting(hosts, NAMES, counted_by(hosts)) as load:
        hosts.cut_off("n3")
        load.await_more(2)
        hosts["n3"].kill()
        hosts.heal()
        hosts["n3"].start()
        load.await_more(2)
    assert hosts.await_settled(NAMES) < 15


def test_a_leader_that_hears_nobody_but_is_heard_makes_room(hosts: SwitchedFleet) -> None:
    with counting(hosts, NAMES, counted_by(hosts)) as load:
        load.await_more()
        hosts.way(["n2", "n3"], ["n1"], both=False, is_cut=True)
        load.await_more(2)
        hosts.heal()
        hosts.way(["n1"], ["n2", "n3"], both=False, is_cut=True)
        load.await_more(2)
        hosts.heal()
        hosts.await_settled(NAMES)


def test_large_packets_that_vanish_cost_a_connection_and_no_command(hosts: SwitchedFleet) -> None:
    """A black hole by MTU from n1 to n2: heartbeats pass, what carries commands does not."""
    hosts.way(["n1"], ["n2"], frame_bytes_max=600)
    swallows = [hosts.counter(name).swallow.submit(bytes(50_000)) for name in NAMES for _ in range(3)]
    assert [reply.result(60) for reply in swallows] == [50_000] * len(swallows)
    hosts.heal()
    hosts.await_settled(NAMES)


def test_a_big_snapshot_behind_a_slow_link_delays_no_heartbeat(hosts: SwitchedFleet) -> None:
    """600 kB for a new member behind 1 Mbit/s take 5 s. Its other groups hear of their leaders in time:
    nobody asks for votes."""
    config = fleet.GroupConfig(snapshot_floor_bytes=1 << 16, snapshot_factor=1, log_tail=1)
    shelf = hosts.client.create_group("shelf", Shelf, replicas=2, nodes=("n1", "n2"), config=config)
    for place in range(SNAPSHOT_BYTES // 10_000):
        shelf.put(f"{place}", random.Random(place).randbytes(10_000))

    def is_in_snapshot() -> bool:
        """All of it, and not in the log."""
        shelf.put("0", random.Random(next(number)).randbytes(10_000))
        return hosts.client.status("shelf").snapshot_index > SNAPSHOT_BYTES // 10_000

    number = count()
    eventually(is_in_snapshot, 60, "a snapshot of the shelf")
    catch_up(hosts, ["shelf"], SNAPSHOT_BYTES)


def catch_up(hosts: SwitchedFleet, shelves: list[str], size: int) -> None:
    """n3 joins these groups behind 1 Mbit/s, and nobody asks for votes meanwhile."""
    hosts.way(["n1"], ["n3"], bytes_per_s=125_000, delay_s=0.01)
    before = terms(hosts)
    targets = {shelf: hosts.client.status(shelf).commit for shelf in shelves}
    began, roles = time.monotonic(), Tally[str]()
    for shelf in shelves:
        hosts.client.pin_group(shelf, THREE, replicas=3)

    def has_caught_up() -> bool:
        for name in NAMES:
            roles[hosts.seen_by("n3", name).role] += 1
        return all(hosts.seen_by("n3", shelf).applied >= target for shelf, target in targets.items())

    eventually(has_caught_up, 120, "all of it to arrive")
    took_s = time.monotonic() - began
    assert took_s > 0.8 * size / 125_000
    assert roles.keys() == {"follower"}
    assert terms(hosts) == before


def test_long_logs_behind_a_slow_link_delay_no_heartbeat(hosts: SwitchedFleet) -> None:
    """Of four groups at once, 400 kB each: 13 s. By the default settings."""
    logs = [f"log {number}" for number in range(4)]
    for name in logs:
        shelf = hosts.client.create_group(name, Shelf, replicas=2, nodes=("n1", "n2"))
        for place in range(40):
            shelf.put(f"{place}", random.Random(place).randbytes(10_000))
        assert hosts.client.status(name).snapshot_index == 0
    catch_up(hosts, logs, 1_600_000)


def test_a_host_gets_another_address(hosts: SwitchedFleet) -> None:
    """Its node starts again there, with its directory; clients and the others find it."""
    before = hosts.places(NAMES)
    with counting(hosts, NAMES, counted_by(hosts)) as load:
        hosts["n2"].kill()
        hosts.move("n2")
        hosts["n2"].start()
        load.await_more(2)
        hosts.await_settled(NAMES)
    assert hosts.places(NAMES) == before
