"""Drives `fleet.cluster.membership` on a node, and creates the first member of a new cluster."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import msgspec
from msgspec.structs import replace
from thespian.actors import ActorAddress

from fleet.actors.client.calls import ClientCall
from fleet.actors.client.cluster_pin import uid_text, wrong_cluster
from fleet.actors.client.router import Router
from fleet.actors.messages.local import Applied, Belongs, LocalAnswer
from fleet.actors.messages.values import GroupSpec
from fleet.actors.node.hosted_member import HostedMember
from fleet.actors.node.parts import Node
from fleet.actors.node.records import read_record
from fleet.actors.node.timers import FoundAgain
from fleet.actors.runtime.actor import log
from fleet.cluster import membership_events
from fleet.cluster.commands import Cluster
from fleet.cluster.membership import NodeMembership
from fleet.cluster.membership_events import Held, Local
from fleet.cluster.state import CLUSTER_GROUP, View
from fleet.cluster.view import ClusterView
from fleet.errors import FleetError, Rejected, StorageFault, WrongCluster
from fleet.objects.class_refs import encode_class
from fleet.objects.outcomes import CallOutcome, Impatient, Succeeded
from fleet.objects.payload import decode_result
from fleet.raft.config import GroupConfig
from fleet.raft.entries import Founded
from fleet.raft.ids import Millis, NodeName, member_id

COMMAND_MS: Millis = 5000
FOUND_AGAIN_MS: Millis = 1000
CLUSTER_CONFIG = GroupConfig(announce_commits=True, compare_every=0)
"""Its state is of the library's own code, and halting its members would cost the fleet more than it tells."""
CLUSTER_KEY = "cluster"
CLUSTER_LIFE = "c"
"""The suffix of a founder's member id: a disk founds at most one cluster."""


