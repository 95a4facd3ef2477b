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
GROUPS_FEW = 4
"""A client with calls in more groups has one request to each: they overlap as it is, and what an entry costs
is shared by more calls."""


def send_queued(state: SessionState, now: Millis, groups: int) -> None:
    """One request of what waits, if one may leave now. `groups`: in how many the client has calls."""
    requests_max = REQUESTS_MAX if groups <= GROUPS_FEW else 1
    if state.resend_at is not None or state.under_way >= requests_max:
        return
    had_asked = state.has_asked
    opens = bool(state.queue) and not state.session_id and not state.opening
    sends = (state.number + 1,)
    batch = Batch()
    firsts = state.next_seq, state.next_query
    commands: list[bytes] = []
    if state.session_id and state.queue:
        room = WINDOW_MAX - len(state.inflight)
        commands = _taken(state.queue, room, batch, sends, state.inflight, state.next_seq)
        state.next_seq += len(commands)
    queries: list[bytes] = []
    if state.query_queue:
        queries = _taken(state.query_queue, WINDOW_MAX, batch, sends, state.queries, state.next_query)
        state.next_query += len(queries)
    if not (opens or commands or queries):
        return
    if not had_asked or state.asked_at == 0:
        state.asked_at = now
    state.opening = state.opening or opens
    _send(state, opens, firsts, (commands, queries), batch)


def _taken(
    queue: deque[ClientCall],
    count_max: int,
    batch: Batch,
    sends: tuple[int, ...],
    under_way: dict[int, ClientCall],
    number: int,
) -> list[bytes]:
    """The first calls of `queue`: they leave it, and are under way from now on, numbered from `number`."""
    payloads: list[bytes] = []
    size = 0
    for number in range(number, number + min(len(queue), count_max)):
        if size >= BATCH_BYTES_MAX:
            break
        call = queue.popleft()
        call.batch, call.sends = batch, sends
        under_way[number] = call
        payload = call.payload
        size += len(payload)
        payloads.append(payload)
    return payloads


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
        some_commands = commands[place] if place < len(commands) else {}
        some_queries = queries[place] if place < len(queries) else {}
        batch = Batch()
        for call in (*some_commands.values(), *some_queries.values()):
            call.batch = batch
            call.sends += (state.number + 1,)
        firsts = next(iter(some_commands), 0), next(iter(some_queries), 0)
        payloads = _payloads(some_commands), _payloads(some_queries)
        _send(state, opens and not place, firsts, payloads, batch)


def _batches(calls: dict[int, ClientCall]) -> list[dict[int, ClientCall]]:
    """Split `calls`, in order, into parts without gaps that fit a frame of a link."""
    batches: list[dict[int, ClientCall]] = []
    size = BATCH_BYTES_MAX
    for number, call in calls.items():
        if size >= BATCH_BYTES_MAX or number - 1 not in batches[-1]:
            batches.append({})
            size = 0
        size += len(call.payload)
        batches[-1][number] = call
    return batches


def _payloads(calls: dict[int, ClientCall]) -> list[bytes]:
    return [call.payload for call in calls.values()]


def _send(
    state: SessionState,
    opens: bool,
    firsts: tuple[int, int],
    payloads: tuple[list[bytes], list[bytes]],
    batch: Batch,
) -> None:
    """Commands and queries: the numbers of the first, and the payloads of all."""
    commands, queries = payloads
    batch.remaining = len(commands) + len(queries)
    state.under_way += bool(batch.remaining)
    state.number += 1
    if state.target is None:
        state.target = state.endpoints.another(None)
    request = ClientRequest(
        state.group,
        state.client,
        state.me,
        state.session_id,
        state.acked,
        opens,
        firsts[0],
        tuple(commands),
        firsts[1],
        tuple(queries),
        state.number,
        cluster=state.endpoints.pin.uid,
    )
    state.effects.append(Send(state.target, request))


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
        first=0,
        commands=(),
        first_query=0,
        queries=(),
        number=state.number,
        closes=True,
        cluster=state.endpoints.pin.uid,
    )
    state.effects.append(Send(state.target, request))
