"""A node as a member of its cluster: it registers, creates founding members of groups, reports silent nodes,
deletes members of removed groups, and leaves.

It acts by commands to the cluster group, repeated in each round until the cluster's state shows the result.
`step(now, event)` takes an event, with what is on the node at that time, and returns effects.
"""

from collections.abc import Callable, Collection, Hashable
from typing import Any

from msgspec.structs import replace

from fleet.cluster import reconciliation_events as groups
from fleet.cluster.membership_events import (
    Applied,
    Belongs,
    Changed,
    CreateMembers,
    DropMember,
    Dropped,
    Effect,
    Event,
    ForgetLeft,
    Left,
    Local,
    LookForArrivals,
    Me,
    MeetNodes,
    NewMember,
    RaiseDiskVersion,
    ReadView,
    Reconcile,
    Renewed,
    Round,
    SendCommand,
    TellWhereabouts,
    ViewReceived,
    Warn,
)
from fleet.cluster.state import ACTIVE, CLUSTER_GROUP, INACTIVE, LEAVING, NodeRecord
from fleet.cluster.view import ClusterView
from fleet.raft.entries import Founded
from fleet.raft.ids import Index, Millis, Revision


def _shown(known: NodeRecord) -> tuple[object, ...]:
    disk = (known.incarnation, known.address, known.zone, known.weight)
    return (*disk, known.build, known.disk_version)


