"""The actor that owns a node: its disk, registry and members, and the part it takes in the cluster."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, ClassVar, TypeAlias

from msgspec import Struct
from thespian.actors import (
    ActorAddress,
    ActorExitRequest,
    ActorSystemConventionUpdate,
    ChildActorExited,
    WakeupMessage,
)

from fleet.actors.base.rare_log import RareLog
from fleet.actors.base.transport import LinkRefused
from fleet.actors.client.router import Router
from fleet.actors.executor.actor import Executors
from fleet.actors.messages.client import ClientReply
from fleet.actors.messages.executor import ClassTried
from fleet.actors.messages.local import (
    Applied,
    AskHealth,
    ClassInForce,
    Leading,
    LocalAnswer,
    MemberHalted,
    MemberStopped,
    MemberVotes,
    NodeBegan,
    NodeEnds,
    StartDisk,
    StartExecutors,
    StartNode,
    StartRegistry,
    WritesDone,
)
from fleet.actors.messages.operator import NodeRequest, OpReply
from fleet.actors.messages.peer import Clone, GivenUp, NodeHello, OlderCopy
from fleet.actors.messages.values import NodeInfo
from fleet.actors.messages.well_known import REGISTRY
from fleet.actors.node import timers
from fleet.actors.node.admission import Admission
from fleet.actors.node.arrivals import Arrivals
from fleet.actors.node.chores import Chores
from fleet.actors.node.cluster_membership import ClusterMembership
from fleet.actors.node.disk import Disk
from fleet.actors.node.effects import EFFECTS
from fleet.actors.node.events import (
    CLIENT,
    RECONCILIATION,
    UNJOINED_MEMBERS,
    damaged_members,
    first_token,
    offering_members,
    requester_of,
    to_reconciliation,
    to_unjoined_members,
    waiting_members,
)
from fleet.actors.node.founding import MESSAGES, FoundingDriver
from fleet.actors.node.greetings import NODES_KEY, Greetings
from fleet.actors.node.health import tell_health
from fleet.actors.node.held_start import HeldStart
from fleet.actors.node.hosted_members import HostedMembers
from fleet.actors.node.known_nodes import KnownNodes
from fleet.actors.node.operator_requests import REACHABLE_MS, OperatorRequests
from fleet.actors.node.records import count_boot, given_up_disks
from fleet.actors.node.registry import Registry
from fleet.actors.node.renewal import Renewal
from fleet.actors.node.tried_classes import TriedClasses
from fleet.actors.runtime.actor import GuardedActor, log
from fleet.actors.runtime.turn import EndTurn
from fleet.cluster import reconciliation_events, repairs, unjoined
from fleet.cluster.automatic_upgrades import AutomaticUpgrades
from fleet.cluster.reconciliation import Reconciliation
from fleet.cluster.view import ClusterView
from fleet.errors import Damaged, FleetError, NodeDamaged, Unavailable
from fleet.interfaces import Chore, ChoreDone, Durable
from fleet.objects.payload import ErrorRecord
from fleet.raft.ids import Millis, NodeName
from fleet.storage.lmdb_store import LmdbStore

ROUND_MS: Millis = 1000
ADMISSION_MS: Millis = 60_000
Handlers: TypeAlias = dict[type, Callable[[Any, Any, Any], None]]


class NodeManager(GuardedActor):
    """Acts on its own node only; asks other nodes' managers to act on theirs."""

    start: StartNode
    store: Durable
    opened: LmdbStore | None = None
    """The store that this actor opened itself, and closes."""
    nodes: KnownNodes
    registry: ActorAddress
    disk: ActorAddress | None = None
    executors: ActorAddress | None = None
    refusal: FleetError | None = None
    """Why this node cannot start; it then only answers requests with this error."""
    started_at: Millis = 0

    def __init__(self) -> None:
        super().__init__()
        self.hosted_members = HostedMembers(self)
        self.reconciliation = Reconciliation(first_token(RECONCILIATION))
        self.cluster = ClusterMembership(self)
        self.founding = FoundingDriver(self)
        self.unjoined = unjoined.UnjoinedMembers(first_token(UNJOINED_MEMBERS))
        self.arrivals = Arrivals(self)
        self.repairs = repairs.Repairs()
        self.upgrades = AutomaticUpgrades()
        self.admission = Admission(self)
        self.held = HeldStart(self)
        self.chores = Chores(self)
        self.classes = TriedClasses(self)
        self.greetings = Greetings(self)
        self.renewal = Renewal(self)
        self.operators = OperatorRequests(self)
        self.rare_log = RareLog(log)
        self.handlers = self.starting
        self.is_serving = False
        """It has started: its other attributes are set."""

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
            store = self.opened = LmdbStore(m.directory, cluster=m.cluster, node=m.name, build=m.build)
        self.store = store
        self.started_at = m.clock.now_ms()
        boot, wall_ms = count_boot(self.store, m.name), m.clock.wall_ms()
        me = NodeInfo(m.name, m.address, m.zone, self.store.identity.incarnation, wall_ms, boot, m.build)
        self.nodes = KnownNodes(me)
        known = self.store.get_meta(NODES_KEY)
        if known is not None:
            self.nodes.add_from(known)
        self.registry = self.createActor(Registry, globalName=self._global(REGISTRY))
        self.tell_supervisor(NodeBegan(self.registry))
        self.send(self.registry, StartRegistry(m.name, m.clock, wall_ms, m.address, given_up_disks(store)))
        if m.writer is not None:
            self.disk = self.createActor(Disk)
            self.send(self.disk, StartDisk(m.writer))
        if m.executors and m.open_executor is not None:
            self.executors = self.createActor(Executors)
            self.send(self.executors, StartExecutors(m.executors, m.open_executor, m.clock))
        self.notifyOnSystemRegistrationChanges(True)
        self.cluster.begin()
        self.greetings.begin()
        self.held.begin(self.nodes.infos, (*m.join, *m.founders))
        self.hosted_members.load()
        self.cluster.found_alone()
        self.founding.begin()
        self.greetings.say_to_everyone()
        self.cluster.on_change()
        self.wake_in(ROUND_MS, timers.Round())
        self.admission.begin()

    def _global(self, name: str) -> str | None:
        """Well-known names are unique per process: None on a base that runs several nodes in one process, or
        a node in several."""
        return name if self.start.address and self.start.supervisor is None else None

    def tell_supervisor(self, m: NodeBegan | NodeEnds) -> None:
        if self.start.supervisor is not None:
            self.send(self.start.supervisor, m)

    @property
    def view(self) -> ClusterView:
        return self.cluster.view

    @property
    def router(self) -> Router:
        return self.cluster.router

    def decide(self, decider: Any, event: Any) -> None:
        """Step one of the deciders of `fleet.cluster` and carry out the effects."""
        for effect in decider.step(self.now(), event):
            EFFECTS[type(effect)](self, effect)

    def reconcile(self, event: reconciliation_events.Event) -> None:
        self.decide(self.reconciliation, event)

    def look_at_damaged(self) -> None:
        self.repair(damaged_members(self))

    def repair(self, event: repairs.Event) -> None:
        self.decide(self.repairs, event)

    @property
    def is_renewing(self) -> bool:
        return self.renewal.is_on

    def now(self) -> Millis:
        return self.start.clock.now_ms()

    def end(self, error: FleetError) -> None:
        """Stop this node, for an error that waiting cannot resolve."""
        if self.handlers is self.stopping:
            return
        self.handlers = self.stopping
        log.critical("node=%s stops: %s", self.start.name, error)
        if self.start.on_end is not None:
            self.start.on_end(error)
        self.tell_supervisor(NodeEnds(error))
        self.send(self.myAddress, ActorExitRequest())

    def say(self, about: str, text: str, *args: Any) -> None:
        """Log a warning, once a minute for the same `about`."""
        self.rare_log(self.now() / 1000, "node", about, text, *args)

    # -- timers ------------------------------------------------------------------------------------

    def wake_in(self, delay: Millis, timer: Struct) -> None:
        self.wakeupAfter(timedelta(milliseconds=delay), payload=timer)

    def on_wakeup(self, m: WakeupMessage, sender: Any) -> None:
        on_timer = self.wakeups.get(type(m.payload))
        if on_timer is not None:
            on_timer(self, m.payload)
        else:
            self.router.handle(m)

    def on_round(self, timer: timers.Round) -> None:
        self.wake_in(ROUND_MS, timer)
        self.greetings.say_to_everyone()
        self.cluster.on_round()
        self.reconcile(reconciliation_events.Round())
        self.decide(self.unjoined, waiting_members(self))
        self.look_at_damaged()
        self.decide(self.upgrades, offering_members(self))

    def on_report_admission(self, timer: timers.ReportAdmission) -> None:
        self.wake_in(ADMISSION_MS, timer)
        self.admission.report()

    # -- other nodes -------------------------------------------------------------------------------

    def say_hello(self, manager: ActorAddress, answer: bool, answers: Millis = 0) -> None:
        known = tuple(self.nodes.infos.values())
        cluster = self.cluster.cluster_uid()
        me = self.nodes.me
        about = cluster, answers, self.greetings.version
        self.send(manager, NodeHello(me, self.myAddress, self.registry, known, answer, *about))

    def try_class(self, data_class: bytes, then: Callable[[FleetError | None], None]) -> None:
        self.classes.try_class(data_class, then)

    def carry_out(self, chore: Chore, done: Callable[[ChoreDone], None] | None = None) -> None:
        self.chores.carry_out(chore, done)

    def is_reachable(self, node: NodeName) -> bool:
        if node == self.start.name:
            return True
        return node in self.nodes.managers and self.nodes.is_reachable(node, self.now(), REACHABLE_MS)

    # -- members -----------------------------------------------------------------------------------

    def on_member_stopped(self, m: MemberStopped, sender: Any) -> None:
        self.hosted_members.on_member_stopped(m)
        self.note_stopped_leaders()

    def note_stopped_leaders(self) -> None:
        for number in list(self.reconciliation.led):
            hosted = self.hosted_members.by_number.get(number)
            if hosted is None or not hosted.leads:
                self.reconcile(reconciliation_events.LeadsNoMore(number))

    def on_child_exited(self, m: ChildActorExited, sender: Any) -> None:
        """A member is restarted. Without its registry or disk actor the node is useless although it looks
        alive, so it stops."""
        vital = {"registry": self.registry, "disk writer": self.disk, "executors' actor": self.executors}
        for what, address in vital.items():
            if address == m.childAddress:
                self.end(Unavailable(f"its {what} ended; its log says why", node=self.start.name))
                return
        self.hosted_members.on_child_exited(m.childAddress)
        self.note_stopped_leaders()

    def on_leading(self, m: Leading, sender: Any) -> None:
        hosted = self.hosted_members.by_member.get(m.member)
        if hosted is not None:
            hosted.leads = m.leads
            number, spec = hosted.record.number, hosted.spec
            if m.leads:
                self.reconcile(reconciliation_events.Leads(number, spec.name, spec.uid, hosted.started_at))
            else:
                self.reconcile(reconciliation_events.LeadsNoMore(number))

    # -- requests ----------------------------------------------------------------------------------

    def on_op_reply(self, m: OpReply, sender: Any) -> None:
        answer = self.answers.get(requester_of(m.token))
        if answer is not None:
            answer(self, m)

    def on_unjoined_answer(self, m: OpReply) -> None:
        event = to_unjoined_members(self, m)
        if event is not None:
            self.decide(self.unjoined, event)

    # -- the cluster -------------------------------------------------------------------------------

    def on_link(self, m: ActorSystemConventionUpdate, sender: Any) -> None:
        self.router.handle(m)
        if m.remoteAdded:
            self.admission.on_link(getattr(m.remoteAdminAddress.addressDetails, "endpoint", ""))

    def on_exit(self, m: ActorExitRequest, sender: Any) -> None:
        """However the node ends, its process ends with it, unless the base runs several nodes in one
        process."""
        self.handlers = self.stopping
        if self.opened is not None:
            self.opened.close()
        if self.start.address and self.start.supervisor is None:
            self.actorSystemShutdown()

    answers: ClassVar[dict[int, Callable[[Any, OpReply], None]]] = {
        CLIENT: lambda node, m: node.router.handle(m),
        RECONCILIATION: lambda node, m: node.reconcile(to_reconciliation(node, m)),
        UNJOINED_MEMBERS: on_unjoined_answer,
    }
    """By the requester that the token names."""
    wakeups: ClassVar[dict[type, Callable[[Any, Any], None]]] = {
        timers.Round: on_round,
        timers.ReportAdmission: on_report_admission,
        timers.StartHeldMembers: lambda node, timer: node.held.on_time(),
        timers.LookAtGroups: lambda node, timer: node.reconcile(reconciliation_events.Look()),
        timers.FoundingDeadline: lambda node, timer: node.founding.on_time(),
        timers.FoundAgain: lambda node, timer: node.cluster.found(timer.founders),
        timers.RenewAgain: lambda node, timer: node.renewal.retry(),
        timers.RestartMember: lambda node, timer: node.hosted_members.on_start_due(timer.number),
    }
    outside = frozenset((NodeHello, NodeRequest, OpReply, ClientReply, *MESSAGES))
    handlers = {
        NodeHello: lambda node, m, sender: node.greetings.on_hello(m),
        OlderCopy: lambda node, m, sender: node.renewal.on_older_copy(m),
        Clone: lambda node, m, sender: node.greetings.on_clone(m),
        GivenUp: lambda node, m, sender: node.greetings.on_given_up(m),
        ClassTried: lambda node, m, sender: node.classes.on_tried(m),
        WakeupMessage: on_wakeup,
        MemberStopped: on_member_stopped,
        WritesDone: lambda node, m, sender: node.hosted_members.on_writes_done(m.group),
        ChoreDone: lambda node, m, sender: node.chores.on_done(m),
        ChildActorExited: on_child_exited,
        Leading: on_leading,
        MemberVotes: lambda node, m, sender: node.hosted_members.on_votes(m),
        ClassInForce: lambda node, m, sender: node.hosted_members.on_class(m),
        MemberHalted: lambda node, m, sender: node.hosted_members.on_halted(m),
        NodeRequest: lambda node, m, sender: node.operators.on_request(m, sender),
        AskHealth: tell_health,
        **dict.fromkeys(MESSAGES, lambda node, m, sender: node.founding.on_message(m)),
        OpReply: on_op_reply,
        Applied: lambda node, m, sender: node.cluster.on_applied(m, sender),
        LocalAnswer: lambda node, m, sender: node.cluster.on_local_answer(m, sender),
        ClientReply: lambda node, m, sender: node.router.handle(m),
        EndTurn: lambda node, m, sender: node.router.handle(m),
        ActorSystemConventionUpdate: on_link,
        LinkRefused: lambda node, m, sender: node.admission.on_link_refused(m),
        ActorExitRequest: on_exit,
    }
    """Of a node that has started."""
    starting: ClassVar[Handlers] = {StartNode: on_start}
    """The port is open before the node has started; senders repeat what arrives so early."""
    refused: ClassVar[Handlers] = {NodeRequest: on_request_refused, ActorExitRequest: on_exit}
    """Of a node that cannot start."""
    stopping: ClassVar[Handlers] = {
        message: handler for message, handler in handlers.items() if message is not ChildActorExited
    }
    """Of a node that ends: its children exit with it."""