class ClusterMembership:
    """Steps `fleet.cluster.membership` with what is on this node and with what its member of the cluster
    group reports, and sends commands to that group."""

    def __init__(self, manager: Node) -> None:
        self.manager = manager
        self.membership: NodeMembership
        self.router: Router
        """This node as a client of the cluster group."""
        self.asked: set[str] = set()
        """What commands under way are about."""

    @property
    def view(self) -> ClusterView:
        return self.membership.view

    def was_removed(self, spec: GroupSpec) -> bool:
        return self.membership.was_removed(spec.name, spec.uid, spec.cluster)

    def decide(self, event: membership_events.Event) -> None:
        self.manager.decide(self.membership, event)

    # -- founding ----------------------------------------------------------------------------------

    def begin(self) -> None:
        """Before the members are started from the disk."""
        manager, start = self.manager, self.manager.start
        self.membership = NodeMembership(
            membership_events.Me(
                start.name,
                start.address,
                start.zone,
                start.weight,
                start.active,
                bool(start.join),
                start.purge_after_ms,
                start.build,
            )
        )
        self.router = Router(manager, start.clock, f"node/{start.name}/{start.seed:x}", start.seed, [])
        self.router.learn(start.address or start.name, manager.registry)
        for address in (*start.join, *start.founders):
            self.router.learn(address)
        pinned = manager.store.get_meta(CLUSTER_KEY)
        if pinned is not None:
            self._tell_own(read_record(pinned, int, CLUSTER_KEY))

    def found_alone(self) -> None:
        """Found a cluster, if the disk is empty and no other node was named."""
        manager, start = self.manager, self.manager.start
        # A node that knows others was in a cluster and left it: it must join, not found another.
        is_empty = self.own() is None and not manager.nodes.infos
        if is_empty and start.may_found and not (start.join or start.founders or start.peers):
            self.found([(start.name, manager.store.identity.incarnation, start.address)])

    def own(self) -> HostedMember | None:
        """This node's member of the cluster group."""
        return self.manager.hosted_members.by_name.get(CLUSTER_GROUP)

    def cluster_uid(self) -> int:
        """The uid of the cluster that this disk belongs to permanently; 0: to none yet."""
        return self.membership.uid

    def pin(self, uid: int) -> dict[str, bytes]:
        """The record that this disk belongs to the cluster, to be written with its first member of it.

        Raises:
            WrongCluster: the disk belongs to another cluster.
        """
        start = self.manager.start
        own = self.cluster_uid()
        if own and uid != own:
            raise wrong_cluster(start.address or start.name, own, uid)
        return {} if own else {CLUSTER_KEY: msgspec.msgpack.encode(uid)}

    def belong(self, uid: int) -> None:
        """The record that this disk belongs to the cluster is durable."""
        if uid != self.cluster_uid():
            self._tell_own(uid)

    def _tell_own(self, uid: int) -> None:
        self.decide(membership_events.Belongs(uid))
        self.router.belong(uid)
        self.manager.send(self.manager.registry, Belongs(uid))

    def found(self, founders: Sequence[tuple[NodeName, str, str]]) -> None:
        """Create this node's founding member. `founders`: (name, incarnation, address), in one order on
        all."""
        manager = self.manager
        if self.own() is not None or CLUSTER_GROUP in manager.hosted_members.coming:
            return
        if manager.store.identity.incarnation not in [disk for _, disk, _ in founders]:
            return  # it was renewed since, and is no founder
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
        if spec.uid in manager.hosted_members.left:
            log.info("node=%s founded a cluster and left it: it must join one", manager.start.name)
            return
        try:
            meta = self.pin(spec.uid)
        except WrongCluster as error:
            log.error(
                "node=%s cannot found a cluster, its disk belongs to another: %s", manager.start.name, error
            )
            return

        def done(hosted: HostedMember | None, error: FleetError | None) -> None:
            names = [name for name, _, _ in founders]
            if hosted is not None:
                log.info("node=%s founds cluster %s with %s", manager.start.name, uid_text(spec.uid), names)
            elif isinstance(error, StorageFault):
                manager.wake_in(FOUND_AGAIN_MS, FoundAgain(tuple(founders)))

        manager.hosted_members.create([spec], done, meta)

    # -- commands ----------------------------------------------------------------------------------

    def command(self, about: str, method: str, *args: Any) -> None:
        """Send a command to the cluster group, unless one about the same thing is under way. Refusals are
        logged."""
        if about in self.asked:
            return
        self.asked.add(about)
        log.info("node=%s asks the cluster group: %s", self.manager.start.name, about)

        def told(outcome: CallOutcome) -> None:
            self.asked.discard(about)
            try:
                if not isinstance(outcome, Succeeded):
                    raise outcome.error
                decode_result(outcome.value)
            except Rejected as refusal:
                self.manager.say(about, "%s refused: %s", about, refusal.value)
            except FleetError as trouble:
                log.info("%s not done yet: %s", about, trouble)

        deadline = self.manager.now() + COMMAND_MS
        payload = Cluster.__fleet_codec__.encode_call(method, args, {})
        self.router.submit(ClientCall(CLUSTER_GROUP, False, payload, deadline, Impatient(told)))

    # -- what is on this node ----------------------------------------------------------------------

    def local(self) -> Local:
        manager, now = self.manager, self.manager.now()
        hosted_members, nodes = manager.hosted_members, manager.nodes
        nodes.look(now)
        return Local(
            disk=manager.store.identity.incarnation,
            members=tuple(map(held, hosted_members.by_number.values())),
            coming={name: coming.spec.uid for name, coming in hosted_members.coming.items()},
            left=frozenset(hosted_members.left),
            silent_ms={name: nodes.silent_ms(name, now) for name in self.view.nodes},
            may_register=manager.admission.may_register(),
            is_founding=manager.founding.is_open,
            is_renewing=manager.is_renewing,
            disk_version=manager.store.version,
            version=manager.greetings.version,
        )

    def _running(self) -> ActorAddress | None:
        own = self.own()
        return own.address if own is not None else None

    def on_change(self) -> None:
        self._learn_registries()
        self.decide(membership_events.Changed(self.local()))

    def on_round(self) -> None:
        self._learn_registries()
        self.decide(membership_events.Round(self.local()))

    def on_renewed(self) -> None:
        self._learn_registries()
        self.decide(membership_events.Renewed(self.local()))

    def on_dropped(self, hosted: HostedMember) -> None:
        """A member's data was deleted."""
        self._learn_registries()
        self.decide(membership_events.Dropped(hosted.spec.name, self.local()))

    def _learn_registries(self) -> None:
        for info in self.manager.nodes.infos.values():
            registry = self.manager.nodes.registries.get(info.name)
            if registry is not None:
                self.router.learn(info.address or info.name, registry)

    # -- the cluster's state -----------------------------------------------------------------------

    def on_applied(self, m: Applied, sender: ActorAddress) -> None:
        self.decide(membership_events.Applied(sender, self._running(), m.index, m.revision, m.snapshot))

    def on_local_answer(self, m: LocalAnswer, sender: ActorAddress) -> None:
        view = replace(decode_result(m.value), rev=m.revision)
        assert isinstance(view, View)
        self._learn_registries()
        self.decide(membership_events.ViewReceived(sender, self._running(), view, self.local()))


def held(hosted: HostedMember) -> Held:
    """Made anew only when it has changed: thousands are looked at each second."""
    known, spec = hosted.held, hosted.spec
    if known is None or known.is_dropped != hosted.is_dropped:
        is_founder = spec.founded is not None
        known = hosted.held = Held(
            hosted.record.number, spec.name, spec.uid, spec.cluster, is_founder, hosted.is_dropped
        )
    return known
