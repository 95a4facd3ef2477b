"""Messages between nodes and between members, across hosts."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Final

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
    """Mail of one turn that goes the same way shares what a message costs: of a node's members to those of
    another node, or of one member to several."""

    mails: Annotated[tuple[PeerMail, ...], Meta(max_length=CALLS_MAX)]


MAILS_BYTES_MAX: Final = 256 * 1024
"""Of mail in one message; with so much, further mail goes into the next."""


def together(mails: Sequence[PeerMail]) -> Iterator[PeerMail | PeerMails]:
    """The mails, at least one, in order, in as few messages as frames of a link can take."""
    first = size = 0
    for place, mail in enumerate(mails):
        size += len(mail.body)
        if size > MAILS_BYTES_MAX and place > first:
            yield _message(mails[first:place])
            first, size = place, len(mail.body)
    yield _message(mails[first:])


def _message(mails: Sequence[PeerMail]) -> PeerMail | PeerMails:
    return mails[0] if len(mails) == 1 else PeerMails(tuple(mails))


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
    version: Count = 0
    """The version of the fleet that is in force, as the sender knows it; 0: it does not."""


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


class StockMail(Struct, frozen=True, array_like=True, tag=44):
    """Between the gateways of nodes on Thespian's own base, whose addresses only pickles can hold: a message
    for a node manager or a registry. Nodes on the fleet base ignore it."""

    pickled: bytes


register(PeerMail, PeerMails, NodeHeartbeat, NodeHello, OlderCopy, Clone, GivenUp, StockMail)
