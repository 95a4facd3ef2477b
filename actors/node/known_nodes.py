"""The nodes that a node knows, and their addresses: learned from hellos, kept across restarts."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

import msgspec
from msgspec.structs import replace
from thespian.actors import ActorAddress

from fleet.actors.messages.values import NodeInfo
from fleet.actors.node.records import read_record
from fleet.raft.ids import Millis, NodeName

SOUND: Final = "sound"
OLDER: Final = "older copy"
ELDER: Final = "elder of two"
SECOND: Final = "second of two"
ECHO: Final = "echo"
ECHOES_MAX: Final = 3
"""A process that is heard this often after its successor still runs: it says hello once a second."""
TOLD_MAX: Final = 5
"""How often an older copy is told what it is."""
TOLD_APART_MS: Final[Millis] = 500
"""A process that runs says hello once a second; the late messages of one that has ended arrive together."""
RUNS_MS: Final[Millis] = 3000
"""A process whose last hello is newer than this counts as running."""
STOOD_STILL_MS: Final[Millis] = 3000
"""A node that was stopped for this long, several rounds, heard no one meanwhile: silence then means
nothing."""
NODES_MAX: Final = 1000
"""Bounds what hellos can make a node remember, and say hello to each second."""
_encode = msgspec.msgpack.Encoder().encode


@dataclass(slots=True)
class KnownNodes:
    """A node's own announcement overrides what others report; of two reports, the later start wins."""

    me: NodeInfo
    infos: dict[NodeName, NodeInfo] = field(default_factory=dict)
    managers: dict[NodeName, ActorAddress] = field(default_factory=dict)
    registries: dict[NodeName, ActorAddress] = field(default_factory=dict)
    heard_at: dict[NodeName, Millis] = field(default_factory=dict)
    watched_since: dict[NodeName, Millis] = field(default_factory=dict)
    """Nodes of the cluster, and since when their silence counts."""
    told: dict[NodeInfo, tuple[int, Millis]] = field(default_factory=dict)
    """How often an older copy was told what it is, and when that last counted: it continues only if it has
    served since."""
    echoes: dict[NodeName, int] = field(default_factory=dict)
    """How often an earlier process of a node was heard since its newest one said hello."""

    looked_at: Millis = 0

    def learn(self, info: NodeInfo) -> bool:
        """Note what another node reports. True if that is new."""
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
        """The latest start known of the same disk; 0 for an unknown disk."""
        known = self.infos.get(info.name)
        return known.boot if known is not None and known.incarnation == info.incarnation else 0

    def judge(self, info: NodeInfo, now: Millis) -> str:
        """Compare the sender of a hello with the known process of its disk: the same or its successor
        (SOUND), an OLDER copy of the disk, the ELDER or the SECOND of two that run at once, or an ECHO of a
        process that has ended."""
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
            return OLDER if self._times_told(info, now) <= TOLD_MAX else SOUND
        if info.started_ms == known.started_ms:
            return SOUND
        self.echoes[info.name] = self.echoes.get(info.name, 0) + 1
        return ELDER if runs_elsewhere and self.echoes[info.name] >= ECHOES_MAX else ECHO

    def _times_told(self, info: NodeInfo, now: Millis) -> int:
        """How often, including this time."""
        times, at = self.told.get(info, (0, now - TOLD_APART_MS))
        if now - at >= TOLD_APART_MS:
            times += 1
            self.told[info] = times, now
        return times

    def meet(self, info: NodeInfo, manager: ActorAddress, registry: ActorAddress, now: Millis) -> bool:
        """Note what a node says about itself, even if its wall clock went back since its last start. True if
        that is new."""
        if info.name not in self.infos and len(self.infos) >= NODES_MAX:
            return False
        is_news = self.infos.get(info.name) != info or info.name not in self.managers
        known = self.infos.get(info.name)
        if known is not None and info.boot < self.remembered_boot(info):  # its start could not be counted
            # Of two starts with one count the later is an older copy: an earlier process, heard late, must
            # not make the counted one look like that.
            started_ms = max(info.started_ms, known.started_ms)
            info = replace(info, boot=known.boot, started_ms=started_ms)
            is_news = self.infos.get(info.name) != info or info.name not in self.managers
        self.infos[info.name] = info
        self.managers[info.name], self.registries[info.name] = manager, registry
        self.heard_at[info.name] = now
        return is_news

    def silent_ms(self, node: NodeName, now: Millis) -> Millis:
        """For how many milliseconds a watched node was silent."""
        return now - max(self.heard_at.get(node, 0), self.watched_since.get(node, now))

    def look(self, now: Millis) -> None:
        """Call at least once a second, and before judging silence: notices that this process was stopped."""
        if now - self.looked_at > STOOD_STILL_MS:
            self.listen_anew(now)
        self.looked_at = now

    def listen_anew(self, now: Millis) -> None:
        """Count the silence of all nodes from now on."""
        self.watched_since = dict.fromkeys(self.watched_since, now)

    def watch(self, names: Collection[NodeName], now: Millis) -> bool:
        """Watch these nodes of the cluster and forget those that left it. Nodes that are about to join stay
        known. True if a node was forgotten."""
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
        infos: tuple[NodeInfo, ...] = read_record(data, tuple[NodeInfo, ...], "nodes")
        for info in infos:
            self.learn(info)
