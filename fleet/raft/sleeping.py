"""When members of an idle group sleep: no heartbeats, no election timers, no messages.

A leader that had no request for a while, and whose followers have all that it has, offers sleep with its
heartbeats. A follower that is level with it stops its election timer, and says so. Once all have, the leader
stops its heartbeats. The last to sleep is the leader: until then it notices a follower that does not.

A sleeping follower relies on others to tell it that its leader's node is silent (`NodeSilent`), and protects
its leader from elections meanwhile. So a leader has a lease while it sleeps, if the nodes of its followers
confirm that these sleep, too (`SleepConfirmed`). What wakes a member stands in `waking.py`.
"""

from typing import Final

from fleet.raft.comparing import is_comparing
from fleet.raft.ids import Index, MemberId, Millis
from fleet.raft.progress import NOT_OFFERED, REPLICATE, Progress
from fleet.raft.quorum import has_quorum
from fleet.raft.state import NEVER, CoreState, Leader

IDLE_TIMEOUTS: Final = 2
"""A group sleeps when it had no request for this many election timeouts."""
GONE_TIMEOUTS: Final = 10
"""A voter that was silent for this many election timeouts is not waited for: it asks for votes, and thereby
wakes the others, when it is back. A learner is: it may not know whom to ask."""
CHECK_MS: Final[Millis] = 300_000
"""A sleeping member checks on its group after [1x, 2x) of this, whatever it is told: others may have failed
to tell it of a silent node."""


def stir(core: CoreState, role: Leader) -> None:
    """A request arrived: the group is not idle."""
    role.active_at, role.offered_at = core.now, NOT_OFFERED


def may_sleep(core: CoreState, role: Leader) -> bool:
    """Whether a leader and a majority of its voters have nothing left to do."""
    config = core.config
    if (
        not core.may_sleep
        or core.away_since != NEVER
        or core.now - role.active_at < IDLE_TIMEOUTS * config.election_ms
    ):
        return False
    if role.reads or role.waiting or role.handover is not None or is_comparing(role):
        return False
    if core.log.commit < role.first_index or not is_at_rest(core):
        return False
    voters = core.membership.current.voters
    level = {peer for peer, progress in role.progress.items() if is_level(core, progress)}
    if any(peer not in level and not is_gone(core, peer, one) for peer, one in role.progress.items()):
        return False
    return core.id in voters and has_quorum(level | {core.id}, voters)


def is_at_rest(core: CoreState) -> bool:
    """Whether everything is committed, applied and on this member's disk, no snapshot is under way, no
    command waits to be skipped, and nobody reads here with an age limit."""
    log = core.log
    if core.now - core.read_at < IDLE_TIMEOUTS * core.config.election_ms:
        return False
    if core.halt is not None or not log.last_index == log.commit == log.applied == log.durable or core.writes:
        return False
    snapshot_is_under_way = core.taking or core.saving or core.storing or core.snapshot_failures
    return not snapshot_is_under_way


def is_level(core: CoreState, progress: Progress) -> bool:
    has_all = progress.state == REPLICATE and progress.match == core.log.last_index
    return has_all and progress.halted is None and progress.answers(core.now, core.config.election_ms)


def is_gone(core: CoreState, peer: MemberId, progress: Progress) -> bool:
    is_silent = core.now - progress.acked_at >= GONE_TIMEOUTS * core.config.election_ms
    return is_silent and peer in core.membership.current.voters


def sleep_if_level(core: CoreState, verified: Index, leader_commit: Index) -> None:
    """A follower whose log ends where its leader's does stops its election timer."""
    if core.may_sleep and is_at_rest(core) and verified == core.log.last_index == leader_commit:
        core.asleep, core.deadline = True, next_check(core)


def sleep_with_followers(core: CoreState, role: Leader) -> None:
    """A leader stops its heartbeats once all followers that answer sleep, since it has offered that to them
    and nothing has happened."""
    if role.offered_at == NOT_OFFERED or core.asleep:
        return
    awake = [peer for peer, progress in role.progress.items() if not sleeps(role, progress)]
    if all(is_gone(core, peer, role.progress[peer]) for peer in awake) and may_sleep(core, role):
        core.asleep, core.deadline = True, next_check(core) if awake else NEVER


def sleeps(role: Leader, progress: Progress) -> bool:
    """Whether the peer has slept since the leader offered it."""
    return progress.slept_at >= role.offered_at > NOT_OFFERED


def next_check(core: CoreState) -> Millis:
    return core.now + CHECK_MS + int(core.rng.random() * CHECK_MS)


def is_responsive(core: CoreState, role: Leader, progress: Progress) -> bool:
    """As far as a leader knows; of a sleeping one, whether the peer sleeps and its node is alive."""
    if core.asleep:
        return sleeps(role, progress)
    return progress.is_responsive(core.now, core.config.election_ms)
