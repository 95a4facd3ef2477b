"""Plans how the nodes that survive continue groups whose majority is lost for good (RF9, RF17, RV22).

The plan is a pure function of the survivors' reports and the names of the lost nodes, so that each host makes
the same one. A group that has lost its majority continues from the log of one survivor, its source, to which
the plan appends the change of members. Nothing is appended elsewhere: the other survivors receive it as any
follower does, and the source cannot lead without those that continue to vote.

The members that continue get new ids, made from the plan. A lost node that returns knows only the former
ones: its messages reach no member, and it cannot take part in a vote. If the cluster group itself has lost
its majority, the cluster gets a new uid as well, and nodes and clients of the former one are refused.
"""

from collections.abc import Collection, Iterator, Sequence
from hashlib import blake2b
from typing import Final

import msgspec
from msgspec import Struct

from fleet.cluster.recovery_reports import MemberReport, NodeReport
from fleet.cluster.state import CLUSTER_GROUP
from fleet.errors import CannotRecover
from fleet.raft.ids import Index, MemberId, NodeName, Term, disk_of, member_id, node_of
from fleet.raft.quorum import has_quorum

KEPT: Final = "kept"
"""A majority survives: nothing is changed."""
RECOVERED: Final = "recovered"
LOST: Final = "lost"
"""No node that is reported has its data."""
CONFLICT: Final = "conflict"
"""Two survivors hold different committed entries: nothing is changed."""


class Continued(Struct, frozen=True):
    """A member that continues under a new id."""

    node: NodeName
    former: MemberId
    member: MemberId
    address: str
    votes: bool


class DroppedEntries(Struct, frozen=True):
    """Entries of a survivor that the source does not have: they were never committed, as far as is known."""

    node: NodeName
    first: Index
    last: Index


class GroupPlan(Struct, frozen=True):
    group: str
    uid: int
    action: str
    source: NodeName = NodeName("")
    """The survivor whose log continues the group."""
    term: Term = 0
    """The term of the change of members: higher than any that a survivor knows."""
    last_index: Index = 0
    """The source's: commands that the lost nodes acknowledged after it are lost."""
    commit: Index = 0
    """Up to here the survivors know that entries are committed; those after it are committed by this."""
    continued: tuple[Continued, ...] = ()
    removed: tuple[MemberId, ...] = ()
    """All former ids."""
    dropped: tuple[DroppedEntries, ...] = ()
    why: str = ""
    """For a conflict: what differs; for a group that is lost, if it is because it was in memory only."""


class RecoveryPlan(Struct, frozen=True):
    id: str
    """The same on every host exactly if the reports and the lost nodes are the same."""
    cluster: str
    uid: int
    new_uid: int
    """Differs from `uid` exactly if the cluster group is recovered."""
    survivors: tuple[NodeName, ...]
    lost: tuple[NodeName, ...]
    lost_disks: tuple[str, ...]
    """`node@incarnation` of all that is known of them: such a node is told to end should it return."""
    purged: tuple[NodeName, ...]
    """Those of the lost nodes that the recovered cluster purges at once."""
    groups: tuple[GroupPlan, ...]
    unknown: tuple[tuple[NodeName, str], ...] = ()
    """Nodes, and groups that they hold and the cluster's state does not have: nothing is done about them, and
    their members are never deleted by the recovered cluster."""

    @property
    def recovers_cluster(self) -> bool:
        return self.uid != self.new_uid

    def with_action(self, action: str) -> tuple[GroupPlan, ...]:
        return tuple(one for one in self.groups if one.action == action)


