"""The actor that routes messages to members by id and to groups by name, within and between nodes."""

from typing import Any

from msgspec import Struct
from thespian.actors import ActorAddress, WakeupMessage

from fleet.actors.base.addresses import remote_address
from fleet.actors.client.cluster_pin import wrong_cluster
from fleet.actors.member.refused_requests import RememberedRequests
from fleet.actors.messages.client import (
    ClientReply,
    ClientRequest,
    KeepWatch,
    Refusal,
    WatchGroup,
    WatchReply,
)
from fleet.actors.messages.local import (
    AskConfirmed,
    Belongs,
    MemberGone,
    MemberHere,
    MemberLost,
    MemberStarts,
    PeerAddresses,
    Routes,
    StartRegistry,
    Whereabouts,
)
from fleet.actors.messages.operator import DISK_FULL, MEMBER_LOST, GroupRequest, OpReply
from fleet.actors.messages.peer import NodeHeartbeat, PeerMail, PeerMails, together
from fleet.actors.messages.well_known import REGISTRY
from fleet.actors.runtime.actor import GuardedActor, log
from fleet.actors.runtime.timer import Timer
from fleet.actors.runtime.turn import EndTurn, TurnEnd
from fleet.cluster import node_liveness
from fleet.cluster.node_liveness import NodeLiveness, SendHeartbeat, Sleeper, TellSilent, Woke
from fleet.errors import FleetError, NoSuchGroup, Unavailable, WrongCluster
from fleet.interfaces import Clock
from fleet.objects.payload import ErrorRecord
from fleet.raft.events import CheckLeader, NodeSilent, SleepConfirmed
from fleet.raft.ids import MemberId, NodeName, disk_of, node_of


class Heard(Struct, frozen=True):
    """The registry's message to itself."""

    heartbeat: NodeHeartbeat
    again: int


