"""Clients that wait for a member, and the parts in which commands and their outcomes travel."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from thespian.actors import ActorAddress

from fleet.actors.messages.client import Answers, ReadBound, Refusal
from fleet.objects.applier import Outcomes
from fleet.raft.entries import Commands
from fleet.raft.ids import Millis, SessionId
from fleet.raft.sessions import DONE

PENDING_MAX = 16_384
"""Commands and queries under way of one client; its own window is far smaller."""


@dataclass(slots=True)
class Waiter:
    """A client, and the reply to it at the end of this turn."""

    name: str
    reply_to: ActorAddress
    pending: int = 0
    """The number of requests that it waits for; at 0 it can be forgotten."""
    session: SessionId = 0
    results: list[Outcomes] = field(default_factory=list)
    answers: list[Answers] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    bytes: int = 0
    """In results and answers."""
    wants_members: bool = False
    """Whether it asks where the group's members are."""

    def would_exceed(self, count: int) -> bool:
        """Whether so many more are too many."""
        return self.pending + count > PENDING_MAX


@dataclass(slots=True)
class UnderWay:
    """Commands of one session that were proposed here and are not answered."""

    waiter: Waiter
    seqs: set[int] = field(default_factory=set)


@dataclass(slots=True)
class Reading:
    waiter: Waiter
    first: int
    queries: tuple[bytes, ...]
    """Payloads of queries that the client numbers from `first` on."""
    size: int
    """Of the payloads, at first."""
    is_lease: bool = False
    """Whether they are executed under a lease."""
    bound: ReadBound | None = None
    """How new the state must be, where any member may answer."""
    fresh_at: Millis = 0
    """When the state that they see was that of the group, at the latest."""


@dataclass(slots=True)
class ProposedRequest:
    waiter: Waiter
    session: SessionId
    seqs: tuple[int, ...]
    opens: bool
    number: int
    """Of the request that brought it."""


def seqs_of(commands: Commands | Outcomes) -> range:
    count = len(commands.payloads if isinstance(commands, Commands) else commands.values)
    return range(commands.first, commands.first + count)


def part_of(outcomes: Outcomes, start: int, end: int) -> Outcomes:
    revision = outcomes.revision + start if outcomes.status == DONE else 0
    values = outcomes.values[start:end]
    return Outcomes(outcomes.session, outcomes.first + start, outcomes.status, revision, values)


def runs(
    first: int, payloads: tuple[bytes, ...], without: Collection[int], bytes_max: int
) -> Iterator[tuple[int, tuple[bytes, ...]]]:
    """Split numbered payloads where one is left out, and where more than `bytes_max` would be together."""
    if not without and sum(map(len, payloads)) <= bytes_max:
        yield first, payloads
        return
    start, size = first, 0
    for seq, payload in enumerate(payloads, first):
        if seq in without or size + len(payload) > bytes_max:
            if start < seq:
                yield start, payloads[start - first : seq - first]
            start, size = seq, 0
        if seq in without:
            start = seq + 1
        else:
            size += len(payload)
    if start < first + len(payloads):
        yield start, payloads[start - first :]
