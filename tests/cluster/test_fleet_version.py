"""The version of the fleet: who may join, when a version may be finalized, and when it is in force."""

import pytest
from msgspec.structs import replace

from fleet.cluster.fleet_version import behind, newest_of_all, newest_of_any, unwritten, why_unfit
from fleet.cluster.membership import NodeMembership
from fleet.cluster.membership_events import Changed, Effect, Local, Me, RaiseDiskVersion, SendCommand
from fleet.cluster.state import ACTIVE, LEAVING, NodeRecord
from fleet.cluster.view import ClusterView
from fleet.errors import Unavailable, WrongVersion
from fleet.raft.ids import NodeName
from fleet.versions import Build
from tests.cluster.cluster_run import Run, refusal, seen

N1 = NodeName("n1")
OLD, BOTH, NEW = Build("1.0", 1, 1), Build("1.1", 1, 2), Build("1.2", 2, 3)


def join(run: Run, name: str, build: Build, disk_version: int = 1) -> None:
    run("join", name, f"{name}d1", f"zone of {name}", f"{name}:1", 1.0, ACTIVE, build, disk_version)


def versions(run: Run) -> tuple[int, int]:
    return run.cluster.version, run.cluster.finalizing


@pytest.fixture
def three(run: Run) -> Run:
    """Founded by the old build, and upgraded since."""
    for name in ("n1", "n2", "n3"):
        join(run, name, OLD)
    assert versions(run) == (1, 1)
    for name in ("n1", "n2", "n3"):
        join(run, name, BOTH)
    return run


def test_nothing_new_is_in_force_before_it_is_finalized(three: Run) -> None:
    assert versions(three) == (1, 1)
    join(three, "n3", OLD)
    three("finalize", 1)
    assert versions(three) == (1, 1)
    what = str(refusal(lambda: three("finalize", 2)))
    assert "not all nodes speak version 2: n3 (1.0, version 1)" in what
    assert versions(three) == (1, 1)


def test_a_version_is_in_force_once_every_disk_has_it(three: Run) -> None:
    three("finalize", 2)
    assert versions(three) == (1, 2)
    join(three, "n1", BOTH, 2)
    join(three, "n2", BOTH, 2)
    assert versions(three) == (1, 2)
    join(three, "n3", BOTH, 2)
    assert versions(three) == (2, 2)
    three("finalize", 1)
    assert versions(three) == (2, 2)


@pytest.mark.parametrize("how", ["purge", "left"])
def test_a_node_that_is_gone_holds_nothing_back(three: Run, how: str) -> None:
    three("finalize", 2)
    for name in ("n1", "n2"):
        join(three, name, BOTH, 2)
    if how == "left":
        three("set_state", "n3", LEAVING)
        three("left", "n3", "n3d1")
    else:
        three("purge", "n3")
    assert versions(three) == (2, 2)


def test_a_node_that_went_back_before_it_wrote_the_version_holds_it_back(three: Run) -> None:
    three("finalize", 2)
    for name in ("n1", "n2"):
        join(three, name, BOTH, 2)
    join(three, "n3", OLD)
    assert versions(three) == (1, 2)
    nodes = three.cluster.nodes.values()
    assert unwritten(nodes, 2) == ["n3"] and behind(nodes, 2) == {"n3": "1.0, version 1"}
    assert (newest_of_all(nodes), newest_of_any(nodes)) == (1, 2)


def test_who_does_not_speak_what_is_in_force_does_not_join(three: Run) -> None:
    assert isinstance(refusal(lambda: join(three, "n4", NEW, 2)), WrongVersion)
    three("finalize", 2)
    for name in ("n1", "n2", "n3"):
        join(three, name, BOTH, 2)
    told = refusal(lambda: join(three, "n4", OLD))
    assert isinstance(told, WrongVersion) and "install the release that the other nodes run" in str(told)
    assert isinstance(refusal(lambda: join(three, "n4", BOTH, 1)), Unavailable)
    join(three, "n4", NEW, 2)
    assert set(three.cluster.nodes) == {"n1", "n2", "n3", "n4"} and versions(three) == (2, 2)


def test_a_new_cluster_has_all_that_its_founder_speaks(run: Run) -> None:
    join(run, "n1", Build("", 4, 7), 4)
    assert versions(run) == (4, 7)
    join(run, "n1", Build("", 4, 7), 7)
    assert versions(run) == (7, 7)


def test_a_view_tells_of_both(three: Run) -> None:
    three("finalize", 2)
    view = seen(three.cluster, 0, ClusterView())
    assert (view.version, view.finalizing) == (1, 2)
    assert (view.whole().version, view.whole().finalizing) == (1, 2)


def test_why_a_build_is_unfit() -> None:
    assert why_unfit(OLD, 0) == why_unfit(OLD, 1) == why_unfit(BOTH, 2) == ""
    assert "this node's build (1.0, version 1) does not speak it: install" in why_unfit(OLD, 2)
    assert "start a release that speaks versions 1 to 2 on every node" in why_unfit(NEW, 1)


# -- a node ------------------------------------------------------------------------------------------------


def effects(local: Local, build: Build = BOTH, version: int = 1, finalizing: int = 1) -> list[Effect]:
    """Of a node that the cluster knows as it is, but for what is said."""
    membership = NodeMembership(Me(N1, "n1:1", "z", build=build))
    membership.view.rev = 9
    membership.view.version, membership.view.finalizing = version, finalizing
    membership.view.nodes = {N1: NodeRecord(N1, "a", "z", "n1:1", 1.0, ACTIVE, build=build)}
    return membership.step(0, Changed(local))


HERE = Local("a")


def test_a_node_writes_what_is_finalized_to_its_directory_and_then_reports_that() -> None:
    assert effects(HERE) == []
    assert effects(HERE, finalizing=2) == [RaiseDiskVersion(2)]
    (told,) = effects(replace(HERE, disk_version=2), finalizing=2)
    assert isinstance(told, SendCommand) and told.args[-2:] == (BOTH, 2)


def test_a_build_that_does_not_speak_it_leaves_its_directory_as_it_is() -> None:
    assert effects(HERE, build=OLD, finalizing=2) == []


def test_a_new_node_joins_after_its_directory_has_what_others_have_in_force() -> None:
    """Else a member that is created there at once could write what an earlier build reads as damage."""
    membership = NodeMembership(Me(N1, "n1:1", "z", build=BOTH))
    assert membership.step(0, Changed(replace(HERE, version=2))) == [RaiseDiskVersion(2)]
    (told,) = membership.step(0, Changed(replace(HERE, version=2, disk_version=2)))
    assert isinstance(told, SendCommand) and told.method == "join"


def test_a_node_with_another_build_says_so() -> None:
    membership = NodeMembership(Me(N1, "n1:1", "z", build=BOTH))
    membership.view.rev = 9
    membership.view.nodes = {N1: NodeRecord(N1, "a", "z", "n1:1", 1.0, ACTIVE, build=OLD)}
    (told,) = membership.step(0, Changed(HERE))
    assert isinstance(told, SendCommand) and told.args[-2:] == (BOTH, 1)
