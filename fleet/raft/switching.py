"""Which class executes a group's commands, and how a group changes to another one.

A command is executed only by the code that it was proposed under. Entry 1 names the class that a group
begins with, `ClassSwitched` each later one, and a snapshot the one in force after its index. What the names
stand for is the driver's affair: an executor that has other code than the class in force executes nothing.

**At a switch** every member executes what is before it with the old class, and then takes a snapshot. Entries
behind the switch are held back until that is durable (`held_for_switch`). The driver then makes the object
anew from the snapshot, with the new class, which migrates the state. The old code is not needed any more.

**A member that has other code** (`Halt.place` is `OTHER_CODE`) goes on receiving the log, votes, and does not
lead if another one can. It needs a state from behind the entries that it cannot execute: the leader sends its
snapshot as soon as that is new enough, although the member's log has all its entries (`needs_state`). The
member keeps its log, and what it has promised (`adopt_state`).
"""

from typing import Final

from fleet.raft.comparing import forget_state, is_halted_by_state
from fleet.raft.entries import ClassSwitched, SnapshotMeta
from fleet.raft.ids import Index
from fleet.raft.messages import OTHER_CODE, REPAIRING
from fleet.raft.progress import SNAPSHOT, Progress
from fleet.raft.ready import Restored
from fleet.raft.state import LAST_INDEX, CoreState

WAITING: Final = frozenset((OTHER_CODE, REPAIRING))
"""Where a member halts that can use a state of its leader although its log is complete."""


def class_at(core: CoreState, index: Index) -> bytes:
    """The class in force after the entry `index`, which is not before the member's own snapshot; b"": it is
    not known here, or the library's own."""
    for entry in reversed(core.switches):
        if entry.index <= index:
            assert isinstance(entry.body, ClassSwitched)
            return entry.body.data_class
    return core.snapshot.data_class if core.snapshot is not None else core.first_class


def held_for_switch(core: CoreState) -> Index:
    """Entries after this one are not handed out yet: a switch that is committed, whose snapshot is not
    durable."""
    base = core.snapshot.index if core.snapshot is not None else 0
    for entry in core.switches:
        if base < entry.index <= core.log.commit:
            return entry.index
    return LAST_INDEX


def is_switch_open(core: CoreState) -> bool:
    """Whether the log holds a switch that is not behind this member yet."""
    switch = core.switches[-1].index if core.switches else 0
    return switch > core.log.commit or held_for_switch(core) != LAST_INDEX


def needs_state(core: CoreState, meta: SnapshotMeta) -> bool:
    """Whether this member, whose log holds all that the snapshot stands for, can use it nevertheless."""
    halt = core.halt
    return halt is not None and halt.place in WAITING and halt.index <= meta.index <= core.log.commit


def adopt_state(core: CoreState, meta: SnapshotMeta, data: bytes) -> None:
    """Go on from the leader's snapshot. The log stays, and what is behind the snapshot is handed out again.
    The snapshot becomes this member's own."""
    log = core.log
    assert log.base_index <= meta.index <= log.commit, f"{meta.index} outside {log.base_index}..{log.commit}"
    log.applied = meta.index
    core.halt = None
    forget_state(core, meta.index)
    core.taking = None
    core.saving = (meta, data)
    core.ready.restore = (meta, data)
    core.ready.hooks.append(Restored(meta.index))


def offer_state(core: CoreState, progress: Progress) -> bool:
    """Of a leader: whether the peer waits for a state, and this leader's snapshot now becomes that. Later
    chunks follow as those of any snapshot. A leader whose own state is wrong has none to offer."""
    halted, snapshot = progress.halted, core.snapshot
    if halted is None or halted[1] not in WAITING or progress.state == SNAPSHOT or snapshot is None:
        return False
    if snapshot.index < halted[0] or core.is_installing or is_halted_by_state(core):
        return False
    progress.become_snapshot(snapshot)
    return True
