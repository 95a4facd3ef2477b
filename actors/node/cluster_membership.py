"""A node's part in the cluster: founding or joining it, following its state, leaving it."""

from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace
from thespian.actors import ActorAddress

from fleet.actors.client.cluster_pin import uid_text, wrong_cluster
from fleet.actors.client.group_session import ClientCall
from fleet.actors.client.router import Router
from fleet.actors.messages.local import Applied, Belongs, LocalAnswer, LocalRead, Whereabouts
from fleet.actors.messages.values import GroupSpec
from fleet.actors.node.hosted_members import Hosting
from fleet.actors.node.records import read_fact
from fleet.actors.runtime.actor import log
from fleet.cluster.reconciliation import AnyChanged, GroupChanged, Look
from fleet.cluster.state import ACTIVE, CLUSTER_GROUP, INACTIVE, LEAVING, Cluster, NodeRecord, View
from fleet.cluster.view import ClusterView
from fleet.errors import FleetError, Rejected, StorageFault, WrongCluster
from fleet.objects.payload import decode_result, encode_class
from fleet.raft.config import GroupConfig
from fleet.raft.entries import Founded
from fleet.raft.ids import Index, Millis, NodeName, member_id

if TYPE_CHECKING:
    from fleet.actors.node.manager import NodeManager

COMMAND_MS: Millis = 5000
FOUND_AGAIN_MS: Millis = 1000
STOOD_STILL_MS: Millis = 3000
"""Who did not come to look at the others for so long, several rounds, could hear nobody meanwhile."""
CLUSTER_CONFIG = GroupConfig(announce_commits=True)
CLUSTER_KEY = "cluster"
CLUSTER_LIFE = "c"
"""A disk founds one cluster in its life, so this names its member of it."""


