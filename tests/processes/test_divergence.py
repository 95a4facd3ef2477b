"""Classes that read what differs from node to node, on real processes: found, shown, repaired (S48)."""

import importlib
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import fleet
from fleet.errors import NotHalted
from fleet.raft.messages import DIVERGED
from tests.cli.processes import run
from tests.processes.fleet_nodes import FleetNode, NodeFleet
from tests.processes.nodes import CLUSTER
from tests.support.waiting import eventually

EVERY = 10
"""Members compare their states after so many log entries."""
CONFIG = fleet.GroupConfig(heartbeat_ms=60, election_ms=400, compare_every=EVERY)
NODES = ("n1", "n2", "n3")
TEXT = """
import os, random, time
import fleet
from odd_libm import sin

class Impure(fleet.Data):
    def __init__(self):
        self.count = 0
        self.book = {"seen": []}
        self.first = ""
        self.tags = set()

    def done(self, what):
        self.count += 1
        self.book["seen"] = [*self.book["seen"][-2:], what]
        return self.count

    @fleet.command
    def pure(self, word: str) -> int:
        self.tags.add(word)
        return self.done(len(self.tags))

    @fleet.command
    def set_order(self, word: str) -> int:
        self.tags.add(word)
        self.first = next(iter(self.tags))
        return self.done(0)

    @fleet.command
    def environment(self, word: str) -> int:
        return self.done(os.environ.get("FLEET_TEST_ODD", ""))

    @fleet.command
    def rounding(self, word: str) -> int:
        return self.done(sin(self.count))

    @fleet.command
    def clock(self, word: str) -> int:
        return self.done(time.time())

    @fleet.command
    def chance(self, word: str) -> int:
        return self.done(random.random())

    @fleet.query
    def seen(self) -> list:
        return self.book["seen"]
"""
LIBM = "from math import sin\n"
ODD_LIBM = "import math\n\ndef sin(x):\n    return math.nextafter(math.sin(x), 2.0)\n"


class OddNode(FleetNode):
    variables: dict[str, str] = {}

    def environment(self) -> dict[str, str]:
        return super().environment() | self.variables


@pytest.fixture
def impure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    for name in (*NODES, "here"):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "impure_shop.py").write_text(TEXT)
        (tmp_path / name / "odd_libm.py").write_text(ODD_LIBM if name == "n3" else LIBM)
    monkeypatch.syspath_prepend(str(tmp_path / "here"))
    yield importlib.import_module("impure_shop").Impure
    for name in ("impure_shop", "odd_libm"):
        sys.modules.pop(name, None)


@pytest.fixture
def three(yard: NodeFleet, impure: Any, tmp_path: Path) -> NodeFleet:
    """n3 has another hash seed, environment and libm than the two others."""
    for name in NODES:
        join = [node.address for node in yard.nodes.values()]
        node = OddNode(name, yard.home, yard.secret_file, zone=name, purge_after=600.0, join=join)
        yard.nodes[name] = node
        node.path = str(tmp_path / name)
        node.variables = {"PYTHONHASHSEED": "2" if name == "n3" else "1"}
        if name == "n3":
            node.variables |= {"FLEET_TEST_ODD": "1", "REGION": "eu"}
        node.start()
    yard.await_nodes(*NODES)
    return yard


def halts(yard: NodeFleet, group: str) -> dict[str, int]:
    statuses = yard.client.statuses(group)
    return {node: one.halt.index for node, one in statuses.items() if one.halt and one.halt.place == DIVERGED}


def calls(group: Any, cause: str, count: int) -> None:
    for number in range(count):
        getattr(group, cause)(f"word {number}")


