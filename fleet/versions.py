"""The versions that this build speaks, and what each of them brought.

One number stands for what nodes must agree on: messages on links, entries in logs, records on disks,
commands of the cluster group. A build speaks all versions from OLDEST to NEWEST. What a version brought may
be written, or sent to all nodes, once that version is in force (`fleet.cluster.fleet_version`). A type of
message may be sent over a link that speaks the version it came with (`fleet.actors.base.wire.register`).
"""

from typing import Final

from msgspec import Struct

OLDEST: Final = 1
NEWEST: Final = 1


class Feature(Struct, frozen=True):
    """Something that earlier builds cannot read."""

    version: int
    """The first version that has it."""
    what: str

    def is_on(self, in_force: int) -> bool:
        return in_force >= self.version


FIRST_RELEASE: Final = Feature(1, "everything of the first release")
FEATURES: Final = (FIRST_RELEASE,)
"""In the order of their versions. One that came with OLDEST, or before, is always on."""


class Build(Struct, frozen=True, array_like=True):
    """What a node runs."""

    release: str
    """As `fleet.__version__`; "": not known."""
    oldest: int
    newest: int

    def speaks(self, version: int) -> bool:
        return self.oldest <= version <= self.newest

    def __str__(self) -> str:
        return f"{self.release or 'unknown release'}, {spoken(self.oldest, self.newest)}"


FIRST_BUILD: Final = Build("", 1, 1)
"""What is read where nothing is said: the same on all builds, since it becomes replicated state."""
THIS_BUILD: Final = Build("", OLDEST, NEWEST)


def spoken(oldest: int, newest: int) -> str:
    return f"version {newest}" if oldest == newest else f"versions {oldest} to {newest}"


def newest_common(mine: tuple[int, int], theirs: tuple[int, int]) -> int | None:
    """The newest version that both ranges have; None: they have none in common."""
    newest = min(mine[1], theirs[1])
    return newest if newest >= max(mine[0], theirs[0]) else None


def features_of(after: int, until: int) -> tuple[str, ...]:
    """What the versions behind `after`, up to `until`, brought."""
    return tuple(one.what for one in FEATURES if after < one.version <= until)
