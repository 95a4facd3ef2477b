"""Rare states that are worth reaching: what no seed reaches, no seed checks.

A mark is a sentence. It is passed where the simulator sees the state, never by the shipping code; the
list here is what there is to reach. `fleet sim explore` tells which marks no seed passed.
"""

MARKS: tuple[str, ...] = (
    "a child encodes a state",
    "a child that encodes a state fails",
    "a disk fails a transaction",
    "a fork fails",
    "a frame arrives where its link is closed",
    "a full disk refuses a transaction",
    "a leader's hooks are told of a command that an earlier leader proposed",
    "a leader's hooks are told that it steps down",
    "a leader's hooks are told that it was restored",
    "a link is given up after a long silence",
    "a message is dropped, since too much waits for its link",
    "a message is dropped, since too much waits on its link",
    "a message is for a former life of its receiver",
    "a message to a process that does not answer is dropped at once",
    "a process dies between two transactions",
    "a process dies while it stages a snapshot",
    "a state that a child encodes is no longer wanted",
    "a turn is cut in the middle of its queue",
    "a write dies with its process",
    "a write outlives its process",
    "messages that waited for a link are too old, or for a former life",
    "messages that waited for a link leave over it",
    "the leader's snapshot overtakes the member's own on its way to the disk",
    "users' code takes its time",
)
NUMBERS: dict[str, int] = {name: number for number, name in enumerate(MARKS)}


class Marks:
    """Of one world."""

    def __init__(self) -> None:
        self.first_at: dict[str, int] = {}
        """By mark, when it was first passed: microseconds of virtual time."""
        self.counts: dict[str, int] = {}

    def passes(self, name: str, now: int) -> None:
        assert name in NUMBERS, f"{name!r} is not in the list of marks"
        self.counts[name] = self.counts.get(name, 0) + 1
        self.first_at.setdefault(name, now)

    @property
    def bits(self) -> int:
        """Those that were passed, by their numbers in the list."""
        return sum(1 << NUMBERS[name] for name in self.counts)


def names_of(bits: int) -> list[str]:
    return [name for name, number in NUMBERS.items() if bits >> number & 1]
