"""What becomes of a member's object when its group records a command as failed that the object executed."""

from collections.abc import Sequence
from typing import Any, Protocol

from fleet.actors.member.object_seams import ObjectsMember, Told
from fleet.errors import Damaged
from fleet.raft.entries import Halt, Skipped
from fleet.raft.ids import Index


class SkippingObject(Protocol):
    member: ObjectsMember
    told: Told
    skipped: set[tuple[Index, int]]

    @property
    def halt(self) -> Halt | None: ...

    def open_again(self, is_fresh: bool = False) -> None: ...


def passes(held: SkippingObject, bodies: Sequence[Skipped], handed: Index) -> bool:
    """Whether the object is made again because of these. Entries up to `handed` were given to it, and it
    executes them if it has not yet."""
    places = {(body.index, body.place) for body in bodies}
    is_ended = held.halt is not None and (held.halt.index, held.halt.place) in places
    executed = {place for place in places if place[0] <= handed and place not in held.skipped}
    if executed and not _can_undo(held, min(executed)[0]):
        return True
    if is_ended or executed:
        held.open_again()
        return True
    return False


def _can_undo(held: Any, index: Index) -> bool:
    snapshot = held.member.core.snapshot
    if snapshot is None or snapshot.index < index:
        return True
    what = f"it executed a command of entry {index} that the group records as failed"
    held.told.on_failed(Damaged(what, group=held.member.spec.name), False)
    return False
