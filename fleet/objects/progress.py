"""What an executor is doing, in a few numbers that another process can read while it does not answer.

An executor writes them before it runs users' code: a plain list of its own, or memory that it shares with its
node. Writing one costs some 30 ns.
"""

from collections.abc import Iterator
from typing import Final, Protocol

from msgspec import Struct

from fleet.raft.ids import Index


class Cells(Protocol):
    """A list, or a memoryview of unsigned 64-bit numbers."""

    def __getitem__(self, at: int, /) -> int: ...

    def __setitem__(self, at: int, value: int, /) -> None: ...

    def __iter__(self) -> Iterator[int]: ...


KIND: Final = 0
NUMBER: Final = 1
"""Of the member whose object it is, in its node's store."""
RUN: Final = 2
INDEX: Final = 3
"""Of the entry that is being applied."""
FIRST: Final = 4
"""The sequence number of the first command of that entry."""
SEQ: Final = 5
"""Of the command that runs; or the token of the queries."""
METHOD: Final = 6
"""The command's place among the names that `ObjectOpened` gave, from 1 on; 0 while it is decoded."""
STEPS: Final = 7
"""Counts what was begun: while it stays the same, one piece of users' code runs."""
TAKEN: Final = 8
"""Counts the messages that were read."""
CELLS: Final = 9
CELL_BYTES: Final = 8

IDLE: Final = 0
COMMAND: Final = 1
QUERY: Final = 2
OTHER: Final = 3
"""Loading a class or a state, checking arguments, encoding a state, a copy for a hook."""


class Doing(Struct, frozen=True, gc=False):
    """What an executor did when its cells were read."""

    kind: int
    number: int
    run: int
    index: Index
    place: int
    """Of the command in its entry; or the token of the queries."""
    method: int
    steps: int
    taken: int


def no_cells() -> Cells:
    return [0] * CELLS


def begin(cells: Cells, kind: int, number: int, run: int) -> None:
    cells[NUMBER], cells[RUN] = number, run
    cells[INDEX] = cells[FIRST] = cells[SEQ] = cells[METHOD] = 0
    cells[STEPS] += 1
    cells[KIND] = kind


def end(cells: Cells) -> None:
    cells[KIND] = IDLE
    cells[STEPS] += 1


def read(cells: Cells) -> Doing:
    kind, number, run, index, first, seq, method, steps, taken = cells
    place = max(0, seq - first) if kind == COMMAND else seq
    return Doing(kind, number, run, index, place, method, steps, taken)
