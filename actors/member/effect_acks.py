"""How a leader has the log acknowledge what `on_effect` has done.

While there are effects that are not acknowledged, it asks its object how far the hook is, and proposes that.
A hook that has failed is tried again when it says so, after a pause. Time here is the clock's: that of the
core stands while the group sleeps.
"""

from typing import Any, Final, Protocol

from fleet.actors.member.client_requests import ClientRequests
from fleet.actors.member.member_object import MemberObject
from fleet.actors.messages.executor import AskEffects, EffectsTold
from fleet.actors.messages.local import StartMember
from fleet.raft.core import Core
from fleet.raft.entries import EffectsDone
from fleet.raft.events import Propose
from fleet.raft.group_events import Position
from fleet.raft.ids import Millis
from fleet.raft.state import NEVER, Leader

PAUSE_MS: Final[Millis] = 20
SLOW_MS_MAX: Final[Millis] = 1_000
"""Between questions while the hook runs."""
FAILING_MS_MIN: Final[Millis] = 200
FAILING_MS_MAX: Final[Millis] = 30_000
"""Before a hook that has failed is tried again; each failure in a row doubles the pause."""


class AcknowledgingMember(Protocol):
    core: Core
    start: StartMember
    object: MemberObject
    clients: ClientRequests

    def step(self, event: Any) -> None: ...


class EffectAcks:
    def __init__(self, member: AcknowledgingMember) -> None:
        self.member = member
        self.pending = 0
        """Effects that are not acknowledged, as the object told it."""
        self.acknowledged: Position = (0, 0)
        """Proposed; if that is lost, the next leader begins behind what is in the log."""
        self.term = 0
        self.token = 0
        """Of the question that is not answered; 0: none."""
        self.ask_at: Millis = -NEVER
        self.pause_ms = PAUSE_MS
        """Between questions, the last time."""
        self.failures = 0
        """In a row."""
        self.is_retry = False
        """Whether the next question is to have it tried again."""

    def told(self, pending: int) -> None:
        if pending and not self.pending:
            self._begin()
        self.pending = pending

    def _begin(self) -> None:
        self.ask_at, self.pause_ms, self.failures = -NEVER, PAUSE_MS, 0

    def act(self, now: Millis) -> Millis:
        """Ask how far it is. Returns when to call this again."""
        member, role = self.member, self.member.core.role
        if not self.pending or type(role) is not Leader or member.object.index < role.first_index:
            return NEVER
        if self.term != member.core.term:
            self.term, self.token, self.acknowledged, self.is_retry = member.core.term, 0, (0, 0), False
            self._begin()
        if self.token:
            return NEVER
        if now < self.ask_at:
            return self.ask_at
        self.token, is_retry = member.clients.next_token(), self.is_retry
        self.is_retry = False
        member.object.put(AskEffects(member.object.number, member.object.run, self.token, is_retry))
        return NEVER if self.token else self.ask_at  # an object in this process has answered

    def on_told(self, m: EffectsTold) -> None:
        if m.token != self.token:
            return
        self.token = 0
        if m.done > self.acknowledged:
            self.pause_ms, self.failures = PAUSE_MS, 0
            self._propose(m.done)
        elif m.is_failing:
            self.pause_ms = min(FAILING_MS_MIN << min(self.failures, 16), FAILING_MS_MAX)
            self.failures, self.is_retry = self.failures + 1, True
        else:
            self.pause_ms = min(2 * self.pause_ms, SLOW_MS_MAX)
        self.ask_at = self._now() + self.pause_ms

    def on_failed(self, token: int) -> bool:
        """The object does not answer it. False: it is not of this module."""
        if not token or token != self.token:
            return False
        self.token, self.ask_at = 0, self._now() + SLOW_MS_MAX
        return True

    def _now(self) -> Millis:
        return self.member.start.clock.now_ms()

    def _propose(self, done: Position) -> None:
        member, last = self.member, self.member.core.log.last_index
        if type(member.core.role) is not Leader:
            return
        member.step(Propose(member.clients.next_token(), (EffectsDone(*done),)))
        if member.core.log.last_index > last:
            self.acknowledged = done
