"""Hellos between nodes: which nodes exist and where; which run an older copy of a directory, or run it
twice."""

from collections.abc import Mapping

from thespian.actors import ActorAddress

from fleet.actors.base.addresses import remote_address
from fleet.actors.client.cluster_pin import uid_text
from fleet.actors.messages.local import Routes
from fleet.actors.messages.peer import Clone, GivenUp, NodeHello, OlderCopy
from fleet.actors.messages.values import NodeInfo
from fleet.actors.messages.well_known import MANAGER
from fleet.actors.node.known_nodes import ELDER, OLDER, SECOND, SOUND
from fleet.actors.node.parts import Node
from fleet.actors.node.records import applied_recoveries, given_up_disks
from fleet.actors.runtime.actor import log
from fleet.cluster import reconciliation_events
from fleet.cluster.fleet_version import why_unfit
from fleet.cluster.state import NodeRecord
from fleet.errors import DirectoryInUse, NodeGivenUp, WrongVersion
from fleet.interfaces import PutMeta
from fleet.raft.ids import Millis, NodeName

NODES_KEY = "nodes"
CLONE_MS: Millis = 60_000
"""How long a directory that ran twice is reported; a second process is told at once meanwhile."""


class Greetings:
    def __init__(self, node: Node) -> None:
        self.node = node
        self.clones: dict[NodeName, tuple[str, Millis]] = {}
        """By node, the address of the second process of its directory, and when that was last told."""
        self.former: frozenset[int] = frozenset()
        """The uids of this node's cluster before it was recovered."""
        self.given_up: frozenset[str] = frozenset()
        """`node@incarnation` of the nodes that it was recovered without."""
        self.heard_version = 0
        """The newest version of the fleet that other nodes say is in force."""

    @property
    def version(self) -> int:
        return max(self.heard_version, self.node.view.version)

    def begin(self) -> None:
        """Before the first hello. Raises Damaged."""
        former = (one.former for one in applied_recoveries(self.node.store))
        self.former = frozenset(former) - {self.node.cluster.cluster_uid()}
        self.given_up = given_up_disks(self.node.store)

    def say_to_everyone(self) -> None:
        """Say hello to nodes that answered, to nodes known by name, and to addresses given at the start."""
        node = self.node
        for info in node.nodes.infos.values():
            is_met = info.name in node.nodes.managers
            if is_met and (node.is_reachable(info.name) or not info.address):
                node.say_hello(node.nodes.managers[info.name], answer=False)
            elif info.address:  # a restarted process there may not know this node
                node.say_hello(remote_address(info.address, MANAGER), answer=True)
        for manager in node.start.peers:
            if manager not in node.nodes.managers.values() and manager != node.myAddress:
                node.say_hello(manager, answer=True)
        known = {info.address for info in node.nodes.everyone()}
        for address in (*node.start.join, *node.start.founders):
            if address not in known:
                node.say_hello(remote_address(address, MANAGER), answer=True)

    def on_hello(self, m: NodeHello) -> None:
        node = self.node
        nodes = node.nodes
        if m.me.name == nodes.me.name:
            node.admission.meet_namesake(m)
            return
        if m.cluster in self.former or f"{m.me.name}@{m.me.incarnation}" in self.given_up:
            node.send(m.manager, GivenUp(m.cluster, node.cluster.cluster_uid(), nodes.me.name))
            return
        if m.cluster and not node.cluster.router.admits(m.me.address or m.me.name, m.cluster):
            if m.answer:  # it learns from this that the clusters differ
                node.say_hello(m.manager, answer=False)
            node.admission.on_foreign()
            return
        if not self._is_fit(m):
            return
        if not self._is_sound(m):
            return
        if node.admission.is_taken(m):
            node.say_hello(m.manager, answer=False)  # from this it learns of the other node of its name
            return
        node.admission.look_for_namesake(m)
        news = [info for info in m.known if nodes.learn(info)]
        is_new = nodes.meet(m.me, m.manager, m.registry, node.now())
        node.send(node.registry, Routes({m.me.name: m.registry}))
        if is_new or news:
            log.info("node=%s knows %s", nodes.me.name, sorted(nodes.infos))
            self._remember()
            node.reconcile(reconciliation_events.AnyChanged())
            node.cluster.on_change()
        for info in news:
            if info.name not in nodes.managers and info.address:
                node.say_hello(remote_address(info.address, MANAGER), answer=True)
        if m.answer:
            node.say_hello(m.manager, answer=False, answers=m.me.started_ms)
        if m.answers == nodes.me.started_ms:
            node.held.on_answer(m.me)

    def _is_fit(self, m: NodeHello) -> bool:
        """Whether this node's build, and the sender's, speak the version that is in force."""
        node = self.node
        if unfit := why_unfit(node.start.build, m.version):
            node.end(WrongVersion(f"{unfit}, node {m.me.name} reports", node=node.start.name))
            return False
        self.heard_version = max(self.heard_version, m.version)
        if unfit := why_unfit(m.me.build, self.version):
            node.say(f"build of {m.me.name}", "node %s at %s is refused: %s", m.me.name, m.me.address, unfit)
            if m.answer:  # from this it learns which version is in force
                node.say_hello(m.manager, answer=False)
            return False
        return True

    def _is_sound(self, m: NodeHello) -> bool:
        """Whether to accept the hello. An older copy of a disk, or the second process of one, is told so
        (S83)."""
        node = self.node
        nodes, me = node.nodes, m.me
        judgement, known = nodes.judge(me, node.now()), nodes.infos.get(me.name)
        _, told_at = self.clones.get(me.name, ("", -CLONE_MS))
        if known is not None and known.address != me.address and node.now() - told_at < CLONE_MS:
            if node.is_reachable(me.name) and known.incarnation == me.incarnation:
                judgement = SECOND if me.boot > known.boot else judgement
        if judgement == OLDER:
            log.error("node %s at %s runs an older copy of its directory", me.name, me.address)
            remembered = nodes.remembered_boot(me)
            node.send(m.manager, OlderCopy(me.incarnation, me.boot, remembered, nodes.me.name))
        elif judgement == SECOND:
            self._tell_clone(me, m.manager, nodes.infos[me.name].address)
        elif judgement == ELDER:
            self._tell_clone(nodes.infos[me.name], nodes.managers[me.name], me.address)
            nodes.meet(me, m.manager, m.registry, node.now())
        return judgement == SOUND

    def _tell_clone(self, second: NodeInfo, manager: ActorAddress, first: str) -> None:
        node = self.node
        if second.name not in self.clones:
            what = "the directory of node %s runs at %s and also at %s"
            log.error(what, second.name, first, second.address)
        self.clones[second.name] = (second.address, node.now())
        node.send(manager, Clone(second.started_ms, first, node.nodes.me.name))

    def on_clone(self, m: Clone) -> None:
        """Of two processes of one directory, neither keeps the promises of the other: the second one ends."""
        node = self.node
        me = node.nodes.me
        if m.started_ms == me.started_ms:
            node.end(DirectoryInUse(f"its directory already runs at {m.address}, node {m.witness} reports"))

    def on_given_up(self, m: GivenUp) -> None:
        """Survivors continue without this node. With others that were lost it might still be a majority of
        the groups as they were."""
        node = self.node
        if m.former == node.cluster.cluster_uid():
            new = f", as {uid_text(m.cluster)}" if m.cluster != m.former else ""
            what = f"its cluster {uid_text(m.former)} was recovered without it{new}, node {m.witness} reports"
            node.end(NodeGivenUp(what, node=node.start.name))

    def on_cluster_nodes(self, records: Mapping[NodeName, NodeRecord]) -> None:
        """Say hello to nodes of the cluster that are not known yet, and forget nodes that left it."""
        node = self.node
        for record in records.values():
            if record.name not in node.nodes.infos and record.name != node.start.name and record.address:
                node.say_hello(remote_address(record.address, MANAGER), answer=True)
        if node.nodes.watch(records, node.now()):
            self._remember()

    def _remember(self) -> None:
        node = self.node
        node.carry_out(PutMeta(NODES_KEY, node.nodes.to_bytes()))

    def recent_clones(self) -> dict[NodeName, str]:
        now = self.node.now()
        return {name: where for name, (where, told_at) in self.clones.items() if now - told_at < CLONE_MS}
