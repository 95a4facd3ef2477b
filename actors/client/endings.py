"""Calls that end without an answer: which were certainly not executed, and which may have been."""

from collections.abc import Iterable

from fleet.actors.client.calls import ClientCall
from fleet.actors.client.session_state import NEVER, SessionState
from fleet.errors import (
    DeadlineExceededBeforeSend,
    FleetError,
    NoSuchGroup,
    OutcomeUnknown,
    Unavailable,
)
from fleet.objects.outcomes import Failed, Unsettled
from fleet.raft.ids import Millis

LINGER_MS: Millis = 30_000
"""How long the outcome of a command is still asked for after its caller got OutcomeUnknown."""


def expire_calls(state: SessionState, now: Millis) -> None:
    """End the calls whose time is over with what is known for certain."""
    if now < state.expires_at:
        return
    for queue in (state.queue, state.query_queue, state.reads.queue):
        late = [call for call in queue if call.deadline <= now]
        if late:
            kept = [call for call in queue if call.deadline > now]
            queue.clear()
            queue.extend(kept)
            for call in late:
                state.settle(call, Failed(call.too_stale or _not_done(state)))
    for asked in (state.queries, state.reads.under_way):
        for query in _late(asked, now):
            error = asked[query].too_stale or _not_done(state)
            state.settle(asked.pop(query), Failed(error))
    for seq in _late(state.inflight, now):
        _expire_command(state, seq, now)
    calls = (*_queries(state), *state.queue, *state.inflight.values())
    state.expires_at = min((call.deadline for call in calls), default=NEVER)


def _expire_command(state: SessionState, seq: int, now: Millis) -> None:
    call = state.inflight[seq]
    if not call.sends:
        state.settle(state.inflight.pop(seq), Failed(_not_done(state)))
    elif call.is_unsettled or call.is_hopeless:
        state.settle(state.inflight.pop(seq), Failed(_unknown(state)))
    else:
        call.is_unsettled, call.deadline = True, now + LINGER_MS
        state.settled.append((call, Unsettled(_unknown(state))))


def _queries(state: SessionState) -> Iterable[ClientCall]:
    reads = state.reads
    return (*state.query_queue, *state.queries.values(), *reads.queue, *reads.under_way.values())


def _late(calls: dict[int, ClientCall], now: Millis) -> list[int]:
    return [number for number, call in calls.items() if call.deadline <= now]


def _not_done(state: SessionState) -> FleetError:
    if isinstance(state.last_error, NoSuchGroup):
        return state.last_error
    if state.has_asked or state.reads.under_way or state.last_error is not None:
        reason = str(state.last_error) if state.last_error is not None else "no node answered"
        return Unavailable("no answer in time", group=state.group, reason=reason)
    return DeadlineExceededBeforeSend("no answer in time", group=state.group)


def _unknown(state: SessionState) -> OutcomeUnknown:
    reason = str(state.last_error) if state.last_error is not None else None
    return OutcomeUnknown("sent, and not answered in time", group=state.group, reason=reason)


def fail_all(state: SessionState, error: FleetError) -> None:
    """Fail every call. Commands that were sent and not refused may still have been executed."""
    refused = [call for call in state.inflight.values() if not call.sends]
    unsent: Iterable[ClientCall] = (*state.queue, *_queries(state), *refused)
    sent = [call for call in state.inflight.values() if call.sends]
    state.queue.clear()
    state.query_queue.clear()
    state.queries.clear()
    state.reads.queue.clear()
    state.reads.under_way.clear()
    state.inflight.clear()
    state.opening, state.under_way, state.resend_at = False, 0, None
    for call in unsent:
        state.settle(call, Failed(error))
    for call in sent:
        unknown = OutcomeUnknown("sent, and not answered", group=state.group, reason=str(error))
        state.settle(call, Failed(unknown))
