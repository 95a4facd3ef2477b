"""What a refusal means for the calls of a session: to be sent again, not done, or perhaps done by an earlier
send."""

from fleet.actors.client.session_state import SILENCE_MS, SessionState
from fleet.actors.messages.client import Refusal
from fleet.actors.messages.operator import DISK_FULL, MEMBER_LOST
from fleet.errors import FleetError, NoSuchGroup, NotAllowed, Unavailable, WrongCluster
from fleet.objects.outcomes import Failed
from fleet.raft.ids import Millis

CAUSES = (DISK_FULL, MEMBER_LOST)
"""What says more than the refusals that follow from it, unless the group is gone by then."""


def on_refusal(state: SessionState, now: Millis, m: Refusal) -> None:
    """A refusal of a command counts against the one send that it names, and twice as once (S78)."""
    error = m.error.to_error()
    is_known = state.last_error is not None and state.last_error.what in CAUSES
    if not is_known or isinstance(error, NoSuchGroup):
        state.last_error = error
    is_ours = not m.lost and m.session == state.session_id
    refused = [seq for seq in m.seqs if seq in state.inflight] if is_ours else []
    for seq in refused:
        call = state.inflight[seq]
        call.sends = tuple(number for number in call.sends if number != m.number)
    if m.lost or isinstance(error, Unavailable | NoSuchGroup | WrongCluster):
        state.try_again(now)
        return
    for query in m.queries:
        answered = state.queries.pop(query, None)
        if answered is not None:
            state.settle(answered, Failed(error))
    if m.opens and isinstance(error, NotAllowed):
        _on_no_session(state, error)
    elif m.opens:
        state.try_again(now)
    for seq in refused:
        _on_refused_command(state, now, seq, error)


def _on_no_session(state: SessionState, error: NotAllowed) -> None:
    """No command of this client will ever be accepted there: not those that wait for a session, either."""
    state.opening = False
    while state.queue:
        state.settle(state.queue.popleft(), Failed(error))


def _on_refused_command(state: SessionState, now: Millis, seq: int, error: FleetError) -> None:
    """NotDone if every send was refused; otherwise a member may have executed it."""
    call = state.inflight[seq]
    if not call.sends:
        del state.inflight[seq]
        state.settle(call, Failed(error))
    elif error.retry:
        state.try_again(now)
    else:
        call.is_hopeless = True
        call.deadline = min(call.deadline, now + SILENCE_MS)
        state.expires_at = min(state.expires_at, call.deadline)
