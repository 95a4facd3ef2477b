"""What members have kept of their group's past: executed again, it gives the state that they have."""

from typing import Any

from fleet.errors import Damaged
from fleet.objects.recording import RecordedBase, Recording, revision_in
from fleet.objects.replay import Replay, ReplayWatcher
from fleet.raft.entries import ClassSwitched
from fleet.sim.checks.appliers import applier_of

ALL = 1 << 60
"""Bytes, or entries."""


def objection(member: Any) -> str:
    """Whether the oldest state that is kept leads to the present one, by those between; "": it does. Damage
    is the disk's, and no objection: a member does not need its past.

    Ask it of a member that has executed all that is committed.
    """
    try:
        return _objection(member)
    except Damaged as error:
        hole = "are missing" in error.what
        return f"{member.spec.name}: {member.core.id} has kept a past with a hole: {error}" if hole else ""


def _objection(member: Any) -> str:
    store, number, spec = member.store, member.number, member.spec
    who, applier = f"{spec.name}: {member.core.id}", applier_of(member)
    bases = store.history(number)
    assert applier is not None
    if len(bases) == 1:
        return ""
    base = bases[0]
    state = store.read_base(number, base.generation, 0, ALL) or b""
    meta = base.meta
    told = (meta.size, meta.crc, meta.data_class, meta.skipped) if meta is not None else (0, 0, b"")
    recorded = RecordedBase(base.generation, base.index, revision_in(state), base.at_ms, *told)
    recording = Recording(spec.name, recorded, state, spec.data_class)
    entries = store.read_entries(number, base.index + 1, ALL)
    recording.append(entry for entry in entries if entry.index <= applier.index)
    if recording.last != applier.index:
        return f"{who} has kept entries up to {recording.last} of {applier.index}"
    replay = Replay(recording, ReplayWatcher())
    between = {one.index: one for one in bases[1:]}
    for entry in recording.entries():
        replay.take(entry)
        found = between.get(entry.index)
        if found is None or found.generation == bases[-1].generation:
            continue
        if isinstance(entry.body, ClassSwitched):  # that state is as the former class has left it
            continue
        if replay.applier.dump() != store.read_base(number, found.generation, 0, ALL):
            return f"{who} has kept entries after {base.index} that give another state at {entry.index}"
    if replay.applier.dump() != applier.dump():
        return f"{who} has kept entries after {base.index} that give another state at {applier.index}"
    return ""
