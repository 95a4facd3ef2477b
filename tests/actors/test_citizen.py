"""A node in its groups, by what it sees of the cluster: founded once, dropped when removed, told where."""

from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from fleet.actors.messages.local import Whereabouts
from fleet.actors.messages.values import GroupSpec
from fleet.actors.node.cluster_membership import Citizen
from fleet.cluster.state import ACTIVE, CLUSTER_GROUP, GroupInfo, NodeRecord, RemovedGroup
from fleet.raft.config import GroupConfig
from fleet.raft.ids import MemberId, NodeName

N1, N2 = NodeName("n1"), NodeName("n2")


class Hosts:
    """Hostings without members."""

    def __init__(self) -> None:
        self.by_number: dict[int, Any] = {}
        self.by_name: dict[str, Any] = {}
        self.coming: dict[str, Any] = {}
        self.left: set[int] = set()
        self.dropped: list[str] = []
        self.creations = 0

    def create(self, specs: list[GroupSpec]) -> None:
        self.creations += 1
        for spec in specs:
            hosting = SimpleNamespace(spec=spec, is_dropped=False, record=SimpleNamespace(number=1))
            self.by_number[len(self.by_number) + 1] = self.by_name[spec.name] = hosting

    def drop(self, hosting: Any) -> None:
        hosting.is_dropped = True
        del self.by_name[hosting.spec.name]
        self.dropped.append(hosting.spec.name)

    def forget_left(self, uids: set[int]) -> None:
        self.left -= uids


class Desk(Citizen):
    """A citizen of node n1 whose commands are kept."""

    def __init__(self) -> None:
        self.hosts = Hosts()
        self.sent: list[Any] = []
        self.commands: list[tuple[Any, ...]] = []
        identity = SimpleNamespace(incarnation="a")
        manager: Any = SimpleNamespace(
            hostings=self.hosts,
            start=SimpleNamespace(name=N1, address="n1:1", zone="n1", weight=1.0, active=True),
            seeding=SimpleNamespace(is_open=False),
            store=SimpleNamespace(identity=identity),
            renewal=None,
            reconcile=lambda event: None,
            admission=SimpleNamespace(may_register=lambda: True),
            registry="registry",
            send=lambda address, message: self.sent.append(message),
        )
        super().__init__(manager)
        for name in (N1, N2):
            self.view.nodes[name] = NodeRecord(name, "a", name, f"{name}:1", 1.0, ACTIVE)
        self.view.rev = 100

    def command(self, about: str, method: str, *args: Any, **rest: Any) -> None:
        self.commands.append((method, *args))

    def add(self, name: str, uid: int, *members: str, pinned: tuple[NodeName, ...] = ()) -> None:
        initial = tuple((MemberId(f"{member}.g{uid}"), "") for member in members)
        self.view.groups[name] = GroupInfo(name, uid, 1, b"class", GroupConfig(), initial, pinned)

    def hosted(self) -> dict[str, int]:
        return {name: hosting.spec.uid for name, hosting in self.hosts.by_name.items()}


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_node_founds_the_groups_that_name_its_disk_and_no_others(desk: Desk) -> None:
    desk.add("mine", 5, "n2@b", "n1@a")
    desk.add("former disk's", 6, "n1@old")
    desk.add("other's", 7, "n2@b")
    desk._take_part({*desk.view.groups, "unknown"})
    assert desk.hosted() == {"mine": 5}
    spec = desk.hosts.by_name["mine"].spec
    assert spec.member == "n1@a.g5" and spec.founded.member == "n2@b.g5"
    desk._take_part({"mine"})
    assert len(desk.hosts.by_number) == 1


def test_s74_fifty_new_groups_are_created_at_once(desk: Desk) -> None:
    for uid in range(50):
        desk.add(f"g{uid}", uid, "n1@a")
    desk.hosts.coming = {"g7": None}
    desk._take_part(set(desk.view.groups))
    assert len(desk.hosted()) == 49 and desk.hosts.creations == 1


