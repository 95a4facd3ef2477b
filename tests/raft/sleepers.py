"""Members whose driver watches their nodes, and so sleep when nothing happens."""

from collections.abc import Iterator

from fleet.raft.config import GroupConfig
from fleet.raft.core import Core
from fleet.raft.events import NodeSilent
from fleet.raft.ids import NodeName
from fleet.raft.messages import (
    PeerMessage,
)
from tests.raft.conversation import Conversation

ELECTION_MS = GroupConfig().election_ms
ASLEEP_MS = 4 * ELECTION_MS
"""Within this a group elects a leader, or settles, and then falls asleep."""


class Sleepers(Conversation):
    """A conversation among members whose driver watches their nodes."""

    def __init__(self, *words: str) -> None:
        super().__init__()
        self.counted: list[PeerMessage] = []
        self.run(f"group {' '.join(words or ('n1', 'n2', 'n3'))}")

    def do_restart(self, name: str) -> None:
        super().do_restart(name)
        self.core(name).may_sleep = True

    def send(self, message: PeerMessage) -> None:
        self.counted.append(message)
        super().send(message)

    def core(self, name: str) -> Core:
        core = self.players[name].core
        assert core is not None
        return core

    @property
    def cores(self) -> Iterator[Core]:
        return (player.core for player in self.players.values() if player.core is not None)

    @property
    def asleep(self) -> list[str]:
        return [name for name, player in self.players.items() if player.core and player.core.asleep]

    @property
    def leading(self) -> list[str]:
        """Those that lead in the latest term that anyone leads in."""
        terms = {name: p.core.term for name, p in self.players.items() if p.core and p.core.is_leader}
        return [name for name, term in terms.items() if term == max(terms.values())]

    def silence(self, node: str, *at: str) -> None:
        for name in at:
            self.step(name, NodeSilent(NodeName(node)))

    def works(self, payload: str = "x") -> bool:
        """Whether a command is executed by all members that run, soon."""
        self.run(f"live {ELECTION_MS}")
        if not self.leading:
            return False
        self.run(f"propose {self.leading[-1]} {payload}")
        self.run(f"live {ELECTION_MS}")
        last = self.core(self.leading[-1]).log.last_index
        return all(core.log.applied == last for core in self.cores)


def sleeping_group() -> Sleepers:
    """Three members that sleep; n1 leads."""
    group = Sleepers()
    group.run(f"live {ASLEEP_MS}")
    assert group.leading == ["n1"] and group.asleep == ["n1", "n2", "n3"]
    return group


def quiet(group: Sleepers, duration: int) -> list[PeerMessage]:
    """What the members send to each other while time passes."""
    group.counted.clear()
    group.run(f"live {duration}")
    return group.counted
