"""Copies of the states of one executor's objects at compared points, kept to be shown: few, since it may have
hundreds of objects."""

from typing import Final

from msgspec import Struct

from fleet.raft.ids import Index, Revision

KEPT_MAX: Final = 8
"""Of one object."""
KEPT_BYTES_MAX: Final = 1 << 20
"""Of all objects together."""
POINT_BYTES: Final = 200
"""What keeping one takes beside the state."""


class KeptPoint(Struct, frozen=True, gc=False):
    revision: Revision
    state: bytes
    is_outline: bool = False
    """The state is too big: what is kept are the digests of its parts (`fleet.objects.state_parts`)."""


class KeptStates:
    """Objects are known by their members' numbers. The oldest states go first, pinned ones last.

    Invariant: `size` is the sum over `points`.
    """

    def __init__(self) -> None:
        self.points: dict[tuple[int, Index], KeptPoint] = {}
        """From the oldest to the newest."""
        self.indexes: dict[int, list[Index]] = {}
        """Of each object, in order."""
        self.pinned: dict[int, Index] = {}
        """Where a difference was found, for each object."""
        self.size = 0

    def keep(
        self, number: int, index: Index, revision: Revision, state: bytes, is_outline: bool = False
    ) -> None:
        """Nothing, if it is too big."""
        if not fits(len(state)):
            return
        if (number, index) in self.points:
            self._drop(number, index)
        self.points[number, index] = KeptPoint(revision, state, is_outline)
        self.indexes.setdefault(number, []).append(index)
        self.size += len(state) + POINT_BYTES
        own = self.indexes[number]
        if len(own) > KEPT_MAX:
            self._drop(number, own[0] if own[0] != self.pinned.get(number) else own[1])
        while self.size > KEPT_BYTES_MAX:
            self._drop(*self._oldest_but((number, index)))

    def _oldest_but(self, newest: tuple[int, Index]) -> tuple[int, Index]:
        unpinned = (at for at in self.points if self.pinned.get(at[0]) != at[1] and at != newest)
        return next(unpinned, None) or next(iter(self.points))

    def _drop(self, number: int, index: Index) -> None:
        self.size -= len(self.points.pop((number, index)).state) + POINT_BYTES
        self.indexes[number].remove(index)

    def pin(self, number: int, index: Index) -> None:
        """Keep that one longer than others, until another one of the object is pinned."""
        self.pinned[number] = index

    def at(self, number: int, index: Index) -> KeptPoint | None:
        return self.points.get((number, index))

    def of(self, number: int) -> tuple[Index, ...]:
        """After which entries the object's states are kept."""
        return tuple(self.indexes.get(number, ()))

    def forget(self, number: int) -> None:
        for index in self.of(number):
            self._drop(number, index)
        self.indexes.pop(number, None)
        self.pinned.pop(number, None)


def fits(size: int) -> bool:
    """Whether a state of about so many bytes is kept, beside another one."""
    return size <= KEPT_BYTES_MAX // 2
