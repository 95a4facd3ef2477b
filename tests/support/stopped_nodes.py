"""Data directories of nodes that are stopped: two survivors, and three that are lost."""

import zlib
from typing import Any

import msgspec

from fleet.actors.messages.values import GroupSpec, NodeInfo
from fleet.actors.node.cluster_membership import CLUSTER_KEY
from fleet.actors.node.greetings import NODES_KEY
from fleet.actors.node.stopped import read_report
from fleet.cluster.commands import Cluster
from fleet.cluster.recovery_reports import MemberReport
from fleet.cluster.state import ACTIVE, CLUSTER_GROUP
from fleet.interfaces import Write
from fleet.objects.class_refs import encode_class
from fleet.raft.config import GroupConfig
from fleet.raft.entries import Commands, Entry, Founded, HardState, SessionOpened
from fleet.raft.ids import GroupName, MemberId, NodeName, member_id
from fleet.storage import MemoryStore, Store
from tests.support.classes import Counter

N1, N2, *GONE = NODES = tuple(NodeName(f"n{number}") for number in range(1, 6))
UID = 42
encode = msgspec.msgpack.encode


def founded(life: str) -> Founded:
    first, *others = (member_id(node, "aaaa", life) for node in NODES)
    return Founded(first, "n1:1", GroupConfig(), tuple((one, f"{one[:2]}:1") for one in others))


def state_of_cluster(body: Founded) -> list[Entry]:
    """The log of the cluster group: five nodes join, and group g is added."""
    call = Cluster.__fleet_codec__.encode_call
    joins = tuple(call("join", (node, "aaaa", "z", f"{node}:1", 1.0, ACTIVE), {}) for node in NODES)
    added = call("add_group", ("g", 3, encode_class(Counter), GroupConfig()), {})
    session = zlib.crc32(body.member.encode()) << 32 | 2
    return [
        Entry(1, 1, body),
        Entry(2, 2, SessionOpened("test", 1)),
        Entry(2, 3, Commands(session, 1, 0, 1, (*joins, added))),
    ]


class StoppedNode:
    """The store of a node, with its members of the cluster group and of group g."""

    def __init__(self, node: NodeName = N1, store: Store | None = None) -> None:
        self.image: dict[int, dict[bytes, bytes]] = {}
        self.store = store or MemoryStore("c", node, incarnation="aaaa", image=self.image)
        self.store.put_meta(CLUSTER_KEY, encode(UID))
        infos = tuple(NodeInfo(name, f"{name}:1", "z", "aaaa", 1) for name in NODES if name != node)
        self.store.put_meta(NODES_KEY, encode(infos))
        body = founded("c")
        self.cluster = self.add(CLUSTER_GROUP, UID, member_id(node, "aaaa", "c"), body, 0)
        log = state_of_cluster(body)
        self.write(self.cluster, log, 2)
        self.group_uid = read_report(self.store).groups["g"]
        self.life = f"g{self.group_uid}"
        me = member_id(node, "aaaa", self.life)
        self.group = self.add("g", self.group_uid, me, founded(self.life), UID)

    def add(self, name: str, uid: int, member: MemberId, body: Founded, cluster: int) -> int:
        spec = GroupSpec(name, encode_class(Counter), GroupConfig(), uid, member, body, cluster)
        return self.store.create_group(GroupName(name), encode(spec)).number

    def write(self, number: int, log: list[Entry], term: int, **more: Any) -> None:
        self.store.write([Write(number, 0, hard=HardState(term), entries=tuple(log), **more)])

    def member(self, group: str = "g") -> MemberReport:
        return next(one for one in read_report(self.store).members if one.group == group)

    def specs(self) -> dict[str, GroupSpec]:
        return {one.name: msgspec.msgpack.decode(one.spec, type=GroupSpec) for one in self.store.groups()}
