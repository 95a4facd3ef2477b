"""Bytes that are almost what a process would send, or not at all."""

import random
import struct
from collections.abc import Callable
from functools import cache
from typing import Any

import msgspec

from fleet.actors.base.addresses import ActorId, Address
from fleet.actors.base.handshake import HANDSHAKE_BYTES_MAX, Acceptor, Connector, LinkIdentity
from fleet.actors.base.tls import Credentials
from fleet.actors.base.wire import encode_item
from fleet.actors.messages.client import Answers, ClientReply, ClientRequest, Refusal
from fleet.actors.messages.group_states import ForgetCopy, GiveState, ReadCopy, TakeCopy
from fleet.actors.messages.operator import (
    AddMember,
    ChangeConfig,
    Done,
    GetCluster,
    GetStatus,
    GroupOp,
    GroupRequest,
    ListMembers,
    ListNodes,
    NodeRequest,
    Nodes,
    OpReply,
    PromoteMember,
    RemoveMember,
    SkipCommand,
    TransferLeader,
)
from fleet.actors.messages.peer import NodeHello, PeerMail, PeerMails
from fleet.actors.messages.values import NodeInfo
from fleet.cluster.founding_messages import Exists, Founder, FoundingHello
from fleet.objects.applier import Outcomes
from fleet.objects.payload import ErrorRecord
from fleet.raft.codec import encode_messages
from fleet.raft.config import GroupConfig
from fleet.raft.entries import Commands, Entry, Members, SnapshotMeta
from fleet.raft.ids import MemberId, NodeName
from fleet.raft.messages import (
    AppendEntries,
    AppendReply,
    InstallSnapshot,
    PeerMessage,
    PreVote,
    SnapshotReply,
    VoteRequest,
)
from tests.actors.base.helpers import CLUSTER, SECRET

PORTS = ("h:" + "9" * 5000, "127.0.0.1:99999", "[", ":", "h\x00:1", "x" * 400 + ":1", "127.0.0.1:-1")
NUMBERS = (
    -1,
    0,
    1,
    -(2**63),
    2**63 - 1,
    2**63,
    2**64 - 1,
    2**62,
    2**31,
    1e308,
    float("nan"),
    float("inf"),
    0.5,
)


