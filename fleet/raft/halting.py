"""How a group gets past a command that its members cannot execute.

A member's executor may die or hang in a command (`ExecutionHalted`). The log goes on: entries are still
received, committed and handed out, and wait in the driver behind that command. Followers report in their
replies where they have halted, and there are three ways on:

**Another member can execute it.** A leader that has halted hands over to a responsive voter that has not,
once that voter had some time to halt, too (`successor`). So does one whose executor is away for long, since
its class takes its time to load, for example.

**Nobody can.** When every voter has reported that it halts at the leader's own place, the command is skipped:
`Skipped` is appended, and once that is committed every member records the command as failed
(`skip_if_agreed`). A voter that has not reported prevents it: it may have executed the command.

**An operator decides**, by `Skip`, while a voter is away.

**A member that may have executed it does not agree** (`Halt.is_repeated`): it may have told the caller. Its
executor was lost and executes the log again, or the member was restarted with that entry on its disk. Only an
operator passes such a command, or the member executes it when it tries again. An exception is a command that
was proposed to be skipped in the newest term that this member knew: it had halted there, and tells nobody
anything of its own before it leads in a later one.

A report must still be true when `Skipped` is committed, yet a member that restarts, or tries again, could
execute the command after all. So the leader first appends `SkipProposed`, and counts only reports of voters
that had it on their disks. From then on these do not execute the command, also after a restart: the core does
not hand out its entry (`update_hold`). They are free again when an entry of a later term is committed and no
`Skipped` is before it, since a leader appends `Skipped` behind its own proposal only. A proposal
that another leader's entries have overwritten may still win the next election. So a member that has lost one,
or has restarted and may have, executes nothing before it knows an entry of the current term to be committed:
no entry of an earlier term can be committed behind that one.

A member that was away (it restarted, joins, or heard nothing for an election timeout) may meet commands that
were skipped meanwhile: it executes nothing before it has all that the leader had committed when it came back.

What is left: a learner may have executed a command that all voters halt in, and a voter one that an operator
skips. Such a member makes its state anew when the `Skipped` is handed out to it, from a snapshot before that
command. Where its own is behind it, its driver halts it at `REPAIRING`: it keeps its log and its vote, and
gets its leader's state (`comparing.py`). It must not end: a majority may need it (seed 9204983).
"""

from typing import Final

from msgspec.structs import replace

from fleet.raft.comparing import OF_STATE, as_repairing
from fleet.raft.entries import Entry, Halt, Skipped, SkipProposed
from fleet.raft.events import ExecutionHalted, ExecutionResumed, ExecutorAway, Skip
from fleet.raft.ids import Index, MemberId, Millis, Place
from fleet.raft.messages import DIVERGED, NO_PLACE, OF_MEMBER, OTHER_CODE, REPAIRING
from fleet.raft.progress import Progress
from fleet.raft.ready import CHANGE_IN_PROGRESS, NOT_HALTED, TRANSFERRING
from fleet.raft.sleeping import stir
from fleet.raft.state import LAST_INDEX, NEVER, CoreState, Evasion, Leader, Role
from fleet.raft.switching import held_for_switch

GRACE_TIMEOUTS: Final = 2
"""Other members have this many election timeouts to halt, too, before a halted leader hands over to one that
has not."""
EVASION_MS_MAX: Final[Millis] = 60_000
"""The longest delay between attempts to hand over that fail."""
AWAY_MS: Final[Millis] = 3_000
"""A leader without an executor waits for one so long, and two election timeouts at least: a new one that only
has to start and load the class is there by then."""
NO_COMMAND: Final = (0, 0)
"""The place of an evasion for want of an executor."""


# -- what the driver asks --------------------------------------------------------------------------


def skipped_at(core: CoreState) -> dict[tuple[Index, Place], str]:
    """The commands that are to be recorded as failed, each with the cause, the same on every member: those
    whose `Skipped` is known to be committed and still in the log. Ask before executing an entry.

    A snapshot that stands for a `Skipped` stands for the skipped command, too, so none is missing.
    """
    found: dict[tuple[Index, Place], str] = {}
    for entry in core.skips:
        if type(entry.body) is Skipped and entry.index <= core.log.commit:
            # Of two, the first: another member may know only that one.
            found.setdefault(place_of(entry), entry.body.cause)
    return found


def may_retry(core: CoreState) -> bool:
    """Whether the command at which this member has halted may be executed again: no leader relies, or ever
    will, on a report that it halts there."""
    halt = core.halt
    if halt is None or halt.place in OF_STATE or core.log.term_at(core.log.commit) != core.term:
        return False
    return halt.is_repeated or halt.place == OTHER_CODE or (halt.index, halt.place) not in proposed_at(core)