class NodeMembership:
    def __init__(self, me: Me) -> None:
        self.me = me
        self.view = ClusterView()
        self.uid = 0
        """The uid of the cluster that this disk belongs to; 0: to none yet."""
        self.replica: Hashable | None = None
        """The run of this node's member of the cluster group that `is_reading` and `applied` are about."""
        self.is_reading = False
        self.index: Index = 0
        self.applied: Revision = 0
        self.snapshot: Revision = 0
        """The view of the cluster is never older than this log index, even after a restart."""
        self.has_progressed = False
        """Whether the cluster group has committed something since this node started."""
        self.gone_at: dict[Index, Index] = {}
        """Removed groups that this disk has left, and the revision by which they were removed."""
        self.has_left = False
        self.has_joined = False
        self.namesakes: set[str] = set()
        """Addresses of other nodes that have joined under this node's name."""
        self.nothing_to_do: tuple[Revision, Revision, tuple[object, ...]] | None = None
        """View, snapshot and members as of the last round, if nothing was to be done for any member then."""
        self.whereabouts: dict[str, str] = {}
        """By group, the address last sent to the registry."""
        self.has_told = False
        """Whether anything was sent to it."""
        self._effects: list[Effect] = []

    def step(self, now: Millis, event: Event) -> list[Effect]:
        """Take one event. Returns its effects, in order. `now`: milliseconds on any monotonic clock."""
        self._table[type(event)](self, event)
        effects, self._effects = self._effects, []
        return effects

    def was_removed(self, group: str, uid: Index, cluster: int) -> bool:
        """Whether the view shows that the cluster has removed that group."""
        if group == CLUSTER_GROUP or uid > self.view.rev or cluster != self.uid:
            return False
        info = self.view.groups.get(group)
        return info is None or info.uid != uid

    # -- events ------------------------------------------------------------------------------------

    def _on_belongs(self, event: Belongs) -> None:
        self.uid = event.uid

    def _on_applied(self, event: Applied) -> None:
        """A restarted member does not answer questions to its former run, and may be behind the view for a
        while (S73)."""
        self.has_progressed = self.has_progressed or event.index > self.index > 0
        if event.replica != self.replica:
            self.replica, self.index, self.applied, self.is_reading = event.replica, 0, 0, False
        self.index = max(self.index, event.index)
        self.applied = max(self.applied, event.revision)
        self.snapshot = max(self.snapshot, event.snapshot)
        self._read(event.running)

    def _read(self, running: Hashable | None) -> None:
        if running is None or running != self.replica or self.is_reading or self.applied <= self.view.rev:
            return
        self.is_reading = True
        self._effects.append(ReadView(self.view.rev))

    def _on_view(self, event: ViewReceived) -> None:
        if event.replica != self.replica:
            return
        self.is_reading = False
        nodes_changed, changed = self.view.update(event.view)
        if nodes_changed:
            self._effects.append(MeetNodes(dict(self.view.nodes)))
            self._effects.append(Reconcile(groups.AnyChanged()))
            changed |= set(self.view.groups)
        local = self._create_members(changed, event.local)
        for one in event.local.members:
            if one.group in changed and not one.is_dropped:
                self._effects.append(Reconcile(groups.GroupChanged(one.number)))
        self._effects.append(LookForArrivals())
        self._tell_whereabouts(changed)
        self._look(local)
        self._effects.append(Reconcile(groups.Look()))
        self._read(event.running)

    def _on_changed(self, event: Changed) -> None:
        self._look(event.local)

    def _on_round(self, event: Round) -> None:
        """Thousands of members are looked at only if that, or anything that it depends on, has changed."""
        local = event.local
        self._look_at_node(local)
        here = (local.disk, local.members, local.coming, local.left, local.is_renewing)
        known = (self.view.rev, self.snapshot, here)
        if known == self.nothing_to_do:
            return
        effects = len(self._effects)
        self._clean(local)
        self._create_members(self.view.groups, local)
        self.nothing_to_do = known if len(self._effects) == effects else None

    def _on_dropped(self, event: Dropped) -> None:
        """Without a member of the cluster group here, nothing is known about the cluster."""
        if event.group == CLUSTER_GROUP:
            self.view = ClusterView()
            self.replica, self.index, self.applied, self.is_reading = None, 0, 0, False
            if self.has_left:
                self._effects.append(Left())
                return
        self._look(self._create_members({event.group}, event.local))

    def _on_renewed(self, event: Renewed) -> None:
        self.has_joined = False
        self._look(event.local)

    # -- commands about this node ------------------------------------------------------------------

    def _command(self, about: str, method: str, *args: Any) -> None:
        self._effects.append(SendCommand(about, method, args))

    def _look(self, local: Local) -> None:
        self._look_at_node(local)
        self._clean(local)

    def _look_at_node(self, local: Local) -> None:
        self._raise_disk_version(local)
        if not self.has_left:
            self._register(local)
        self._set_purge_window(local)
        self._leave_if_empty(local)
        self._report(local)

    def _raise_disk_version(self, local: Local) -> None:
        """Before anything of a version can reach the directory."""
        version = max(self.view.finalizing, local.version)
        if local.disk_version < version <= self.me.build.newest:
            self._effects.append(RaiseDiskVersion(version))

    def _register(self, local: Local) -> None:
        """Join, or update this node's record, unless the cluster's state has it as it is now."""
        me, known = self.me, self.view.nodes.get(self.me.name)
        if not local.may_register or local.is_founding or (known is not None and known.state == LEAVING):
            return
        if local.disk_version < max(self.view.version, local.version):
            return
        mine = (local.disk, me.address, me.zone, me.weight, me.build, local.disk_version)
        is_known = known is not None and mine == _shown(known)
        self.has_joined = self.has_joined or is_known
        if is_known or (local.of(CLUSTER_GROUP) is not None and self.view.rev == 0 and me.joins):
            return
        if self.has_joined and known is not None:
            self._notice_namesake(known)
        state = ACTIVE if me.is_active else INACTIVE
        about = f"joining as {me.name}"
        own = (me.name, local.disk, me.zone, me.address, me.weight, state, me.build, local.disk_version)
        self._command(about, "join", *own)

    def _notice_namesake(self, other: NodeRecord) -> None:
        if other.address not in self.namesakes:
            self.namesakes.add(other.address)
            who = f"node={other.name}: another node joined under this name, at {other.address}"
            what = f"{who} with disk {other.incarnation}: stop one of the two"
            self._effects.append(groups.LogLine(what, "error"))

    def _set_purge_window(self, local: Local) -> None:
        """A founder repeats it until the cluster's state has it, even after a crash."""
        own, window_ms = local.of(CLUSTER_GROUP), self.me.purge_after_ms
        is_founder = own is not None and own.is_founder
        if is_founder and window_ms > 0 and self.view.rev and not self.view.purge_after_rev:
            self._command("purge window", "set_purge_after", window_ms, True)

    def _leave_if_empty(self, local: Local) -> None:
        name = self.me.name
        known = self.view.nodes.get(name)
        if known is None or known.state != LEAVING:
            return
        here = {one.group for one in local.members} | local.coming.keys()  # until their data is deleted
        left = len(here - {CLUSTER_GROUP})
        if left:
            what = f"node={name} is leaving: {left} of its members still have to move to other nodes"
            self._effects.append(Warn("leaving", what))
            return
        self.has_left = True
        self._command(f"leaving as {name}", "left", name, known.incarnation)

    def _report(self, local: Local) -> None:
        """Report silent nodes. Only reports of the cluster group's voters count, and one that votes no more
        withdraws its own: it might vote again. A minority cannot commit any (W3)."""
        me, view = self.me.name, self.view
        votes = me in view.voters()
        for node in view.nodes.values():
            is_lost = votes and local.silent_ms.get(node.name, 0) >= view.purge_after_ms > 0
            if node.name != me and is_lost != (me in node.reports):
                about = f"reporting {node.name} {'unreachable' if is_lost else 'back'}"
                self._command(about, "report", me, node.name, node.incarnation, is_lost)

    def _clean(self, local: Local) -> None:
        """Delete members of removed groups, and report when that is done."""
        view, me = self.view, self.me.name
        if not view.rev:
            return
        left = set(local.left)
        for one in local.members:
            if not one.is_dropped and self.was_removed(one.group, one.uid, one.cluster):
                self._effects.append(DropMember(one.number))
                left |= {one.uid} if one.is_founder else set()
        self._forget_left(left)
        held = {*(one.uid for one in local.members), *local.coming.values()}
        waiting = [uid for uid, removal in view.removed.items() if me in removal.waiting and uid not in held]
        if waiting:
            self._command("cleaning", "cleaned", tuple(waiting), me)

    def _forget_left(self, left: set[Index]) -> None:
        """Forget left groups once a snapshot has their removal: before, a node that restarts may see a
        removed group again for a moment, and would create its founding member anew."""
        here = {group.uid for group in self.view.groups.values()}
        gone = {uid for uid in left if uid <= self.view.rev} - here
        self.gone_at = {uid: self.gone_at.get(uid, self.view.rev) for uid in gone}
        settled = frozenset(uid for uid, rev in self.gone_at.items() if rev <= self.snapshot)
        if settled:
            self._effects.append(ForgetLeft(settled))

    # -- groups ------------------------------------------------------------------------------------

    def _create_members(self, changed: Collection[str], local: Local) -> Local:
        """Create founding members of new groups that name this node. Returns `local` with them."""
        if local.is_renewing:
            return local
        held = {one.group for one in local.members if not one.is_dropped}
        missing = (set(changed) & self.view.groups.keys()) - held - local.coming.keys()
        found = [self._founding_member(name, local) for name in sorted(missing)]
        new = [member for member in found if member is not None]
        if not new:
            return local
        self._effects.append(CreateMembers(tuple(new)))
        return replace(local, coming={**local.coming, **{one.group: one.uid for one in new}})

    def _founding_member(self, name: str, local: Local) -> NewMember | None:
        group = self.view.groups[name]
        prefix = f"{self.me.name}@{local.disk}."
        mine = [member for member, _ in group.initial if member.startswith(prefix)]
        if not mine or group.uid in local.left:
            return None
        (first, address), others = group.initial[0], group.initial[1:]
        config = group.founding_config or group.config  # entry 1 is the same on every founder
        founded = Founded(first, address, config, others, group.founding_class or group.data_class)
        about = name, group.data_class, config, group.uid, mine[0], founded, self.uid
        return NewMember(*about, is_restored=group.is_restored, is_in_memory=group.is_in_memory)

    def _tell_whereabouts(self, changed: Collection[str]) -> None:
        """Tell the registry where clients find each group: preferably on another node, since a client only
        asks for the address if the member here does not run. Told of none, it knows that there is none."""
        addresses = {}
        for name in sorted(changed):
            group = self.view.groups.get(name)
            wanted = self.view.wanted(group) if group is not None else ()
            others = [node for node in wanted if node != self.me.name] or wanted
            address = self.view.nodes[others[0]].address if others else ""
            if self.whereabouts.get(name, "") != address:
                addresses[name] = self.whereabouts[name] = address
        if addresses or not self.has_told:
            self.has_told = True
            self._effects.append(TellWhereabouts(addresses))

    _table: dict[type, Callable[..., None]] = {
        Belongs: _on_belongs,
        Applied: _on_applied,
        ViewReceived: _on_view,
        Changed: _on_changed,
        Round: _on_round,
        Dropped: _on_dropped,
        Renewed: _on_renewed,
    }
