"""Which code executes what: a command is executed by one version of its class, wherever and however often."""

from typing import Protocol


class JudgedWorld(Protocol):
    def accuse(self, sentence: str) -> None: ...


class Codes:
    def __init__(self, world: JudgedWorld) -> None:
        self.world = world
        self.versions: dict[tuple[str, int], int] = {}

    def note(self, group: str, revision: int, version: int) -> None:
        first = self.versions.setdefault((group, revision), version)
        if first != version:
            what = f"revision {revision} of {group} is executed by version {version} of its class"
            self.world.accuse(f"{what}, and was by version {first}")