class Registry(GuardedActor):
    """Keeps no durable state: member ids are durable elsewhere, addresses are learned again after a restart.

    Mail for an unknown member is dropped: members tolerate loss. Members that sleep are told of silent nodes.
    """

    clock: Clock
    run: int

    def __init__(self) -> None:
        super().__init__()
        self.node = NodeName("")
        self.address = ""
        self.cluster = 0
        """The uid of the node's cluster; 0: it belongs to none yet."""
        self.members: dict[MemberId, ActorAddress] = {}
        self.groups: dict[str, MemberId] = {}
        self.routes: dict[NodeName, ActorAddress] = {}
        self.whereabouts: dict[str, str] = {}
        self.has_view = False
        """Whether the node has read the cluster's state since it started."""
        self.starting: dict[str, MemberId] = {}
        """Members whose class is loaded, by group. Who asks for one asks again."""
        self.full: set[str] = set()
        """Groups whose member here stopped for lack of space."""
        self.lost: dict[str, MemberId] = {}
        """As `MemberLost`, by group."""
        self.given_up: frozenset[str] = frozenset()
        """As in `StartRegistry`."""
        self.seen = RememberedRequests()
        self.liveness = NodeLiveness()
        self.timer = Timer(self)
        self.turn_end = TurnEnd(self)
        self.outgoing: dict[NodeName, list[PeerMail]] = {}
        """Mail of this turn, by the node that it goes to."""

    def on_start(self, m: StartRegistry, sender: Any) -> None:
        self.node, self.address, self.given_up = m.node, m.address, m.given_up
        self.clock = m.clock
        self.run = self.liveness.run = m.run

    def on_belongs(self, m: Belongs, sender: Any) -> None:
        self.cluster = m.cluster

    def on_routes(self, m: Routes, sender: Any) -> None:
        """A node's own announcement is newer than any hint."""
        self.routes.update(m.routes)

    def on_peer_addresses(self, m: PeerAddresses, sender: Any) -> None:
        for node, address in m.addresses.items():
            if address and node not in self.routes and node != self.node:
                self.routes[node] = remote_address(address, REGISTRY)

    def on_whereabouts(self, m: Whereabouts, sender: Any) -> None:
        self.has_view = True
        for group, address in m.addresses.items():
            if address:
                self.whereabouts[group] = address
            else:
                self.whereabouts.pop(group, None)

    def on_member_starts(self, m: MemberStarts, sender: Any) -> None:
        self.starting[m.group] = m.member

    def on_member_here(self, m: MemberHere, sender: Any) -> None:
        self.members[m.member] = m.address
        self.groups[m.group] = m.member
        self.full.discard(m.group)
        self.lost.pop(m.group, None)
        self.starting.pop(m.group, None)
        self.watch(Woke(m.member))

    def on_member_lost(self, m: MemberLost, sender: Any) -> None:
        self.lost[m.group] = m.member

    def on_member_gone(self, m: MemberGone, sender: Any) -> None:
        self.members.pop(m.member, None)
        if self.groups.get(m.group) == m.member:
            del self.groups[m.group]
        if self.starting.get(m.group) == m.member:
            del self.starting[m.group]
        if self.lost.get(m.group) == m.member:
            del self.lost[m.group]
        if m.is_full:
            self.full.add(m.group)
        self.watch(Woke(m.member))

    # -- liveness ----------------------------------------------------------------------------------

    def watch(self, event: node_liveness.Event) -> None:
        """Step the liveness of nodes and carry out the effects."""
        now = self.clock.now_ms()
        for effect in self.liveness.step(now, event):
            if isinstance(effect, SendHeartbeat):
                route = self.routes.get(effect.node)
                if route is not None:
                    self._send_mail(effect.node)  # which members have sent before
                    self.send(route, self._heartbeat(effect))
            elif effect.member in self.members:
                told = NodeSilent(effect.node) if isinstance(effect, TellSilent) else CheckLeader()
                self.send(self.members[effect.member], told)
        if self.liveness.deadline is not None:
            self.timer.arm(now, self.liveness.deadline)

    def _heartbeat(self, effect: SendHeartbeat) -> NodeHeartbeat:
        said = effect.leaders, effect.sent_at, effect.heard_run, effect.heard_at, effect.sleepers
        return NodeHeartbeat(self.node, self.run, *said)

    def on_ask_confirmed(self, m: AskConfirmed, sender: Any) -> None:
        self.send(sender, SleepConfirmed(self.liveness.confirmed(m.member)))

    def on_sleep(self, m: Sleeper | Woke, sender: Any) -> None:
        self.watch(m)

    def on_node_heartbeat(self, m: NodeHeartbeat, sender: Any) -> None:
        """What is said of members in answer to it must hold when it is heard. One that woke before says so at
        the end of its turn, which is over when `Heard` comes first; its word is here when it comes again."""
        self.send(self.myAddress, Heard(m, 1))

    def on_heard(self, heard: Heard, sender: Any) -> None:
        if heard.again:
            self.send(self.myAddress, Heard(heard.heartbeat, heard.again - 1))
            return
        m = heard.heartbeat
        said = m.leaders, m.sent_at, m.heard_run, m.heard_at, m.sleepers
        self.watch(node_liveness.HeartbeatReceived(m.node, m.run, *said))

    def on_wakeup(self, m: WakeupMessage, sender: Any) -> None:
        if self.timer.is_due(m.payload):
            self.watch(node_liveness.Tick())

    # -- mail --------------------------------------------------------------------------------------

    def on_peer_mail(self, m: PeerMail, sender: Any) -> None:
        """From here to another node, or from another node to here. A member that continues knows the former
        ones until it hears from its leader: those that returned might tell it to leave."""
        member = self.members.get(m.dst)
        if member is not None:
            self.send(member, m)
            return
        node = node_of(m.dst)
        if self.given_up and f"{node}@{disk_of(m.dst)}" in self.given_up:
            return
        if node in self.routes and node != self.node:
            self.outgoing.setdefault(node, []).append(m)
            self.turn_end.ask()

    def on_peer_mails(self, m: PeerMails, sender: Any) -> None:
        for mail in m.mails:
            self.on_peer_mail(mail, sender)

    def on_end_turn(self, m: EndTurn, sender: Any) -> None:
        self.turn_end.reached()
        for node in tuple(self.outgoing):
            self._send_mail(node)

    def _send_mail(self, node: NodeName) -> None:
        mails = self.outgoing.pop(node, None)
        for message in together(mails) if mails else ():
            self.send(self.routes[node], message)

    def on_client_request(self, m: ClientRequest, sender: Any) -> None:
        """A client that has not pinned this cluster is refused: it may turn out to belong to another."""
        if m in self.seen:
            return
        self.seen.add(m.group, m.client, m.number)
        member = self.groups.get(m.group)
        if m.cluster != self.cluster and self.cluster:
            error, address, cluster = ErrorRecord.of(self._not_ours(m.cluster)), "", self.cluster
        elif member is not None:
            self.send(self.members[member], m)
            return
        else:
            (error, address), cluster = self._not_here(m.group), 0
        seqs = tuple(range(m.first, m.first + len(m.commands)))
        queries = tuple(range(m.first_query, m.first_query + len(m.queries)))
        refusal = Refusal(error, False, "", address, m.opens, m.session, seqs, queries, m.number)
        self.send(m.reply_to, ClientReply(m.group, 0, (), (), (refusal,), cluster))

    def on_watch(self, m: WatchGroup | KeepWatch, sender: Any) -> None:
        member = self.groups.get(m.group)
        if isinstance(m, WatchGroup) and m.cluster != self.cluster and self.cluster:
            error = ErrorRecord.of(self._not_ours(m.cluster))
            self.send(m.reply_to, WatchReply(m.group, m.number, 0, error=error, cluster=self.cluster))
        elif member is not None:
            self.send(self.members[member], m)
        else:
            error, address = self._not_here(m.group)
            self.send(m.reply_to, WatchReply(m.group, m.number, 0, error=error, leader_address=address))

    def _not_ours(self, cluster: int) -> WrongCluster:
        return wrong_cluster(self.address or self.node, self.cluster, cluster)

    def on_group_request(self, m: GroupRequest, sender: Any) -> None:
        member = self.groups.get(m.group)
        if m.cluster and self.cluster and m.cluster != self.cluster:
            error = ErrorRecord.of(self._not_ours(m.cluster))
            self.send(m.reply_to, OpReply(m.token, None, error, cluster=self.cluster))
        elif member is not None:
            self.send(self.members[member], m)
        else:
            error, address = self._not_here(m.group)
            self.send(m.reply_to, OpReply(m.token, None, error, leader_address=address))

    def _not_here(self, group: str) -> tuple[ErrorRecord, str]:
        """The error, and the address of the node to ask instead."""
        address = self.whereabouts.get(group, "")
        if group in self.full:
            error: FleetError = Unavailable(DISK_FULL, group=group, node=self.node)
        elif group in self.lost:
            error = Unavailable(MEMBER_LOST, group=group, node=self.node)
        elif group in self.starting:
            error = Unavailable("its member is being started", group=group, node=self.node)
        elif address:
            error = Unavailable("the group lives elsewhere", group=group, node=self.node)
        elif not self.cluster:
            error = Unavailable("the node belongs to no cluster yet", group=group, node=self.node)
        elif not self.has_view:
            error = Unavailable("the node does not know all groups yet", group=group, node=self.node)
        else:
            error = NoSuchGroup(f"node {self.node} knows no group {group!r}", group=group, node=self.node)
        return ErrorRecord.of(error), address

    def on_failure(self, why: str) -> None:
        log.critical("node=%s: no group is reachable here without the registry", self.node)

    outside = frozenset(
        (PeerMail, PeerMails, NodeHeartbeat, Heard, ClientRequest, WatchGroup, KeepWatch, GroupRequest)
    )
    handlers = {
        StartRegistry: on_start,
        Belongs: on_belongs,
        Routes: on_routes,
        PeerAddresses: on_peer_addresses,
        MemberStarts: on_member_starts,
        MemberHere: on_member_here,
        MemberGone: on_member_gone,
        MemberLost: on_member_lost,
        Sleeper: on_sleep,
        Woke: on_sleep,
        AskConfirmed: on_ask_confirmed,
        NodeHeartbeat: on_node_heartbeat,
        Heard: on_heard,
        WakeupMessage: on_wakeup,
        Whereabouts: on_whereabouts,
        PeerMail: on_peer_mail,
        PeerMails: on_peer_mails,
        EndTurn: on_end_turn,
        ClientRequest: on_client_request,
        WatchGroup: on_watch,
        KeepWatch: on_watch,
        GroupRequest: on_group_request,
    }
