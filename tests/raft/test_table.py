"""What each role does on each event: no pair is missing, and what is ignored changes nothing."""

import copy

import msgspec
import pytest

from fleet.raft.core import Core
from fleet.raft.entries import Founded, Halt, MemberAdded, Members, SnapshotMeta
from fleet.raft.events import (
    Change,
    CheckLeader,
    ExecutionHalted,
    ExecutionResumed,
    ExecutorAway,
    LocalEvent,
    NodeSilent,
    Persisted,
    Propose,
    ReadQuery,
    Repair,
    Skip,
    SleepConfirmed,
    SnapshotFailed,
    SnapshotLost,
    SnapshotStored,
    SnapshotTaken,
    StateDigested,
    StateGiven,
    Tick,
    Transfer,
)
from fleet.raft.ids import NodeName
from fleet.raft.messages import (
    AppendEntries,
    AppendReply,
    CompareState,
    Diverged,
    InstallSnapshot,
    LeaderCheck,
    Message,
    PeerMessage,
    PreVote,
    PreVoteReply,
    Removed,
    SnapshotReply,
    StateDiffers,
    StateDigest,
    Stranger,
    TimeoutNow,
    VoteReply,
    VoteRequest,
)
from fleet.raft.state import Candidate, Follower, Leader
from fleet.raft.table import EVENTS, HANDLERS, ignore
from tests.raft.cores import (
    CONFIG,
    N1,
    N2,
    N4,
    THREE,
    campaign,
    command,
    entries,
    follower,
    settle,
    settled,
    step,
)

META = SnapshotMeta(index=9, term=2, members=Members(THREE), config=CONFIG, size=3, crc=0x352441C2)
SAMPLES: dict[type, PeerMessage | LocalEvent] = {
    AppendEntries: AppendEntries(
        2, N2, N1, prev_index=1, prev_term=1, entries=entries(2, first=2), commit=2, round=0, sent_at=0
    ),
    AppendReply: AppendReply(2, N2, N1, ok=True, index=2, hint=0, hint_term=0, round=0, sent_at=0),
    PreVote: PreVote(3, N2, N1, last_index=9, last_term=9),
    PreVoteReply: PreVoteReply(3, N2, N1, granted=True),
    VoteRequest: VoteRequest(2, N2, N1, last_index=9, last_term=9, transfer=True),
    VoteReply: VoteReply(2, N2, N1, granted=True),
    InstallSnapshot: InstallSnapshot(2, N2, N1, meta=META, offset=0, data=b"abc", round=0, sent_at=0),
    SnapshotReply: SnapshotReply(2, N2, N1, index=1, offset=0, installed=True, round=0, sent_at=0),
    TimeoutNow: TimeoutNow(2, N2, N1),
    Removed: Removed(2, N2, N1),
    Stranger: Stranger(2, N2, N1, last_index=1, last_term=1),
    Diverged: Diverged(2, N2, N1, last_index=0, last_term=0),
    CheckLeader: CheckLeader(),
    LeaderCheck: LeaderCheck(2, N2, N1),
    CompareState: CompareState(2, N2, N1, index=1, skips=0),
    StateDigest: StateDigest(2, N2, N1, index=1, digest=b"digest"),
    StateDiffers: StateDiffers(2, N2, N1, index=1, digest=b"digest", agreed=0),
    NodeSilent: NodeSilent(NodeName("n2")),
    SleepConfirmed: SleepConfirmed({NodeName("n2"): 1}),
    Tick: Tick(),
    Persisted: Persisted(0),
    SnapshotTaken: SnapshotTaken(1, b""),
    SnapshotFailed: SnapshotFailed(),
    SnapshotStored: SnapshotStored(1),
    SnapshotLost: SnapshotLost(N2),
    Propose: Propose(1, (command(),)),
    ReadQuery: ReadQuery(1),
    Change: Change(1, MemberAdded(N4, "a")),
    Transfer: Transfer(1, N2),
    ExecutionHalted: ExecutionHalted(Halt(0, 0, "add hangs")),
    ExecutionResumed: ExecutionResumed(),
    ExecutorAway: ExecutorAway(True),
    Skip: Skip(1, 1),
    StateGiven: StateGiven(Founded(N1, "a1", CONFIG), 1, b"", 0),
    StateDigested: StateDigested(1, 1, b"digest"),
    Repair: Repair(1),
}


def prepared(role: type) -> Core:
    """A member of term 2 in this role, with one entry of term 1 and nothing under way."""
    if role is Leader:
        return settled()
    core = follower(term=2 if role is Follower else 1)
    core.life = 0
    if role is Candidate:
        campaign(core)
        settle(core)
    assert type(core.role) is role and core.term == 2
    return core


def state_of(core: Core) -> object:
    fields = {name: getattr(core, name) for name in Core.__slots__ or ()}
    for base in Core.__mro__[1:-1]:
        fields |= {name: getattr(core, name) for name in getattr(base, "__slots__", ())}
    fields.pop("rng")
    fields.pop("is_settled")
    return copy.deepcopy(fields)


