"""How a reply settles the calls of a session."""

from fleet.actors.client.member_reads import settle_answered
from fleet.actors.client.session_state import SessionState
from fleet.actors.messages.client import ClientReply
from fleet.errors import OutcomeUnknown, SessionExpired
from fleet.objects.applier import Outcomes
from fleet.objects.outcomes import Failed, Succeeded
from fleet.raft.ids import Millis, SessionId
from fleet.raft.sessions import DONE, EXPIRED, OUT_OF_ORDER


def take_answers(state: SessionState, now: Millis, m: ClientReply) -> None:
    """Settle what was answered. Refusals are another matter."""
    if m.session:
        _begin_session(state, now, m.session)
    for outcomes in m.results:
        if outcomes.session != state.session_id:
            continue  # of an earlier one
        if outcomes.status == DONE:
            _take_values(state, outcomes)
        else:
            _take_refused(state, now, outcomes)
    queries = state.queries
    for answers in m.answers:
        revision = answers.revision
        state.seen = max(state.seen, revision)
        for query, value in enumerate(answers.values, answers.first):
            asked = queries.pop(query, None)
            if asked is not None:
                settle_answered(state, asked, value, revision)
    if m.session or m.results or m.answers:
        state.pause = 0
        state.nowhere.clear()
        state.followed.clear()
        state.last_error = None


def _begin_session(state: SessionState, now: Millis, session: SessionId) -> None:
    """None is begun twice: its numbers would begin anew, and stand for commands that were executed. A reply
    may come late, and a leader that executes its log again tells of every session that was opened there."""
    if session in state.expired:
        if state.opening:
            state.try_again(now)
        return
    state.opening = False
    if not state.session_id:
        state.session_id, state.next_seq = session, 1


def _take_values(state: SessionState, outcomes: Outcomes) -> None:
    inflight, settled = state.inflight, state.settled
    revision = outcomes.revision - outcomes.first
    state.seen = max(state.seen, outcomes.revision + len(outcomes.values) - 1)
    for seq, value in enumerate(outcomes.values, outcomes.first):
        call = inflight.pop(seq, None)
        if call is None:
            continue  # told twice
        if call.is_unsettled:
            state.settle(call, Succeeded(value, revision + seq))
            continue
        settled.append((call, Succeeded(value, revision + seq)))
        batch = call.batch  # as `leave_batch`, without a call
        if batch is not None:
            batch.remaining -= 1
            if not batch.remaining:
                state.under_way = max(0, state.under_way - 1)


def _take_refused(state: SessionState, now: Millis, outcomes: Outcomes) -> None:
    for seq in range(outcomes.first, outcomes.first + len(outcomes.values)):
        if seq not in state.inflight:
            continue  # told twice, or gone with its session
        if outcomes.status == OUT_OF_ORDER:
            state.try_again(now)
        elif outcomes.status == EXPIRED:
            _expire_session(state, seq)
        else:
            unknown = OutcomeUnknown("its result was forgotten", group=state.group)
            state.settle(state.inflight.pop(seq), Failed(unknown))


def _expire_session(state: SessionState, seq: int) -> None:
    """The group forgot the session. Commands sent for the first time were not executed and continue in a
    new session. Commands sent before, and not refused, may have been executed.

    Commands are executed in their order: if the first one that expired was not, none after it was.
    """
    calls = list(state.inflight.items())
    newest = max(state.inflight[seq].sends, default=0)
    is_new = len(state.inflight[seq].sends) <= 1
    state.inflight.clear()
    state.expired.add(state.session_id)
    state.session_id, state.opening = 0, False
    fresh = []
    for number, call in calls:
        is_fresh = is_new or all(send >= newest for send in call.sends)
        if number >= seq and is_fresh and not call.is_unsettled:
            state.leave_batch(call)
            call.sends, call.is_hopeless = (), False
            fresh.append(call)
        else:
            state.settle(call, Failed(SessionExpired("the session expired on the group", group=state.group)))
    state.queue.extendleft(reversed(fresh))
