"""Two builds side by side, under load: forward, back, forward again, and then for good."""

from functools import partial
from pathlib import Path

import pytest

from fleet.errors import WrongVersion
from fleet.versions import NEWEST
from tests.processes.fleet_nodes import CountingLoad, NodeFleet, counting, group_names
from tests.processes.nodes import CLUSTER, ROOT
from tests.processes.second_build import LATER, SAID, SecondBuild
from tests.support.waiting import eventually

NODES = ("n1", "n2", "n3")


class Roll:
    """Nodes that are restarted one by one with another build, while each group goes on answering."""

    def __init__(self, yard: NodeFleet, second: SecondBuild, load: CountingLoad) -> None:
        self.yard, self.second, self.load = yard, second, load

    def restart(self, build: Path, *names: str) -> None:
        newest = NEWEST if build == ROOT else LATER
        for name in names:
            node = self.yard[name]
            node.stop()
            node.home_of_build = build
            node.start()
            eventually(partial(self.has_reported, name, newest), 30.0, f"{name} to report its build")
            eventually(self.yard.is_whole, 30.0, "the cluster group to be whole")
            self.load.await_more(3)

    def has_reported(self, name: str, newest: int) -> bool:
        return self.yard.records()[name].build.newest == newest

    def versions(self) -> tuple[int, int]:
        view = self.yard.client.cluster().view
        assert view is not None
        return view.version, view.finalizing

    def note(self, text: str) -> str:
        return self.second.note(self.yard["n1"].address, CLUSTER, self.yard.secret_file, text)

    def has_told(self, name: str, by: str) -> bool:
        return f"{SAID} {by}" in self.yard[name].log.read_text()


def check_that_the_first_build_is_refused(roll: Roll) -> None:
    """By the directory of a node that was there, and by the others of one that is new."""
    yard, node = roll.yard, roll.yard["n3"]
    node.stop()
    node.home_of_build = ROOT
    spoken = f"it has version {LATER} of the fleet, and this build speaks version {NEWEST}"
    assert f"OtherFormat: {spoken}" in node.refused()
    node.home_of_build = roll.second.home
    node.start()
    late = yard.add("n4", purge_after=600.0).start()
    assert late.await_end() > 0
    said = late.log.read_text()
    assert f"WrongVersion: version {LATER} of the fleet is in force" in said
    assert "install the release that the other nodes run" in said
    assert set(yard.records()) == set(NODES)


def test_s50_two_builds_side_by_side_forward_back_and_for_good(yard: NodeFleet, tmp_path: Path) -> None:
    second = SecondBuild(tmp_path / "second")
    yard.start(*NODES, purge_after=600.0)
    names = yard.create(group_names(3))
    with counting(yard, names) as load:
        roll = Roll(yard, second, load)
        roll.restart(second.home, "n1", "n2")
        eventually(
            lambda: roll.has_told("n1", by="n2"), 20.0, "links of the second build to speak its version"
        )
        with pytest.raises(WrongVersion, match=f"not all nodes speak version {LATER}: n3 "):
            yard.client.finalize()
        roll.restart(second.home, "n3")
        assert roll.note("too early") == "off" and roll.versions() == (NEWEST, NEWEST)
        roll.restart(ROOT, *NODES)
        assert roll.versions() == (NEWEST, NEWEST)
        roll.restart(second.home, *NODES)
        yard.client.finalize()
        assert roll.versions() == (LATER, LATER)
        assert {record.disk_version for record in yard.records().values()} == {LATER}
        assert [roll.note("first"), roll.note("second")] == ["before:", "before: first"]
        load.await_more(3)
        check_that_the_first_build_is_refused(roll)
        load.await_more(3)
    assert {name: yard.counter(name).get() for name in names} == load.counted
    for node in yard.nodes.values():
        assert "bad frame" not in node.log.read_text()
