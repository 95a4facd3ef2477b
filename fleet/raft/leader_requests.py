"""A leader's handlers of requests. Invalid requests are refused before anything changes."""

from fleet.raft.append_window import BYTES_MIN, AppendWindow
from fleet.raft.comparing import has_halted_by_state
from fleet.raft.config import GroupConfig
from fleet.raft.entries import (
    ClassSwitched,
    ConfigChanged,
    MemberAdded,
    MemberChange,
    MemberDemoted,
    MemberPromoted,
    MemberRemoved,
    Members,
)
from fleet.raft.events import Change, Propose, ReadQuery, Transfer
from fleet.raft.ids import MemberId
from fleet.raft.leader import give_up_handover, leader_lease_until, try_handover
from fleet.raft.lease import ReadRound
from fleet.raft.messages import Removed
from fleet.raft.progress import Progress
from fleet.raft.quorum import majority
from fleet.raft.ready import (
    CANNOT_REMOVE_LEADER,
    CHANGE_IN_PROGRESS,
    NOT_MEMBER,
    OVERLOADED,
    TARGET_HALTED,
    TARGET_UNRESPONSIVE,
    TRANSFERRING,
    WOULD_BREAK_QUORUM,
)
from fleet.raft.sleeping import stir
from fleet.raft.state import CoreState, Handover, Leader
from fleet.raft.switching import is_switch_open


def on_propose(core: CoreState, role: Leader, m: Propose) -> None:
    """Append; `replicate` sends everything that a turn appended, once."""
    stir(core, role)
    config = core.config
    if role.handover is not None:
        core.answer(m.token, TRANSFERRING)
        return
    if (
        role.uncommitted >= config.uncommitted_max
        or role.uncommitted_bytes > config.uncommitted_bytes_max
        or core.bytes_since_snapshot > unsaved_bytes_max(config)
    ):
        core.answer(m.token, OVERLOADED)
        return
    for body in m.bodies:
        core.append(body)


def unsaved_bytes_max(config: GroupConfig) -> int:
    """The largest log while no snapshot can be taken: well beyond where one is due at the latest."""
    return 8 * config.snapshot_ceiling_bytes + config.uncommitted_bytes_max


def on_query(core: CoreState, role: Leader, m: ReadQuery) -> None:
    """At once under a lease, else with the next round; not before a commit of this term (S17). A leader that
    sleeps has a lease: else it was woken."""
    if not core.asleep:
        stir(core, role)
    index = max(core.log.commit, role.first_index)
    if m.lease and core.now < leader_lease_until(core, role):
        role.reads.appendleft(ReadRound(0, index, [m.token]))
    elif role.reads and role.reads[-1].round > role.round:
        waiting = role.reads[-1]
        waiting.index = max(waiting.index, index)
        waiting.tokens.append(m.token)
    else:
        role.reads.append(ReadRound(role.round + 1, index, [m.token]))


def on_change(core: CoreState, role: Leader, m: Change) -> None:
    """One membership change at a time, after a commit of this term (raft-dev 2015, W8)."""
    stir(core, role)
    body = m.body
    if role.handover is not None:
        core.answer(m.token, TRANSFERRING)
        return
    if isinstance(body, ClassSwitched):
        if core.log.commit < role.first_index or is_switch_open(core):
            core.answer(m.token, CHANGE_IN_PROGRESS)
            return
    elif not isinstance(body, ConfigChanged):
        if core.log.commit < max(role.first_index, core.membership.changed_at):
            core.answer(m.token, CHANGE_IN_PROGRESS)
            return
        error = objection(core, role, body)
        if error is not None:
            if isinstance(body, MemberAdded):  # removed, which is committed, and it does not know (S25)
                core.send(Removed(core.term, core.id, body.member))
            core.answer(m.token, error)
            return
        if is_in_force(core.membership.current, body):
            core.answer(m.token, None, core.membership.changed_at)
            return
    index = core.append(body)
    role.waiting[index] = m.token
    if isinstance(body, MemberAdded) and body.member not in role.progress and body.member != core.id:
        window = AppendWindow(BYTES_MIN)  # it lacks everything
        role.progress[body.member] = Progress(index, core.now, window=window)
    elif isinstance(body, MemberRemoved):
        del role.progress[body.member]


