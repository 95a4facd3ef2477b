"""One value of every kind that goes over a link or onto a disk, made from the declared types.

A new message, entry body or field is in here without being written down: see `test_golden` for what it means.
"""

import types
from collections.abc import Iterator
from typing import Annotated, Any, NewType, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct
from thespian.actors import ActorAddress

import fleet.actors.messages.client
import fleet.actors.messages.operator
import fleet.actors.messages.peer
import fleet.actors.node.founding  # noqa: F401  (registers what listed nodes say)
from fleet.actors.base import wire
from fleet.actors.base.addresses import ActorId, Address
from fleet.actors.messages.operator import GroupOp, NodeOp, OpValue
from fleet.actors.messages.values import GroupSpec, NodeInfo
from fleet.actors.node.hosted_members import Halted
from fleet.actors.node.records import AppliedRecovery
from fleet.cli.demo.data import Counter
from fleet.cluster.commands import Cluster
from fleet.cluster.founding_messages import Record
from fleet.interfaces import Base, GroupRecord, StoreIdentity
from fleet.objects.applier import Applier, Outcomes
from fleet.objects.class_refs import ClassRef, encode_class
from fleet.objects.executor import ObjectExecutor
from fleet.raft.codec import encode_messages
from fleet.raft.config import GroupConfig
from fleet.raft.entries import Body, Commands, Entry, Founded, HardState, Noop, SessionOpened, SnapshotMeta
from fleet.raft.ids import MemberId
from fleet.raft.messages import PeerMessage
from fleet.storage import keys
from fleet.storage.records import FORMAT, Identity, SnapshotHead, pack, seal

GIVEN: dict[str, Any] = {
    "Entry.body": Noop(),
    "GroupSpec.data_class": encode_class(Counter),
    "GroupInfo.data_class": encode_class(Counter),
    "CheckClass.data_class": encode_class(Counter),
}
CODEC = Cluster.__fleet_codec__


def example(kind: Any, name: str = "") -> Any:
    """Of the type: a text is its field's name, a number is 1, and of what there may be many there is one."""
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return example(args[0], name)
    if isinstance(kind, NewType):
        return example(kind.__supertype__, name)
    if origin in (Union, types.UnionType):
        return example(next(one for one in args if one is not type(None)), name)
    if origin is tuple:
        parts = args[:-1] if args[-1] is Ellipsis else args
        return tuple(example(part, name) for part in parts)
    if origin is dict:
        return {example(args[0], name): example(args[1], name)}
    if kind is GroupConfig:
        return GroupConfig()
    if kind is ActorAddress:
        return Address(ActorId("127.0.0.1:7400", 1, name))
    if isinstance(kind, type) and issubclass(kind, Struct):
        return struct(kind)
    return {str: name, bytes: name.encode(), int: 1, float: 0.5, bool: True}[kind]


def struct(kind: type[Any], **given: Any) -> Any:
    """`given`: fields that are not to be made up."""
    hints = get_type_hints(kind, include_extras=True)
    for name in kind.__struct_fields__:
        if name not in given:
            known = GIVEN.get(f"{kind.__name__}.{name}")
            given[name] = example(hints[name], name) if known is None else known
    return kind(**given)


def links() -> Iterator[tuple[str, bytes]]:
    """Every registered message, with everything that may be in it, as an item of a frame."""
    inner = {
        "NodeRequest": ("op", get_args(NodeOp)),
        "GroupRequest": ("op", get_args(GroupOp)),
        "OpReply": ("value", get_args(OpValue)),
    }
    for _, kind in sorted(wire._types.items(), key=lambda pair: (isinstance(pair[0], str), pair[0])):
        if not kind.__module__.startswith("fleet."):
            continue  # of a test
        field, choices = inner.get(kind.__name__, ("", ()))
        if not choices:
            yield kind.__name__, wire.encode_item("registry", "node", struct(kind))
        for choice in choices:
            message = struct(kind, **{field: struct(choice)})
            yield f"{kind.__name__} {choice.__name__}", wire.encode_item("registry", "node", message)
    frame = wire.Outbox()
    frame.add("node", 7, None, 1 << 20)
    frame.add("node", 7, "text", 1 << 20)
    frame.close()
    yield "a frame of two plain values", bytes(frame.frames)


def raft() -> Iterator[tuple[str, bytes]]:
    """What members say to each other, as the body of PeerMail."""
    for kind in get_args(PeerMessage):
        yield kind.__name__, encode_messages([struct(kind)])


