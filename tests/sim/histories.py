"""Small histories with known answers, transcribed as spans: process, input, output, call, return.

The first are of the kind in Herlihy and Wing (1990), section 1.2 and figure 1; the others are the ones that
papers and checkers (Lowe, knossos, porcupine) explain themselves with, and what fleet must tell apart.
`...` as output: the outcome is unknown. Moments that are equal overlap.
"""

from typing import Any

from msgspec import Struct

from fleet.sim.checks.history import UNKNOWN, Operation
from fleet.sim.checks.models import (
    Add,
    All,
    Append,
    Cas,
    Counter,
    Dequeue,
    Enqueue,
    Fetch,
    Get,
    KeyValue,
    ListAppend,
    Model,
    Put,
    Queue,
    Read,
    Register,
    Remove,
    Scan,
    Write,
)


class Case(Struct):
    name: str
    model: Model
    linearizable: bool
    spans: list[tuple[str, Any, Any, int, int]]

    def history(self) -> list[Operation]:
        return [
            Operation(who, "x", call, None, input, UNKNOWN)
            if output is ...
            else Operation(who, "x", call, end, input, output)
            for who, input, output, call, end in self.spans
        ]


E, D, W, R = Enqueue, Dequeue(), Write, Read()

QUEUES_AND_REGISTERS = [
    Case(
        "enqueues overlap, so y may come out first",
        Queue(),
        True,
        [
            ("A", E("x"), None, 1, 3),
            ("B", E("y"), None, 2, 4),
            ("B", D, "y", 5, 9),
            ("A", D, "x", 6, 8),
            ("A", E("z"), None, 10, 12),
        ],
    ),
    Case(
        "x was in before y was asked for, yet y came out first",
        Queue(),
        False,
        [
            ("A", E("x"), None, 1, 2),
            ("B", E("y"), None, 3, 4),
            ("A", D, "y", 5, 6),
        ],
    ),
    Case(
        "a dequeue overlaps the enqueue that it takes from",
        Queue(),
        True,
        [
            ("A", E("x"), None, 1, 6),
            ("B", D, "x", 2, 4),
        ],
    ),
    Case(
        "y comes out twice",
        Queue(),
        False,
        [
            ("A", E("x"), None, 1, 3),
            ("B", E("y"), None, 2, 4),
            ("A", D, "y", 5, 7),
            ("B", D, "y", 6, 8),
        ],
    ),
    Case(
        "register: a read that overlaps two writes may see either",
        Register(0),
        True,
        [
            ("A", W(1), None, 1, 8),
            ("B", R, 0, 2, 3),
            ("B", R, 1, 4, 5),
            ("C", W(0), None, 6, 9),
            ("B", R, 0, 10, 11),
        ],
    ),
    Case(
        "register: new value, then old value again",
        Register(0),
        False,
        [
            ("A", W(1), None, 1, 10),
            ("B", R, 1, 2, 3),
            ("C", R, 0, 4, 5),
        ],
    ),
    Case(
        "a pending enqueue took effect",
        Queue(),
        True,
        [
            ("A", E("x"), ..., 1, 0),
            ("B", D, "x", 2, 3),
        ],
    ),
    Case(
        "a pending enqueue cannot give two",
        Queue(),
        False,
        [
            ("A", E("x"), ..., 1, 0),
            ("B", D, "x", 2, 3),
            ("C", D, "x", 4, 5),
        ],
    ),
]