@pytest.mark.parametrize("cause", ["set_order", "environment", "rounding"])
def test_s48_the_member_that_differs_halts_within_the_bound_and_is_repaired(
    three: NodeFleet, impure: Any, cause: str
) -> None:
    """It leads at first, so that its group serves wrong values, but not for longer than that."""
    f = three.client
    group = f.create_group(cause, impure, nodes=["n3", "n1", "n2"], config=CONFIG)
    eventually(lambda: f.whereis(cause) == "n3", 20.0)
    calls(group, cause, 2 * EVERY)
    (at,) = eventually(lambda: halts(three, cause), 10.0).values()
    assert list(halts(three, cause)) == ["n3"] and at <= 2 * EVERY
    eventually(lambda: f.whereis(cause) in ("n1", "n2"), 10.0)
    calls(group, "pure", 3)

    diff = f.diff(cause)
    assert diff.index == at and set(diff.halted) == {"n3"}
    field = "first" if cause == "set_order" else "book['seen']"
    assert {one.path.partition("[")[0] for one in diff.differences} == {field.partition("[")[0]}
    for one in diff.differences:
        odd, *others = [text for _, text in sorted(one.values.items(), reverse=True)]
        assert len(others) == 2 and odd not in others

    f.repair(cause, "n3")
    assert halts(three, cause) == {}
    calls(group, "pure", EVERY)
    eventually(lambda: f.diff(cause).differences == (), 10.0)
    with pytest.raises(NotHalted):
        f.repair(cause, "n3")


@pytest.mark.parametrize("cause", ["clock", "chance"])
def test_s48_where_no_two_agree_the_group_goes_on_and_doctor_says_so(
    three: NodeFleet, impure: Any, cause: str
) -> None:
    group = three.client.create_group(cause, impure, config=CONFIG)
    calls(group, cause, 2 * EVERY)
    told = eventually(lambda: three.client.survey().comparison.get(cause), 10.0)
    assert "no majority" in next(iter(told.values()))
    calls(group, cause, 2)
    assert halts(three, cause) == {}


def test_s48_a_halt_survives_a_restart_and_so_does_a_repair(three: NodeFleet, impure: Any) -> None:
    f = three.client
    group = f.create_group("shop", impure, nodes=["n1", "n2", "n3"], config=CONFIG)
    calls(group, "environment", EVERY)
    eventually(lambda: "n3" in halts(three, "shop"), 10.0)
    for is_repaired in (False, True):
        calls(group, "pure", 3)  # its node has noted the halt by then
        three["n3"].kill()
        three["n3"].start()
        eventually(lambda: "n3" in f.statuses("shop"), 20.0)
        calls(group, "pure", 3)
        status = eventually(lambda: f.statuses("shop").get("n3"), 20.0)
        assert (status.halt is None) == is_repaired, status
        if not is_repaired:
            f.repair("shop", "n3")
    eventually(lambda: f.diff("shop").differences == (), 10.0)


def test_the_page_about_divergence_says_what_happens(
    three: NodeFleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its commands, one after the other, with the module that it has."""
    text = (Path(__file__).resolve().parents[2] / "fleet" / "docs" / "divergence.md").read_text()
    (module,) = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    (block,) = re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S)
    (shown,) = re.findall(r"^place.*$", text, re.M)
    for name in (*NODES, "here"):
        (tmp_path / name / "lottery.py").write_text(module)
    where = ",".join(node.address for node in three.nodes.values())
    asked = ("--connect", where, "--secret-file", str(three.secret_file), "--cluster", CLUSTER)
    said = []
    for line in block.splitlines():
        words = shlex.split(line)[1:]
        if words[0] == "doctor":
            eventually(lambda: "n3" in halts(three, "lottery"), 10.0)
        done = run(tmp_path / "here", *words, *asked)
        said.append((words[:2], done.returncode, done.stdout))
    (added, called, doctor, diff, repaired, after) = said
    assert [code for _, code, _ in (added, called, repaired, after)] == [0, 0, 0, 0], said
    assert "another state on n3" in doctor[2] and diff[1] == 4
    assert re.sub(" +", " ", shown) in re.sub(" +", " ", diff[2])
    assert "the states are equal" in after[2]
