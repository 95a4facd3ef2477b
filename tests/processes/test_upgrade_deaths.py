"""Nodes and executors of a real fleet are ended by SIGKILL at every step of a change of their group's class,
forward and back, while commands arrive (S50)."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fleet.errors import FleetError, OtherCode
from fleet.objects.class_refs import encode_class
from fleet.raft.ids import MemberId, node_of
from tests.processes.fleet_nodes import CountingLoad, NodeFleet, counting
from tests.processes.nodes import QUICK
from tests.processes.upgrade_gates import FIRST, MODULE, SECOND, TEXTS, Gates, end, in_thread
from tests.support.waiting import eventually

NODES = ("n1", "n2", "n3")
NOT_IN_FORCE = ("state copied", "class tried", "proposed", "snapshot taken")
STEPS = (*NOT_IN_FORCE, "state loaded", "answered")
WHO = ("leader", "follower", "executor", "everyone")
LONG = [(step, who) for who in WHO for step in STEPS if (step, who) != ("proposed", "follower")]
SHORT = [
    ("class tried", "executor"),
    ("proposed", "leader"),
    ("snapshot taken", "leader"),
    ("state loaded", "follower"),
    ("answered", "everyone"),
]
"""Both ways in turns."""


@pytest.fixture
def gates(yard: NodeFleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gates]:
    """Three nodes, and the group `tally` of the first version."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.syspath_prepend(str(tmp_path / "code" / "here"))
    (tmp_path / "code").mkdir()
    gates = Gates(yard, tmp_path / "code")
    for name in NODES:
        yard.add(name, zone=name, purge_after=600.0)
        gates.prepare(name)
    tally = gates.deploy(FIRST)
    for name in NODES:
        yard[name].start()
    yard.await_nodes(*NODES)
    yard.client.create_group("tally", tally, config=QUICK).add(0)  # unused, it would have no state to load
    yield gates
    gates.open_all()
    sys.modules.pop(MODULE, None)


def leader_of(yard: NodeFleet) -> str:
    return eventually(lambda: str(node_of(MemberId(yard.client.status("tally").leader or ""))))


def members_of(yard: NodeFleet) -> set[str]:
    status = yard.client.status("tally")
    return {str(node_of(member)) for member in (*status.voters, *status.learners)}


class Change:
    """One upgrade of the group, which is held at a step until somebody there has died."""

    def __init__(self, gates: Gates, tally: Any, former: str) -> None:
        self.gates, self.yard, self.tally = gates, gates.yard, tally
        self.former = former
        self.leader = leader_of(self.yard)
        self.victim = self.leader
        self.pid = 0
        """The executor that is at the step."""

    def upgrade(self) -> int:
        return self.yard.client.upgrade("tally", self.tally, timeout=40.0)

    def reach(self, step: str) -> Any:
        """Begin the upgrade, and come to that step of it. Returns what becomes of it."""
        gates, names = self.gates, tuple(self.yard.nodes)
        if step == "answered":
            self.upgrade()
            return in_thread(lambda: None)
        if step == "proposed":
            return self.propose()
        gates.close("dump" if step == "state copied" else "load", *names)
        under_way = in_thread(self.upgrade)
        if step == "state copied":
            self.pid = gates.await_all_at("dump")[self.victim]
            return under_way
        tried = gates.await_all_at("load")
        self.pid = tried[self.victim]
        if step == "class tried":
            return under_way
        gates.close("dump", *names, but=tried)
        gates.open("load")
        self.pid = gates.await_at("dump", self.victim, but=tried[self.victim])
        if step == "snapshot taken":
            return under_way
        gates.close("load", *names)
        gates.open("dump")
        self.pid = gates.await_at("load", self.victim)
        return under_way

    def propose(self) -> Any:
        """The leader has it in its log, and its followers do not."""
        client, node = self.yard.client, self.yard[self.leader]
        status = client.status("tally")
        encoded, asked = encode_class(self.tally), node.log.read_text().count("switch from")
        client._rehearse(status, encoded, 40.0)
        for name in set(self.yard.nodes) - {self.leader}:
            self.yard[name].pause()
        under_way = in_thread(lambda: client._switch(status, encoded, 40.0))
        eventually(lambda: node.log.read_text().count("switch from") > asked)
        return under_way

    def die(self, step: str, who: str) -> None:
        """If all nodes do before the change is in force, they need the former code once more."""
        if who == "everyone" and step in NOT_IN_FORCE:
            self.gates.deploy(self.former)
        if who == "executor":
            end(self.pid or self.yard[self.victim].executors()[0])
        dying = {"everyone": tuple(self.yard.nodes), "executor": ()}.get(who, (self.victim,))
        for name in dying:
            self.yard[name].kill()
        for node in self.yard.running():
            node.resume()
        self.gates.open_all()
        for name in dying:
            self.yard[name].launch()
        for name in dying:
            self.yard[name].await_start()