def is_in_force(members: Members, body: MemberChange) -> bool:
    """Whether the change is in force already: a repeated request."""
    match body:
        case MemberAdded():
            return members.addresses.get(body.member) == body.address
        case MemberPromoted():
            return body.member in members.voters
        case MemberDemoted():
            return body.member in members.learners
        case MemberRemoved():
            return body.member in members.removed


def objection(core: CoreState, role: Leader, body: MemberChange) -> str | None:
    members, who = core.membership.current, body.member
    match body:
        case MemberAdded():
            return NOT_MEMBER if who in members.removed else None
        case MemberPromoted():
            if who in members.voters:
                return None
            if who not in members.learners:
                return NOT_MEMBER
            return promotion_objection(core, role, who)
        case MemberDemoted() | MemberRemoved():
            if who == core.id:
                return CANNOT_REMOVE_LEADER
            if who in members.learners or (who in members.removed and isinstance(body, MemberRemoved)):
                return None
            if who not in members.voters:
                return NOT_MEMBER
            remaining = [voter for voter in members.voters if voter != who]
            return quorum_objection(core, role, remaining)


def promotion_objection(core: CoreState, role: Leader, who: MemberId) -> str | None:
    """A voter that lags would lower the availability that it should raise (S28), and so would one whose state
    differs: moves could replace all that execute by such."""
    progress = role.progress[who]
    if has_halted_by_state(progress):
        return TARGET_HALTED
    lag = core.log.commit - progress.match
    lags = lag > core.config.batch_entries_max or progress.match < role.first_index
    if lags or not progress.is_responsive(core.now, core.config.election_ms):
        return TARGET_UNRESPONSIVE
    return quorum_objection(core, role, [*core.membership.current.voters, who])


def quorum_objection(core: CoreState, role: Leader, voters: list[MemberId]) -> str | None:
    """Only voters that answered this leader count (S77): a dead one looks responsive for an election
    timeout after the election. Until that is over the request may be repeated."""
    election_ms, needed = core.config.election_ms, majority(len(voters))
    others = [role.progress[voter] for voter in voters if voter != core.id]
    own = len(voters) - len(others)
    if own + sum(peer.answers(core.now, election_ms) for peer in others) >= needed:
        return None
    may_answer_yet = own + sum(peer.is_responsive(core.now, election_ms) for peer in others) >= needed
    return CHANGE_IN_PROGRESS if may_answer_yet else WOULD_BREAK_QUORUM


def on_transfer(core: CoreState, role: Leader, m: Transfer) -> None:
    """A later request overrides an earlier one; a request without a target cancels it (RV11, RV12)."""
    stir(core, role)
    if m.target is not None:
        error = transfer_objection(core, role, m.target)
        if error is not None or m.target == core.id:
            core.answer(m.token, error)
            return
    if role.handover is not None:
        give_up_handover(core, role, role.handover)
    if m.target is None:
        core.answer(m.token, None)
        return
    role.handover = Handover(m.token, m.target, core.now + core.config.transfer_timeout_ms)
    try_handover(core, role)


def transfer_objection(core: CoreState, role: Leader, target: MemberId) -> str | None:
    members = core.membership.current
    if target not in members.everyone:
        return NOT_MEMBER
    if target == core.id:
        return None
    progress = role.progress[target]
    follows = progress.match >= role.first_index  # it has answered in this term
    if progress.halted is not None and core.halt is None:
        return TARGET_HALTED
    responsive = follows and progress.is_responsive(core.now, core.config.election_ms)
    return None if target in members.voters and responsive else TARGET_UNRESPONSIVE