# -- what is not executed --------------------------------------------------------------------------


def reported_halt(core: CoreState) -> tuple[Index, Place]:
    """As in `AppendReply.halted_index` and `halted_place`. A member whose executor is away for long says that
    it has halted somewhere, so that the leadership is not handed to it."""
    halt = core.halt
    if halt is not None and halt.place in OF_MEMBER:
        return max(1, halt.index), halt.place  # 0: it has not halted
    if halt is not None:
        return halt.index, NO_PLACE if halt.is_repeated else halt.place
    return (core.log.applied, NO_PLACE) if core.now - core.away_since >= AWAY_MS else (0, 0)


def remember_proposals(core: CoreState) -> None:
    """Of a member that starts with what is on its disk."""
    proposed = [entry for entry in core.skips if type(entry.body) is SkipProposed and entry.term == core.term]
    core.never_executed = frozenset(map(place_of, proposed))


def place_of(entry: Entry) -> tuple[Index, Place]:
    assert isinstance(entry.body, Skipped | SkipProposed)
    return entry.body.index, entry.body.place


def proposed_at(core: CoreState) -> dict[tuple[Index, Place], str]:
    """The commands that a leader may be about to skip, with their causes."""
    settled_term = core.log.term_at(core.log.commit)
    assert settled_term is not None
    proposed = [entry for entry in core.skips if type(entry.body) is SkipProposed]
    return {
        place_of(entry): entry.body.cause
        for entry in proposed
        if isinstance(entry.body, SkipProposed) and entry.term >= settled_term
    }


def update_hold(core: CoreState) -> None:
    """Decide up to where committed entries may be handed out. The member reports what it holds back as if its
    executor had halted there."""
    log, halt = core.log, core.halt
    if halt is not None and halt.index > log.applied:
        halt = core.halt = None  # not the executor's: decided anew
    if log.term_at(log.commit) == core.term:
        core.unconfirmed = False
    if core.unconfirmed or log.commit < core.catching_up_to:
        core.held_after = log.applied
        return
    core.held_after = LAST_INDEX
    skipped = skipped_at(core)
    held = {
        place: cause
        for place, cause in proposed_at(core).items()
        if place[0] > log.applied and place not in skipped
    }
    if held:
        index, place = min(held)
        core.held_after = index - 1
        core.halt = halt or Halt(index, place, held[index, place])
    if core.switches:
        core.held_after = min(core.held_after, held_for_switch(core))


# -- events ----------------------------------------------------------------------------------------


def on_execution_halted(core: CoreState, role: Role, m: ExecutionHalted) -> None:
    """A command that a snapshot stands for is behind this member. A state that differs is not: the snapshot
    may be its own, and a state that a leader's has replaced is not reported any more (`forget_state`)."""
    assert m.halt.index <= core.log.applied, f"halts at {m.halt.index}, handed out: {core.log.applied}"
    is_behind = core.snapshot is not None and m.halt.index <= core.snapshot.index
    if is_behind and m.halt.place not in OF_STATE:
        return
    is_known = (m.halt.index, m.halt.place) in core.never_executed
    is_repeated = m.halt.is_repeated or (m.halt.index <= core.restarted_with and not is_known)
    core.halt = halt = replace(m.halt, is_repeated=is_repeated)
    if halt.place == REPAIRING or (halt.place == DIVERGED and core.config.auto_repair):
        core.halt = halt = as_repairing(core, halt)
    if type(role) is Leader:
        begin_evasion(core, role, (halt.index, halt.place), grace_of(core, halt))
        skip_if_agreed(core, role)


def on_execution_resumed(core: CoreState, role: Role, m: ExecutionResumed) -> None:
    if core.halt is not None and core.halt.index <= core.log.applied:
        core.halt = None


def on_executor_away(core: CoreState, role: Role, m: ExecutorAway) -> None:
    core.away_since = core.now if m.is_away else NEVER
    if m.is_away:
        core.points.clear()  # it is made again, perhaps without a command that was executed


def on_skip(core: CoreState, role: Leader, m: Skip) -> None:
    """An operator's decision: no voter is asked."""
    stir(core, role)
    halt = core.halt
    if halt is None or halt.index != m.index or halt.place in OF_MEMBER:
        core.answer(m.token, NOT_HALTED)
        return
    if role.handover is not None:
        core.answer(m.token, TRANSFERRING)
        return
    index = skip_of(core, (halt.index, halt.place))
    if core.log.commit < role.first_index or index in role.waiting:
        core.answer(m.token, CHANGE_IN_PROGRESS)
    elif 0 < index <= core.log.commit:
        core.answer(m.token, None, index)
    else:
        index = index or core.append(Skipped(halt.index, halt.place, halt.cause))
        role.waiting[index] = m.token


