"""What comes of executing a group's past by another class: see `fleet.testing.rehearsal`."""

from msgspec import Struct

from fleet.raft.ids import Index, Revision


class PastOutcome(Struct, frozen=True, array_like=True):
    """What the class in force has made of a command."""

    index: Index
    revision: Revision
    method: str = ""
    call: str = ""
    answer: str = ""
    state: bytes = b""
    """Of the object afterwards, as the later class may load it; b"": not written down."""


class OtherPast(Struct, frozen=True):
    """The first command whose result or state differs."""

    revision: Revision
    call: str
    """"": states were compared only here and there; see `since`."""
    since: Revision
    """The last revision at which the states were equal."""
    before: str
    """What the class in force answered, and left behind."""
    after: str

    def __str__(self) -> str:
        at = f"revision {self.revision}"
        what = f"{self.call} at {at}" if self.call else f"a command after revision {self.since}, up to {at},"
        return f"{what} differs: {self.before} before, {self.after} with the new class"


class Rehearsal(Struct, frozen=True):
    """What came of it."""

    first: Revision = 0
    """Commands after this revision were executed."""
    last: Revision = 0
    commands: int = 0
    """So many of them were compared."""
    states: int = 0
    """How often states were compared."""
    gone: dict[str, int] = {}
    """Commands that the new class does not have, and how often they were called: these are left out."""
    difference: OtherPast | None = None
    unknown: str = ""
    """Why nothing could be executed, or why results could not be compared; "": they were."""
