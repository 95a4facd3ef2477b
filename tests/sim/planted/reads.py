"""Planted in reads, leases and transfers."""

from typing import Any
from unittest.mock import patch

from msgspec.structs import replace

from fleet.actors.member.bounded_reads import BoundedReads
from fleet.actors.member.waiters import Reading
from fleet.errors import TooStale
from fleet.raft import any_role as anyone
from fleet.raft import core as core_module
from fleet.raft import follower, freshness, leader, leader_requests, restart
from fleet.raft.events import ReadQuery
from fleet.raft.ids import Millis, Revision
from fleet.raft.lease import ReadRound, lease_until
from fleet.raft.messages import AppendEntries, AppendReply, TimeoutNow
from fleet.raft.progress import NO_LEASE
from fleet.raft.state import CoreState, Leader
from fleet.raft.transitions import become_candidate
from tests.sim.planted.patches import Handler, Patches, in_modules


def read_without_round() -> Patches:
    """A leader answers from what it has, without asking whether it still leads, nor for its own term."""

    def at_once(core: Any, role: Any, m: ReadQuery) -> None:
        core.ready.reads.append(m.token)

    return [Handler(leader_requests.on_query, at_once)]


def read_before_own_commit() -> Patches:
    """S17: a fresh leader confirms that it leads, and answers before it knows what is committed."""

    def on_query(core: CoreState, role: Leader, m: ReadQuery) -> None:
        role.reads.append(ReadRound(max(role.round, role.reads[-1].round if role.reads else 0) + 1,
                                    core.log.commit, [m.token]))  # fmt: skip

    return [Handler(leader_requests.on_query, on_query)]


def lease_of_a_fresh_leader() -> Patches:
    """W2: refused appends prolong the lease, and it does not ask for a commit of its own term."""

    def until(core: CoreState, role: Leader) -> Millis:
        if not core.config.lease_reads or role.lease_void:
            return NO_LEASE
        sent_at = {peer: progress.lease_from for peer, progress in role.progress.items()}
        voters = core.membership.current.voters
        own = [core.now if voter == core.id else sent_at.get(voter, NO_LEASE) for voter in voters]
        return lease_until(own, core.config.election_ms, core.config.clock_drift_margin_ms)

    def on_query(core: CoreState, role: Leader, m: ReadQuery) -> None:
        if m.lease and core.now < until(core, role):
            role.reads.appendleft(ReadRound(0, core.log.commit, [m.token]))
        else:
            true_query(core, role, m)

    def on_reply(core: CoreState, role: Leader, m: AppendReply) -> None:
        progress = role.progress.get(m.src)
        if progress is not None and not m.ok:
            progress.confirmed(m.round, core.now)
        true_reply(core, role, m)

    true_query, true_reply = leader_requests.on_query, leader.on_append_reply
    return [
        Handler(leader_requests.on_query, on_query),
        Handler(leader.on_append_reply, on_reply),
        *in_modules("leader_lease_until", until, leader, leader_requests, core_module),
    ]


def lease_from_arrival() -> Patches:
    """RV26: the lease counts from when the reply came, not from when the append left."""

    def on_reply(core: CoreState, role: Leader, m: AppendReply) -> None:
        progress = role.progress.get(m.src)
        if progress is not None and m.ok and m.sent_at > role.lease_since:
            progress.confirmed(m.round, core.now)
        true_reply(core, role, m)

    true_reply = leader.on_append_reply
    return [Handler(leader.on_append_reply, on_reply)]


def lease_without_loyalty() -> Patches:
    """Followers do not wait for as long as the leader believes: a candidate finds votes at once."""

    def is_loyal(core: CoreState) -> bool:
        return False

    return in_modules("is_loyal", is_loyal, anyone, follower)


def lease_forgotten_by_restart() -> Patches:
    """A member that was restarted is loyal to nobody."""
    return [patch.object(restart, "protect_possible_lease", lambda core: None)]


def transfer_keeps_lease() -> Patches:
    """S18: the leader goes on reading under its lease after it told another to campaign."""
    handover = leader.try_handover

    def keep(core: CoreState, role: Leader) -> None:
        handover(core, role)
        role.lease_void.clear()

    return in_modules("try_handover", keep, leader, leader_requests)


def learner_takes_over() -> Patches:
    """S15: whoever is told to campaign does, also a learner, which is also taken for a target."""

    def on_timeout_now(core: CoreState, role: Any, m: TimeoutNow) -> None:
        become_candidate(core, transfer=True)

    def objection(core: CoreState, role: Leader, target: Any) -> str | None:
        return None if target in core.membership.current.everyone else "not a member"

    return [
        Handler(follower.on_timeout_now, on_timeout_now),
        patch.object(leader_requests, "transfer_objection", objection),
    ]


def stale_round_counts() -> Patches:
    """A read is confirmed by any reply, also to what left before the read was asked for."""

    def on_reply(core: CoreState, role: Leader, m: AppendReply) -> None:
        progress = role.progress.get(m.src)
        if progress is not None:
            progress.confirmed(role.round, NO_LEASE)
        true_reply(core, role, m)

    true_reply = leader.on_append_reply
    return [Handler(leader.on_append_reply, on_reply)]


def stale_read_without_a_proof() -> Patches:
    """S21: a follower answers whatever age is asked for, without a proof that its state is so new."""
    objection = BoundedReads.objection

    def only_revisions(self: BoundedReads, reading: Reading, revision: Revision) -> TooStale | None:
        assert reading.bound is not None
        bound, reading.bound = reading.bound, replace(reading.bound, max_age_ms=-1)
        found = objection(self, reading, revision)
        reading.bound = bound
        return found

    return [patch.object(BoundedReads, "objection", only_revisions)]


def heartbeat_is_a_proof() -> Patches:
    """S21: a follower's state counts as fresh when an append arrives, also one of a deposed leader."""

    def keep(core: CoreState, m: AppendEntries) -> None:
        core.proof = core.now, m.commit

    return in_modules("keep_proof", keep, follower)


def leader_proves_alone() -> Patches:
    """S21: a leader that no majority follows any more proves how fresh states are, its own and others'."""

    def at_once(core: CoreState, role: Leader) -> Millis:
        return core.now

    return [patch.object(freshness, "led_at", at_once)]


def reads_go_back() -> Patches:
    """S21: a member answers with an older revision than its client has seen."""
    objection = BoundedReads.objection

    def only_ages(self: BoundedReads, reading: Reading, revision: Revision) -> TooStale | None:
        return objection(self, reading, 1 << 62)

    return [patch.object(BoundedReads, "objection", only_ages)]