def make_plan(reports: Sequence[NodeReport], lost: Collection[NodeName]) -> RecoveryPlan:
    """`reports`: one of each surviving node, at least of those that hold members of the groups in question.

    Raises:
        CannotRecover: the reports contradict each other or the list of lost nodes, or one is missing.
    """
    reports = sorted(reports, key=lambda one: one.node)
    _check(reports, lost)
    names = tuple(sorted({*lost}))
    digest = blake2b(msgspec.json.encode((reports, names), order="deterministic"), digest_size=7).digest()
    maker = _Maker(reports, names, digest.hex())
    cluster = maker.cluster_plan()
    recovers = cluster.action == RECOVERED
    state = maker.reported[cluster.source]
    known = set(state.groups.items())
    if {*state.nodes} <= {*maker.reported, *names}:
        found = known
    else:  # groups without a report live elsewhere
        found = known & {(one.group, one.uid) for report in reports for one in report.members}
    uid = int(reports[0].uid, 16)
    return RecoveryPlan(
        id=digest.hex(),
        cluster=reports[0].cluster,
        uid=uid,
        new_uid=int.from_bytes(digest, "big") if recovers else uid,
        survivors=tuple(maker.reported),
        lost=names,
        lost_disks=tuple(sorted(_disks(reports, names))),
        purged=tuple(name for name in names if recovers and name in state.nodes),
        groups=(cluster, *(maker.group_plan(group, number) for group, number in sorted(found))),
        unknown=tuple(
            (report.node, one.group)
            for report in reports
            for one in report.members
            if one.group != CLUSTER_GROUP
            and (one.group, one.uid) not in known
            and one.uid not in state.removed
        ),
    )


def _check(reports: Sequence[NodeReport], lost: Collection[NodeName]) -> None:
    if not reports:
        raise CannotRecover("there is no report of a surviving node")
    first = reports[0]
    for one in reports:
        if one.damage:
            what = f"node {one.node} cannot start, its own records are damaged: {one.damage[0]}"
            raise CannotRecover(f"{what}; count it as lost, or restore its directory", node=one.node)
        if one.node in lost:
            raise CannotRecover(f"node {one.node} is named as lost, and reported", node=one.node)
        if not one.uid:
            raise CannotRecover(f"node {one.node} belongs to no cluster yet", node=one.node)
        if (one.uid, one.cluster) != (first.uid, first.cluster):
            what = f"nodes {first.node} and {one.node} belong to different clusters"
            raise CannotRecover(what, ours=first.uid, theirs=one.uid)
    names = [one.node for one in reports]
    for name in names:
        if names.count(name) > 1:
            raise CannotRecover(f"two different reports are of node {name}", node=name)
    known = {name for one in reports for name in one.nodes}
    known |= {node_of(who) for one in reports for member in one.members for who in member.voters}
    for name in lost:
        if name not in known:
            raise CannotRecover(f"no report knows a node {name!r}", known=", ".join(sorted(known)))


def _disks(reports: Sequence[NodeReport], lost: Collection[NodeName]) -> Iterator[str]:
    found: set[tuple[NodeName, str]] = set()
    for report in reports:
        found |= set(report.disks.items())
        members = [who for one in report.members for who in (*one.voters, *one.learners)]
        found |= {(node_of(who), disk_of(who)) for who in members}
    for node, disk in found:
        if node in lost:
            yield f"{node}@{disk}"


