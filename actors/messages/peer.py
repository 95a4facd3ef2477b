"""Messages between nodes and between members, across hosts."""

from typing import Annotated

from msgspec import Meta, Struct
from thespian.actors import ActorAddress

from fleet.actors.base.wire import register
from fleet.actors.messages.values import CALLS_MAX, KNOWN_MAX, Count, NodeInfo
from fleet.raft.ids import MemberId, Millis, NodeName


class PeerMail(Struct, frozen=True, array_like=True, tag=1, gc=False):
    """Messages of one member to another, through the registries of their nodes."""

    dst: Annotated[MemberId, Meta(max_length=1024)]
    body: bytes
    """`fleet.raft.codec.encode_messages`."""


class PeerMails(Struct, frozen=True, array_like=True, tag=26, gc=False):
    """What members of one node have sent in a turn to those of another: they share what a message costs."""

    mails: Annotated[tuple[PeerMail, ...], Meta(max_length=CALLS_MAX)]


class NodeHeartbeat(Struct, frozen=True, array_like=True, tag=24, gc=False):
    """A registry to another one, while members of their nodes sleep together."""

    node: NodeName
    run: int
    """Of its process: each start draws another one."""
    leaders: Count
    """How many members of the receiver's node those that sleep there lead, and know to sleep, too."""
    sent_at: Count = 0
    """By the sender's clock, in milliseconds."""
    heard_run: Count = 0
    heard_at: Count = 0
    """The receiver's newest heartbeat that the sender has heard: its `run` and `sent_at`."""
    sleepers: Count = 0
    """The sender's members that sleep under leaders on the receiver's node: `fleet.cluster.node_liveness`."""


class NodeHello(Struct, frozen=True, array_like=True, tag=4):
    """A node manager introduces itself and the nodes that it knows."""

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
    """The receiver's disk is an older copy: the sender remembers a later start of it."""

    incarnation: str
    boot: int
    """The receiver's own announcement, which this answers; void for its other runs."""
    remembered: int
    witness: NodeName


class Clone(Struct, frozen=True, array_like=True, tag=23):
    """The receiver's disk runs in two processes, and it is the second: the first answers at `address`."""

    started_ms: Millis
    address: str
    witness: NodeName


class GivenUp(Struct, frozen=True, array_like=True, tag=25):
    """The receiver's cluster was recovered without it: it may not run any more."""

    former: Count
    """The uid of the cluster that both belonged to."""
    cluster: Count
    """The uid with which the others continue."""
    witness: NodeName


register(PeerMail, PeerMails, NodeHeartbeat, NodeHello, OlderCopy, Clone, GivenUp)
