"""Hosted members that no leader has added to the configuration: the leader that asked for them died or
changed its plan.

Such a member asks its group to add it, and so does one whose adding entry was lost with its leader: it has a
log but hears from no leader. Once added it is promoted or removed like any other member. It is deleted only
on committed proof of its removal, never because it received no messages.
"""

from typing import Final, TypeAlias

from msgspec import Struct

from fleet.raft.ids import Index, Millis

UNJOINED_MS: Final[Millis] = 5000
"""A member that is about to be added hears from its leader sooner than this."""
LOOK_AGAIN_MS: Final[Millis] = 10_000
"""After this a member that has heard from a leader is asked whether it still does: the entry that added it
may have been lost with that leader. The pause doubles each time that it does: such an entry is lost soon."""
LOOK_AGAIN_MS_MAX: Final[Millis] = 640_000


class Waiting(Struct, frozen=True):
    """A running member. `number`: in the node's store."""

    number: int
    started_at: Millis


class Round(Struct, frozen=True):
    """About once a second. `held`: all members of this node, by number."""

    held: frozenset[int]
    running: tuple[Waiting, ...]


class StatusReceived(Struct, frozen=True):
    token: int
    last_index: Index
    has_leader: bool


Event: TypeAlias = Round | StatusReceived


class AskStatus(Struct, frozen=True):
    """Ask the member on this node for its last log index and its leader."""

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
        """Members that have heard from a leader, and when to ask them again."""
        self.pauses: dict[int, Millis] = {}
        """Between the last two answers of each of those."""
        self.leaderless: set[int] = set()
        """Of those, the ones that knew no leader when last asked; an election may have been under way."""

    def step(self, now: Millis, event: Event) -> list[Effect]:
        if isinstance(event, Round):
            return self._on_round(now, event)
        return self._on_status(now, event)

    def _on_round(self, now: Millis, event: Round) -> list[Effect]:
        self.asked.clear()
        self.joined = {number: at for number, at in self.joined.items() if number in event.held}
        self.pauses = {number: pause for number, pause in self.pauses.items() if number in self.joined}
        self.leaderless &= self.joined.keys()
        for member in event.running:
            if now >= self.joined.get(member.number, member.started_at + UNJOINED_MS):
                self.token += 1
                self.asked[self.token] = member.number
        return [AskStatus(token, number) for token, number in self.asked.items()]

    def _on_status(self, now: Millis, event: StatusReceived) -> list[Effect]:
        number = self.asked.pop(event.token, None)
        if number is None:
            return []  # of an earlier round
        if event.last_index == 0:
            return [AskToJoin(number)]
        if event.has_leader:
            pause = self.pauses[number] = min(
                2 * self.pauses.get(number, LOOK_AGAIN_MS // 2), LOOK_AGAIN_MS_MAX
            )
            self.joined[number] = now + pause
            self.leaderless.discard(number)
            return []
        self.joined[number] = now + LOOK_AGAIN_MS
        self.pauses.pop(number, None)
        if number in self.leaderless:
            return [AskToJoin(number)]
        self.leaderless.add(number)
        return []
