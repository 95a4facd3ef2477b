"""Members with equal logs have equal states: watched, not hoped (S48).

Every member takes a digest of its state after the same entries (`StateDigested`), and remembers some. With
its heartbeats the leader asks for those of one such point (`CompareState`), until all members that answer
have said theirs (`StateDigest`), and compares them with its own:

**A digest that a majority of the voters has is the right one.** A member with another one is told
(`StateDiffers`) and halts at `DIVERGED`: it executes nothing, keeps its log and its vote, and does not lead
if another member can. A leader that finds itself in the minority halts, too, and hands over at once. The
driver remembers the halt across restarts.

**Without such a majority nobody halts**, since nobody knows who is right; the driver raises an alarm.

**A member is repaired** (`Repair`, or at once with `auto_repair`) by its leader's snapshot, exactly as one
that waits for another state because of its code: it halts at `REPAIRING`, and the leader takes a snapshot
that is new enough, if it has none (`switching.py`).

A digest is only as good as the entries that its member knows: commands that are skipped (`halting.py`) change
states back into the past. So a member answers only once it has handed out all `Skipped` that the leader knows
to be committed; an object that is made again forgets its points.
"""

from collections import Counter
from typing import Final

from msgspec.structs import replace

from fleet.raft.comparison import ASKED_MAX, POINTS_KEPT, Comparison, StatePoint, are_comparable
from fleet.raft.entries import Halt, Skipped
from fleet.raft.events import Repair, StateDigested
from fleet.raft.ids import Index, MemberId
from fleet.raft.messages import DIVERGED, REPAIRING, CompareState, StateDiffers, StateDigest
from fleet.raft.progress import Progress
from fleet.raft.quorum import majority
from fleet.raft.ready import NOT_HALTED, StateDiffered, StatesUndecided
from fleet.raft.state import CoreState, Leader, Role

OF_STATE: Final = frozenset((DIVERGED, REPAIRING))


# -- every member ----------------------------------------------------------------------------------


def on_state_digested(core: CoreState, role: Role, m: StateDigested) -> None:
    points = core.points
    if m.index <= core.replaced_at:
        return  # it was under way when the state was replaced
    points[m.index] = StatePoint(m.index, m.revision, m.digest)
    while len(points) > POINTS_KEPT:
        del points[min(points)]
    if type(role) is Leader and (role.comparison is None or role.comparison.is_done):
        begin_comparison(core, role)


def on_compare_state(core: CoreState, role: Role, m: CompareState) -> None:
    """Asked again with the next heartbeat, where this member is not there yet."""
    point = core.points.get(m.index)
    if point is not None and core.log.applied >= m.skips and not is_halted_by_state(core):
        core.send(StateDigest(core.term, core.id, m.src, m.index, point.digest))


def on_state_differs(core: CoreState, role: Role, m: StateDiffers) -> None:
    point = core.points.get(m.index)
    if point is not None and are_comparable(point.digest, m.digest) and point.digest != m.digest:
        note_difference(core, m.index, m.agreed)


def note_difference(core: CoreState, index: Index, agreed: Index) -> None:
    """Of this member's own state: the driver halts it."""
    if not is_halted_by_state(core):
        core.ready.hooks.append(StateDiffered(core.id, index, agreed))


def forget_state(core: CoreState, index: Index) -> None:
    """The leader's snapshot at `index` replaces it: nobody halts for what the former one was."""
    core.points.clear()
    core.replaced_at = index
    hooks = core.ready.hooks
    core.ready.hooks = [one for one in hooks if type(one) is not StateDiffered or one.member != core.id]


def is_halted_by_state(core: CoreState) -> bool:
    return core.halt is not None and core.halt.place in OF_STATE


def on_repair(core: CoreState, role: Role, m: Repair) -> None:
    """Any snapshot of a leader that is newer than this member's own will do: a member that has halted does
    not lead for long, and takes none. One that is as new will, where nothing newer was handed out."""
    if core.halt is None or core.halt.place not in OF_STATE:
        core.answer(m.token, NOT_HALTED)
        return
    core.halt = as_repairing(core, core.halt)
    core.answer(m.token, None, core.halt.index)


def as_repairing(core: CoreState, halt: Halt) -> Halt:
    index = max(halt.index, own_snapshot(core) + 1)
    return replace(halt, index=min(index, core.log.applied), place=REPAIRING)


def own_snapshot(core: CoreState) -> Index:
    """The newest that this member has, or is taking; 0: none."""
    own = [meta.index for meta in (core.snapshot, core.taking) if meta is not None]
    own += [pair[0].index for pair in (core.saving, core.storing) if pair is not None]
    return max(own, default=0)


# -- the leader ------------------------------------------------------------------------------------