class _Maker:
    def __init__(self, reports: Sequence[NodeReport], lost: Sequence[NodeName], digest: str) -> None:
        self.reported = {one.node: one for one in reports}
        self.lost, self.digest = lost, digest

    def cluster_plan(self) -> GroupPlan:
        """
        Raises:
            CannotRecover: no survivor has the cluster's state; or its majority is lost, and a node of the
                cluster is neither reported nor lost: the recovered cluster would refuse it.
        """
        plan = self.group_plan(CLUSTER_GROUP, 0)
        if plan.action == LOST:
            raise CannotRecover("no node that is reported has a sound member of the cluster group")
        if plan.action == CONFLICT:
            raise CannotRecover(f"the members of the cluster group have conflicting logs: {plan.why}")
        if plan.action == RECOVERED:
            for node in sorted(self.reported[plan.source].nodes):
                if node not in self.reported and node not in self.lost:
                    raise self._missing(node, CLUSTER_GROUP)
        return plan

    def _missing(self, node: NodeName, group: str) -> CannotRecover:
        what = (
            f"the majority of group {group!r} is lost, and node {node} is neither reported nor named as lost"
        )
        return CannotRecover(what, node=node, group=group)

    def _members(self, group: str, uid: int) -> list[MemberReport]:
        found = (report.member_of(group, uid) for report in self.reported.values())
        return [one for one in found if one is not None]

    def group_plan(self, group: str, uid: int) -> GroupPlan:
        holders = [one for one in self._members(group, uid) if one.holds_data]
        if not holders:
            is_in_memory = any(one.is_in_memory for one in self._members(group, uid))
            return GroupPlan(group, uid, LOST, why="it was in memory only" if is_in_memory else "")
        sound = [one for one in holders if all(_has_committed_of(other, one) for other in holders)]
        if not sound:
            return GroupPlan(group, uid, CONFLICT, why=_conflict(holders))
        source = max(sound, key=_completeness)
        here = {one.member for one in holders}
        away = [who for who in source.voters if node_of(who) not in {*self.lost, *self.reported}]
        if has_quorum({*here, *away}, source.voters):
            return GroupPlan(group, uid, KEPT, node_of(source.member), commit=source.commit)
        if away:
            raise self._missing(node_of(away[0]), group)
        return self._recovered(group, uid, source, holders)

    def _recovered(
        self, group: str, uid: int, source: MemberReport, holders: Sequence[MemberReport]
    ) -> GroupPlan:
        here = {one.member for one in holders}
        voting = [who for who in source.voters if who in here]
        if source.member not in voting:
            voting.append(source.member)
        learning = [who for who in source.learners if who in here and who not in voting]
        return GroupPlan(
            group=group,
            uid=uid,
            action=RECOVERED,
            source=node_of(source.member),
            term=1 + max(one.term for one in self._members(group, uid)),
            last_index=source.last_index,
            commit=max(one.commit for one in holders),
            continued=tuple(self._continued(who, source, who in voting) for who in (*voting, *learning)),
            removed=tuple(dict.fromkeys((*source.voters, *source.learners, *voting))),
            dropped=tuple(_dropped(source, holders)),
        )

    def _continued(self, who: MemberId, source: MemberReport, votes: bool) -> Continued:
        node = node_of(who)
        known = [
            source.addresses.get(who, ""),
            *(report.nodes.get(node, "") for report in self.reported.values()),
        ]
        address = next((one for one in known if one), "")
        return Continued(node, who, renamed(who, self.digest), address, votes)


def renamed(member: MemberId, digest: str) -> MemberId:
    """The id with which the member continues: another life on the same disk."""
    disk, _, life = member.rpartition("@")[2].partition(".")
    return member_id(node_of(member), disk, f"{life.partition('-')[0]}-{digest}")


def _completeness(one: MemberReport) -> tuple[object, ...]:
    """Raft 5.4.1; of equal logs that of a voter."""
    return one.last_term, one.last_index, one.member in one.voters, one.commit, one.member


def _has_committed_of(other: MemberReport, source: MemberReport) -> bool:
    """Whether the log of `source` holds what `other` knows to be committed. What only a snapshot of `source`
    still holds was committed."""
    if other.commit <= (source.terms[0][0] if source.terms else 0):
        return True
    mine = other.term_at(other.commit)
    return source.term_at(other.commit) == mine if mine is not None else source.last_index >= other.commit


def _conflict(holders: Sequence[MemberReport]) -> str:
    return "; ".join(
        f"{node_of(one.member)} knows entry {one.commit} of term {one.term_at(one.commit)} to be committed"
        for one in holders
    )


def _dropped(source: MemberReport, holders: Sequence[MemberReport]) -> Iterator[DroppedEntries]:
    for one in holders:
        agreed = max(source.agrees_until(one), one.commit)
        if one.member != source.member and one.last_index > agreed:
            yield DroppedEntries(node_of(one.member), agreed + 1, one.last_index)
