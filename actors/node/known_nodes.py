"""Which nodes a node knows, and where: learned from hellos, kept over restarts."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

import msgspec
from msgspec.structs import replace
from thespian.actors import ActorAddress

from fleet.actors.messages.values import NodeInfo
from fleet.actors.node.records import read_fact
from fleet.raft.ids import Millis, NodeName

SOUND: Final = "sound"
OLDER: Final = "older copy"
ELDER: Final = "elder of two"
SECOND: Final = "second of two"
ECHO: Final = "echo"
ECHOES_MAX: Final = 3
"""An earlier process that is heard so often after its successor runs still: it says hello once a second."""
TOLD_MAX: Final = 5
RUNS_MS: Final[Millis] = 3000
"""A process that said hello no longer ago runs."""
STOOD_STILL_MS: Final[Millis] = 3000
"""Who did not come to look at the others for so long, several rounds, could hear nobody meanwhile."""
NODES_MAX: Final = 1000
"""Nobody may make a node remember more, and call on them each second."""
_encode = msgspec.msgpack.Encoder().encode


@dataclass(slots=True)
class KnownNodes:
    """A node's own word wins, then the newer: of two infos of one node that others pass on, the one that
    started later says where it is."""

    me: NodeInfo
    infos: dict[NodeName, NodeInfo] = field(default_factory=dict)
    managers: dict[NodeName, ActorAddress] = field(default_factory=dict)
    registries: dict[NodeName, ActorAddress] = field(default_factory=dict)
    heard_at: dict[NodeName, Millis] = field(default_factory=dict)
    watched_since: dict[NodeName, Millis] = field(default_factory=dict)
    """Nodes of the cluster, and from when on their silence counts."""
    told: dict[NodeInfo, int] = field(default_factory=dict)
    """How often an older copy was told what it is: it goes on only if it has served since."""
    echoes: dict[NodeName, int] = field(default_factory=dict)
    """How often an earlier process of a node was heard since its newest one was met."""

    looked_at: Millis = 0

    def learn(self, info: NodeInfo) -> bool:
        """True: this is news."""
        known = self.infos.get(info.name)
        if info.name == self.me.name or (known is not None and known.started_ms >= info.started_ms):
            return False
        if self.remembered_boot(info) > info.boot:
            return False
        if known is None and len(self.infos) >= NODES_MAX:
            return False
        self.infos[info.name] = info
        return True

    def remembered_boot(self, info: NodeInfo) -> int:
        """The newest start of the same disk that was heard of; 0 for a disk that is not known."""
        known = self.infos.get(info.name)
        return known.boot if known is not None and known.incarnation == info.incarnation else 0

    def judge(self, info: NodeInfo, now: Millis) -> str:
        """What a node that says hello is, beside the process of its disk that is known: the same or its
        successor (SOUND), an OLDER copy of the disk, the ELDER or the SECOND of two that run at once, or an
        ECHO of a process that ended."""
        known = self.infos.get(info.name)
        is_same_disk = known is not None and known.incarnation == info.incarnation
        if known is None or not is_same_disk or known == info or not (known.boot and info.boot):
            return SOUND
        if info.boot > known.boot:
            self.echoes.pop(info.name, None)
            return SOUND
        runs_elsewhere = known.address != info.address and self.is_reachable(info.name, now, RUNS_MS)
        if info.started_ms > known.started_ms:
            if runs_elsewhere:
                return SECOND
            self.told[info] = self.told.get(info, 0) + 1
            return OLDER if self.told[info] <= TOLD_MAX else SOUND
        if info.started_ms == known.started_ms:
            return SOUND
        self.echoes[info.name] = self.echoes.get(info.name, 0) + 1
        return ELDER if runs_elsewhere and self.echoes[info.name] >= ECHOES_MAX else ECHO

    def meet(self, info: NodeInfo, manager: ActorAddress, registry: ActorAddress, now: Millis) -> bool:
        """The node itself said this, so it holds even if its wall clock went back since its last life.
        True: this is news."""
        if info.name not in self.infos and len(self.infos) >= NODES_MAX:
            return False
        is_news = self.infos.get(info.name) != info or info.name not in self.managers
        if info.boot < self.remembered_boot(info):  # it could not be counted
            info = replace(info, boot=self.remembered_boot(info))
            is_news = self.infos.get(info.name) != info or info.name not in self.managers
        self.infos[info.name] = info
        self.managers[info.name], self.registries[info.name] = manager, registry
        self.heard_at[info.name] = now
        return is_news

    def silent_ms(self, node: NodeName, now: Millis) -> Millis:
        """For how long nothing was heard of a watched node."""
        return now - max(self.heard_at.get(node, 0), self.watched_since.get(node, now))

    def look(self, now: Millis) -> None:
        """Once a second at least, before anybody's silence is judged."""
        if now - self.looked_at > STOOD_STILL_MS:
            self.listen_anew(now)
        self.looked_at = now

    def listen_anew(self, now: Millis) -> None:
        """Whatever was not heard until now says nothing of anybody."""
        self.watched_since = dict.fromkeys(self.watched_since, now)

    def watch(self, names: Collection[NodeName], now: Millis) -> bool:
        """The nodes of the cluster now: forget those that left it, begin to watch those that are new.
        Whoever is only about to join is known all the same. True: somebody was forgotten."""
        gone = [name for name in self.watched_since if name not in names]
        for name in gone:
            for known in (self.watched_since, self.infos, self.managers, self.registries, self.heard_at):
                known.pop(name, None)
        for name in names:
            self.watched_since.setdefault(name, now)
        return bool(gone)

    def everyone(self) -> tuple[NodeInfo, ...]:
        return (self.me, *self.infos.values())

    def is_reachable(self, node: NodeName, now: Millis, within: Millis) -> bool:
        heard_at = self.heard_at.get(node)
        return node == self.me.name or (heard_at is not None and now - heard_at < within)

    def to_bytes(self) -> bytes:
        return _encode(tuple(self.infos.values()))

    def add_from(self, data: bytes) -> None:
        infos: tuple[NodeInfo, ...] = read_fact(data, tuple[NodeInfo, ...], "nodes")
        for info in infos:
            self.learn(info)
