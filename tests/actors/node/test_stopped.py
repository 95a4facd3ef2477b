"""What a stopped node's directory is reported to hold, and what a recovery makes of it."""

import zlib
from typing import Any

import msgspec
import pytest

from fleet.actors.messages.peer import GivenUp, NodeHello
from fleet.actors.messages.values import GroupSpec, NodeInfo
from fleet.actors.node.cluster_membership import CLUSTER_KEY
from fleet.actors.node.greetings import NODES_KEY
from fleet.actors.node.hosted_members import HALTED_KEY, Halted
from fleet.actors.node.records import RECOVERIES_KEY, AppliedRecovery
from fleet.actors.node.stopped import apply_recovery, read_report
from fleet.cluster.commands import Cluster
from fleet.cluster.recovery import KEPT, make_plan
from fleet.cluster.state import CLUSTER_GROUP
from fleet.errors import NodeGivenUp
from fleet.interfaces import SnapshotWrite
from fleet.objects.applier import Applier
from fleet.objects.executor import ObjectExecutor
from fleet.raft.config import GroupConfig
from fleet.raft.entries import Entry, Members, SessionOpened, SnapshotMeta
from fleet.raft.ids import GroupName, MemberId, member_id
from fleet.storage.keys import entry_key, number_of
from tests.support.node_bench import NodeBench, TestStore
from tests.support.stopped_nodes import (
    GONE,
    N1,
    N2,
    NODES,
    UID,
    StoppedNode,
    encode,
    founded,
    state_of_cluster,
)


def test_the_report_has_the_cluster_and_each_members_log() -> None:
    stopped = StoppedNode()
    report = read_report(stopped.store)
    assert (report.node, report.incarnation, report.uid) == (N1, "aaaa", f"{UID:014x}")
    assert report.nodes == {node: f"{node}:1" for node in NODES} and set(report.disks.values()) == {"aaaa"}
    own = stopped.member(CLUSTER_GROUP)
    assert (own.term, own.last_index, own.terms) == (2, 3, ((0, 0), (1, 1), (2, 2)))
    assert own.voters == tuple(member_id(node, "aaaa", "c") for node in NODES)
    assert msgspec.json.decode(msgspec.json.encode(report), type=type(report)) == report


def test_a_founder_that_wrote_nothing_yet_has_the_entry_of_all_founders() -> None:
    one = StoppedNode().member()
    assert (one.last_index, one.term, len(one.voters), one.holds_data) == (1, 1, 5, True)


def test_a_member_in_memory_only_holds_nothing_and_is_no_damage() -> None:
    stopped = StoppedNode()
    spec = GroupSpec("cache", b"class", GroupConfig(), 99, is_in_memory=True)
    stopped.store.create_group(GroupName("cache"), encode(spec))
    report = read_report(stopped.store)
    (one,) = [member for member in report.members if member.group == "cache"]
    assert (one.is_in_memory, one.holds_data, one.trouble, report.damage) == (True, False, "", ())
    plan = make_plan([report], [node for node in NODES if node != N1])
    assert all(group.group != "cache" for group in plan.groups)  # the cluster does not know it


def test_a_log_behind_a_snapshot_keeps_its_base_and_the_state_its_content() -> None:
    stopped = StoppedNode()
    applier = Applier(ObjectExecutor(Cluster), GroupConfig())
    for entry in state_of_cluster(founded("c")):
        applier.apply(entry)
    data = applier.dump()
    members = Members(tuple(member_id(node, "aaaa", "c") for node in NODES))
    meta = SnapshotMeta(3, 2, members, GroupConfig(), len(data), zlib.crc32(data))
    stopped.write(stopped.cluster, [], 2, snapshot=SnapshotWrite(meta, data), keep_after=3)
    own, report = stopped.member(CLUSTER_GROUP), read_report(stopped.store)
    assert (own.snapshot_index, own.last_index, own.terms) == (3, 3, ((3, 2),))
    assert report.groups == {"g": stopped.group_uid}


