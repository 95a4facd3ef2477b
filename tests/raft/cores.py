"""One core at a time: prepared members, and everything that they put out."""

import random
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from fleet.raft.config import GroupConfig
from fleet.raft.core import Core
from fleet.raft.entries import Body, Commands, Entry, HardState, Members, SnapshotMeta
from fleet.raft.events import LocalEvent, Persisted, SnapshotStored, Tick
from fleet.raft.ids import MemberId, Millis, member_id
from fleet.raft.messages import (
    AppendEntries,
    AppendReply,
    Message,
    PeerMessage,
    PreVoteReply,
    VoteReply,
    VoteRequest,
)
from fleet.raft.ready import PersistRequest, Ready
from fleet.raft.restart import start_core
from fleet.raft.state import Leader

M = TypeVar("M", bound=Message)

N1, N2, N3, N4, N5 = (member_id(f"n{number}", "d", 1) for number in range(1, 6))
N8, N9 = member_id("n8", "d", 1), member_id("n9", "d", 1)
"""Of no group here."""
CONFIG = GroupConfig()
LEASES = GroupConfig(lease_reads=True)
THREE = (N2, N1, N3)
FIVE = (N2, N1, N3, N4, N5)
"""The first founder is another one: it is impatient as long as the group never had a leader."""


def command(number: int = 1, session: int = 1, payload: bytes = b"x") -> Commands:
    return Commands(session=session, first=number, acked=0, wall_ms=0, payloads=(payload,))


def entries(*terms: int, first: int = 1) -> tuple[Entry, ...]:
    return tuple(Entry(term, index, command(index)) for index, term in enumerate(terms, first))


def follower(
    term: int = 1,
    terms: Sequence[int] = (1,),
    voters: tuple[MemberId, ...] = THREE,
    learners: tuple[MemberId, ...] = (),
    me: MemberId = N1,
    config: GroupConfig = CONFIG,
    vote: MemberId | None = None,
    bodies: Mapping[int, Body] | None = None,
) -> Core:
    """A member whose group began with these members; `terms` are those of its entries."""
    start = SnapshotMeta(index=0, term=0, members=Members(voters, learners), config=config, size=0, crc=0)
    log = [Entry(e.term, e.index, (bodies or {}).get(e.index, e.body)) for e in entries(*terms)]
    core = start_core(me, 0, random.Random(1), HardState(term, vote), start, log)
    core.restarted_with = 0  # this is its first life
    return core


def leader(
    term: int = 2,
    terms: Sequence[int] = (1,),
    voters: tuple[MemberId, ...] = THREE,
    learners: tuple[MemberId, ...] = (),
    me: MemberId = N1,
    config: GroupConfig = CONFIG,
    bodies: Mapping[int, Body] | None = None,
) -> Core:
    """Elected in `term`, its first entry durable here and nowhere else, everything said."""
    core = follower(term - 1, terms, voters, learners, me, config, bodies=bodies)
    campaign(core)
    others = [voter for voter in voters if voter != me]
    for voter in others:
        core.step(core.now, VoteReply(term, voter, me, granted=True))
    settle(core)
    assert core.is_leader and core.term == term
    return core


def settled(term: int = 2, **how: object) -> Core:
    """A leader whose first entry is committed."""
    core = leader(term, **how)  # type: ignore[arg-type]
    for voter in core.membership.current.everyone:
        if voter != core.id:
            accept(core, voter)
    settle(core)
    assert core.log.commit == core.log.last_index
    return core


def campaign(core: Core) -> list[Ready]:
    """Its patience ends, all others say that they would vote for it."""
    core.step(max(core.deadline, core.now), Tick())
    for voter in core.membership.current.voters:
        if voter != core.id and type(core.role).__name__ == "Candidate":
            core.step(core.now, PreVoteReply(core.term + 1, voter, core.id, granted=True))
            if not core.promise_is_durable:
                break
    return settle(core)


def accept(
    core: Core, peer: MemberId, index: int | None = None, at: Millis | None = None, round: int = 0
) -> None:
    """The peer has everything up to `index`, and says so."""
    index = core.log.last_index if index is None else index
    at = core.now if at is None else at
    core.step(
        core.now,
        AppendReply(
            core.term, peer, core.id, ok=True, index=index, hint=0, hint_term=0, round=round, sent_at=at
        ),
    )


def append(
    core: Core,
    prev: tuple[int, int],
    new: Iterable[Entry] = (),
    commit: int = 0,
    src: MemberId = N2,
    term: int = 0,
) -> None:
    """An AppendEntries arrives; `prev` is (index, term)."""
    message = AppendEntries(
        term or core.term,
        src,
        core.id,
        prev_index=prev[0],
        prev_term=prev[1],
        entries=tuple(new),
        commit=commit,
        round=0,
        sent_at=core.now,
    )
    core.step(core.now, message)


def take(core: Core) -> list[Ready]:
    """All outputs, with no write completed. Tests change cores by hand, too."""
    core.is_settled = False
    readies: list[Ready] = []
    while (ready := core.take_ready()) is not None:
        readies.append(ready)
    return readies


def settle(core: Core) -> list[Ready]:
    """All outputs, every write completed at once."""
    readies: list[Ready] = []
    while True:
        more = take(core)
        if not more:
            return readies
        readies += more
        if core.writes:
            core.step(core.now, Persisted(core.seq))
        if core.storing is not None:
            core.step(core.now, SnapshotStored(core.storing[0].index))


def said(readies: Iterable[Ready], kind: type[M]) -> list[M]:
    """Every message of this kind, whether it waited for the disk or not."""
    return [message for message in all_said(readies) if isinstance(message, kind)]


def all_said(readies: Iterable[Ready]) -> list[PeerMessage]:
    return [message for ready in readies for message in [*ready.send_now, *ready.chunks, *ready.send_after]]


def vote_for(
    core: Core, src: MemberId, term: int, index: int = 1, last_term: int = 1, transfer: bool = True
) -> list[bool]:
    """`transfer`: nobody is protected, so that the rule under test decides alone."""
    request = VoteRequest(term, src, core.id, last_index=index, last_term=last_term, transfer=transfer)
    return [reply.granted for reply in said(step(core, request), VoteReply)]


def each(messages: Sequence[PeerMessage], kind: type[M]) -> list[M]:
    """All of these, every one of this kind."""
    found: list[M] = [message for message in messages if isinstance(message, kind)]
    assert len(found) == len(messages)
    return found


def snapshot_of(core: Core) -> SnapshotMeta:
    assert core.snapshot is not None
    return core.snapshot


def write_of(ready: Ready) -> PersistRequest:
    assert ready.write is not None
    return ready.write


def written(readies: Iterable[Ready]) -> list[PersistRequest]:
    return [ready.write for ready in readies if ready.write is not None]


def answered(readies: Iterable[Ready]) -> dict[int, str | None]:
    return {answer.token: answer.error for ready in readies for answer in ready.answers}


def read(readies: Iterable[Ready]) -> list[int]:
    """Tokens of the reads that may be executed."""
    return [token for ready in readies for token in ready.reads + ready.lease_reads]


def step(core: Core, event: PeerMessage | LocalEvent, later: Millis = 0) -> list[Ready]:
    """One act: an event `later` ms from now, every write completed."""
    core.step(core.now + later, event)
    return settle(core)


def terms_of(core: Core) -> list[int]:
    return [entry.term for entry in core.log.entries]


def leading(core: Core) -> Leader:
    assert isinstance(core.role, Leader)
    return core.role
