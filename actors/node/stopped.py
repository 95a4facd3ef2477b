"""The data directory of a node that is stopped: what is in it, and its part of a recovery."""

import random
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import msgspec
from msgspec.structs import replace

from fleet.actors.client.cluster_pin import uid_text
from fleet.actors.messages.values import GroupSpec, NodeInfo
from fleet.actors.node.cluster_membership import CLUSTER_KEY
from fleet.actors.node.greetings import NODES_KEY
from fleet.actors.node.hosted_members import HALTED_KEY, Halted
from fleet.actors.node.records import RECOVERIES_KEY, AppliedRecovery, applied_recoveries, read_record
from fleet.cluster.commands import Cluster
from fleet.cluster.recovery import RECOVERED, GroupPlan, RecoveryPlan
from fleet.cluster.recovery_entries import recovery_entries
from fleet.cluster.recovery_reports import MemberReport, NodeReport
from fleet.cluster.state import CLUSTER_GROUP, View
from fleet.errors import Damaged
from fleet.interfaces import GroupRecord, Loaded, Write
from fleet.objects.applier import Applier
from fleet.objects.executor import ObjectExecutor
from fleet.objects.payload import decode_result
from fleet.raft.config import GroupConfig
from fleet.raft.entries import Entry, HardState
from fleet.raft.ids import MemberId, Millis, NodeName, member_id
from fleet.raft.restart import start_core
from fleet.storage import Store

# -- what is in it -----------------------------------------------------------------------------------


def read_report(store: Store) -> NodeReport:
    """Reads everything, and verifies its checksums. Damage is part of the report, unless no group can be
    read at all.

    Raises:
        Damaged, StorageFault: the database cannot be read.
    """
    me = store.identity
    records, damages = store.sound_groups()
    damage = [str(one) for one in damages]
    uid = 0
    recoveries: tuple[str, ...] = ()
    halted: dict[int, Halted] = {}
    try:
        uid = _meta(store, CLUSTER_KEY, int, 0)
        recoveries = tuple(one.plan for one in applied_recoveries(store))
        halted = _meta(store, HALTED_KEY, dict[int, Halted], {})
        _meta(store, NODES_KEY, tuple[NodeInfo, ...], ())
    except Damaged as error:
        damage.append(str(error))
    report = NodeReport(
        NodeName(me.node), me.incarnation, me.cluster, uid_text(uid) if uid else "",
        tuple(_member_report(store, record, halted) for record in records),
        damage=tuple(damage), recoveries=recoveries,
    )  # fmt: skip
    own = report.member_of(CLUSTER_GROUP, 0)
    return _with_state(store, report, own.number) if own is not None and own.holds_data else report


def _meta(store: Store, key: str, kind: Any, missing: Any) -> Any:
    data = store.get_meta(key)
    return missing if data is None else read_record(data, kind, key)


def _member_report(store: Store, record: GroupRecord, halted: dict[int, Halted]) -> MemberReport:
    me, stopped = store.identity, halted.get(record.number)
    try:
        spec = read_record(record.spec, GroupSpec, "group record", group=record.name)
    except Damaged as error:
        return MemberReport(record.name, 0, record.number, MemberId(""), trouble=str(error))
    member = spec.member or member_id(me.node, me.incarnation, record.number)
    if stopped is not None:
        member = stopped.member
    uid = 0 if spec.name == CLUSTER_GROUP else spec.uid
    if spec.is_in_memory:
        return MemberReport(spec.name, uid, record.number, member, is_in_memory=True)
    try:
        loaded = with_founding(store.load(record.number), spec)
    except Damaged as error:
        return MemberReport(spec.name, uid, record.number, member, trouble=str(error))
    core = start_core(member, 0, random.Random(0), loaded.hard, loaded.snapshot, loaded.entries)
    log, members = core.log, core.membership.current
    runs = groupby([(log.base_index, log.base_term), *((one.index, one.term) for one in log.entries)],
                   key=lambda one: one[1])  # fmt: skip
    return MemberReport(
        spec.name, uid, record.number, member,
        term=core.term,
        last_index=log.last_index,
        commit=max(log.commit, core.committed_before),
        snapshot_index=core.snapshot.index if core.snapshot is not None else 0,
        terms=tuple(next(run) for _, run in runs),
        voters=members.voters,
        learners=members.learners,
        addresses=members.addresses,
        trouble=stopped.why if stopped is not None else "",
    )  # fmt: skip


