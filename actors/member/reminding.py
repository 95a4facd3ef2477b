"""When a leader proposes the entry that fires reminders (`fleet.raft.reminders`).

Its object says when the first one is due. The leader waits for that by its own clock, also while its group
sleeps: the proposal wakes it. Which reminders are then fired, the log decides.
"""

from typing import Any, Final, Protocol

from fleet.actors.member.client_requests import ClientRequests
from fleet.actors.member.effect_acks import EffectAcks
from fleet.actors.member.member_object import MemberObject
from fleet.actors.messages.executor import EntriesApplied, StateLoaded
from fleet.actors.messages.local import StartMember
from fleet.errors import FleetError
from fleet.raft.core import Core
from fleet.raft.entries import RemindersDue
from fleet.raft.events import Propose
from fleet.raft.ids import Index, Millis, Term
from fleet.raft.state import NEVER, Leader

LOOK_MS: Final[Millis] = 60_000
"""The wall clock may have been set: it is looked at so often at least while a reminder waits."""
RETRY_MS: Final[Millis] = 500
"""After a proposal that was refused, as while the leadership is handed over."""


class RemindingMember(Protocol):
    core: Core
    start: StartMember
    object: MemberObject
    clients: ClientRequests

    def step(self, event: Any) -> None: ...

    def stamp_ms(self) -> Millis: ...

    def trouble(self) -> FleetError | None: ...


class Reminding:
    def __init__(self, member: RemindingMember) -> None:
        self.member = member
        self.due_ms: Millis = 0
        """When the first reminder is due, as the object told it; 0: there is none."""
        self.log_ms: Millis = 0
        self.log_at: Millis = 0
        """Log time as the object told it last, and when."""
        self.look_at: Millis = -NEVER
        """Whether it is due is not asked before this."""
        self.effects = EffectAcks(member)
        self.proposed: tuple[Term, Index] = (0, 0)
        """The newest entry that was proposed, and in which term."""

    @property
    def is_busy(self) -> bool:
        return bool(self.due_ms or self.effects.pending)

    def told(self, m: EntriesApplied | StateLoaded) -> None:
        due_ms, log_ms = m.due_ms, m.log_ms
        self.effects.told(m.effects)
        if log_ms > self.log_ms:
            self.log_ms, self.log_at = log_ms, self.member.start.clock.now_ms()
        if due_ms != self.due_ms:
            self.due_ms, self.look_at = due_ms, -NEVER

    def act(self, now: Millis) -> Millis:
        """Propose what is due, of reminders and of effects. Returns when to call this again; also after each
        turn, and when the object has executed more."""
        return min(self._remind(now), self.effects.act(now))

    def _remind(self, now: Millis) -> Millis:
        if not self.due_ms or not self._knows():
            return NEVER
        if now < self.look_at:
            return self.look_at
        member = self.member
        # Where earlier leaders' clocks were ahead, log time stands still for all that clocks tell.
        stamp_ms = max(member.stamp_ms(), self.log_ms + now - self.log_at)
        if stamp_ms < self.due_ms:
            self.look_at = now + min(self.due_ms - stamp_ms, LOOK_MS)
        elif member.trouble() is not None or member.object.is_behind() or not self._propose(stamp_ms):
            self.look_at = now + RETRY_MS
        else:
            return NEVER
        return self.look_at

    def _knows(self) -> bool:
        """Whether this is a leader whose object has executed all that may concern reminders: what earlier
        leaders left, and what it has proposed itself."""
        core, (term, index) = self.member.core, self.proposed
        executed = self.member.object.index
        if type(core.role) is not Leader or executed < core.role.first_index:
            return False
        return term != core.term or executed >= index

    def _propose(self, stamp_ms: Millis) -> bool:
        """False: it was refused."""
        member, last = self.member, self.member.core.log.last_index
        member.step(Propose(member.clients.next_token(), (RemindersDue(stamp_ms),)))
        self.proposed = (member.core.term, member.core.log.last_index)
        return member.core.log.last_index > last