def change_and_die(gates: Gates, load: CountingLoad, text: str, step: str, who: str) -> None:
    """Afterwards all members have the same class, and the change may be said again."""
    yard, client = gates.yard, gates.yard.client
    change = Change(gates, gates.deploy(text), TEXTS[1 - TEXTS.index(text)])
    if who == "follower":
        change.victim = next(name for name in yard.nodes if name != change.leader)
    under_way = change.reach(step)
    change.die(step, who)
    try:
        under_way.result(60.0)
    except FleetError as error:
        print(f"{step}, {who}: {error}")
    version, before = TEXTS.index(text) + 1, load.total()
    eventually(lambda: load.total() > before or client.versions("tally").version == version, 40.0)
    change.tally = gates.deploy(text)
    change.upgrade()
    eventually(lambda: set(client.versions("tally").nodes.values()) == {""}, 30.0)
    assert client.versions("tally").version == version
    load.await_more()


def test_s50_whoever_dies_at_a_step_of_an_upgrade_nothing_acknowledged_is_lost(gates: Gates) -> None:
    with counting(gates.yard, ["tally"], pace_s=0.02) as load:
        for place, (step, who) in enumerate(SHORT):
            change_and_die(gates, load, TEXTS[(place + 1) % 2], step, who)


@pytest.mark.long
@pytest.mark.parametrize("step, who", LONG)
def test_s50_at_each_step_each_of_them_may_die_on_the_way_and_on_the_way_back(
    gates: Gates, step: str, who: str
) -> None:
    with counting(gates.yard, ["tally"], pace_s=0.02) as load:
        load.tolerated = (OtherCode,) if who == "everyone" else ()
        for text in (SECOND, FIRST):
            change_and_die(gates, load, text, step, who)


@pytest.mark.parametrize(
    "step, text", [("class tried", SECOND), pytest.param("snapshot taken", FIRST, marks=pytest.mark.long)]
)
def test_s50_a_node_is_added_and_another_one_removed_while_a_group_is_upgraded(
    gates: Gates, step: str, text: str
) -> None:
    """A node gets a member if it has the code in force, and none while a switch is open."""
    yard, client = gates.yard, gates.yard.client
    if text == FIRST:
        client.upgrade("tally", gates.deploy(SECOND))
    with counting(yard, ["tally"], pace_s=0.02) as load:
        change = Change(gates, gates.deploy(text), "")
        under_way = change.reach(step)
        yard.add("n4", zone="n4", purge_after=600.0)
        gates.prepare("n4")
        gates.deploy_on("n4", TEXTS[1 - TEXTS.index(text)])
        yard["n4"].start()
        yard.await_nodes(*yard.nodes)
        client.pin_group("tally", ["n1", "n2", "n4"])
        if step == "class tried":
            eventually(lambda: "n4" in members_of(yard))
        gates.deploy(text)
        gates.open_all()
        under_way.result(60.0)
        eventually(lambda: members_of(yard) == {"n1", "n2", "n4"}, 40.0)
        eventually(lambda: set(client.versions("tally").nodes.values()) == {""}, 30.0)
        assert client.versions("tally").version == TEXTS.index(text) + 1
        load.await_more()
