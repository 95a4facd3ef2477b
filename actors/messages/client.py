"""Requests of clients to groups, and the replies, across hosts. Users' payloads are opaque bytes."""

from typing import Annotated, TypeAlias

from msgspec import Meta, Struct
from thespian.actors import ActorAddress

from fleet.actors.base.wire import register
from fleet.actors.messages.values import CALLS_MAX, Count, Name
from fleet.objects.applier import Outcomes
from fleet.objects.context import KIND_MAX
from fleet.objects.payload import ErrorRecord
from fleet.raft.group_events import GroupEvent, Position
from fleet.raft.ids import Revision, SessionId

KINDS_MAX = 10_000
"""Kinds of events that one client chooses by in a group."""
EventKind: TypeAlias = Annotated[str, Meta(min_length=1, max_length=KIND_MAX)]


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
    has_role: bool = False
    """Set where it enters the cluster: it came from a process with a role, whose session must be its own."""


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


class WatchGroup(Struct, frozen=True, array_like=True, tag=41, gc=False):
    """Tell this client of the group's events after a position, until it is silent or leaves. In place of what
    it watched in that group before."""

    group: Name
    client: Name
    reply_to: ActorAddress
    number: Count
    """Of this client's watches of the group: what is told carries it."""
    after: Position | None
    """None: whatever comes from now on."""
    kinds: Annotated[tuple[EventKind, ...], Meta(max_length=KINDS_MAX)] | None
    """None: all."""
    cluster: Count = 0
    """As in ClientRequest."""


class KeepWatch(Struct, frozen=True, array_like=True, tag=42, gc=False):
    """The client is still there, and has taken what it was told up to `taken`."""

    group: Name
    client: Name
    reply_to: ActorAddress
    number: Count
    taken: Count
    """The number of the last `WatchReply`, all before which it has."""
    asks: bool
    """Whether it wants an answer."""
    leaves: bool = False
    """It does not watch any more. Not answered."""


class WatchReply(Struct, frozen=True, array_like=True, tag=43, gc=False):
    """To a watching client: new events, a sign of life, or why it is told no more here."""

    group: str
    number: int
    """Of the watch."""
    place: int
    """Among the replies to that watch, from 1 on; 0: it was refused."""
    events: tuple[GroupEvent, ...] = ()
    until: Position = (0, 0)
    """Up to here it was told all."""
    now: Revision = 0
    """The group's revision, as far as this member has come."""
    uid: Count = 0
    """Of the group: another one of its name has other revisions."""
    error: ErrorRecord | None = None
    leader: str = ""
    leader_address: str = ""
    """As in `Refusal`."""
    cluster: Count = 0
    """As in ClientReply."""


register(ClientRequest, ClientReply, WatchGroup, KeepWatch, WatchReply)