def disk() -> Iterator[tuple[str, bytes]]:
    """Keys and records, each entry's body among them."""
    encode = msgspec.msgpack.encode
    identity = Identity(FORMAT, StoreIdentity("cluster", "node", "incarnation"))
    spec = struct(GroupSpec)
    records: list[tuple[str, bytes, Any]] = [
        ("identity", keys.identity_key, identity),
        ("counter", keys.counter_key, 7),
        ("group", keys.group_key(7), GroupRecord(7, spec.name, encode(spec))),
        ("hard state", keys.hard_key(7), struct(HardState)),
        ("snapshot", keys.snapshot_key(7), SnapshotHead(3, struct(SnapshotMeta))),
        ("base", keys.base_key(7, 3), Base(3, struct(SnapshotMeta), 1000)),
        *(
            (f"entry {kind.__name__}", keys.entry_key(7, 1), Entry(1, 1, struct(kind)))
            for kind in get_args(Body)
        ),
    ]
    for name, key, value in records:
        yield f"{name}: key", key
        yield f"{name}: record", pack(key, value)
    metas = {
        "base": "multiprocTCPBase",
        "boot": 1,
        "cluster": 1,
        "diverged": {7: 1},
        "founding": struct(Record),
        "halted": {7: struct(Halted)},
        "recoveries": [struct(AppliedRecovery)],
        "left": [1],
        "nodes": (struct(NodeInfo),),
    }
    sealed = [
        ("dropped", keys.dropped_key(7), b""),
        ("staged", keys.staged_key(7, 3), b""),
        ("chunk", keys.chunk_key(7, 3, 0), b"bytes"),
        *((f"meta {name}", keys.meta_key(name), encode(value)) for name, value in metas.items()),
    ]
    for name, key, body in sealed:
        yield f"{name}: key", key
        yield f"{name}: record", seal(key, body)


def cluster() -> Iterator[tuple[str, bytes]]:
    """The cluster group's calls and answers, and a snapshot of it."""
    founder = MemberId("n1@d1.c")
    applier = Applier(ObjectExecutor(Cluster), GroupConfig())
    bodies: list[Any] = [Founded(founder, "n1:1", GroupConfig()), SessionOpened("client", 1000)]
    for index, body in enumerate(bodies, start=1):
        applier.apply(Entry(1, index, body))
    (session,) = applier.sessions.sessions
    calls: list[tuple[str, tuple[Any, ...]]] = [
        *(
            ("join", (name, f"{name}d1", "zone", f"{name}:1", 1.0, "active"))
            for name in ("n1", "n2", "n3", "n4")
        ),
        ("set_purge_after", (60_000, True)),
        ("report", ("n1", "n2", "n2d1", True)),
        ("set_state", ("n4", "leaving")),
        ("left", ("n4", "n4d1")),
        ("purge", ("n4",)),
        *(("add_group", (name, 3, encode_class(Counter), GroupConfig())) for name in ("g", "h", "i")),
        ("note_config", ("g", 10, GroupConfig(lease_reads=True), 5)),
        ("pin_group", ("h", ("n1", "n2"), 2)),
        ("set_replicas", ("g", 1)),
        ("prefer_leader", ("h", "n2")),
        ("prefer_leader", ("fleet:cluster", "n1")),
        ("remove_group", ("i",)),
        ("set_replicas", ("nothing", 1)),
        ("cleaned", ((12,), "n1")),
    ]
    for seq, (method, args) in enumerate(calls, start=1):
        payload = CODEC.encode_call(method, args, {})
        commands = Commands(session, seq, seq - 5, 1000 + seq, (payload,))
        told: list[Outcomes] = []
        applier.apply(Entry(1, len(bodies) + seq, commands), lambda outcomes, is_new: told.append(outcomes))
        yield f"{seq} {method}: call", payload
        yield f"{seq} {method}: answer", told[0].values[0]
    view = CODEC.encode_call("view", (0,), {})
    yield "view: call", view
    yield "view: answer", applier.query((view,))[0]
    yield "snapshot", applier.dump()
    yield "class of ours", encode_class(Cluster)
    yield "class of a user", msgspec.msgpack.encode(ClassRef("name", "module", b"pickled"))


TABLES = {"links": links, "raft": raft, "disk": disk, "cluster": cluster}