CHECKERS_EXAMPLES = [
    Case(
        "three overlapping: write and two reads, both explained",
        Register(0),
        True,
        [
            ("A", W(100), None, 0, 100),
            ("B", R, 100, 25, 75),
            ("C", R, 0, 30, 60),
        ],
    ),
    Case(
        "write 200 and reads that disagree on its moment",
        Register(0),
        False,
        [
            ("A", W(200), None, 0, 100),
            ("B", R, 200, 10, 30),
            ("C", R, 0, 40, 90),
        ],
    ),
    Case(
        "stale read after an acknowledged write",
        Register(0),
        False,
        [
            ("A", W(1), None, 1, 2),
            ("B", R, 0, 3, 4),
        ],
    ),
    Case(
        "a cas that lost tells what it found",
        Register(0),
        True,
        [
            ("A", Cas(0, 1), True, 1, 4),
            ("B", Cas(0, 2), False, 2, 3),
            ("C", R, 1, 5, 6),
        ],
    ),
    Case(
        "two cas from one value cannot both win",
        Register(0),
        False,
        [
            ("A", Cas(0, 1), True, 1, 4),
            ("B", Cas(0, 2), True, 2, 3),
        ],
    ),
    Case(
        "a timed-out write shows up long after",
        Register(0),
        True,
        [
            ("A", W(1), ..., 1, 0),
            ("B", R, 0, 2, 3),
            ("B", W(2), None, 4, 5),
            ("B", R, 2, 6, 7),
            ("B", R, 1, 8, 9),
        ],
    ),
    Case(
        "a timed-out write shows up, goes, and comes again",
        Register(0),
        False,
        [
            ("A", W(1), ..., 1, 0),
            ("B", R, 1, 2, 3),
            ("B", W(2), None, 4, 5),
            ("B", R, 1, 6, 7),
        ],
    ),
    Case(
        "two equal timed-out writes may show up twice",
        Register(0),
        True,
        [
            ("A", W(1), ..., 1, 0),
            ("C", W(1), ..., 1, 0),
            ("B", R, 1, 2, 3),
            ("B", W(2), None, 4, 5),
            ("B", R, 1, 6, 7),
        ],
    ),
    Case(
        "a timed-out write is not seen before its call",
        Register(0),
        False,
        [
            ("B", R, 1, 1, 2),
            ("A", W(1), ..., 3, 0),
        ],
    ),
    Case(
        "a timed-out cas builds on a timed-out write",
        Register(0),
        True,
        [
            ("A", W(1), ..., 1, 0),
            ("C", Cas(1, 2), ..., 2, 0),
            ("B", R, 2, 3, 4),
        ],
    ),
    Case(
        "writing what is there already may still come later",
        Register(0),
        True,
        [
            ("A", W(0), None, 1, 10),
            ("B", W(1), None, 2, 9),
            ("C", R, 1, 3, 4),
            ("C", R, 0, 5, 6),
        ],
    ),
    Case(
        "put, fetch, remove of one key",
        KeyValue(),
        True,
        [
            ("A", Put("k", 1), None, 1, 4),
            ("B", Fetch("k"), None, 2, 3),
            ("B", Remove("k"), True, 5, 6),
            ("A", Fetch("k"), None, 7, 8),
        ],
    ),
    Case(
        "keys apart are fine, a scan shows that they were never so together",
        KeyValue(),
        False,
        [
            ("A", Put("a", 1), None, 1, 2),
            ("A", Put("b", 1), None, 3, 4),
            ("B", Scan(), {"b": 1}, 1, 6),
        ],
    ),
    Case(
        "a counter tells each a value of its own",
        Counter(),
        True,
        [
            ("A", Add(1), 2, 1, 4),
            ("B", Add(1), 1, 2, 3),
            ("C", Get(), 0, 1, 4),
        ],
    ),
    Case(
        "an add told a value twice",
        Counter(),
        False,
        [
            ("A", Add(1), 1, 1, 4),
            ("B", Add(1), 1, 2, 3),
        ],
    ),
    Case(
        "an unknown add fills the gap",
        Counter(),
        True,
        [
            ("A", Add(1), 1, 1, 2),
            ("B", Add(1), ..., 3, 0),
            ("A", Add(1), 3, 4, 5),
        ],
    ),
    Case(
        "an unknown add fills one gap only",
        Counter(),
        False,
        [
            ("B", Add(1), ..., 1, 0),
            ("A", Add(1), 2, 2, 3),
            ("A", Add(1), 4, 4, 5),
        ],
    ),
    Case(
        "lists are prefixes of one another",
        ListAppend(),
        True,
        [
            ("A", Append(1), None, 1, 4),
            ("B", Append(2), None, 2, 5),
            ("C", All(), [2], 3, 6),
            ("C", All(), [2, 1], 7, 8),
        ],
    ),
    Case(
        "two lists in two orders",
        ListAppend(),
        False,
        [
            ("A", Append(1), None, 1, 4),
            ("B", Append(2), None, 2, 5),
            ("C", All(), [2, 1], 6, 7),
            ("D", All(), [1, 2], 6, 8),
        ],
    ),
    Case(
        "an acknowledged append is missing",
        ListAppend(),
        False,
        [
            ("A", Append(1), None, 1, 2),
            ("B", Append(2), None, 3, 4),
            ("C", All(), [2], 5, 6),
        ],
    ),
]

CASES = QUEUES_AND_REGISTERS + CHECKERS_EXAMPLES
