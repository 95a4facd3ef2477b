"""Hosted members that no leader has added to the configuration: the leader that asked for them died or
changed its plan.

Such a member asks its group to add it. Then it is a member like any other, to be promoted or removed: it
leaves on committed proof only, never because no message reached it.
"""

from typing import Final, TypeAlias

from msgspec import Struct

from fleet.raft.ids import Index, Millis

UNJOINED_MS: Final[Millis] = 5000
"""A member that is about to be added hears of its leader sooner."""


class Waiting(Struct, frozen=True):
    """A member that runs and began with no initial membership. `number`: in the node's store."""

    number: int
    started_at: Millis


class Round(Struct, frozen=True):
    """About once a second. `held`: all members of this node, by number."""

    held: frozenset[int]
    running: tuple[Waiting, ...]


class StatusTold(Struct, frozen=True):
    token: int
    last_index: Index


Event: TypeAlias = Round | StatusTold


class AskLast(Struct, frozen=True):
    """Ask the member on this node for the last index of its log."""

    token: int
    number: int


class AskToJoin(Struct, frozen=True):
    """Ask the group to add the member."""

    number: int


Effect: TypeAlias = AskLast | AskToJoin


class UnjoinedMembers:
    def __init__(self, first_token: int = 1) -> None:
        self.token = first_token - 1
        self.asked: dict[int, int] = {}
        """Members asked in this round, by token."""
        self.joined: set[int] = set()
        """Members known to have heard of their group."""

    def step(self, now: Millis, event: Event) -> list[Effect]:
        if isinstance(event, Round):
            return self._on_round(now, event)
        return self._on_status(event)

    def _on_round(self, now: Millis, event: Round) -> list[Effect]:
        self.asked.clear()
        self.joined &= event.held
        for member in event.running:
            if member.number not in self.joined and now - member.started_at >= UNJOINED_MS:
                self.token += 1
                self.asked[self.token] = member.number
        return [AskLast(token, number) for token, number in self.asked.items()]

    def _on_status(self, event: StatusTold) -> list[Effect]:
        number = self.asked.pop(event.token, None)
        if number is None:
            return []  # of an earlier round
        if event.last_index > 0:
            self.joined.add(number)
            return []
        return [AskToJoin(number)]
