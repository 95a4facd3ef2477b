"""The actor that owns a node: its disk, its registry, its members, and its place in the cluster."""

from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, ClassVar, TypeAlias

import msgspec
from msgspec.structs import replace
from thespian.actors import (
    ActorAddress,
    ActorExitRequest,
    ActorSystemConventionUpdate,
    ChildActorExited,
    WakeupMessage,
)

from fleet.actors.base.addresses import remote_address
from fleet.actors.base.transport import LinkRefused
from fleet.actors.client.cluster_pin import wrong_cluster
from fleet.actors.client.router import Router
from fleet.actors.messages.client import ClientReply
from fleet.actors.messages.local import (
    Applied,
    Leading,
    LocalAnswer,
    MemberStopped,
    Routes,
    StartDisk,
    StartNode,
    StartRegistry,
    WritesDone,
)
from fleet.actors.messages.operator import (
    DAMAGED,
    AwaitMembers,
    CheckClass,
    ClusterSeen,
    Done,
    GetCluster,
    Hosted,
    HostMember,
    ListMembers,
    ListNodes,
    MemberList,
    NodeRequest,
    Nodes,
    OpReply,
    OpValue,
)
from fleet.actors.messages.peer import Clone, Hello, OlderCopy
from fleet.actors.messages.values import GroupSpec, NodeInfo
from fleet.actors.messages.well_known import MANAGER, REGISTRY
from fleet.actors.node.admission import Admission
from fleet.actors.node.answers import (
    CLIENT,
    RECONCILIATION,
    UNJOINED_MEMBERS,
    asker_of,
    first_token,
    to_reconciliation,
    to_unjoined_members,
)
from fleet.actors.node.arrivals import Arrivals
from fleet.actors.node.cluster_membership import ClusterMembership
from fleet.actors.node.disk import Disk
from fleet.actors.node.effects import EFFECTS
from fleet.actors.node.founding import MESSAGES, Seeding
from fleet.actors.node.held_start import HeldStart
from fleet.actors.node.hosted_member import Created, HostedMember
from fleet.actors.node.hosted_members import WAITING_MAX, HostedMembers
from fleet.actors.node.known_nodes import ELDER, OLDER, SECOND, SOUND, KnownNodes
from fleet.actors.node.records import read_fact
from fleet.actors.node.registry import Registry
from fleet.actors.runtime.actor import GuardedActor, log
from fleet.actors.runtime.turn import EndTurn
from fleet.cluster import reconciliation, repairs, unjoined
from fleet.cluster.state import CLUSTER_GROUP, NodeRecord
from fleet.cluster.view import ClusterView
from fleet.errors import (
    BadArguments,
    CleanupOngoing,
    Damaged,
    DataClassUnavailable,
    DirectoryInUse,
    FleetError,
    NodeDamaged,
    NoSuchGroup,
    StorageFault,
    Unavailable,
)
from fleet.interfaces import Chore, ChoreDone, DropGroup, Durable, PutMeta, Renew
from fleet.objects.executor import ObjectExecutor
from fleet.objects.payload import ErrorRecord, class_name, decode_class
from fleet.raft.ids import Millis, NodeName
from fleet.storage.lmdb_store import LmdbStore
from fleet.storage.writer import carry_out

ROUND_MS: Millis = 1000
SAY_EVERY_MS: Millis = 60_000
REACHABLE_MS: Millis = 3 * ROUND_MS
NODES_KEY = "nodes"
BOOT_KEY = "boot"
SETTLED_MS: Millis = 5000
"""Who remembers more starts of a directory than it counts says so at once, if it runs."""
CLONE_MS: Millis = 60_000
"""For so long a directory that ran twice is reported, and its second process is told at once."""
Handlers: TypeAlias = dict[type, Callable[[Any, Any, Any], None]]


