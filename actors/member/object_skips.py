"""What becomes of a member's object when its group records a command as failed that the object executed."""

from collections.abc import Sequence
from typing import Protocol

from fleet.actors.member.object_seams import ObjectsMember
from fleet.raft.entries import Halt, Skipped
from fleet.raft.ids import Index, Place
from fleet.raft.messages import REPAIRING


class SkippingObject(Protocol):
    member: ObjectsMember
    skipped: set[tuple[Index, int]]
    handed: Index

    @property
    def halt(self) -> Halt | None: ...

    def open_again(self, is_fresh: bool = False) -> None: ...

    def diverge(self, index: Index, cause: str, place: Place) -> None: ...


def passes(held: SkippingObject, bodies: Sequence[Skipped], handed: Index) -> bool:
    """Whether the object is made again because of these. Entries up to `handed` were given to it, and it
    executes them if it has not yet."""
    places = {(body.index, body.place) for body in bodies}
    is_ended = held.halt is not None and (held.halt.index, held.halt.place) in places
    executed = {place for place in places if place[0] <= handed and place not in held.skipped}
    if executed and _is_in_snapshot(held, min(executed)[0]):
        what = f"it executed a command of entry {min(executed)[0]} that the group records as failed"
        held.diverge(held.handed, what, REPAIRING)
        return True
    if is_ended or executed:
        held.open_again()
        return True
    return False


def _is_in_snapshot(held: SkippingObject, index: Index) -> bool:
    """It cannot be undone then: what the object would begin with again has it, too. The member keeps its log
    and its vote, without which the group may have no majority."""
    snapshot = held.member.core.snapshot
    return snapshot is not None and snapshot.index >= index
