"""The handler of every event in every role: total, so that a missing line fails a test."""

from collections.abc import Callable
from typing import Any, Final, TypeAlias, get_args

from fleet.raft import any_role as anyone
from fleet.raft import (
    candidate,
    comparing,
    follower,
    halting,
    leader,
    leader_requests,
    restoring,
    waking,
)
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
from fleet.raft.state import Candidate, CoreState, Follower, Leader
from fleet.raft.transitions import stop_in_conflict

Handler: TypeAlias = Callable[[CoreState, Any, Any], None]


def ignore(core: CoreState, role: Any, m: Any) -> None:
    """The message is late, or was meant for a role that this member no longer has."""


def second_leader(core: CoreState, role: Leader, m: AppendEntries | InstallSnapshot) -> None:
    """A voter forgot its vote: both may have committed in this term."""
    stop_in_conflict(core, m.src, core.log.last_index, core.term)


ANYONE: Final[dict[type, Handler]] = {
    PreVote: anyone.on_pre_vote,
    VoteRequest: anyone.on_vote_request,
    Removed: anyone.on_removed,
    Stranger: anyone.on_stranger,
    SnapshotTaken: anyone.on_snapshot_taken,
    SnapshotFailed: anyone.on_snapshot_failed,
    SnapshotStored: anyone.on_snapshot_stored,
    ExecutionHalted: halting.on_execution_halted,
    ExecutionResumed: halting.on_execution_resumed,
    ExecutorAway: halting.on_executor_away,
    StateDigested: comparing.on_state_digested,
    Repair: comparing.on_repair,
}

HANDLERS: Final[dict[type, dict[type, Handler]]] = {
    Follower: ANYONE
    | {
        AppendEntries: follower.on_append,
        AppendReply: ignore,
        Diverged: follower.on_diverged,
        PreVoteReply: ignore,
        VoteReply: ignore,
        InstallSnapshot: follower.on_install_snapshot,
        SnapshotReply: ignore,
        TimeoutNow: follower.on_timeout_now,
        CheckLeader: ignore,
        SleepConfirmed: ignore,
        LeaderCheck: ignore,
        CompareState: comparing.on_compare_state,
        StateDigest: ignore,
        StateDiffers: comparing.on_state_differs,
        NodeSilent: waking.on_leaders_node_silent,
        Tick: follower.on_tick,
        Persisted: anyone.on_persisted,
        SnapshotLost: ignore,
        StateGiven: restoring.on_state_given,
        Propose: follower.on_request,
        ReadQuery: follower.on_request,
        Change: follower.on_request,
        Transfer: follower.on_request,
        Skip: follower.on_request,
    },
    Candidate: ANYONE
    | {
        AppendEntries: follower.on_append,
        AppendReply: ignore,
        Diverged: follower.on_diverged,
        PreVoteReply: candidate.on_pre_vote_reply,
        VoteReply: candidate.on_vote_reply,
        InstallSnapshot: follower.on_install_snapshot,
        SnapshotReply: ignore,
        TimeoutNow: follower.on_timeout_now,
        CheckLeader: ignore,
        SleepConfirmed: ignore,
        LeaderCheck: ignore,
        CompareState: comparing.on_compare_state,
        StateDigest: ignore,
        StateDiffers: comparing.on_state_differs,
        NodeSilent: ignore,
        Tick: candidate.on_tick,
        Persisted: candidate.on_persisted,
        SnapshotLost: ignore,
        StateGiven: ignore,
        Propose: follower.on_request,
        ReadQuery: follower.on_request,
        Change: follower.on_request,
        Transfer: follower.on_request,
        Skip: follower.on_request,
    },
    Leader: ANYONE
    | {
        AppendEntries: second_leader,
        AppendReply: leader.on_append_reply,
        Diverged: ignore,
        PreVoteReply: ignore,
        VoteReply: ignore,
        InstallSnapshot: second_leader,
        SnapshotReply: leader.on_snapshot_reply,
        TimeoutNow: ignore,
        CheckLeader: ignore,
        SleepConfirmed: waking.on_sleep_confirmed,
        LeaderCheck: waking.on_leader_check,
        CompareState: ignore,
        StateDigest: comparing.on_state_digest,
        StateDiffers: ignore,
        NodeSilent: waking.on_followers_node_silent,
        Tick: leader.on_tick,
        Persisted: leader.on_persisted,
        SnapshotLost: leader.on_snapshot_lost,
        StateGiven: ignore,
        Propose: leader_requests.on_propose,
        ReadQuery: leader_requests.on_query,
        Change: leader_requests.on_change,
        Transfer: leader_requests.on_transfer,
        Skip: halting.on_skip,
    },
}

EVENTS: Final[tuple[type, ...]] = get_args(PeerMessage) + get_args(LocalEvent)


def dispatch(core: CoreState, event: PeerMessage | LocalEvent) -> None:
    if core.asleep:
        waking.wake_for(core, event)
    if isinstance(event, Message) and not anyone.is_worth_handling(core, event):
        return
    role = core.role
    HANDLERS[type(role)][type(event)](core, role, event)