def test_who_takes_this_nodes_name_is_told_of_once(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """Two nodes of one name replaced each other in the cluster's state every second, and said nothing."""
    mine = desk.view.nodes[N1]
    desk.view.nodes[N1] = replace(mine, incarnation="former disk")
    desk._register()
    assert caplog.text == ""
    for _ in range(2):
        desk.view.nodes[N1] = mine
        desk._register()
        desk.view.nodes[N1] = replace(mine, incarnation="b", address="n1:2")
        desk._register()
    (record,) = caplog.records
    assert "n1:2" in record.getMessage() and "stop one" in record.getMessage()
    assert [name for name, *_ in desk.commands] == ["join"] * 3


def test_a_founder_that_comes_late_begins_as_the_others_did(desk: Desk) -> None:
    """Entry 1 of a log is the same on every member, also when the settings have been changed since."""
    desk.add("mine", 5, "n2@b", "n1@a")
    first = desk.view.groups["mine"].config
    changed = GroupConfig(election_ms=2000)
    group = replace(desk.view.groups["mine"], config=changed, config_index=9, founding_config=first)
    desk.view.groups["mine"] = group
    desk._take_part({"mine"})
    spec = desk.hosts.by_name["mine"].spec
    assert spec.config == spec.founded.config == first


def test_a_group_that_this_disk_left_is_not_founded_again(desk: Desk) -> None:
    """Its member's promises are gone with its data."""
    desk.hosts.left = {5}
    desk.add("mine", 5, "n1@a")
    desk._take_part({"mine"})
    assert desk.hosted() == {}
    desk.add("mine", 9, "n1@a")
    desk._take_part({"mine"})
    assert desk.hosted() == {"mine": 9}


def test_members_of_removed_groups_are_dropped_and_reported_when_they_are_gone(desk: Desk) -> None:
    for uid, name in ((5, "removed"), (6, "replaced"), (7, "kept"), (200, "newer"), (8, CLUSTER_GROUP)):
        desk.hosts.create([GroupSpec(name, b"class", GroupConfig(), uid, cluster=8)])
    desk.add("replaced", 60)
    desk.add("kept", 7)
    desk.view.removed = {
        5: RemovedGroup("removed", 5, (N1, N2)),
        6: RemovedGroup("replaced", 6, (N1,)),
        3: RemovedGroup("never here", 3, (N1,)),
        4: RemovedGroup("other's", 4, (N2,)),
    }
    desk.uid = 8
    desk._clean()
    assert desk.hosts.dropped == ["removed", "replaced"]
    assert desk.commands == [("cleaned", (3,), N1)]
    for number in (1, 2):
        del desk.hosts.by_number[number]
    desk.uid = 8
    desk._clean()
    assert desk.commands[-1] == ("cleaned", (5, 6, 3), N1)


def test_a_node_that_sees_no_cluster_drops_nothing(desk: Desk) -> None:
    desk.hosts.create([GroupSpec("g", b"class", GroupConfig(), 5)])
    desk.view.rev = 0
    desk.uid = 8
    desk._clean()
    assert desk.hosts.dropped == [] and desk.commands == []


def test_what_was_left_is_forgotten_when_the_group_is_removed_and_not_before(desk: Desk) -> None:
    desk.hosts.left = {5, 6, 200}
    desk.add("g", 6)
    desk.snapshot = 150
    desk.uid = 8
    desk._clean()
    assert desk.hosts.left == {6, 200}


def test_what_was_left_is_remembered_until_no_restart_shows_the_group_again(desk: Desk) -> None:
    """The removal was known here before it was on this disk, which was full; restarted, the node saw the
    group as it had been and founded it again, under the id that its member had had. Seed 1007610."""
    desk.hosts.left = {5}
    desk.uid = 8
    desk._clean()
    assert desk.hosts.left == {5}
    desk.view.rev, desk.snapshot = 120, 99
    desk.uid = 8
    desk._clean()
    assert desk.hosts.left == {5}
    desk.snapshot = 100
    desk.uid = 8
    desk._clean()
    assert desk.hosts.left == set()


def test_whoever_asks_here_is_told_where_a_group_lives_once(desk: Desk) -> None:
    desk.add("g", 5, pinned=(N2, N1))
    desk._tell_whereabouts({"g"})
    desk._tell_whereabouts({"g"})
    assert desk.sent == [Whereabouts({"g": "n2:1"})]
    del desk.view.groups["g"]
    desk._tell_whereabouts({"g"})
    assert desk.sent[1:] == [Whereabouts({"g": ""})]


def test_nobody_is_sent_back_to_where_it_asked(desk: Desk) -> None:
    """A member whose disk is damaged does not run; the group does, on the other nodes."""
    desk.add("g", 5, pinned=(N1, N2))
    desk.add("alone", 6, pinned=(N1,))
    desk._tell_whereabouts({"g", "alone"})
    assert desk.sent == [Whereabouts({"alone": "n1:1", "g": "n2:1"})]