PAIRS = [(role, event) for role in HANDLERS for event in EVENTS]


def test_every_role_answers_every_event() -> None:
    assert set(HANDLERS) == {Follower, Candidate, Leader}
    assert all(set(handlers) == set(EVENTS) for handlers in HANDLERS.values())
    assert set(SAMPLES) == set(EVENTS)


def test_every_message_of_the_wire_is_an_event() -> None:
    assert {event for event in EVENTS if issubclass(event, Message)} == set(Message.__subclasses__())


@pytest.mark.parametrize(("role", "event"), [pair for pair in PAIRS if HANDLERS[pair[0]][pair[1]] is ignore])
def test_what_is_ignored_changes_nothing(role: type, event: type) -> None:
    core = prepared(role)
    before = state_of(core)
    assert step(core, SAMPLES[event]) == []
    assert state_of(core) == before


OUTCOMES: dict[tuple[type, type], str] = {
    (Follower, AppendEntries): "commit=2 AppendReply",
    (Follower, InstallSnapshot): "commit=9 SnapshotReply",
    (Follower, PreVote): "PreVoteReply",
    (Follower, VoteRequest): "vote VoteReply",
    (Follower, TimeoutNow): "Candidate vote VoteRequest",
    (Follower, Removed): "removed",
    (Follower, Stranger): "removed",
    (Follower, Diverged): "halted",
    (Follower, NodeSilent): "",
    (Leader, LeaderCheck): "AppendEntries",
    (Leader, NodeSilent): "",
    (Leader, SleepConfirmed): "",
    (Follower, Propose): "answer",
    (Follower, ReadQuery): "answer",
    (Follower, Change): "answer",
    (Follower, Transfer): "answer",
    (Follower, Skip): "answer",
    (Candidate, AppendEntries): "Follower commit=2 AppendReply",
    (Candidate, InstallSnapshot): "Follower commit=9 SnapshotReply",
    (Candidate, PreVote): "PreVoteReply",
    (Candidate, PreVoteReply): "",
    (Candidate, VoteRequest): "VoteReply",
    (Candidate, VoteReply): "Leader AppendEntries",
    (Candidate, TimeoutNow): "",
    (Candidate, Removed): "Follower removed",
    (Candidate, Stranger): "Follower removed",
    (Candidate, Diverged): "Follower halted",
    (Candidate, ReadQuery): "answer",
    (Candidate, Skip): "answer",
    (Leader, AppendReply): "",
    (Leader, PreVote): "PreVoteReply",
    (Leader, VoteRequest): "VoteReply",
    (Leader, SnapshotReply): "",
    (Leader, Removed): "Follower removed",
    (Leader, Stranger): "",
    (Leader, Propose): "AppendEntries",
    (Leader, ReadQuery): "AppendEntries",
    (Leader, Change): "AppendEntries",
    (Leader, AppendEntries): "Follower halted",
    (Leader, InstallSnapshot): "Follower halted",
    (Leader, Transfer): "TimeoutNow",
    (Leader, Skip): "answer",
    (Leader, Tick): "",
    (Leader, SnapshotLost): "",
}


@pytest.mark.parametrize(("role", "event"), OUTCOMES)
def test_what_each_pair_does(role: type, event: type) -> None:
    core = prepared(role)
    commit, vote = core.log.commit, core.vote
    readies = step(core, SAMPLES[event])
    words = [type(core.role).__name__] if type(core.role) is not role else []
    words += ["vote"] if core.vote != vote else []
    words += [f"commit={core.log.commit}"] if core.log.commit != commit else []
    words += ["removed"] if core.removed else []
    words += ["halted"] if core.conflict else []
    kinds = {type(m).__name__ for ready in readies for m in [*ready.send_now, *ready.send_after]}
    words += sorted(kinds)
    words += ["answer"] if any(ready.answers for ready in readies) else []
    assert " ".join(words) == OUTCOMES[role, event]


@pytest.mark.parametrize("event", [event for event in EVENTS if issubclass(event, Message)])
@pytest.mark.parametrize("role", HANDLERS)
def test_a_message_to_somebody_else_changes_nothing(role: type, event: type) -> None:
    core = prepared(role)
    before = state_of(core)
    message = SAMPLES[event]
    assert isinstance(message, PeerMessage)
    assert step(core, msgspec.structs.replace(message, term=9, dst=N4)) == []
    assert state_of(core) == before


@pytest.mark.parametrize("event", EVENTS)
def test_a_removed_member_says_nothing_any_more(event: type) -> None:
    core = prepared(Follower)
    step(core, SAMPLES[Removed])
    readies = step(core, SAMPLES[event])
    assert not any(ready.send_now or ready.send_after or ready.write for ready in readies)
