"""Requests of clients to groups, and the replies, across hosts. Users' payloads are opaque bytes."""

from typing import Annotated

from msgspec import Meta, Struct
from thespian.actors import ActorAddress

from fleet.actors.base.wire import register
from fleet.actors.messages.values import CALLS_MAX, Count, Name
from fleet.objects.applier import Outcomes
from fleet.objects.payload import ErrorRecord
from fleet.raft.ids import Revision, SessionId


class ReadBound(Struct, frozen=True, array_like=True, gc=False):
    """Queries that any member may answer, from its own state, if that is new enough."""

    max_age_ms: int
    """At most so old; below 0: however old."""
    at_least: Revision
    """Of this revision or a later one."""
    wants_members: bool = False
    """Whether the client asks where members of the group are."""


class Answers(Struct, frozen=True, array_like=True, gc=False):
    """The number of the first query, the results of it and those that follow it, and the revision that the
    state had."""

    first: int
    values: tuple[bytes, ...]
    revision: Revision = 0


class ClientRequest(Struct, frozen=True, array_like=True, tag=2, gc=False):
    """A client's requests to a group of one turn, in order."""

    group: Name
    client: Name
    reply_to: ActorAddress
    session: SessionId
    acked: Count
    opens: bool
    """Open a session; no commands yet."""
    first: Count
    """The sequence number of the first command; the others follow it without a gap."""
    commands: Annotated[tuple[bytes, ...], Meta(max_length=CALLS_MAX)]
    first_query: Count
    """The client's own number of the first query; the others follow it without a gap."""
    queries: Annotated[tuple[bytes, ...], Meta(max_length=CALLS_MAX)]
    number: int
    """Of this client's requests to the group: a command that is sent again comes in another request."""
    closes: bool = False
    """The client closes: forget its session. Any reply confirms it."""
    cluster: Count = 0
    """The uid of the cluster that the client has pinned; 0 before its first answer."""
    bound: ReadBound | None = None
    """Not None: there are only queries, and any member may answer them."""


class Refusal(Struct, frozen=True, array_like=True, gc=False):
    """These were not executed for request `number`. When `lost`, they may be by another member.

    A command may also have come in other requests: it was not executed only if each one was refused.
    """

    error: ErrorRecord
    lost: bool
    leader: str
    """Node whose member leads, as far as known, and its address; "" where not."""
    leader_address: str
    opens: bool
    session: SessionId
    seqs: tuple[int, ...]
    queries: tuple[int, ...]
    number: int


class ClientReply(Struct, frozen=True, array_like=True, tag=3, gc=False):
    group: str
    session: SessionId
    """Not 0: the session that was opened. It may have expired since."""
    results: tuple[Outcomes, ...]
    answers: tuple[Answers, ...]
    refusals: tuple[Refusal, ...]
    cluster: Count = 0
    """Set where the request was for another cluster, or for none yet: the uid of this one."""
    members: tuple[str, ...] = ()
    """Addresses of the nodes that hold members, where the client asked for them."""


register(ClientRequest, ClientReply)
