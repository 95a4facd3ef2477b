"""Hosted members that no leader has added to the configuration: the leader that asked for them died or
changed its plan.

Such a member asks its group to add it, and so does one that was added by an entry which its leader lost: it
has a log, and no leader speaks to it. Then it is a member like any other, to be promoted or removed: it
leaves on committed proof only, never because no message reached it.
"""

from typing import Final, TypeAlias

from msgspec import Struct

from fleet.raft.ids import Index, Millis

UNJOINED_MS: Final[Millis] = 5000
"""A member that is about to be added hears of its leader sooner."""
LOOK_AGAIN_MS: Final[Millis] = 10_000
"""How often a member that heard of its group is asked whether it still hears of a leader: the entry that
added it may have been lost with the leader that sent it."""


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
    has_leader: bool


Event: TypeAlias = Round | StatusTold


class AskStatus(Struct, frozen=True):
    """Ask the member on this node for the last index of its log, and for its leader."""

    token: int
    number: int


class AskToJoin(Struct, frozen=True):
    """Ask the group to add the member."""

    number: int


Effect: TypeAlias = AskStatus | AskToJoin


class UnjoinedMembers:
    def __init__(self, first_token: int = 1) -> None:
        self.token = first_token - 1
        self.asked: dict[int, int] = {}
        """Members asked in this round, by token."""
        self.joined: dict[int, Millis] = {}
        """Members that heard of their group, and when to ask them again."""
        self.leaderless: set[int] = set()
        """Those that knew no leader when they were last asked: an election may have been under way."""

    def step(self, now: Millis, event: Event) -> list[Effect]:
        if isinstance(event, Round):
            return self._on_round(now, event)
        return self._on_status(now, event)

    def _on_round(self, now: Millis, event: Round) -> list[Effect]:
        self.asked.clear()
        self.joined = {number: at for number, at in self.joined.items() if number in event.held}
        self.leaderless &= self.joined.keys()
        for member in event.running:
            if now >= self.joined.get(member.number, member.started_at + UNJOINED_MS):
                self.token += 1
                self.asked[self.token] = member.number
        return [AskStatus(token, number) for token, number in self.asked.items()]

    def _on_status(self, now: Millis, event: StatusTold) -> list[Effect]:
        number = self.asked.pop(event.token, None)
        if number is None:
            return []  # of an earlier round
        if event.last_index == 0:
            return [AskToJoin(number)]
        self.joined[number] = now + LOOK_AGAIN_MS
        if event.has_leader:
            self.leaderless.discard(number)
            return []
        if number in self.leaderless:
            return [AskToJoin(number)]
        self.leaderless.add(number)
        return []
