"""How a leader has the log acknowledge what `on_effect` has done.

While there are effects that are not acknowledged, it asks its object how far the hook is, and proposes that.
Asking also lets a hook that has failed try again, so that the pauses here are its back-off.
"""

from typing import Any, Final, Protocol

from fleet.actors.member.client_requests import ClientRequests
from fleet.actors.member.member_object import MemberObject
from fleet.actors.messages.executor import AskEffects, EffectsTold
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
"""Between attempts; each failure doubles the pause."""


class AcknowledgingMember(Protocol):
    core: Core
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

    def told(self, pending: int) -> None:
        if pending and not self.pending:
            self.ask_at, self.pause_ms = -NEVER, PAUSE_MS
        self.pending = pending

    def act(self, now: Millis) -> Millis:
        """Ask how far it is. Returns when to call this again."""
        member, role = self.member, self.member.core.role
        if not self.pending or type(role) is not Leader or member.object.index < role.first_index:
            return NEVER
        if self.term != member.core.term:
            self.term, self.token, self.acknowledged, self.ask_at = member.core.term, 0, (0, 0), now
        if self.token:
            return NEVER
        if now < self.ask_at:
            return self.ask_at
        self.token = member.clients.next_token()
        member.object.put(AskEffects(member.object.number, member.object.run, self.token))
        return NEVER if self.token else self.ask_at  # an object in this process has answered

    def on_told(self, m: EffectsTold, now: Millis) -> None:
        if m.token != self.token:
            return
        self.token = 0
        if m.done > self.acknowledged:
            self.pause_ms = PAUSE_MS
            self._propose(m.done)
        elif m.is_failing:
            self.pause_ms = min(max(2 * self.pause_ms, FAILING_MS_MIN), FAILING_MS_MAX)
        else:
            self.pause_ms = min(2 * self.pause_ms, SLOW_MS_MAX)
        self.ask_at = now + self.pause_ms

    def on_failed(self, token: int, now: Millis) -> bool:
        """The object does not answer it. False: it is not of this module."""
        if not token or token != self.token:
            return False
        self.token, self.ask_at = 0, now + SLOW_MS_MAX
        return True

    def _propose(self, done: Position) -> None:
        member, last = self.member, self.member.core.log.last_index
        if type(member.core.role) is not Leader:
            return
        member.step(Propose(member.clients.next_token(), (EffectsDone(*done),)))
        if member.core.log.last_index > last:
            self.acknowledged = done