def test_damaged_and_halted_members_are_named() -> None:
    stopped = StoppedNode()
    stopped.write(stopped.group, [Entry(1, 1, founded(stopped.life))], 1)
    key = entry_key(stopped.group, 1)
    stopped.image[number_of(key)][key] = b"damaged"
    assert "entry 1" in stopped.member().trouble and stopped.member(CLUSTER_GROUP).holds_data
    stopped = StoppedNode()
    halted = {stopped.group: Halted(MemberId("n1@aaaa.5"), "conflict", "two histories")}
    stopped.store.put_meta(HALTED_KEY, encode(halted))
    assert (stopped.member().trouble, stopped.member().member) == ("two histories", "n1@aaaa.5")


def test_a_recovery_rewrites_the_directory_and_is_remembered() -> None:
    stopped = StoppedNode()
    report = read_report(stopped.store)
    plan = make_plan([report], [N2, *GONE])
    done = apply_recovery(stopped.store, plan, report, 5)
    assert {one.group for one in done} == {CLUSTER_GROUP, "g"}
    after, specs = read_report(stopped.store), stopped.specs()
    assert (after.uid, after.recoveries) == (f"{plan.new_uid:014x}", (plan.id,))
    assert specs["g"].cluster == specs[CLUSTER_GROUP].uid == plan.new_uid
    assert set(after.nodes) == {N1}, "the lost nodes are purged"
    for name, life in ((CLUSTER_GROUP, "c"), ("g", stopped.life)):
        one = stopped.member(name)
        assert one.voters == (member_id(N1, "aaaa", f"{life}-{plan.id}"),) == (specs[name].member,)
        assert specs[name].founded is not None, "it is not founded again when it leaves"
    assert stopped.store.get_meta(NODES_KEY) == encode(())
    assert {one.action for one in make_plan([after], []).groups} == {KEPT}, "there is nothing left to do"


def test_a_survivor_that_is_no_source_gets_a_new_id_and_keeps_its_log() -> None:
    first, second = StoppedNode(), StoppedNode(N2)
    log = state_of_cluster(founded("c"))
    first.write(first.cluster, [*log, Entry(2, 4, SessionOpened("more", 2))], 5)
    reports = [read_report(one.store) for one in (first, second)]
    plan = make_plan(reports, GONE)
    for one, report in zip((first, second), reports):
        apply_recovery(one.store, plan, report, 5)
    source, other = (one.member(CLUSTER_GROUP) for one in (first, second))
    assert (other.last_index, other.term, source.term) == (3, 6, 6) and source.last_index > 4
    assert source.voters == (source.member, other.member)
    assert second.specs()["g"].member == second.member().member != plan.groups[1].continued[0].former


# -- nodes that return -------------------------------------------------------------------------------


def hello(bench: NodeBench, cluster: int, incarnation: str = "bbbb") -> list[Any]:
    info = NodeInfo(N2, "", "z", incarnation, 1)
    return bench.ask(bench.manager, NodeHello(info, bench.me, bench.me, (), True, cluster))


@pytest.fixture
def recovered() -> NodeBench:
    store = TestStore()
    store.put_meta(CLUSTER_KEY, encode(UID))
    store.put_meta(RECOVERIES_KEY, encode([AppliedRecovery("p", 7, 1, ("n2@bbbb",))]))
    bench = NodeBench(store)
    bench.start()
    return bench


def test_s32_a_node_of_the_former_cluster_is_told_that_it_was_given_up(recovered: NodeBench) -> None:
    assert hello(recovered, 7, "cccc") == [GivenUp(7, UID, N1)]
    assert hello(recovered, UID) == [GivenUp(UID, UID, N1)]
    assert GivenUp not in map(type, hello(recovered, UID, "dddd"))  # its disk is a new one


def test_s32_a_node_that_was_given_up_ends_and_no_other_does() -> None:
    ended: list[Any] = []
    store = TestStore()
    store.put_meta(CLUSTER_KEY, encode(UID))
    bench = NodeBench(store)
    bench.start(on_end=ended.append)
    bench.ask(bench.manager, GivenUp(7, 8, N2))
    assert ended == []
    bench.ask(bench.manager, GivenUp(UID, 8, N2))
    (error,) = ended
    assert isinstance(error, NodeGivenUp) and "recovered without it" in error.what
