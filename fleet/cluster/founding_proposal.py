"""One ballot of a node that proposes founders: which nodes have promised, its value, which have accepted."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

from fleet.cluster.founding_messages import Ballot, Disk, Founder, Promise
from fleet.raft.ids import Millis

NEVER: Final[Millis] = 1 << 62


@dataclass(slots=True)
class Proposal:
    """Times are milliseconds on the clock of the founding."""

    ballot: Ballot
    until: Millis
    """When it is abandoned."""
    resend_at: Millis
    grace_until: Millis = NEVER
    """Until when a majority waits for the promises of the others."""
    promises: dict[Disk, Promise] = field(default_factory=dict)
    founders: tuple[Founder, ...] = ()
    """The value proposed; empty while promises are collected."""
    accepted: set[Disk] = field(default_factory=set)

    def promised(self, voters: Collection[str]) -> list[Founder]:
        """The nodes with a vote that have promised."""
        return [m.src for (address, _), m in self.promises.items() if address in voters]

    def not_promised(self, listed: Sequence[str]) -> list[str]:
        answered = {address for address, _ in self.promises}
        return [address for address in listed if address not in answered]

    def not_accepted(self) -> list[str]:
        return [address for address, disk in self.promises if (address, disk) not in self.accepted]

    def votes(self, voters: Collection[str]) -> int:
        """How many acceptors with a vote have accepted."""
        return sum(address in voters for address, _ in self.accepted)

    def choice(self, promised: Sequence[Founder]) -> tuple[Founder, ...]:
        """The founders to propose: those of the highest accepted ballot, which may be decided already, else
        all nodes that promised. Empty if two of those have one name: a cluster cannot hold both."""
        votes = [m.accepted for m in self.promises.values() if m.accepted is not None]
        if votes:
            return max(votes, key=lambda vote: vote.ballot).founders
        if len({node.name for node in promised}) < len(promised):
            return ()
        return tuple(sorted(promised, key=lambda node: node.name))
