"""The data class of the cluster group: the commands that change the cluster's state, and a query for changes.

Commands refuse with an error of `fleet.errors` as the value of a Reject; nothing here reads a clock.
"""

from typing import Final, NoReturn

from msgspec.structs import replace

from fleet.cluster.fleet_version import behind, unwritten, why_unfit
from fleet.cluster.state import (
    ACTIVE,
    CLUSTER_GROUP,
    INACTIVE,
    LEAVING,
    GroupInfo,
    NodeRecord,
    RemovedGroup,
    View,
)
from fleet.cluster.wanted import cluster_voters, wanted_nodes
from fleet.errors import (
    BadArguments,
    CleanupOngoing,
    FleetError,
    GroupExists,
    NoSuchGroup,
    NoSuchNode,
    NotActive,
    Reject,
    Unavailable,
    WrongVersion,
)
from fleet.objects.context import ctx
from fleet.objects.declare import Data, command, query
from fleet.objects.packed import packed
from fleet.raft.config import GroupConfig
from fleet.raft.ids import Index, NodeName, member_id, node_of
from fleet.versions import FIRST_BUILD, Build

GONE_KEPT_MAX: Final = 1000
"""Names of removed nodes, of removed groups, and of finished removals, each."""

PURGE_AFTER_MS_MIN = 2000
"""The shortest purge window: what is heard of a node that is well may be a round of about a second old."""


def refuse(error: FleetError) -> NoReturn:
    raise Reject(error)


