"""How a session makes requests of the calls that wait, and of those under way that are sent again."""

from collections import deque

from fleet.actors.client.calls import Batch, ClientCall
from fleet.actors.client.session_events import Send
from fleet.actors.client.session_state import SessionState
from fleet.actors.messages.client import ClientRequest
from fleet.raft.ids import Millis

WINDOW_MAX = 1024
"""Commands under way in one group."""
BATCH_BYTES_MAX = 1 << 20
REQUESTS_MAX = 3
"""Requests under way in one group; calls that arrive meanwhile share the next one."""

Numbered = tuple[tuple[int, ClientCall], ...]


def send_queued(state: SessionState, now: Millis) -> None:
    """One request of what waits, if one may leave now."""
    if state.resend_at is not None or state.under_way >= REQUESTS_MAX:
        return
    opens = bool(state.queue) and not state.session_id and not state.opening
    commands: Numbered = ()
    if state.session_id:
        commands = _taken(state.queue, state.next_seq, WINDOW_MAX - len(state.inflight))
        state.next_seq += len(commands)
    queries = _taken(state.query_queue, state.next_query, WINDOW_MAX)
    state.next_query += len(queries)
    if not (opens or commands or queries):
        return
    if not state.has_asked or state.asked_at == 0:
        state.asked_at = now
    state.opening = state.opening or opens
    _send(state, opens, commands, queries)


def send_again(state: SessionState, now: Millis) -> None:
    """Everything that is under way, in order: to another node, or after a refusal."""
    state.under_way = 0
    state.resend_at = None
    state.asked_at = now
    opens = state.opening or (bool(state.queue) and not state.session_id)
    state.opening = opens
    hopeful = {seq: call for seq, call in state.inflight.items() if not call.is_hopeless}
    commands, queries = _batches(hopeful), _batches(state.queries)
    for place in range(max(len(commands), len(queries), opens)):
        some_commands = commands[place] if place < len(commands) else ()
        some_queries = queries[place] if place < len(queries) else ()
        _send(state, opens and not place, some_commands, some_queries)


def send_closing(state: SessionState) -> None:
    """Ask the group to forget this client: its results are kept on every member otherwise, until the session
    is old."""
    if state.target is None or not (state.session_id or state.opening):
        return
    state.number += 1
    request = ClientRequest(
        state.group,
        state.client,
        state.me,
        state.session_id,
        acked=0,
        opens=False,
        commands=(),
        queries=(),
        number=state.number,
        closes=True,
        cluster=state.endpoints.pin.uid,
    )
    state.effects.append(Send(state.target, request))


def _send(state: SessionState, opens: bool, commands: Numbered, queries: Numbered) -> None:
    state.number += 1
    batch = Batch(len(commands) + len(queries))
    state.under_way += bool(batch.remaining)
    once = (state.number,)
    for _, call in (*commands, *queries):
        call.batch = batch
        call.sends += once
    state.inflight.update(commands)
    state.queries.update(queries)
    if state.target is None:
        state.target = state.endpoints.another(None)
    request = ClientRequest(
        state.group,
        state.client,
        state.me,
        state.session_id,
        state.acked,
        opens,
        tuple((seq, call.payload) for seq, call in commands),
        tuple((query, call.payload) for query, call in queries),
        state.number,
        cluster=state.endpoints.pin.uid,
    )
    state.effects.append(Send(state.target, request))


def _taken(queue: deque[ClientCall], number: int, count_max: int) -> Numbered:
    """The first of `queue`, which leave it, numbered from `number`."""
    taken: list[tuple[int, ClientCall]] = []
    size = 0
    while queue and len(taken) < count_max and size < BATCH_BYTES_MAX:
        call = queue.popleft()
        size += len(call.payload)
        taken.append((number, call))
        number += 1
    return tuple(taken)


def _batches(calls: dict[int, ClientCall]) -> list[Numbered]:
    """Split `calls`, in order, into parts that fit a frame of a link."""
    batches: list[list[tuple[int, ClientCall]]] = []
    size = BATCH_BYTES_MAX
    for number, call in calls.items():
        if size >= BATCH_BYTES_MAX:
            batches.append([])
            size = 0
        size += len(call.payload)
        batches[-1].append((number, call))
    return [tuple(batch) for batch in batches]