class NodeManager(GuardedActor):
    """Acts on its own node only; whatever other nodes should do, it asks their managers for."""

    start: StartNode
    store: Durable
    opened: LmdbStore | None = None
    """The store that this actor opened itself, and closes."""
    nodes: KnownNodes
    registry: ActorAddress
    disk: ActorAddress | None = None
    refusal: FleetError | None = None
    """Why this node cannot start. It then does nothing but say so."""
    started_at: Millis = 0

    def __init__(self) -> None:
        super().__init__()
        self.hosted_members = HostedMembers(self)
        self.reconciliation = reconciliation.Reconciliation(first_token(RECONCILIATION))
        self.cluster = ClusterMembership(self)
        self.seeding = Seeding(self)
        self.unjoined = unjoined.UnjoinedMembers(first_token(UNJOINED_MEMBERS))
        self.arrivals = Arrivals(self)
        self.repairs = repairs.Repairs()
        self.admission = Admission(self)
        self.held = HeldStart(self)
        self.said_at: dict[str, Millis] = {}
        self.handlers = self.starting
        self.is_serving = False
        """It has started: what else is here says of it may be relied on."""
        self.under_way: deque[Callable[[ChoreDone], None] | None] = deque()
        """Who is to hear of each chore; the disk does them in order."""
        self.renewal: Renew | None = None
        """This directory is an older copy, and is just becoming another one."""
        self.clones: dict[NodeName, tuple[str, Millis]] = {}
        """Where the second process of a node's directory was, and when it was told."""

    # -- start -------------------------------------------------------------------------------------

    def on_start(self, m: StartNode, sender: Any) -> None:
        self.start = m
        self.handlers = type(self).handlers
        try:
            self._begin()
        except FleetError as error:
            self.refusal = NodeDamaged(error.what, **error.facts) if type(error) is Damaged else error
            self.handlers = self.refused
            log.critical("node=%s cannot start: %s", m.name, self.refusal)
        else:
            self.is_serving = True

    def on_request_refused(self, m: NodeRequest, sender: Any) -> None:
        assert self.refusal is not None
        self.send(m.reply_to or sender, OpReply(m.token, None, ErrorRecord.of(self.refusal)))

    def _begin(self) -> None:
        m = self.start
        store: Durable | None = m.store
        if store is None:
            store = self.opened = LmdbStore(m.directory, cluster=m.cluster, node=m.name)
        self.store = store
        self.started_at = m.clock.now_ms()
        boot, wall_ms = self._count_boot(), m.clock.wall_ms()
        me = NodeInfo(m.name, m.address, m.zone, self.store.identity.incarnation, wall_ms, boot)
        self.nodes = KnownNodes(me)
        known = self.store.get_meta(NODES_KEY)
        if known is not None:
            self.nodes.add_from(known)
        self.registry = self.createActor(Registry, globalName=self._global(REGISTRY))
        self.send(self.registry, StartRegistry(m.name, m.address))
        if m.writer is not None:
            self.disk = self.createActor(Disk)
            self.send(self.disk, StartDisk(m.writer))
        self.notifyOnSystemRegistrationChanges(True)
        self.cluster.begin()
        self.held.begin(self.nodes.infos, (*m.join, *m.seeds))
        self.hosted_members.load()
        self.cluster.found_alone()
        self.seeding.begin()
        self._say_hello_to_everyone()
        self.cluster.on_change()
        self.wake_in(ROUND_MS, "round")
        self.admission.begin()

    def _count_boot(self) -> int:
        """One more than the last time, on disk before anything leaves this node: it waits for that, as it
        serves nobody yet."""
        data = self.store.get_meta(BOOT_KEY)
        boot = 1 + (int(read_fact(data, int, BOOT_KEY)) if data else 0)
        try:
            self.store.put_meta(BOOT_KEY, msgspec.msgpack.encode(boot))
        except StorageFault as error:
            log.error("node=%s cannot count its start: %s", self.start.name, error)
            return 0  # the next start would have the same number
        return boot

    def _global(self, name: str) -> str | None:
        """Well-known names hold per process; a base that runs several nodes in one has none to give."""
        return name if self.start.address else None

    @property
    def view(self) -> ClusterView:
        return self.cluster.view

    @property
    def requests(self) -> Router:
        return self.cluster.requests

    def command(self, about: str, method: str, *args: Any) -> None:
        self.cluster.command(about, method, *args)

    def hosted(self, number: int) -> HostedMember | None:
        return self.hosted_members.by_number.get(number)

    def hosted_of(self, group: str) -> HostedMember | None:
        return self.hosted_members.by_name.get(group)

    def create_members(self, specs: Sequence[GroupSpec]) -> None:
        self.hosted_members.create(specs)

    def drop_member(self, hosted: HostedMember) -> None:
        self.hosted_members.drop(hosted)

    def forget_left(self, uids: Collection[int]) -> None:
        self.hosted_members.forget_left(set(uids))

    def look_for_arrivals(self) -> None:
        self.arrivals.look()

    def decide(self, decider: Any, event: Any) -> None:
        """Carry out what follows from an event."""
        for effect in decider.step(self.now(), event):
            EFFECTS[type(effect)](self, effect)

    def reconcile(self, event: reconciliation.Event) -> None:
        self.decide(self.reconciliation, event)

    def repair(self, event: repairs.Event) -> None:
        self.decide(self.repairs, event)

    @property
    def is_renewing(self) -> bool:
        return self.renewal is not None

    def now(self) -> Millis:
        return self.start.clock.now_ms()

    def end(self, error: FleetError) -> None:
        """Stop this node: nothing that it could wait for would heal what is wrong."""
        if self.handlers is self.stopping:
            return
        self.handlers = self.stopping
        log.critical("node=%s stops: %s", self.start.name, error)
        if self.start.on_end is not None:
            self.start.on_end(error)
        self.send(self.myAddress, ActorExitRequest())

    def say(self, about: str, text: str, *args: Any) -> None:
        """A warning, once a minute for the same thing."""
        now = self.now()
        if now - self.said_at.get(about, -SAY_EVERY_MS) >= SAY_EVERY_MS:
            self.said_at[about] = now
            log.warning(text, *args)

    def wake_in(self, delay: Millis, payload: Any) -> None:
        self.wakeupAfter(timedelta(milliseconds=delay), payload=payload)

    def on_wakeup(self, m: WakeupMessage, sender: Any) -> None:
        match m.payload:
            case "round":
                self.wake_in(ROUND_MS, "round")
                self._say_hello_to_everyone()
                self.cluster.on_round()
                self.reconcile(reconciliation.Round())
                self._look_at_unjoined()
                self._look_at_damaged()
            case "admission":
                self.wake_in(SAY_EVERY_MS, "admission")
                self.admission.report()
            case "held":
                self.held.on_time()
            case "look at groups":
                self.reconcile(reconciliation.Look())
            case "founding":
                self.seeding.on_time()
            case "renew":
                self._renew()
            case ("found", founders):
                self.cluster.found(founders)
            case ("start", int(number)):
                self.hosted_members.on_start_due(number)
            case _:
                self.cluster.requests.on_wakeup(m)

    # -- other nodes -------------------------------------------------------------------------------

    def _say_hello_to_everyone(self) -> None:
        """Nodes that were met, nodes that were heard of, and addresses that are neither."""
        for info in self.nodes.infos.values():
            is_met = info.name in self.nodes.managers
            if is_met and (self.is_reachable(info.name) or not info.address):
                self.say_hello(self.nodes.managers[info.name], answer=False)
            elif info.address:  # its process may be another by now, which nobody told of this one
                self.say_hello(remote_address(info.address, MANAGER), answer=True)
        for manager in self.start.peers:
            if manager not in self.nodes.managers.values() and manager != self.myAddress:
                self.say_hello(manager, answer=True)
        known = {info.address for info in self.nodes.everyone()}
        for address in (*self.start.join, *self.start.seeds):
            if address not in known:
                self.say_hello(remote_address(address, MANAGER), answer=True)

    def say_hello(self, manager: ActorAddress, answer: bool, answers: Millis = 0) -> None:
        known = tuple(self.nodes.infos.values())
        cluster = self.cluster.cluster_uid()
        me = self.nodes.me
        self.send(manager, Hello(me, self.myAddress, self.registry, known, answer, cluster, answers))

    def on_hello(self, m: Hello, sender: Any) -> None:
        nodes = self.nodes
        if m.me.name == nodes.me.name:
            self.admission.meet_namesake(m)
            return
        if m.cluster and not self.cluster.requests.admits(m.me.address or m.me.name, m.cluster):
            if m.answer:  # so that it is told, too
                self.say_hello(m.manager, answer=False)
            self.admission.on_foreign()
            return
        if not self._is_sound(m):
            return
        if self.admission.is_taken(m):
            self.say_hello(m.manager, answer=False)  # it looks for the other one, of which this tells it
            return
        self.admission.look_for_namesake(m)
        news = [info for info in m.known if nodes.learn(info)]
        is_new = nodes.meet(m.me, m.manager, m.registry, self.now())
        self.send(self.registry, Routes({m.me.name: m.registry}))
        if is_new or news:
            log.info("node=%s knows %s", nodes.me.name, sorted(nodes.infos))
            self._remember_nodes()
            self.reconcile(reconciliation.AnyChanged())
            self.cluster.on_change()
        for info in news:
            if info.name not in nodes.managers and info.address:
                self.say_hello(remote_address(info.address, MANAGER), answer=True)
        if m.answer:
            self.say_hello(m.manager, answer=False, answers=m.me.started_ms)
        if m.answers == nodes.me.started_ms:
            self.held.on_answer(m.me)

    def _is_sound(self, m: Hello) -> bool:
        """Whether it may be met; an older copy of a disk, or the second process of one, is told (S83)."""
        nodes, me = self.nodes, m.me
        judgement, known = nodes.judge(me, self.now()), nodes.infos.get(me.name)
        _, told_at = self.clones.get(me.name, ("", -CLONE_MS))
        if known is not None and known.address != me.address and self.now() - told_at < CLONE_MS:
            if self.is_reachable(me.name) and known.incarnation == me.incarnation:
                judgement = SECOND if me.boot > known.boot else judgement
        if judgement == OLDER:
            log.error("node %s at %s runs an older copy of its directory", me.name, me.address)
            remembered = nodes.remembered_boot(me)
            self.send(m.manager, OlderCopy(me.incarnation, me.boot, remembered, nodes.me.name))
        elif judgement == SECOND:
            self._tell_clone(me, m.manager, nodes.infos[me.name].address)
        elif judgement == ELDER:
            self._tell_clone(nodes.infos[me.name], nodes.managers[me.name], me.address)
            nodes.meet(me, m.manager, m.registry, self.now())
        return judgement == SOUND

    def _tell_clone(self, second: NodeInfo, manager: ActorAddress, first: str) -> None:
        if second.name not in self.clones:
            what = "the directory of node %s runs at %s, and at %s too"
            log.error(what, second.name, first, second.address)
        self.clones[second.name] = (second.address, self.now())
        self.send(manager, Clone(second.started_ms, first, self.nodes.me.name))

    def on_clone(self, m: Clone, sender: Any) -> None:
        """Two processes of one directory would each keep the promises of the other not: the second ends."""
        me = self.nodes.me
        if m.started_ms == me.started_ms:
            self.end(DirectoryInUse(f"its directory runs at {m.address} already, says node {m.witness}"))

    def on_older_copy(self, m: OlderCopy, sender: Any) -> None:
        """This directory was put back: what it promised and acknowledged since is not in it. It goes on as a
        new one: its members are removed by their groups and replaced, and none of their names comes again."""
        me = self.nodes.me
        if (m.incarnation, m.boot) != (me.incarnation, me.boot) or self.renewal is not None:
            return
        if self.cluster.membership.has_progressed and self.now() - self.started_at > SETTLED_MS:
            what = "node=%s goes on, for the cluster has committed with it since; node %s remembers %d "
            log.error(what + "starts of its directory, and not %d", me.name, m.witness, m.remembered, m.boot)
            return  # what either side committed is kept: see S84
        why = (
            f"this directory is an older copy: it was started {m.boot} times, and node {m.witness} remembers "
            f"{m.remembered}"
        )
        log.error("node=%s: %s; its members are replaced by new ones", me.name, why)
        facts = self.hosted_members.give_up_all(why)
        self._note_stopped_leaders()
        self.renewal = Renew(f"{me.incarnation}-{m.remembered + 1}", facts)
        self._renew()

    def _renew(self) -> None:
        if self.renewal is not None:
            self.carry_out(self.renewal, self._on_renewed)

    def _on_renewed(self, m: ChoreDone) -> None:
        if m.error is not None:
            self.say("renewal", "node=%s cannot begin anew yet: %s", self.start.name, m.error)
            self.wake_in(ROUND_MS, "renew")
            return
        self.renewal = None
        self.nodes.me = replace(self.nodes.me, incarnation=self.store.identity.incarnation)
        self._say_hello_to_everyone()
        self.cluster.on_renewed()
        self._look_at_damaged()

    def _remember_nodes(self) -> None:
        self.carry_out(PutMeta(NODES_KEY, self.nodes.to_bytes()))

    def carry_out(self, chore: Chore, done: Callable[[ChoreDone], None] | None = None) -> None:
        """Off the loop: a disk that hangs must not stop the node. `done` hears of it, else a failure is
        logged."""
        self.under_way.append(done)
        if self.disk is not None:
            self.send(self.disk, chore)
        else:
            self.on_chore_done(carry_out(self.store, chore), None)

    def on_chore_done(self, m: ChoreDone, sender: Any) -> None:
        """What was not written is written with the next change; what was not dropped goes after a restart."""
        done = self.under_way.popleft()
        if done is not None:
            done(m)
        elif m.error is not None:
            match m.chore:
                case PutMeta(key):
                    log.error("node=%s could not write its %s: %s", self.start.name, key, m.error)
                case DropGroup(number):
                    log.error("group number %d: its data stays for now: %s", number, m.error)

    def meet_nodes(self, records: Mapping[NodeName, NodeRecord]) -> None:
        """The cluster's state names its nodes: meet those that are not known, forget those that left."""
        for record in records.values():
            if record.name not in self.nodes.infos and record.name != self.start.name and record.address:
                self.say_hello(remote_address(record.address, MANAGER), answer=True)
        if self.nodes.watch(records, self.now()):
            self._remember_nodes()

    def is_reachable(self, node: NodeName) -> bool:
        if node == self.start.name:
            return True
        return node in self.nodes.managers and self.nodes.is_reachable(node, self.now(), REACHABLE_MS)

    # -- members -----------------------------------------------------------------------------------

    def on_member_stopped(self, m: MemberStopped, sender: Any) -> None:
        self.hosted_members.on_member_stopped(m)
        self._note_stopped_leaders()

    def _note_stopped_leaders(self) -> None:
        for number in list(self.reconciliation.led):
            hosted = self.hosted(number)
            if hosted is None or not hosted.leads:
                self.reconcile(reconciliation.LeadsNoMore(number))

    def _look_at_damaged(self) -> None:
        damaged = tuple(
            repairs.Damaged(number, one.spec.name, one.member)
            for number, one in self.hosted_members.by_number.items()
            if one.ill == DAMAGED and one.address is None and not one.is_dropped
        )
        self.repair(repairs.Round(damaged))

    def _look_at_unjoined(self) -> None:
        hosted = self.hosted_members.by_number
        running = tuple(
            unjoined.Waiting(number, one.started_at)
            for number, one in hosted.items()
            if one.address is not None and not one.is_dropped and one.spec.founded is None
        )
        self.decide(self.unjoined, unjoined.Round(frozenset(hosted), running))

    def on_writes_done(self, m: WritesDone, sender: Any) -> None:
        self.hosted_members.on_writes_done(m.group)

    def on_child_exited(self, m: ChildActorExited, sender: Any) -> None:
        """Members start again by themselves. Without its registry or its disk this node would only look
        alive: it stops, with everything on it, and says so."""
        vital = {"registry": self.registry, "disk writer": self.disk}
        for what, address in vital.items():
            if address == m.childAddress:
                self.end(Unavailable(f"its {what} ended; its log says why", node=self.start.name))
                return
        self.hosted_members.on_child_exited(m.childAddress)
        self._note_stopped_leaders()

    def on_leading(self, m: Leading, sender: Any) -> None:
        hosted = self.hosted_members.by_member.get(m.member)
        if hosted is not None:
            hosted.leads = m.leads
            number, spec = hosted.record.number, hosted.spec
            if m.leads:
                self.reconcile(reconciliation.Leads(number, spec.name, spec.uid, hosted.started_at))
            else:
                self.reconcile(reconciliation.LeadsNoMore(number))

    # -- requests ----------------------------------------------------------------------------------

    def on_request(self, m: NodeRequest, sender: Any) -> None:
        own = self.cluster.cluster_uid()
        try:
            if m.cluster and own and m.cluster != own and type(m.op) is not ListNodes:
                raise wrong_cluster(self.start.address or self.start.name, own, m.cluster)
            if isinstance(m.op, AwaitMembers):
                self.arrivals.take(m, m.op, m.reply_to or sender)
                return
            if isinstance(m.op, HostMember):
                self._host_member(m.op, partial(self._tell_hosted, m.token, m.reply_to or sender))
                return
            reply = OpReply(m.token, self._answer(m.op), cluster=own)
        except FleetError as error:
            reply = OpReply(m.token, None, ErrorRecord.of(error), cluster=own)
        self.send(m.reply_to or sender, reply)

    def _answer(self, op: Any) -> OpValue:
        match op:
            case ListNodes():
                return Nodes(self.nodes.everyone())
            case ListMembers():
                return MemberList(self.nodes.me, self.hosted_members.infos())
            case GetCluster():
                return self._cluster_seen()
            case CheckClass(data_class):
                check_class(data_class)
                return Done(0)
        raise BadArguments(f"a node manager does not know {type(op).__name__}")

    def _cluster_seen(self) -> ClusterSeen:
        view, now = self.view, self.now()
        silent = {name: self.nodes.silent_ms(name, now) for name in view.nodes if name != self.start.name}
        unreachable = {name: silence for name, silence in silent.items() if silence >= REACHABLE_MS}
        clones = {name: where for name, (where, told_at) in self.clones.items() if now - told_at < CLONE_MS}
        return ClusterSeen(self.nodes.me, view.whole() if view.rev else None, unreachable, clones)

    def _tell_hosted(
        self, token: int, reply_to: ActorAddress, hosted: HostedMember | None, error: FleetError | None
    ) -> None:
        value = Hosted(hosted.member) if hosted is not None else None
        record = ErrorRecord.of(error) if error is not None else None
        self.send(reply_to, OpReply(token, value, record, cluster=self.cluster.cluster_uid()))

    def _host_member(self, m: HostMember, done: Created) -> None:
        """The one that is here, unless the group has let go of it already; a new one when it is durable."""
        spec = m.spec
        hosted, coming = self.hosted_members.by_name.get(spec.name), self.hosted_members.coming.get(spec.name)
        where = {"group": spec.name, "node": self.start.name}
        facts = self.cluster.pin(spec.uid) if spec.name == CLUSTER_GROUP else {}
        if self.renewal is not None:
            raise Unavailable("its directory is an older copy, and it just begins anew", **where)
        if coming is not None:
            if coming.spec.uid != spec.uid or len(coming.waiting) >= WAITING_MAX:
                raise CleanupOngoing("a member is just being created", **where)
            coming.waiting.append(done)
            return
        is_foreign = hosted is not None and spec.cluster != hosted.spec.cluster
        if hosted is not None and is_foreign and spec.name != CLUSTER_GROUP:
            raise wrong_cluster(self.start.address or self.start.name, hosted.spec.cluster, spec.cluster)
        if hosted is not None and hosted.spec.uid != spec.uid:
            if spec.uid < hosted.spec.uid:
                raise NoSuchGroup("that group was removed, and another one has its name", group=spec.name)
        if hosted is not None and (hosted.spec.uid != spec.uid or hosted.member in m.removed):
            self.hosted_members.drop(hosted)
            hosted = None
        if hosted is not None and hosted.ill:
            raise CleanupOngoing("a former member is to be removed", **where)
        if hosted is not None:
            done(hosted, None)
            return
        if any(
            one.is_dropped and one.spec.name == spec.name for one in self.hosted_members.by_number.values()
        ):
            raise CleanupOngoing("a former member is just leaving", **where)
        check_class(spec.data_class)
        self.hosted_members.create([spec], done, facts)

    def on_op_reply(self, m: OpReply, sender: Any) -> None:
        answer = self.answers.get(asker_of(m.token))
        if answer is not None:
            answer(self, m)

    def answer_client(self, m: OpReply) -> None:
        self.requests.on_op_reply(m)

    def answer_reconciliation(self, m: OpReply) -> None:
        self.reconcile(to_reconciliation(self, m))

    def answer_unjoined_members(self, m: OpReply) -> None:
        event = to_unjoined_members(self, m)
        if event is not None:
            self.decide(self.unjoined, event)

    def on_founding(self, m: Any, sender: Any) -> None:
        self.seeding.on_message(m)

    # -- the cluster -------------------------------------------------------------------------------

    def on_applied(self, m: Applied, sender: Any) -> None:
        self.cluster.on_applied(m, sender)

    def on_local_answer(self, m: LocalAnswer, sender: Any) -> None:
        self.cluster.on_local_answer(m, sender)

    def on_client_reply(self, m: ClientReply, sender: Any) -> None:
        self.cluster.requests.on_reply(m)

    def on_end_turn(self, m: EndTurn, sender: Any) -> None:
        self.cluster.requests.on_end_turn()

    def on_link(self, m: ActorSystemConventionUpdate, sender: Any) -> None:
        self.cluster.requests.on_link(m)
        if m.remoteAdded:
            self.admission.on_link(getattr(m.remoteAdminAddress.addressDetails, "endpoint", ""))

    def on_link_refused(self, m: LinkRefused, sender: Any) -> None:
        self.admission.on_link_refused(m)

    def on_exit(self, m: ActorExitRequest, sender: Any) -> None:
        """However it ends: a process whose node is gone does not stay. A base with several nodes in one
        system has other work."""
        self.handlers = self.stopping
        if self.opened is not None:
            self.opened.close()
        if self.start.address:
            self.actorSystemShutdown()

    answers = {
        CLIENT: answer_client,
        RECONCILIATION: answer_reconciliation,
        UNJOINED_MEMBERS: answer_unjoined_members,
    }
    """By who asked."""
    outside = frozenset((Hello, NodeRequest, OpReply, ClientReply, *MESSAGES))
    handlers = {
        Hello: on_hello,
        OlderCopy: on_older_copy,
        Clone: on_clone,
        WakeupMessage: on_wakeup,
        MemberStopped: on_member_stopped,
        WritesDone: on_writes_done,
        ChoreDone: on_chore_done,
        ChildActorExited: on_child_exited,
        Leading: on_leading,
        NodeRequest: on_request,
        **dict.fromkeys(MESSAGES, on_founding),
        OpReply: on_op_reply,
        Applied: on_applied,
        LocalAnswer: on_local_answer,
        ClientReply: on_client_reply,
        EndTurn: on_end_turn,
        ActorSystemConventionUpdate: on_link,
        LinkRefused: on_link_refused,
        ActorExitRequest: on_exit,
    }
    """Of a node that serves."""
    starting: ClassVar[Handlers] = {StartNode: on_start}
    """The port is open before this node knows itself; what comes so early is asked again."""
    refused: ClassVar[Handlers] = {NodeRequest: on_request_refused, ActorExitRequest: on_exit}
    """This node cannot start: it does nothing but say so."""
    stopping: ClassVar[Handlers] = {
        message: handler for message, handler in handlers.items() if message is not ChildActorExited
    }
    """What is here ends with it."""


def check_class(data_class: bytes) -> None:
    """Whether a member of it could start here. The class is the user's: anything may come of it."""
    try:
        ObjectExecutor(decode_class(data_class)).dump()
    except FleetError:
        raise
    except Exception as error:
        what = f"a new object cannot be made: {type(error).__name__}: {error}"
        raise DataClassUnavailable(what, data_class=class_name(data_class)) from error
