"""Groups that change to later code by themselves: a member on this node has found it, and the class says
`auto_upgrade=True`.

Whoever finds it does what `fleet group upgrade` does: every member tries the class with its state, in a
process that imports it anew, and only if each of them can is the change asked for. So nothing happens before
the code is on every node. Until then no state is copied: members try the class alone before. Nodes that find
it at the same time ask for the same change, which is made once.
"""

from dataclasses import dataclass, field
from typing import Final, TypeAlias

from msgspec import Struct

from fleet.cluster.reconciliation_events import LogLine
from fleet.raft.ids import MemberId, Millis

PAUSE_MS: Final[tuple[Millis, Millis]] = (5_000, 300_000)
"""The shortest and the longest pause before a change that was refused is tried again."""

NOBODY_TRIED: Final = (
    "no member could try it with the state as it is now, since commands wait for the former code: put that "
    "back on one node, and restart it"
)


class Offer(Struct, frozen=True):
    """The code that the member found. `number`: in the node's store."""

    number: int
    group: str
    member: MemberId
    data_class: bytes
    version: int
    fingerprint: str


class Round(Struct, frozen=True):
    """About once a second. `offers`: of all members that execute nothing and may change."""

    offers: tuple[Offer, ...]


class GroupSeen(Struct, frozen=True):
    """What the group's leader says. `version` and `fingerprint`: of the code in force."""

    attempt: int
    version: int
    fingerprint: str
    members: tuple[MemberId, ...]


class Tried(Struct, frozen=True):
    """That member can go on with the class. `with_state`: it has tried the state as it is now."""

    attempt: int
    member: MemberId
    with_state: bool


class Upgraded(Struct, frozen=True):
    """The group has committed the change."""

    attempt: int


class Refused(Struct, frozen=True):
    """Something that was asked for was refused, or not answered in time."""

    attempt: int
    why: str


Event: TypeAlias = Round | GroupSeen | Tried | Upgraded | Refused


class AskLeader(Struct, frozen=True):
    """Ask the group's leader for its status."""

    attempt: int
    offer: Offer


class AskToTry(Struct, frozen=True):
    """Ask the member to try the class, alone or with its state."""

    attempt: int
    offer: Offer
    member: MemberId
    with_state: bool


class AskToChange(Struct, frozen=True):
    """Ask the group to change to the class. `former`: the fingerprint of the code that was rehearsed."""

    attempt: int
    offer: Offer
    former: str


Effect: TypeAlias = AskLeader | AskToTry | AskToChange | LogLine


@dataclass(slots=True)
class Attempt:
    """A change that is under way."""

    offer: Offer
    former: str = ""
    """The fingerprint of the code in force."""
    members: tuple[MemberId, ...] = ()
    untried: set[MemberId] = field(default_factory=set)
    """Members that have not answered yet."""
    with_state: bool = False
    """All can load the class, and are asked to try it with their states."""
    has_tried_state: bool = False
    """One of them has tried the state as it is now."""


class AutomaticUpgrades:
    """Invariant: at most one attempt a member is under way."""

    def __init__(self) -> None:
        self.attempts: dict[int, Attempt] = {}
        self.count = 0
        """Of all attempts so far, which they are numbered by."""
        self.pauses: dict[int, tuple[Millis, Millis]] = {}
        """By member: when to try again, and the pause before that."""
        self.refused: dict[int, str] = {}
        """By member: why the last attempt was given up, to log it once."""

    def step(self, now: Millis, event: Event) -> list[Effect]:
        if isinstance(event, Round):
            return self._on_round(now, event)
        attempt = self.attempts.get(event.attempt)
        if attempt is None:
            return []  # it was given up
        if isinstance(event, GroupSeen):
            return self._on_seen(now, event, attempt)
        if isinstance(event, Tried):
            attempt.untried.discard(event.member)
            attempt.has_tried_state |= event.with_state
            return [] if attempt.untried else self._on_all_tried(now, event.attempt, attempt)
        del self.attempts[event.attempt]
        return self._put_off(now, attempt.offer, event.why if isinstance(event, Refused) else "")

    def _on_round(self, now: Millis, event: Round) -> list[Effect]:
        offers = {offer.number: offer for offer in event.offers}
        for count, attempt in list(self.attempts.items()):
            if offers.get(attempt.offer.number) != attempt.offer:
                del self.attempts[count]  # the member executes, or has found something else
        self.pauses = {number: pause for number, pause in self.pauses.items() if number in offers}
        self.refused = {number: why for number, why in self.refused.items() if number in offers}
        under_way = {attempt.offer.number for attempt in self.attempts.values()}
        effects: list[Effect] = []
        for number, offer in offers.items():
            due, _ = self.pauses.get(number, (0, 0))
            if number not in under_way and now >= due:
                self.count += 1
                self.attempts[self.count] = Attempt(offer)
                effects.append(AskLeader(self.count, offer))
        return effects

    def _on_seen(self, now: Millis, event: GroupSeen, attempt: Attempt) -> list[Effect]:
        offer = attempt.offer
        if event.fingerprint == offer.fingerprint:
            del self.attempts[event.attempt]
            self._pause(now, offer)  # in force already: the member is given a state soon
            return []
        if event.version > offer.version:  # the member has not heard of that switch yet
            del self.attempts[event.attempt]
            why = f"it is of version {offer.version}, and version {event.version} is in force"
            return self._put_off(now, offer, why)
        attempt.former, attempt.members = event.fingerprint, event.members
        others = set(event.members) - {offer.member}  # the own one has loaded it
        return self._ask_all(event.attempt, attempt, others or set(event.members), with_state=not others)

    def _ask_all(
        self, count: int, attempt: Attempt, members: set[MemberId], with_state: bool
    ) -> list[Effect]:
        attempt.untried, attempt.with_state, attempt.has_tried_state = members, with_state, False
        return [AskToTry(count, attempt.offer, member, with_state) for member in sorted(members)]

    def _on_all_tried(self, now: Millis, count: int, attempt: Attempt) -> list[Effect]:
        if not attempt.with_state:
            return self._ask_all(count, attempt, set(attempt.members), with_state=True)
        if attempt.has_tried_state:
            return [AskToChange(count, attempt.offer, attempt.former)]
        del self.attempts[count]
        return self._put_off(now, attempt.offer, NOBODY_TRIED)

    def _pause(self, now: Millis, offer: Offer) -> None:
        least, most = PAUSE_MS
        _, last = self.pauses.get(offer.number, (0, 0))
        pause = min(most, 2 * last) if last else least
        self.pauses[offer.number] = now + pause, pause

    def _put_off(self, now: Millis, offer: Offer, why: str) -> list[Effect]:
        self._pause(now, offer)
        if not why:
            what = f"group={offer.group} is changed to the code that {offer.member} has found"
            return [LogLine(what, "warning", offer.group)]
        if self.refused.get(offer.number) == why:
            return []
        self.refused[offer.number] = why
        what = f"group={offer.group} is not changed to the code that {offer.member} has found yet: {why}"
        return [LogLine(what, "warning", offer.group)]