def is_comparing(role: Leader) -> bool:
    return role.comparison is not None and not role.comparison.is_done


def begin_comparison(core: CoreState, role: Leader) -> None:
    """Compare the newest point, if it is not compared already."""
    newest = max(core.points, default=0)
    former = role.comparison.index if role.comparison is not None else 0
    if newest > former:
        role.comparison = Comparison(newest)


def go_on_comparing(core: CoreState, role: Leader) -> None:
    """With each heartbeat."""
    if role.comparison is None or role.comparison.is_done:
        begin_comparison(core, role)
    comparison = role.comparison
    if comparison is None or comparison.is_done:
        return
    own = core.points.get(comparison.index)
    comparison.asked += 1
    if own is None or comparison.asked > ASKED_MAX:
        comparison.is_done = True
        if own is not None and not comparison.is_decided:
            digests = {**comparison.digests, core.id: own.digest}
            note_undecided(core, role, comparison.index, digests)
        return
    if is_over(role, comparison):
        comparison.is_done = True
        return
    skips = skipped_up_to(core)
    for peer in role.progress:
        if peer not in comparison.digests or peer in comparison.told:
            core.send(CompareState(core.term, core.id, peer, comparison.index, skips))


def skipped_up_to(core: CoreState) -> Index:
    """Every `Skipped` that is known to be committed is at this entry or before: also those that the log no
    longer has."""
    known = (one.index for one in core.skips if type(one.body) is Skipped and one.index <= core.log.commit)
    return max(known, default=core.log.base_index)


def on_state_digest(core: CoreState, role: Leader, m: StateDigest) -> None:
    comparison = role.comparison
    if comparison is None or comparison.is_done or comparison.index != m.index or m.src not in role.progress:
        return
    comparison.digests[m.src] = m.digest
    own = core.points.get(m.index)
    if own is not None and core.log.applied >= role.first_index:
        judge(core, role, comparison, {**comparison.digests, core.id: own.digest})


def judge(core: CoreState, role: Leader, comparison: Comparison, digests: dict[MemberId, bytes]) -> None:
    voters = core.membership.current.voters
    counts = Counter(digest for member, digest in digests.items() if member in voters and digest)
    right = next((digest for digest, count in counts.items() if count >= majority(len(voters))), None)
    if right is None:
        if is_over(role, comparison):
            comparison.is_done = True
            note_undecided(core, role, comparison.index, digests)
        return
    if role.is_undecided:
        role.is_undecided = False
        core.ready.hooks.append(StatesUndecided(0))
    comparison.is_decided = True
    different = [member for member, digest in digests.items() if digest != right]
    different = [member for member in different if are_comparable(digests[member], right)]
    for member in digests:
        if digests[member] == right:
            role.agreed[member] = comparison.index
    for member in different:
        tell_difference(core, role, comparison, member, right)
    comparison.is_done = is_over(role, comparison)


def note_undecided(core: CoreState, role: Leader, index: Index, digests: dict[MemberId, bytes]) -> None:
    """All have answered that will, and no digest has a majority: an alarm, if two voters are known to
    differ."""
    said = [digests[voter] for voter in core.membership.current.voters if voter in digests]
    if any(one != other and are_comparable(one, other) for one in said for other in said):
        role.is_undecided = True
        core.ready.hooks.append(StatesUndecided(index))


def is_over(role: Leader, comparison: Comparison) -> bool:
    """Whether all have answered that will, and all that were told that they differ have halted."""
    silent = role.progress.keys() - comparison.digests.keys()
    if not all(has_halted_by_state(role.progress[peer]) for peer in silent):
        return False
    told = [role.progress[member] for member in comparison.told if member in role.progress]
    return all(map(has_halted_by_state, told))


def has_halted_by_state(progress: Progress) -> bool:
    """It says so, and answers no comparison meanwhile."""
    return progress.halted is not None and progress.halted[1] in OF_STATE


def tell_difference(
    core: CoreState, role: Leader, comparison: Comparison, member: MemberId, right: bytes
) -> None:
    agreed = role.agreed.get(member, 0)
    if member == core.id:
        note_difference(core, comparison.index, agreed)
        return
    core.send(StateDiffers(core.term, core.id, member, comparison.index, right, agreed))
    if member not in comparison.told:
        comparison.told.add(member)
        core.ready.hooks.append(StateDiffered(member, comparison.index, agreed))


def must_serve_state(core: CoreState, role: Leader) -> bool:
    """Whether a peer waits for a snapshot that this leader has not taken yet."""
    taken = core.snapshot.index if core.snapshot is not None else 0
    waiting = [one.halted[0] for one in role.progress.values() if one.halted and one.halted[1] == REPAIRING]
    return any(taken < index <= core.log.applied for index in waiting)