def with_founding(loaded: Loaded, spec: GroupSpec) -> Loaded:
    """A founding member that has not written anything yet has the entry that all founders begin with."""
    if (
        spec.founded is None
        or spec.is_restored
        or loaded.hard.term
        or loaded.entries
        or loaded.snapshot is not None
    ):
        return loaded
    return Loaded(HardState(1, None, 0), None, (Entry(1, 1, spec.founded),))


def _with_state(store: Store, report: NodeReport, number: int) -> NodeReport:
    """With what the cluster's state is once its whole log is committed."""
    loaded = store.load(number)
    applier = Applier(ObjectExecutor(Cluster), GroupConfig())
    if loaded.snapshot is not None:
        data = store.read_snapshot(number, loaded.snapshot.index, 0, loaded.snapshot.size)
        assert data is not None
        applier.restore(data)
    for entry in loaded.entries:
        if entry.index > applier.index:
            applier.apply(entry)
    (seen,) = applier.query((Cluster.__fleet_codec__.encode_call("view", (0,), {}),))
    view = decode_result(seen)
    assert isinstance(view, View)
    return replace(
        report,
        nodes={one.name: one.address for one in view.nodes},
        disks={one.name: one.incarnation for one in view.nodes},
        groups={one.name: one.uid for one in view.groups},
        removed=tuple(one.uid for one in view.removed),
        salt=applier.sessions.salt,
    )


# -- its part of a recovery --------------------------------------------------------------------------


def apply_recovery(store: Store, plan: RecoveryPlan, report: NodeReport, wall_ms: Millis) -> list[GroupPlan]:
    """Write this node's part of the plan, in one transaction. Returns the groups that it continues here.

    Args:
        report: of this directory; the plan was made with it.
        wall_ms: by the wall clock.

    Raises:
        StoreFull, StorageFault: nothing was changed.
    """
    writes: list[Write] = []
    specs: dict[int, bytes] = {}
    done = []
    plans = {(one.group, one.uid): one for one in plan.with_action(RECOVERED)}
    kept_aside = {group for node, group in plan.unknown if node == report.node}
    for record in store.groups():
        before: GroupSpec = read_record(record.spec, GroupSpec, "group record", group=record.name)
        after = before
        if plan.recovers_cluster and record.name not in kept_aside:
            after = _moved(before, plan.new_uid)
        group = plans.get((before.name, 0 if before.name == CLUSTER_GROUP else before.uid))
        seat = next((one for one in group.continued if one.node == report.node), None) if group else None
        member = next(one for one in report.members if one.number == record.number)
        if group is not None and seat is not None and seat.former == member.member:
            after = replace(after, member=seat.member)
            entries: tuple[Entry, ...] = ()
            if group.source == report.node:
                entries = recovery_entries(plan, group, report.salt, wall_ms)
            writes.append(_write(store, before, member, group.term, entries))
            done.append(group)
        if after != before:
            specs[record.number] = msgspec.msgpack.encode(after)
    store.rewrite(writes, specs, _records(store, plan, wall_ms))
    return done


def _moved(spec: GroupSpec, uid: int) -> GroupSpec:
    """As a group of the cluster with that uid."""
    if spec.name == CLUSTER_GROUP:
        return replace(spec, uid=uid, cluster=uid if spec.cluster else 0)
    return replace(spec, cluster=uid)


def _write(store: Store, spec: GroupSpec, member: MemberReport, term: int, entries: Sequence[Entry]) -> Write:
    """The member's log with these entries, and the promise not to vote in an earlier term."""
    before = store.load(member.number)
    written = with_founding(before, spec)
    first = written.entries if not before.entries and before.snapshot is None else ()
    hard = HardState(term, None, written.hard.commit)
    return Write(member.number, 0, hard=hard, entries=(*first, *entries))


def _records(store: Store, plan: RecoveryPlan, wall_ms: Millis) -> dict[str, bytes]:
    encode = msgspec.msgpack.encode
    applied = [*applied_recoveries(store), AppliedRecovery(plan.id, plan.uid, wall_ms, plan.lost_disks)]
    records = {RECOVERIES_KEY: encode(applied)}
    if plan.recovers_cluster:
        known = _meta(store, NODES_KEY, tuple[NodeInfo, ...], ())
        assert isinstance(known, tuple)
        records[NODES_KEY] = encode(tuple(info for info in known if info.name not in plan.lost))
        records[CLUSTER_KEY] = encode(plan.new_uid)
    return records
