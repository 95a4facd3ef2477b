"""Queries that any member may answer: which node is asked, and when another one, or the leader, is.

They are numbered from `READS_FROM` on, so that the member that answers them and the leader are told apart,
also where both are on one node: what one of them says, or does not say, is no sign of the other.

A member that cannot prove that its state is new enough refuses, and so does a node without a member. In the
first case the leader is asked, as for any other query; in the second another node, and the leader when none
is left.
"""

from collections.abc import Iterable

from msgspec.structs import replace

from fleet.actors.client.calls import Batch, ClientCall
from fleet.actors.client.session_events import LookForNodes, NodesLearned, Send
from fleet.actors.client.session_state import READS_FROM, SessionState
from fleet.actors.messages.client import ClientReply, ClientRequest, ReadBound, Refusal
from fleet.errors import GroupHalted, NoSuchGroup, TooStale, Unavailable, WrongCluster
from fleet.objects.outcomes import Failed, Succeeded
from fleet.raft.ids import Millis, Revision

CALLS_MAX = 1024
BYTES_MAX = 1 << 20
"""Of one request."""
REQUESTS_MAX = 3
"""Requests under way; queries that come meanwhile share the next one."""
LOOK_MS: Millis = 5000
"""How often a client whose zone has no member that helps looks for one there."""


# -- sending ---------------------------------------------------------------------------------------


def send_reads(state: SessionState, now: Millis) -> None:
    """Requests of what waits, one for each age that is asked for in a row."""
    reads = state.reads
    while reads.queue and reads.requests < REQUESTS_MAX:
        if _must_choose(state, now) and not _choose(state, now):
            calls = list(reads.queue)
            reads.queue.clear()
            _ask_leader(state, calls)
            return
        _send(state, now)


def _must_choose(state: SessionState, now: Millis) -> bool:
    reads, endpoints = state.reads, state.endpoints
    if reads.address not in endpoints.registries:
        return True
    return bool(endpoints.zone) and now >= reads.look_at and not endpoints.is_near(reads.address)


def _choose(state: SessionState, now: Millis) -> bool:
    """Prefer a node of this client's zone, then one to which there is a link. False: none is left that could
    help."""
    reads, endpoints = state.reads, state.endpoints
    reads.look_at, reads.looks = now + LOOK_MS, bool(endpoints.zone)
    for known in (reads.members, tuple(endpoints.registries)):
        left = [at for at in known if at in endpoints.registries and at not in reads.helpless]
        reached = [at for at in left if at not in endpoints.down]
        near = [at for at in reached if endpoints.is_near(at)]
        linked = [at for at in near or reached if at in endpoints.boots]
        if near or (reached and reads.address not in reached):
            reads.address = endpoints.rng.choice(linked or near or reached)
        if reached:
            return True
        reads.members = ()
    reads.helpless.clear()
    return False


def _send(state: SessionState, now: Millis) -> None:
    reads = state.reads
    first, batch = reads.next, Batch(is_of_reads=True)
    bound = reads.queue[0].bound
    assert bound is not None
    age_ms, at_least, size = bound.max_age_ms, state.seen, 0
    payloads: list[bytes] = []
    if not reads.under_way:
        reads.asked_at = now
    while reads.queue and len(payloads) < CALLS_MAX and size < BYTES_MAX:
        bound = reads.queue[0].bound
        assert bound is not None
        if bound.max_age_ms != age_ms:
            break
        call = reads.queue.popleft()
        call.batch = batch
        at_least = max(at_least, bound.at_least)
        reads.under_way[reads.next] = call
        reads.next += 1
        size += len(call.payload)
        payloads.append(call.payload)
    batch.remaining = len(payloads)
    reads.requests += 1
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
        first_query=first,
        queries=tuple(payloads),
        number=state.number,
        cluster=state.endpoints.pin.uid,
        bound=ReadBound(age_ms, at_least, wants_members=reads.looks or not reads.members),
    )
    reads.looks = False
    state.effects.append(Send(state.endpoints.registries[reads.address], request))


# -- replies ---------------------------------------------------------------------------------------


def take_reads(state: SessionState, now: Millis, m: ClientReply) -> ClientReply:
    """Settle the queries of this kind, or ask elsewhere. Returns the rest of the reply."""
    if not m.answers and not m.refusals:
        return m
    answers = tuple(one for one in m.answers if one.first >= READS_FROM)
    refusals = tuple(one for one in m.refusals if _is_of_reads(one))
    if not answers and not refusals:
        return m
    reads = state.reads
    reads.asked_at = now
    if m.members:
        reads.look_at = reads.look_at if reads.members == m.members else 0
        reads.members = m.members
        for address in m.members:
            state.endpoints.learn(address)
        if state.endpoints.zone and any(at not in state.endpoints.zones for at in m.members):
            state.effects.append(LookForNodes())
    for one in answers:
        state.seen = max(state.seen, one.revision)
        for number, value in enumerate(one.values, one.first):
            call = reads.under_way.pop(number, None)
            if call is not None:
                reads.helpless.clear()
                settle_answered(state, call, value, one.revision)
    for refusal in refusals:
        _on_refusal(state, refusal)
    return replace(
        m,
        answers=tuple(one for one in m.answers if one.first < READS_FROM),
        refusals=tuple(one for one in m.refusals if not _is_of_reads(one)),
    )


def _is_of_reads(m: Refusal) -> bool:
    return bool(m.queries) and m.queries[0] >= READS_FROM


def settle_answered(state: SessionState, call: ClientCall, value: bytes, revision: Revision) -> None:
    """Also of queries that the leader answered: a revision may be asked for that does not exist yet."""
    bound = call.bound
    if bound is None or revision >= bound.at_least:
        state.settle(call, Succeeded(value, revision))
        return
    what = "the group has not come to that revision"
    error = TooStale(what, group=state.group, revision=revision, at_least=bound.at_least)
    state.settle(call, Failed(error))


def _on_refusal(state: SessionState, m: Refusal) -> None:
    error, reads = m.error.to_error(), state.reads
    calls = [reads.under_way.pop(number) for number in m.queries if number in reads.under_way]
    if not calls:
        return  # asked elsewhere by now
    if isinstance(error, TooStale | WrongCluster):
        for call in calls:
            call.too_stale = error if isinstance(error, TooStale) else None
        _ask_leader(state, calls)
    elif isinstance(error, Unavailable | NoSuchGroup | GroupHalted):
        leader = state.endpoints.address_of(m.leader, m.leader_address)
        state.endpoints.learn(leader)
        _ask_another(state, calls)
        if not reads.members and leader not in reads.helpless:
            reads.address = leader  # which has a member
    else:
        for call in calls:
            state.settle(call, Failed(error))


def _ask_leader(state: SessionState, calls: Iterable[ClientCall]) -> None:
    for call in calls:
        state.leave_batch(call)
        state.query_queue.append(call)


def _ask_another(state: SessionState, calls: list[ClientCall]) -> None:
    """They leave at the end of the turn."""
    reads = state.reads
    for call in calls:
        state.leave_batch(call)
    reads.queue.extendleft(reversed(calls))
    reads.helpless.add(reads.address)
    reads.address = ""


# -- no reply --------------------------------------------------------------------------------------


def give_up_node(state: SessionState) -> None:
    """The node that was asked is silent, or its link was lost: ask another one."""
    reads = state.reads
    calls = list(reads.under_way.values())
    reads.under_way.clear()
    _ask_another(state, calls)


def on_nodes_learned(state: SessionState, now: Millis, event: NodesLearned) -> None:
    """One may be nearer than the one that is asked."""
    state.reads.look_at = 0
