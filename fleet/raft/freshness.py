"""How old the state of a member can be at most: what reads with an age limit rely on, on any member.

A follower stamps its replies with its own clock. Once a majority of the voters has confirmed something that
the leader sent after such a reply had arrived, the leader still led at that stamp: whatever was committed by
then is at or before the leader's commit index. Its next append says so, by repeating the stamp
(`AppendEntries.stamp`). A follower that has executed that commit index has a state of the stamp or newer.

So nothing depends on how long a message was under way, or on what other clocks show: the age is a difference
on one clock, and only its rate is trusted, within the margin that leases have. A deposed leader proves
nothing: it finds no majority (S21). Nor does one that sleeps: nothing is confirmed meanwhile.
"""

from fleet.raft.ids import Millis
from fleet.raft.messages import AppendEntries, AppendReply
from fleet.raft.progress import NO_LEASE, NO_STAMP, Progress
from fleet.raft.quorum import reached_by_quorum
from fleet.raft.state import NEVER, CoreState, Leader

LIFE_SHIFT = 31
"""A stamp is of one run of a member: the clock of the next one may begin anew."""
PAUSE_MS: Millis = 10
"""A leader looks whether a stamp is proven so long after its arrival at the earliest, which saves it the look
at most replies of a busy group."""

# -- a leader --------------------------------------------------------------------------------------


def led_at(core: CoreState, role: Leader) -> Millis:
    """A time, on this leader's clock, at which no other one had been elected; in the past where none is
    known, or where this one does not know yet what is committed."""
    if core.log.commit < role.first_index:
        return NO_LEASE
    own, peers = core.id, role.progress
    voters = core.membership.current.voters
    return reached_by_quorum(
        [core.now if one == own else peers[one].followed_at if one in peers else 0 for one in voters]
    )


def keep_stamp(core: CoreState, role: Leader, progress: Progress, m: AppendReply) -> None:
    """Of a peer's reply, which confirmed this leader. The stamp that waits is the oldest that is not proven,
    so that one is proven however many come."""
    progress.followed_at = max(progress.followed_at, m.sent_at)
    is_old = progress.waiting_stamp != NO_STAMP and progress.waiting_since + PAUSE_MS <= core.now
    if is_old and progress.waiting_since < led_at(core, role):
        progress.proven_stamp, progress.waiting_stamp = progress.waiting_stamp, NO_STAMP
    if progress.waiting_stamp == NO_STAMP:
        progress.waiting_stamp, progress.waiting_since = m.stamp, core.now


# -- a follower ------------------------------------------------------------------------------------


def own_stamp(core: CoreState) -> int:
    return (core.life << LIFE_SHIFT) + core.now


def keep_proof(core: CoreState, m: AppendEntries) -> None:
    """The leader says that all that was committed by `m.stamp` is at or before `m.commit`."""
    at = m.stamp - (core.life << LIFE_SHIFT)
    if not max(core.started_at, core.fresh_at) <= at <= core.now:
        return  # of another run, or late
    if core.proof is None or core.proof[1] == m.commit:
        core.proof = at, m.commit


def settle_proof(core: CoreState) -> None:
    """Called when entries up to `applied` are handed out, and a snapshot that replaces the state is."""
    if core.proof is not None and core.proof[1] <= core.log.applied:
        core.fresh_at, core.proof = core.proof[0], None


# -- anyone ----------------------------------------------------------------------------------------


def fresh_at(core: CoreState) -> Millis:
    """The newest time, on this member's clock, of which it is proven that the state it has handed out was
    the group's, or older than it; far in the past where nothing is proven."""
    role = core.role
    if type(role) is not Leader:
        return core.fresh_at
    return led_at(core, role) if core.log.applied >= core.log.commit else -NEVER


def age_at_most(core: CoreState, now: Millis, at: Millis) -> Millis:
    """How long ago that was, if this member's clock is as slow as the margin of leases allows."""
    elapsed, config = max(0, now - at), core.config
    return elapsed + -(-elapsed * config.clock_drift_margin_ms // config.election_ms)