@packed(group=GroupInfo, view=View)
class Cluster(Data):
    """Invariant: a group's name is in `groups` or waits in `removed`, never both."""

    nodes: dict[NodeName, NodeRecord] = {}
    groups: dict[str, GroupInfo] = {}
    removed: dict[Index, RemovedGroup] = {}
    gone_nodes: dict[NodeName, Index] = {}
    gone_groups: dict[str, Index] = {}
    settled: dict[Index, Index] = {}
    """Removals completed on all nodes, and the revision of that."""
    purge_after_ms: int = 600_000
    purge_after_rev: Index = 0
    cluster_leader: NodeName = NodeName("")
    oldest_rev: Index = 0
    """Older changes were forgotten: a view from before gets the complete state."""
    version: int = 0
    """The version of the fleet that is in force; 0: no node has joined yet."""
    finalizing: int = 0
    """The version that is being put in force, or is."""

    # -- nodes -------------------------------------------------------------------------------------

    @command
    def join(
        self,
        name: str,
        incarnation: str,
        zone: str,
        address: str,
        weight: float,
        state: str,
        build: Build = FIRST_BUILD,
        disk_version: int = 1,
    ) -> Index:
        """Add a node, or update one that returns or has another address or build. Returns the revision. With
        the first node all that its build speaks is put in force."""
        if state not in (ACTIVE, INACTIVE):
            refuse(BadArguments(f"a node joins {ACTIVE} or {INACTIVE}, not {state!r}"))
        if not self.version:
            self.version, self.finalizing = build.oldest, build.newest
        if unfit := why_unfit(build, self.version):
            refuse(WrongVersion(unfit, node=name))
        if disk_version < self.version:
            refuse(Unavailable("its directory does not have the version in force yet", node=name))
        node = NodeName(name)
        known = self.nodes.get(node)
        if known is not None and known.incarnation == incarnation:
            state = known.state
        fresh = NodeRecord(
            node, incarnation, zone, address, weight, state, {}, ctx.index, build, disk_version
        )
        if known is None or replace(known, rev=0) != replace(fresh, rev=0):
            self.nodes[node] = fresh
            self.gone_nodes.pop(node, None)
        self._put_in_force()
        return self.nodes[node].rev

    @command
    def finalize(self, version: int) -> None:
        """Put this version of the fleet in force, as soon as each node's directory has it. Idempotent."""
        if version <= self.finalizing:
            return
        if older := behind(self.nodes.values(), version):
            who = "; ".join(f"{name} ({build})" for name, build in sorted(older.items()))
            refuse(WrongVersion(f"not all nodes speak version {version}: {who}", in_force=self.version))
        self.finalizing = version
        self._put_in_force()

    def _put_in_force(self) -> None:
        if self.nodes and not unwritten(self.nodes.values(), self.finalizing):
            self.version = self.finalizing

    @command
    def set_state(self, name: str, state: str) -> None:
        """Activate a node, or let it leave. Idempotent."""
        node = self._node(name)
        if state not in (ACTIVE, INACTIVE, LEAVING):
            refuse(BadArguments(f"no such state of a node: {state!r}"))
        if state == LEAVING and not self._others_active(node.name):
            refuse(Unavailable("there is no other active node: the cluster would end", node=name))
        if state != node.state:
            self.nodes[node.name] = replace(node, state=state, rev=ctx.index)

    @command
    def left(self, name: str, incarnation: str) -> None:
        """Remove a leaving node that no longer has members."""
        node = self.nodes.get(NodeName(name))
        if node is None or node.incarnation != incarnation:
            return
        if node.state != LEAVING:
            refuse(NotActive("the node is not leaving", node=name, state=node.state))
        self._forget_node(node.name)

    @command
    def report(self, reporter: str, target: str, incarnation: str, unreachable: bool) -> bool:
        """Report that `reporter` has not reached `target` for the purge window, or reaches it again.

        Returns whether this purged the target, which takes reports of a majority of this group's voters. A
        minority cannot commit its reports at all (W3).
        """
        node = self.nodes.get(NodeName(target))
        if node is None or node.incarnation != incarnation or NodeName(reporter) not in self.nodes:
            return False
        reports = {who: since for who, since in node.reports.items() if who in self.nodes}
        if unreachable:
            reports[NodeName(reporter)] = round(ctx.now * 1000)
        else:
            reports.pop(NodeName(reporter), None)
        if reports == node.reports:
            return False
        self.nodes[node.name] = replace(node, reports=reports, rev=ctx.index)
        voters = [voter for voter in cluster_voters(self.nodes.values()) if voter != node.name]
        against = [voter for voter in voters if voter in reports]
        if len(against) <= len(cluster_voters(self.nodes.values())) // 2:
            return False
        self._forget_node(node.name)
        return True

    @command
    def purge(self, name: str) -> None:
        """Remove a node whose disk is lost, as an operator declares."""
        node = self._node(name)
        if not self._others_active(node.name):
            refuse(Unavailable("there is no other active node: the cluster would end", node=name))
        self._forget_node(node.name)

    def _node(self, name: str) -> NodeRecord:
        node = self.nodes.get(NodeName(name))
        if node is None:
            refuse(NoSuchNode(f"the cluster has no node {name!r}", known=", ".join(sorted(self.nodes))))
        return node

    def _others_active(self, name: NodeName) -> bool:
        return any(node.state == ACTIVE for node in self.nodes.values() if node.name != name)

    def _forget_node(self, name: NodeName) -> None:
        del self.nodes[name]
        self.gone_nodes[name] = ctx.index
        for uid in list(self.removed):
            self._cleaned(uid, name)
        if self.cluster_leader == name:
            self.cluster_leader = NodeName("")
        for group in list(self.groups.values()):
            if group.leader == name:
                self.groups[group.name] = replace(group, leader=NodeName(""), rev=ctx.index)
        for other in list(self.nodes.values()):
            if name in other.reports:
                reports = {who: since for who, since in other.reports.items() if who != name}
                self.nodes[other.name] = replace(other, reports=reports, rev=ctx.index)
        self._trim(self.gone_nodes)
        self._put_in_force()

    # -- groups ------------------------------------------------------------------------------------

    @command
    def add_group(
        self,
        name: str,
        replicas: int,
        data_class: bytes,
        config: GroupConfig,
        pinned: tuple[str, ...] = (),
        restored_on: tuple[str, ...] = (),
        is_in_memory: bool = False,
    ) -> GroupInfo:
        """Add a group, with members on those wanted nodes that exist; the others are added later.
        `restored_on`: it begins with a backup's state, which a founder on one of these nodes is given.
        `is_in_memory`: as in `GroupInfo`."""
        if not name or name == CLUSTER_GROUP:
            refuse(BadArguments(f"no group may be called {name!r}"))
        if replicas < 1:
            refuse(BadArguments(f"replicas must be at least 1, not {replicas}", group=name))
        if name in self.groups:
            refuse(GroupExists(f"group {name!r} exists", group=name))
        for removal in self.removed.values():
            if removal.name == name:
                nodes = ", ".join(removal.waiting)
                refuse(
                    CleanupOngoing("members of the removed group may still exist", group=name, nodes=nodes)
                )
        for node in pinned:
            self._node(node)
        uid = ctx.index
        names = tuple(NodeName(node) for node in pinned)
        group = GroupInfo(name, uid, replicas, data_class, config, (), names, uid)
        initial = tuple(
            (member_id(node, self.nodes[node].incarnation, f"g{uid}"), self.nodes[node].address)
            for node in wanted_nodes(group, self.nodes.values())
        )
        if not initial:
            refuse(Unavailable("no node is active", group=name))
        if restored_on:
            initial = tuple(sorted(initial, key=lambda one: node_of(one[0]) not in restored_on))
            if node_of(initial[0][0]) not in restored_on:
                refuse(Unavailable("no node that should have a member answers", group=name))
        self.groups[name] = replace(
            group, initial=initial, is_restored=bool(restored_on), is_in_memory=is_in_memory
        )
        self.gone_groups.pop(name, None)
        return self.groups[name]

    @command
    def remove_group(self, name: str, uid: Index = 0) -> None:
        """Remove a group: its members stop, their data is deleted on every node, then its name is free.
        `uid`: only the group with that one; 0: whichever has the name."""
        group = self._group(name)
        if uid not in (0, group.uid):
            refuse(NoSuchGroup("that group was removed, and another one has its name", group=name))
        del self.groups[name]
        self.gone_groups[name] = ctx.index
        waiting = tuple(sorted(self.nodes))
        self.removed[group.uid] = RemovedGroup(name, group.uid, waiting, ctx.index)
        self._trim(self.gone_groups)

    @command
    def cleaned(self, uids: tuple[Index, ...], node: str) -> None:
        """Note that `node` no longer holds members of these removed groups."""
        for uid in uids:
            self._cleaned(uid, NodeName(node))

    def _cleaned(self, uid: Index, node: NodeName) -> None:
        removal = self.removed.get(uid)
        if removal is None or node not in removal.waiting:
            return
        waiting = tuple(name for name in removal.waiting if name != node)
        if waiting:
            self.removed[uid] = replace(removal, waiting=waiting, rev=ctx.index)
        else:
            del self.removed[uid]
            self.settled[uid] = ctx.index
            self._trim(self.settled)

    @command
    def set_replicas(self, name: str, replicas: int) -> None:
        """Set how many members the group should have."""
        group = self._group(name)
        if replicas < 1:
            refuse(BadArguments(f"replicas must be at least 1, not {replicas}", group=name))
        if group.pinned:
            nodes = ", ".join(group.pinned)
            refuse(BadArguments("the group is pinned: change its nodes instead", group=name, nodes=nodes))
        self.groups[name] = replace(group, replicas=replicas, rev=ctx.index)

    @command
    def pin_group(self, name: str, nodes: tuple[str, ...], replicas: int = 0) -> GroupInfo:
        """Pin the group to these nodes, of which the first should lead; without nodes, unpin it. Ends a
        preference for a leader. `replicas`: how many from now on; 0: as before."""
        group = self._group(name)
        names = tuple(dict.fromkeys(self._node(node).name for node in nodes))
        wanted = replicas or group.replicas
        if names and len(names) != wanted:
            named = f"{len(names)} node{'' if len(names) == 1 else 's'}"
            what = f"group {name!r} has {wanted} replicas but {named} to pin it to: {', '.join(names)}"
            refuse(BadArguments(what, group=name, replicas=wanted))
        self.groups[name] = replace(group, pinned=names, replicas=wanted, leader=NodeName(""), rev=ctx.index)
        return self.groups[name]

    @command
    def note_config(self, name: str, uid: Index, config: GroupConfig, index: Index) -> None:
        """Note the configuration in force in the group at `index` of its own log. Ignored if a newer one is
        known, or if another group has the name."""
        group = self.groups.get(name)
        if group is None or group.uid != uid or index <= group.config_index:
            return
        founding = group.founding_config or group.config
        self.groups[name] = replace(
            group, config=config, config_index=index, founding_config=founding, rev=ctx.index
        )

    @command
    def note_class(self, name: str, uid: Index, data_class: bytes, index: Index) -> None:
        """Note the class in force in the group at `index` of its own log. Ignored as by `note_config`."""
        group = self.groups.get(name)
        if group is None or group.uid != uid or index <= group.class_index:
            return
        founding = group.founding_class or group.data_class
        self.groups[name] = replace(
            group, data_class=data_class, class_index=index, founding_class=founding, rev=ctx.index
        )

    @command
    def prefer_leader(self, name: str, node: str) -> str:
        """Prefer `node` as leader while a member belongs there and answers; "": the placement chooses.
        Returns the former preference."""
        wish = self._node(node).name if node else NodeName("")
        nodes, is_own = self.nodes.values(), name == CLUSTER_GROUP
        wanted = cluster_voters(nodes) if is_own else wanted_nodes(self._group(name), nodes)
        if wish and wish not in wanted:
            what = "the group should have no voter on that node"
            refuse(BadArguments(what, group=name, node=node, wanted=", ".join(wanted)))
        if is_own:
            before, self.cluster_leader = self.cluster_leader, wish
            return before
        group = self._group(name)
        self.groups[name] = replace(group, leader=wish, rev=ctx.index)
        return group.leader

    @command
    def set_purge_after(self, milliseconds: int, as_founder: bool = False) -> None:
        """Set how long a node may be unreachable before it is purged. A founder's value counts only if none
        is set."""
        if as_founder and self.purge_after_rev:
            return
        if milliseconds < PURGE_AFTER_MS_MIN:
            least = f"at least {PURGE_AFTER_MS_MIN} ms, since nodes show themselves about once a second"
            refuse(BadArguments(f"the purge window must be {least}; {milliseconds} is less"))
        self.purge_after_ms, self.purge_after_rev = milliseconds, ctx.index

    def _group(self, name: str) -> GroupInfo:
        group = self.groups.get(name)
        if group is None:
            refuse(NoSuchGroup(f"the cluster has no group {name!r}", group=name))
        return group

    def _trim(self, forgotten: dict[NodeName, Index] | dict[str, Index] | dict[Index, Index]) -> None:
        """Keep the newest; older views will then get the complete state."""
        while len(forgotten) > GONE_KEPT_MAX:
            oldest = next(iter(forgotten))
            self.oldest_rev = max(self.oldest_rev, forgotten.pop(oldest))  # type: ignore[call-overload]

    # -- reading -----------------------------------------------------------------------------------

    @query
    def view(self, since: Index) -> View:
        """The changes after `since`. The caller fills in `rev`: the applied index of its member."""
        whole = since < self.oldest_rev or since == 0
        seen = 0 if whole else since
        return View(
            rev=0,
            nodes=tuple(node for node in self.nodes.values() if node.rev > seen),
            groups=tuple(group for group in self.groups.values() if group.rev > seen),
            removed=tuple(removal for removal in self.removed.values() if removal.rev > seen),
            gone_nodes=tuple(name for name, gone in self.gone_nodes.items() if gone > seen),
            gone_groups=tuple(name for name, gone in self.gone_groups.items() if gone > seen),
            settled_removals=tuple(uid for uid, gone in self.settled.items() if gone > seen),
            purge_after_ms=self.purge_after_ms,
            whole=whole,
            cluster_leader=self.cluster_leader,
            purge_after_rev=self.purge_after_rev,
            version=self.version,
            finalizing=self.finalizing,
        )