def framed(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


def nested(rng: random.Random) -> bytes:
    """Arrays or maps in one another, more than an interpreter's stack bears, or fewer."""
    depth = rng.choice((3, 50, 400, 2000, 20_000))
    return rng.choice((b"\x91", b"\x81\x01", b"\xdc\x00\x01", b"\x92\xc0")) * depth + b"\xc0"


def nonsense(rng: random.Random) -> Any:
    """A value that does not belong where it will stand."""
    return rng.choice(
        (
            lambda: rng.choice(NUMBERS),
            lambda: rng.choice(PORTS),
            lambda: "x" * rng.choice((0, 1, 300, 5000)),
            lambda: rng.randbytes(rng.choice((0, 1, 30, 3000))),
            lambda: None,
            lambda: rng.random() < 0.5,
            lambda: [nonsense(rng) for _ in range(rng.randrange(4))],
            lambda: {"type": nonsense(rng)},
            lambda: msgspec.Raw(nested(rng)),
        )
    )()


def twisted(rng: random.Random, value: Any) -> Any:
    """The same with something in it that does not belong there: depth first, anywhere."""
    if isinstance(value, list) and value and rng.random() < 0.85:
        at = rng.randrange(len(value))
        how = rng.random()
        if how < 0.06:
            return value[:at]
        if how < 0.12:
            return [*value, nonsense(rng)]
        return [*value[:at], twisted(rng, value[at]), *value[at + 1 :]]
    return nonsense(rng)


def mangled(rng: random.Random, data: bytes) -> bytes:
    """The same with bytes changed, cut out, doubled or put in."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8))):
        at = rng.randrange(len(out) + 1)
        match rng.randrange(5):
            case 0 if at < len(out):
                out[at] = rng.randrange(256)
            case 1:
                del out[at : at + rng.choice((1, 4, 100))]
            case 2:
                out[at:at] = rng.randbytes(rng.choice((1, 4, 100)))
            case 3:
                out[at:at] = out[at : at + rng.choice((1, 8, 64))]
            case 4:
                out[at:at] = nested(rng)
    return bytes(out)


CHANNEL = bytes(64)


@cache
def client_hello() -> bytes:
    """What a process that dials says first."""
    tls = Credentials(CLUSTER, SECRET).tls(False)
    tls.shake()
    return tls.output()


class Inputs:
    """`victim`: a member id and its group, which this may disturb; nothing names another group."""

    def __init__(
        self, rng: random.Random, identity: LinkIdentity, group: str, member: str, endpoint: str
    ) -> None:
        self.rng = rng
        self.identity = identity
        self.items = [
            msgspec.msgpack.decode(encode_item(dst, 7, message))
            for dst, message in _genuine(group, MemberId(member), endpoint)
        ]

    # -- before the proof ------------------------------------------------------------------------------

    def stranger(self) -> bytes:
        """To whoever dials or listens, instead of TLS."""
        rng = self.rng
        record = b"\x16\x03" + rng.randbytes(1) + struct.pack(">H", rng.choice((0, 5, 300, 16384, 65535)))
        match rng.randrange(4):
            case 0:
                return rng.randbytes(rng.choice((0, 3, 4, 40, 600, 5000)))
            case 1:
                return record + rng.randbytes(rng.choice((0, 1, 300)))
            case 2:
                return rng.choice((b"\x14", b"\x15", b"\x17")) + record[1:] + rng.randbytes(300)
            case _:
                return mangled(rng, client_hello())

    def greeting(self, make: Callable[[LinkIdentity], bytes]) -> bytes:
        rng = self.rng
        match rng.randrange(6):
            case 0:
                return rng.randbytes(rng.choice((0, 3, 4, 40, 600, 5000)))
            case 1:
                return framed(nested(rng))
            case 2:
                return framed((b"\x93\xa5fleet\x02" + nested(rng))[:HANDSHAKE_BYTES_MAX])
            case 3:
                return make(self.identity)[: rng.randrange(500)]
            case _:
                return mangled(rng, make(self.identity))

    def offer(self) -> bytes:
        """To an acceptor, inside TLS."""
        return self.greeting(lambda me: Connector(me, CHANNEL).greeting + bytes(36))

    def answer(self) -> bytes:
        """To whoever dials, inside TLS."""
        return self.greeting(lambda me: Acceptor(me, CHANNEL).greeted(Connector(me, CHANNEL).greeting[4:]))

    # -- after the proof -------------------------------------------------------------------------------

    def frame(self) -> bytes:
        rng = self.rng
        match rng.randrange(10):
            case 0:
                return framed(nested(rng))
            case 1:
                return framed(b"\x91\x94\x01\x01\x01" + nested(rng))
            case 2:
                return mangled(rng, framed(self._packed([rng.choice(self.items) for _ in range(3)])))
            case 3:
                return framed(mangled(rng, self._packed([rng.choice(self.items)])))
            case 4:  # a message for another actor, or none
                item = list(rng.choice(self.items))
                item[rng.randrange(3)] = rng.choice((0, 1, 2, 3, 7, -1, "node", "registry", "x" * 300, 2**63))
                return framed(self._packed([item]))
            case 5:  # its fields under another's tag
                one, other = rng.choice(self.items), rng.choice(self.items)
                return framed(self._packed([[*one[:2], other[2], one[3]]]))
            case 6:
                return struct.pack(">I", rng.choice((0, 1, 2**26, 2**26 + 1, 2**32 - 1))) + rng.randbytes(9)
            case 7:
                return framed(self._packed([self._mail()]))
            case _:
                item = rng.choice(self.items)
                return framed(self._packed([[*item[:3], twisted(rng, item[3])]]))

    def _mail(self) -> Any:
        """To a member, with a body that is none, or such as no member sends."""
        rng = self.rng
        item = rng.choice([item for item in self.items if item[2] == 1])
        body = item[3]
        messages = msgspec.msgpack.decode(body[-1])
        twist = (
            msgspec.msgpack.encode(twisted(rng, messages)) if rng.random() < 0.7 else mangled(rng, body[-1])
        )
        return [*item[:3], [*body[:-1], twist]]

    def _packed(self, items: list[Any]) -> bytes:
        return msgspec.msgpack.encode(items)


def _genuine(group: str, member: MemberId, endpoint: str) -> list[tuple[str, Any]]:
    back = Address(ActorId("", 4711, 7))
    peer = MemberId("other@bbbb.1")
    info = NodeInfo(NodeName("other"), "127.0.0.1:1", "z", "bbbb", 1)
    here = Address(ActorId(endpoint, 0, "node"))
    error = ErrorRecord("Unavailable", "what", {"node": "n"})
    refusal = Refusal(error, False, "other", "127.0.0.1:1", False, 1, (1,), (), 1)
    meta = SnapshotMeta(5, 1, Members((member,), (), {member: "127.0.0.1:1"}), GroupConfig(), 3, 0)
    founder = Founder(NodeName("other"), "bbbb", "127.0.0.1:1", "z", 1.0)
    entries = (Entry(1, 3, Commands(1, 1, 0, 0, (b"x",))), Entry(1, 4, Commands(1, 2, 0, 0, (b"x", b"y"))))
    raft: list[PeerMessage] = [
        AppendEntries(0, peer, member, 2, 1, entries, 3, 1, 1),
        AppendReply(0, peer, member, True, 2, 1, 1, 1, 1),
        PreVote(0, peer, member, 0, 0),
        VoteRequest(0, peer, member, 0, 0, False),
        InstallSnapshot(0, peer, member, meta, 0, b"abc", 1, 1),
        SnapshotReply(0, peer, member, 5, 0, False, 1, 1),
    ]
    return [
        *(("registry", PeerMail(member, encode_messages([message]))) for message in raft),
        ("registry", PeerMails(tuple(PeerMail(member, encode_messages([message])) for message in raft))),
        ("registry", ClientRequest(group, "fuzz", back, 1, 0, False, 1, (b"x", b"y"), 0, (), 1)),
        ("registry", ClientRequest(group, "fuzz", back, 0, 0, True, 0, (), 1, (b"x",), 1)),
        *(("registry", GroupRequest(5, back, group, op)) for op in _group_ops(peer)),
        *(("node", NodeRequest(5, back, op)) for op in (ListNodes(), ListMembers(), GetCluster())),
        ("node", NodeHello(info, here, here, (info,), True, 0)),
        ("node", OpReply(1 << 33, Done(1, 1))),
        ("node", OpReply(1, Nodes((info,)), error)),
        (
            "node",
            ClientReply(
                "fleet:cluster",
                1,
                (Outcomes(1, 1, "done", 1, (b"x",)),),
                (Answers(1, (b"x",), 1),),
                (refusal,),
            ),
        ),
        ("node", FoundingHello(founder, "list", (("127.0.0.1:1", "bbbb"),))),
        ("node", Exists("1", ("127.0.0.1:1",))),
    ]


def _group_ops(peer: MemberId) -> list[GroupOp]:
    return [
        GetStatus(),
        AddMember(peer, "127.0.0.1:1"),
        PromoteMember(peer),
        RemoveMember(peer),
        TransferLeader(peer),
        SkipCommand(1),
        TakeCopy(),
        ReadCopy(1, 0),
        ForgetCopy(1),
        GiveState(7, 5, 3, 1, 0, b"abc"),
        ChangeConfig(GroupConfig()),
    ]
