"""The actor that owns a node: its disk, its registry, its members, and what it knows of other nodes."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec
from thespian.actors import ActorAddress, ActorExitRequest, ChildActorExited, WakeupMessage

from fleet.actors.base.addresses import remote_address
from fleet.actors.disk import Disk
from fleet.actors.guard import GuardedActor, log
from fleet.actors.healer import Healer
from fleet.actors.mail import (
    CreateGroup,
    ErrorRecord,
    GroupSpec,
    Hello,
    Hosted,
    HostMember,
    ListMembers,
    ListNodes,
    MemberInfo,
    MemberList,
    MemberStopped,
    NodeInfo,
    NodeRequest,
    Nodes,
    OpReply,
    OpValue,
    Routes,
    StartDisk,
    StartMember,
    StartNode,
    StartRegistry,
)
from fleet.actors.member import Member
from fleet.actors.nodes import KnownNodes
from fleet.actors.registry import REGISTRY, Registry
from fleet.errors import BadArguments, DataClassUnavailable, FleetError, GroupExists, NoSuchNode, StorageFault
from fleet.healing import World
from fleet.machine import DataMachine
from fleet.payload import class_name, decode_class
from fleet.ports import Durable, GroupRecord
from fleet.raft.ids import GroupName, MemberId, Millis, NodeName, member_id, node_of
from fleet.storage.lmdb_store import LmdbStore

MANAGER = "node"
"""Its well-known name on each node."""
ROUND_MS: Millis = 1000
AGAIN_MS: Millis = 20
"""A step that could not be done yet (a learner that still lags) is tried again after this."""
REACHABLE_MS: Millis = 3 * ROUND_MS
BACK_OFF_MS: tuple[Millis, Millis] = (100, 30_000)
STABLE_MS: Millis = 60_000
"""A member that ran this long is forgiven its earlier failures."""
NODES_KEY = "nodes"


@dataclass(slots=True)
class Hosting:
    """One member of this node, running or not."""

    record: GroupRecord
    spec: GroupSpec
    member: MemberId
    address: ActorAddress | None = None
    failures: int = 0
    started_at: Millis = 0
    trouble: str = ""
    """Why it does not run."""


class NodeManager(GuardedActor):
    """Acts on its own node only; whatever other nodes should do, it asks their managers for."""

    start: StartNode
    store: Durable
    nodes: KnownNodes
    registry: ActorAddress
    disk: ActorAddress | None = None

    def __init__(self) -> None:
        super().__init__()
        self.hostings: dict[int, Hosting] = {}
        self.healer = Healer(self)
        self.token = 0
        self.agains: dict[int, Hosting] = {}
        self.is_stopping = False

    # -- start -------------------------------------------------------------------------------------

    def receiveMessage(self, message: Any, sender: Any) -> Any:
        """The port is open before this node knows itself; what comes so early is asked again."""
        if not hasattr(self, "start") and type(message) is not StartNode:
            return None
        return super().receiveMessage(message, sender)

    def on_start(self, m: StartNode, sender: Any) -> None:
        if hasattr(self, "start"):
            return
        self.start = m
        self.store = m.store or LmdbStore(m.directory, cluster=m.cluster, node=m.name)
        me = NodeInfo(m.name, m.address, m.zone, self.store.identity.incarnation, m.clock.wall_ms())
        self.nodes = KnownNodes(me)
        known = self.store.get_meta(NODES_KEY)
        if known is not None:
            self.nodes.add_from(known)
        self.registry = self.createActor(Registry, globalName=self._global(REGISTRY))
        self.send(self.registry, StartRegistry(m.name))
        if m.writer is not None:
            self.disk = self.createActor(Disk)
            self.send(self.disk, StartDisk(m.writer))
        for record in self.store.groups():
            self._adopt(record)
        self._say_hello_to_everyone()
        self._wake_in(ROUND_MS, "round")

    def _global(self, name: str) -> str | None:
        """Well-known names hold per process; a base that runs several nodes in one has none to give."""
        return name if self.start.address else None

    def now(self) -> Millis:
        return self.start.clock.now_ms()

    def next_token(self) -> int:
        self.token += 1
        return self.token

    def _wake_in(self, delay: Millis, payload: Any) -> None:
        self.wakeupAfter(timedelta(milliseconds=delay), payload=payload)

    def on_wakeup(self, m: WakeupMessage, sender: Any) -> None:
        match m.payload:
            case "round":
                self._wake_in(ROUND_MS, "round")
                self._say_hello_to_everyone()
                self.healer.round()
            case ("look", int(number)):
                self.agains.pop(number, None)
                if number in self.hostings:
                    self.healer.look_at(self.hostings[number])
            case ("start", int(number)):
                if number in self.hostings and self.hostings[number].address is None:
                    self._start_member(self.hostings[number])

    # -- other nodes -------------------------------------------------------------------------------

    def _say_hello_to_everyone(self) -> None:
        """Nodes that were met, nodes that were heard of, and seeds that are neither."""
        for info in self.nodes.infos.values():
            is_met = info.name in self.nodes.managers
            if is_met and (self.is_reachable(info.name) or not info.address):
                self._say_hello(self.nodes.managers[info.name], answer=False)
            elif info.address:  # its process may be another by now, which nobody told of this one
                self._say_hello(remote_address(info.address, MANAGER), answer=True)
        for manager in self.start.peers:
            if manager not in self.nodes.managers.values() and manager != self.myAddress:
                self._say_hello(manager, answer=True)
        known = {info.address for info in self.nodes.everyone()}
        for seed in self.start.seeds:
            if seed not in known:
                self._say_hello(remote_address(seed, MANAGER), answer=True)

    def _say_hello(self, manager: ActorAddress, answer: bool) -> None:
        known = tuple(self.nodes.infos.values())
        self.send(manager, Hello(self.nodes.me, self.myAddress, self.registry, known, answer))

    def on_hello(self, m: Hello, sender: Any) -> None:
        nodes = self.nodes
        if m.me.name == nodes.me.name:
            if m.me.incarnation != nodes.me.incarnation:
                log.error("another node calls itself %s too, at %s", m.me.name, m.me.address)
            return
        news = [info for info in m.known if nodes.learn(info)]
        is_new = nodes.meet(m.me, m.manager, m.registry, self.now())
        self.send(self.registry, Routes({m.me.name: m.registry}))
        if is_new or news:
            log.info("node=%s knows %s", nodes.me.name, sorted(nodes.infos))
            self._remember_nodes()
        for info in news:
            if info.name not in nodes.managers and info.address:
                self._say_hello(remote_address(info.address, MANAGER), answer=True)
        if m.answer:
            self._say_hello(m.manager, answer=False)

    def _remember_nodes(self) -> None:
        try:
            self.store.put_meta(NODES_KEY, self.nodes.to_bytes())
        except StorageFault as error:
            log.error("node=%s cannot keep what nodes it knows: %s", self.nodes.me.name, error)

    def is_reachable(self, node: NodeName) -> bool:
        return node in self.nodes.managers and self.nodes.is_reachable(node, self.now(), REACHABLE_MS)

    def world(self) -> World:
        nodes = frozenset(info.name for info in self.nodes.everyone())
        return World(None, frozenset(filter(self.is_reachable, nodes)), nodes)

    def node_of(self, member: MemberId) -> NodeName:
        return node_of(member)

    # -- members -----------------------------------------------------------------------------------

    def _adopt(self, record: GroupRecord) -> Hosting:
        spec = msgspec.msgpack.decode(record.spec, type=GroupSpec)
        member = member_id(self.start.name, self.store.identity.incarnation, record.number)
        hosting = self.hostings[record.number] = Hosting(record, spec, member)
        self._start_member(hosting)
        return hosting

    def _start_member(self, hosting: Hosting) -> None:
        start, number = self.start, hosting.record.number
        hosting.trouble, hosting.started_at = "", self.now()
        hosting.address = self.createActor(Member)
        is_founder = hosting.spec.founder == ""
        self.send(
            hosting.address,
            StartMember(
                record=hosting.record,
                member=hosting.member,
                registry=self.registry,
                manager=self.myAddress,
                clock=start.clock,
                seed=start.seed * 1_000_003 + number * 1009 + hosting.failures,
                store=start.store,
                disk=self.disk,
                directory=f"{start.directory}/members/{number}" if start.store is None else "",
                fork_above_bytes=start.fork_above_bytes,
                hooks=start.hooks,
                founding_address=start.address if is_founder else None,
            ),
        )

    def spec_for_others(self, hosting: Hosting) -> GroupSpec:
        return msgspec.structs.replace(hosting.spec, founder=hosting.spec.founder or hosting.member)

    def look_again(self, hosting: Hosting) -> None:
        """Soon, once, however often this is asked."""
        number = hosting.record.number
        if number not in self.agains:
            self.agains[number] = hosting
            self._wake_in(AGAIN_MS, ("look", number))

    def on_member_stopped(self, m: MemberStopped, sender: Any) -> None:
        hosting = next((one for one in self.hostings.values() if one.member == m.member), None)
        if hosting is None:
            return
        hosting.address = None
        if m.removed:
            del self.hostings[hosting.record.number]
            self.store.drop_group(hosting.record.number)
            log.info("group=%s %s left; its data is gone", hosting.spec.name, m.member)
        else:
            self._trouble(hosting, m.error, m.restart)

    def on_child_exited(self, m: ChildActorExited, sender: Any) -> None:
        """A member that died without a word, unless the whole node is stopping."""
        if self.is_stopping:
            return
        for hosting in self.hostings.values():
            if hosting.address == m.childAddress:
                hosting.address = None
                self._trouble(hosting, "it died", restart=True)

    def _trouble(self, hosting: Hosting, why: str, restart: bool) -> None:
        """Start it again, later each time; not at all when that cannot help."""
        hosting.trouble = why
        if self.now() - hosting.started_at > STABLE_MS:
            hosting.failures = 0
        hosting.failures += 1
        if not restart:
            log.error("group=%s %s does not run: %s", hosting.spec.name, hosting.member, why)
            return
        least, most = BACK_OFF_MS
        delay = min(most, least << min(hosting.failures - 1, 20))
        log.warning(
            "group=%s %s starts again in %d ms: %s", hosting.spec.name, hosting.member, delay, why
        )
        self._wake_in(delay, ("start", hosting.record.number))

    # -- requests ----------------------------------------------------------------------------------

    def on_request(self, m: NodeRequest, sender: Any) -> None:
        try:
            reply = OpReply(m.token, self._answer(m.op))
        except FleetError as error:
            reply = OpReply(m.token, None, ErrorRecord.of(error))
        self.send(m.reply_to or sender, reply)

    def _answer(self, op: Any) -> OpValue:
        match op:
            case ListNodes():
                return Nodes(self.nodes.everyone())
            case ListMembers():
                return MemberList(self.nodes.me, tuple(map(info_of, self.hostings.values())))
            case CreateGroup(spec):
                return Hosted(self._create_group(spec).member)
            case HostMember(spec):
                return Hosted(self._host_member(spec).member)
        raise BadArguments(f"a node manager does not know {type(op).__name__}")

    def _create_group(self, spec: GroupSpec) -> Hosting:
        """Everything is checked before anything is written."""
        me = self.nodes.me.name
        if not spec.name:
            raise BadArguments("a group's name is not empty")
        if spec.nodes[:1] != (me,):
            raise BadArguments(f"the founder is {spec.nodes[:1]}, this is {me}", group=spec.name, node=me)
        if self._hosted(spec.name) is not None:
            raise GroupExists(f"group {spec.name!r} exists", group=spec.name, node=me)
        unknown = [node for node in spec.nodes if node != me and node not in self.nodes.infos]
        if unknown:
            known = sorted(info.name for info in self.nodes.everyone())
            raise NoSuchNode(f"no node {unknown[0]!r} is known here", node=me, known=", ".join(known))
        check_class(spec.data_class)
        record = self.store.create_group(GroupName(spec.name), msgspec.msgpack.encode(spec))
        hosting = self._adopt(record)
        self.look_again(hosting)
        return hosting

    def _host_member(self, spec: GroupSpec) -> Hosting:
        hosting = self._hosted(spec.name)
        if hosting is None:
            check_class(spec.data_class)
            return self._adopt(self.store.create_group(GroupName(spec.name), msgspec.msgpack.encode(spec)))
        if (hosting.spec.founder or hosting.member) != spec.founder:
            what = f"a member of another group {spec.name!r} lives here"
            raise GroupExists(what, group=spec.name, node=self.nodes.me.name)
        return hosting

    def _hosted(self, name: str) -> Hosting | None:
        return next((hosting for hosting in self.hostings.values() if hosting.spec.name == name), None)

    def on_reply(self, m: OpReply, sender: Any) -> None:
        self.healer.on_reply(m)

    def on_exit(self, m: ActorExitRequest, sender: Any) -> None:
        self.is_stopping = True
        if hasattr(self, "start") and self.start.store is None:
            self.store.close()

    handlers = {
        StartNode: on_start,
        Hello: on_hello,
        WakeupMessage: on_wakeup,
        MemberStopped: on_member_stopped,
        ChildActorExited: on_child_exited,
        NodeRequest: on_request,
        OpReply: on_reply,
        ActorExitRequest: on_exit,
    }


def check_class(data_class: bytes) -> None:
    """Whether a member of it could start here. The class is the user's: anything may come of it."""
    try:
        DataMachine(decode_class(data_class))
    except FleetError:
        raise
    except Exception as error:
        what = f"a new object cannot be made: {type(error).__name__}: {error}"
        raise DataClassUnavailable(what, data_class=class_name(data_class)) from error


def info_of(hosting: Hosting) -> MemberInfo:
    state = "running" if hosting.address is not None else hosting.trouble or "waiting"
    return MemberInfo(hosting.spec.name, hosting.member, state)