# -- a halted leader -------------------------------------------------------------------------------


def skip_of(core: CoreState, place: tuple[Index, Place]) -> Index:
    """Where the log skips this command, committed or not; 0: nowhere."""
    found = (entry.index for entry in core.skips if type(entry.body) is Skipped and place_of(entry) == place)
    return next(found, 0)


def proposal_of(core: CoreState, place: tuple[Index, Place]) -> Index:
    """Where this leader proposed to skip this command; 0: nowhere."""
    for entry in core.skips:
        if type(entry.body) is SkipProposed and entry.term == core.term and place_of(entry) == place:
            return entry.index
    return 0


def skip_if_agreed(core: CoreState, role: Leader) -> None:
    """Propose to skip the command once every voter has halted there, and skip it once every voter has that
    proposal on its disk and still says so. Every voter since the command's entry: one that votes no more may
    have led meanwhile, executed the command, and told its result. Only an operator can overrule one that is
    gone."""
    halt = core.halt
    if halt is None or halt.is_repeated or halt.place in OF_MEMBER or role.handover is not None:
        return
    if core.log.commit < role.first_index:
        return
    place = (halt.index, halt.place)
    if skip_of(core, place):
        return
    voters = core.membership.voters_since(halt.index) - {core.id}
    if not voters <= role.progress.keys():
        return
    others = [role.progress[voter] for voter in voters]
    if any(progress.halted != place for progress in others):
        return
    proposal = proposal_of(core, place)
    if not proposal:
        core.append(SkipProposed(halt.index, halt.place, halt.cause))
    elif core.log.durable >= proposal and all(progress.halted_with >= proposal for progress in others):
        core.append(Skipped(halt.index, halt.place, halt.cause))


def grace_of(core: CoreState, halt: Halt) -> Millis:
    """What others have to halt at the same command, too; of a state that differs nobody else halts."""
    return 0 if halt.place in OF_STATE else GRACE_TIMEOUTS * core.config.election_ms


def begin_evasion(core: CoreState, role: Leader, place: tuple[Index, Place], grace_ms: Millis) -> Evasion:
    """The attempts because of this place: a new place, new attempts."""
    if role.evasion is None or role.evasion.place != place:
        role.evasion = Evasion(place, core.now + grace_ms)
    return role.evasion


def successor(core: CoreState, role: Leader) -> MemberId | None:
    """To whom a leader that cannot execute hands over now: of the responsive, caught-up voters that have not
    halted the one tried least; None: to nobody yet. Each attempt that fails doubles the time to the next."""
    if role.handover is not None:
        return None
    timeouts_ms = GRACE_TIMEOUTS * core.config.election_ms
    if core.halt is not None:
        place = core.halt.index, core.halt.place
        evasion = begin_evasion(core, role, place, grace_of(core, core.halt))
    elif core.now - max(core.away_since, role.elected_at) >= max(AWAY_MS, timeouts_ms):
        evasion = begin_evasion(core, role, NO_COMMAND, 0)
    else:
        return None
    if core.now < evasion.not_before or skip_of(core, evasion.place):
        return None
    voters = core.membership.current.voters
    able = [peer for peer, one in role.progress.items() if peer in voters and may_succeed(core, role, one)]
    if not able:
        return None
    target = min(able, key=lambda peer: evasion.tried.get(peer, 0))
    evasion.tried[target] = evasion.tried.get(target, 0) + 1
    delay = timeouts_ms << min(sum(evasion.tried.values()), 16)
    evasion.not_before = core.now + min(delay, EVASION_MS_MAX)
    return target


def may_be_succeeded(core: CoreState) -> bool:
    """Whether this member leads, and another voter may be able to execute what it cannot, also one that is
    silent just now and may lead next."""
    role, voters = core.role, core.membership.current.voters
    if type(role) is not Leader:
        return False
    return any(one.halted is None for peer, one in role.progress.items() if peer in voters)


def may_succeed(core: CoreState, role: Leader, progress: Progress) -> bool:
    """Whether the peer could lead at once, and has not halted."""
    lag = core.log.commit - progress.match
    follows = progress.match >= role.first_index and lag <= core.config.batch_entries_max
    return follows and progress.halted is None and progress.answers(core.now, core.config.election_ms)
