"""What nodes and members say to each other, across hosts."""

from typing import Annotated

from msgspec import Meta, Struct
from thespian.actors import ActorAddress

from fleet.actors.base.wire import register
from fleet.actors.messages.values import KNOWN_MAX, Count, NodeInfo
from fleet.raft.ids import MemberId, Millis, NodeName


class PeerMail(Struct, frozen=True, array_like=True, tag=1, gc=False):
    """Messages of one member to another, by way of the registries of their nodes."""

    dst: Annotated[MemberId, Meta(max_length=1024)]
    body: bytes
    """`fleet.raft.codec.encode_messages`."""


class Hello(Struct, frozen=True, array_like=True, tag=4):
    """Node managers introduce themselves, and everybody whom they know."""

    me: NodeInfo
    manager: ActorAddress
    registry: ActorAddress
    known: Annotated[tuple[NodeInfo, ...], Meta(max_length=KNOWN_MAX)]
    answer: bool
    """Say hello back."""
    cluster: Count = 0
    """The uid of the cluster group; 0 for a node that belongs to none yet."""
    answers: Millis = 0
    """`started_ms` of the process whose hello this answers; 0: of none."""


class OlderCopy(Struct, frozen=True, array_like=True, tag=22):
    """Your disk is an older copy of one that was started more often: I remember it."""

    incarnation: str
    boot: int
    """What you said of yourself: another life of yours is not meant."""
    remembered: int
    witness: NodeName


class Clone(Struct, frozen=True, array_like=True, tag=23):
    """Your disk runs twice, and you are the second: the first answers at `address`."""

    started_ms: Millis
    address: str
    witness: NodeName


register(PeerMail, Hello, OlderCopy, Clone)