class Citizen:
    """Whatever it wants of the cluster it asks for by commands of the cluster group, each round again
    until it shows in the cluster's state."""

    def __init__(self, manager: "NodeManager") -> None:
        self.manager = manager
        self.view = ClusterView()
        self.requests: Router
        self.uid = 0
        self.replica: ActorAddress | None = None
        """This node's running member of the cluster group, which the next two are about."""
        self.has_progressed = False
        """Something was committed since this node started."""
        self.is_reading = False
        self.applied: Index = 0
        self.snapshot: Index = 0
        """What this node sees of the cluster is never older than this, also after a restart."""
        self.gone_at: dict[Index, Index] = {}
        """Groups that this disk left and that were removed, and by when."""
        self.asked: set[str] = set()
        """Commands under way, by what they are about."""
        self.has_left = False
        self.looked_at: Millis = 0
        self.has_joined = False
        self.namesakes: set[str] = set()
        """Addresses from which others have joined under this node's name."""
        self.told_whereabouts: dict[str, str] = {}

    # -- founding ----------------------------------------------------------------------------------

    def begin(self) -> None:
        """Before the members are started from the disk."""
        manager, start = self.manager, self.manager.start
        self.requests = Router(manager, start.clock, f"node/{start.name}/{start.seed:x}", start.seed, [])
        self.requests.learn(start.address or start.name, manager.registry)
        for address in (*start.join, *start.seeds):
            self.requests.learn(address)
        pinned = manager.store.get_meta(CLUSTER_KEY)
        if pinned is not None:
            self._tell_own(read_fact(pinned, int, CLUSTER_KEY))

    def found_alone(self) -> None:
        """With an empty disk and no other node named, this one founds a cluster by itself."""
        manager, start = self.manager, self.manager.start
        # Whoever knows other nodes was in a cluster and left it: it joins again, it does not found another.
        is_empty = self.own() is None and not manager.nodes.infos
        if is_empty and start.may_found and not (start.join or start.seeds or start.peers):
            self.found([(start.name, manager.store.identity.incarnation, start.address)])

    def own(self) -> Hosting | None:
        """This node's replica of the cluster group."""
        return self.manager.hostings.by_name.get(CLUSTER_GROUP)

    def cluster_uid(self) -> int:
        """Of the cluster that this disk belongs to, for good; 0: to none yet."""
        return self.uid

    def pin(self, uid: int) -> dict[str, bytes]:
        """The fact that this disk is of that cluster, to become durable with its first member of it. Raises
        WrongCluster for a disk of another one."""
        start = self.manager.start
        if self.uid and uid != self.uid:
            raise wrong_cluster(start.address or start.name, self.uid, uid)
        return {} if self.uid else {CLUSTER_KEY: msgspec.msgpack.encode(uid)}

    def belong(self, uid: int) -> None:
        """It is durable."""
        if uid != self.uid:
            self._tell_own(uid)

    def _tell_own(self, uid: int) -> None:
        self.uid = uid
        self.requests.belong(uid)
        self.manager.send(self.manager.registry, Belongs(uid))

    def found(self, founders: list[tuple[NodeName, str, str]]) -> None:
        """Become one of the founders: (name, incarnation, address), in the same order on each."""
        manager = self.manager
        if self.own() is not None or CLUSTER_GROUP in manager.hostings.coming:
            return
        members = [(member_id(name, disk, CLUSTER_LIFE), address) for name, disk, address in founders]
        (first, address), others = members[0], tuple(members[1:])
        digest = blake2b(" ".join(member for member, _ in members).encode(), digest_size=7).digest()
        founded = Founded(first, address, CLUSTER_CONFIG, others)
        me = member_id(manager.start.name, manager.store.identity.incarnation, CLUSTER_LIFE)
        spec = GroupSpec(
            name=CLUSTER_GROUP,
            data_class=encode_class(Cluster),
            config=CLUSTER_CONFIG,
            uid=int.from_bytes(digest, "big"),
            member=me,
            founded=founded,
        )
        if spec.uid in manager.hostings.left:
            log.info("node=%s founded a cluster and left it: it has to join one", manager.start.name)
            return
        try:
            fact = self.pin(spec.uid)
        except WrongCluster as error:
            log.error("node=%s founds no cluster, its disk is of another: %s", manager.start.name, error)
            return

        def done(hosting: Hosting | None, error: FleetError | None) -> None:
            names = [name for name, _, _ in founders]
            if hosting is not None:
                log.info("node=%s founds cluster %s with %s", manager.start.name, uid_text(spec.uid), names)
            elif isinstance(error, StorageFault):
                manager.wake_in(FOUND_AGAIN_MS, ("found", founders))

        manager.hostings.create([spec], done, fact)

    # -- commands ----------------------------------------------------------------------------------

    def command(self, about: str, method: str, *args: Any) -> None:
        """Ask the cluster group, unless that is under way; what it refuses is logged."""
        if about in self.asked:
            return
        self.asked.add(about)
        log.info("node=%s asks: %s", self.manager.start.name, about)

        is_over = False

        def finish(call: ClientCall, value: bytes | None, revision: Index, error: FleetError | None) -> None:
            """Called again when the outcome shows after the time was over."""
            nonlocal is_over
            if is_over:
                return
            is_over = True
            self.asked.discard(about)
            try:
                if error is not None:
                    raise error
                assert value is not None
                decode_result(value)
            except Rejected as refusal:
                self.manager.say(about, "%s refused: %s", about, refusal.value)
            except FleetError as trouble:
                log.info("%s not done yet: %s", about, trouble)

        deadline = self.manager.now() + COMMAND_MS
        payload = Cluster.__fleet_codec__.encode_call(method, args, {})
        self.requests.submit(ClientCall(CLUSTER_GROUP, False, payload, deadline, finish))

    # -- rounds ------------------------------------------------------------------------------------

    def round(self) -> None:
        for info in self.manager.nodes.infos.values():
            registry = self.manager.nodes.registries.get(info.name)
            if registry is not None:
                self.requests.learn(info.address or info.name, registry)
        if not self.has_left:
            self._register()
        self._set_purge_window()
        self._leave_if_empty()
        self._report()
        self._clean()

    def slow_round(self) -> None:
        """Also what only a failure can have left undone."""
        self.round()
        self._take_part(set(self.view.groups))

    def _register(self) -> None:
        """Be in the cluster's state, as what this node is now."""
        manager, start = self.manager, self.manager.start
        me = self.view.nodes.get(start.name)
        incarnation = manager.store.identity.incarnation
        if not manager.admission.may_register():
            return
        if self.manager.seeding.is_open or (me is not None and me.state == LEAVING):
            return
        is_known = me is not None and (me.incarnation, me.address, me.zone, me.weight) == (
            incarnation,
            start.address,
            start.zone,
            start.weight,
        )
        self.has_joined = self.has_joined or is_known
        if is_known or (self.own() is not None and self.view.rev == 0 and start.join):
            return
        if self.has_joined and me is not None:
            self._notice_namesake(me)
        state = ACTIVE if start.active else INACTIVE
        about = f"joining as {start.name}"
        self.command(about, "join", start.name, incarnation, start.zone, start.address, start.weight, state)

    def _notice_namesake(self, other: NodeRecord) -> None:
        if other.address not in self.namesakes:
            self.namesakes.add(other.address)
            what = "node=%s: another one joined by this name, at %s with disk %s: stop one of the two"
            log.error(what, other.name, other.address, other.incarnation)

    def _set_purge_window(self) -> None:
        """A founder says it until it is in the cluster's state, also when it crashed in between."""
        own, window_ms = self.own(), self.manager.start.purge_after_ms
        is_founder = own is not None and own.spec.founded is not None
        if is_founder and window_ms > 0 and self.view.rev and not self.view.purge_after_rev:
            self.command("purge window", "set_purge_after", window_ms, True)

    def _leave_if_empty(self) -> None:
        start = self.manager.start
        me = self.view.nodes.get(start.name)
        if me is None or me.state != LEAVING:
            return
        hostings = self.manager.hostings
        left = len({*hostings.by_name, *hostings.coming} - {CLUSTER_GROUP})
        if left:
            what = "node=%s is leaving: its members have to move away, and %d still live here"
            self.manager.say("leaving", what, start.name, left)
            return
        self.has_left = True
        self.command(f"leaving as {start.name}", "left", start.name, me.incarnation)

    def _report(self) -> None:
        """Only voters of the cluster group are heard; a minority's report is never committed (W3)."""
        manager, view = self.manager, self.view
        me, now = manager.start.name, manager.now()
        if now - self.looked_at > STOOD_STILL_MS:
            manager.nodes.listen_anew(now)
        self.looked_at = now
        if me not in view.voters():
            return
        for node in view.nodes.values():
            if node.name == me:
                continue
            silent_ms = manager.nodes.silent_ms(node.name, now)
            is_lost = silent_ms >= view.purge_after_ms > 0
            if is_lost != (me in node.reports):
                about = f"reporting {node.name} {'unreachable' if is_lost else 'back'}"
                self.command(about, "report", me, node.name, node.incarnation, is_lost)

    def _clean(self) -> None:
        """Drop members of removed groups, and say so when they are gone."""
        hostings, view = self.manager.hostings, self.view
        me = self.manager.start.name
        if not view.rev:
            return
        for hosting in list(hostings.by_number.values()):
            if not hosting.is_dropped and self.was_removed(hosting.spec):
                log.info("group=%s was removed", hosting.spec.name)
                hostings.drop(hosting)
        self._forget_left()
        held = {hosting.spec.uid for hosting in hostings.by_number.values()}
        held |= {coming.spec.uid for coming in hostings.coming.values()}
        waiting = [uid for uid, removal in view.removed.items() if me in removal.waiting and uid not in held]
        if waiting:
            self.command("cleaning", "cleaned", tuple(waiting), me)

    def was_removed(self, spec: GroupSpec) -> bool:
        """Whether this node sees that the cluster has that group no more."""
        if spec.name == CLUSTER_GROUP or spec.uid > self.view.rev or spec.cluster != self.cluster_uid():
            return False
        group = self.view.groups.get(spec.name)
        return group is None or group.uid != spec.uid

    def _forget_left(self) -> None:
        """Not as soon as a group is seen to be removed: after a restart this node may see it again for a
        moment, as it was in the snapshot, and would found it anew."""
        hostings, view = self.manager.hostings, self.view
        here = {group.uid for group in view.groups.values()}
        gone = {uid for uid in hostings.left if uid <= view.rev} - here
        self.gone_at = {uid: self.gone_at.get(uid, view.rev) for uid in gone}
        hostings.forget_left({uid for uid, rev in self.gone_at.items() if rev <= self.snapshot})

    # -- the cluster's state -----------------------------------------------------------------------

    def on_applied(self, m: Applied, sender: ActorAddress) -> None:
        """A member that was restarted answers nothing that its former life was asked, and may be behind
        the view for a while (S73)."""
        self.has_progressed = self.has_progressed or m.index > self.applied > 0
        if sender != self.replica:
            self.replica, self.applied, self.is_reading = sender, 0, False
        self.applied = max(self.applied, m.index)
        self.snapshot = max(self.snapshot, m.snapshot)
        self._read()

    def _read(self) -> None:
        own = self.own()
        if own is None or own.address is None or own.address != self.replica:
            return
        if self.is_reading or self.applied <= self.view.rev:
            return
        self.is_reading = True
        payload = Cluster.__fleet_codec__.encode_call("view", (self.view.rev,), {})
        self.manager.send(own.address, LocalRead(payload))

    def on_local_answer(self, m: LocalAnswer, sender: ActorAddress) -> None:
        if sender != self.replica:
            return
        self.is_reading = False
        view = replace(decode_result(m.value), rev=m.index)
        assert isinstance(view, View)
        nodes_changed, groups = self.view.update(view)
        if nodes_changed:
            self.manager.on_cluster_nodes(self.view.nodes)
            groups = set(self.view.groups)
            self.manager.reconcile(AnyChanged())
        self._take_part(groups)
        self.manager.arrivals.look()
        self._tell_whereabouts(groups)
        self.round()
        self.manager.reconcile(Look())
        self._read()

    def _take_part(self, groups: set[str]) -> None:
        """Be a founding member of new groups that name this node: all of them with one commit."""
        hostings, start = self.manager.hostings, self.manager.start
        if self.manager.renewal is not None:
            return
        prefix = f"{start.name}@{self.manager.store.identity.incarnation}."
        specs = []
        for name in sorted(groups - hostings.coming.keys()):
            group = self.view.groups.get(name)
            if group is None:
                continue
            hosting = hostings.by_name.get(name)
            if hosting is not None:
                self.manager.reconcile(GroupChanged(hosting.record.number))
                continue
            mine = [member for member, _ in group.initial if member.startswith(prefix)]
            if not mine or group.uid in hostings.left:
                continue
            (first, address), others = group.initial[0], group.initial[1:]
            config = group.founding_config or group.config  # entry 1 is the same on every founder
            founded = Founded(first, address, config, others)
            cluster = self.cluster_uid()
            specs.append(GroupSpec(name, group.data_class, config, group.uid, mine[0], founded, cluster))
        hostings.create(specs)

    def _tell_whereabouts(self, groups: set[str]) -> None:
        """Let clients that ask here for a group that lives elsewhere find it: also while the member that
        should be here does not run, so that nobody is sent back to where it asked."""
        me = self.manager.start.name
        addresses = {}
        for name in sorted(groups):
            group = self.view.groups.get(name)
            wanted = self.view.wanted(group) if group is not None else ()
            others = [node for node in wanted if node != me] or wanted
            address = self.view.nodes[others[0]].address if others else ""
            if self.told_whereabouts.get(name, "") != address:
                addresses[name] = self.told_whereabouts[name] = address
        if addresses:
            self.manager.send(self.manager.registry, Whereabouts(addresses))

    def on_dropped(self, hosting: Hosting) -> None:
        """A member's data is gone. Without a replica of the cluster group nothing is known any more."""
        if hosting.spec.name == CLUSTER_GROUP:
            self.view = ClusterView()
            self.replica, self.applied, self.is_reading = None, 0, False
            if self.has_left:
                start = self.manager.start
                log.warning("node=%s has left the cluster", start.name)
                if start.on_left is not None:
                    start.on_left()
                return
        self._take_part({hosting.spec.name})
        self.round()
