"""What a member does with the answers of its object: tells clients and operators, stores snapshots."""

from typing import Any, Protocol

from fleet.actors.member.client_requests import ClientRequests
from fleet.actors.member.member_object import MemberObject
from fleet.actors.member.operator_requests import OperatorRequests
from fleet.actors.member.reminding import Reminding
from fleet.actors.member.snapshots import Snapshots
from fleet.actors.messages.executor import (
    CommandsChecked,
    DumpFailed,
    EffectsTold,
    EntriesApplied,
    EventsRead,
    ObjectDumped,
    PartsShown,
    QueriesAnswered,
    StateCopied,
    StateLoaded,
    StatePointTaken,
)
from fleet.actors.messages.local import LocalAnswer, LocalRead
from fleet.actors.messages.operator import DAMAGED
from fleet.errors import Damaged, FleetError
from fleet.raft.entries import SnapshotMeta


class AnsweredMember(Protocol):
    object: MemberObject
    clients: ClientRequests
    operators: OperatorRequests
    snapshots: Snapshots
    reminding: Reminding

    def send(self, target: Any, message: Any) -> None: ...

    def begin(self) -> None:
        """Take part in the group."""

    def give_up(self, why: str, restart: bool, ill: str = "") -> None: ...


class ObjectAnswers:
    """`fleet.actors.member.member_object.Told`."""

    def __init__(self, member: AnsweredMember) -> None:
        self.member = member
        self.local_reads: dict[int, Any] = {}
        """Who asked for the member's own state, by token."""

    def read_here(self, m: LocalRead, sender: Any) -> None:
        """The member's own state, however old, is to be read."""
        token = self.member.clients.next_token()
        self.local_reads[token] = sender
        self.member.object.ask(token, (m.payload,))

    def on_opened(self) -> None:
        self.member.begin()

    def on_failed(self, error: FleetError, retry: bool) -> None:
        self.member.give_up(str(error), retry, DAMAGED if isinstance(error, Damaged) else "")

    def on_applied(self, m: EntriesApplied) -> None:
        if m.due_ms or m.effects or self.member.reminding.is_busy:
            self.member.reminding.told(m)
        clients = self.member.clients
        for outcomes in m.outcomes:
            clients.on_outcomes(outcomes)
        for opened in m.opened:
            clients.on_opened(opened)
        clients.watchers.on_applied(m)
        if self.member.operators.committed:
            self.member.operators.on_applied()

    def on_loaded(self, m: StateLoaded) -> None:
        self.member.reminding.told(m)
        self.member.snapshots.on_loaded(m)
        if hasattr(self.member, "clients"):
            self.member.clients.watchers.on_other_object()

    def on_answered(self, m: QueriesAnswered) -> None:
        sender = self.local_reads.pop(m.token, None)
        if sender is not None:
            self.member.send(sender, LocalAnswer(m.values[0], self.member.object.revision))
        else:
            self.member.clients.queries.on_answered(m)

    def on_question_answered(self, m: CommandsChecked | StateCopied | EventsRead | EffectsTold) -> None:
        clients = self.member.clients
        if isinstance(m, CommandsChecked):
            clients.looks.on_checked(m.token, m.objections)
        elif isinstance(m, EventsRead):
            clients.watchers.on_read(m)
        elif isinstance(m, EffectsTold):
            self.member.reminding.effects.on_told(m)
        else:
            self._on_copied(m)

    def _on_copied(self, m: StateCopied) -> None:
        rehearsals = self.member.operators.rehearsals
        if m.error is not None:
            rehearsals.on_failed(m.token, m.error.to_error())
        else:
            rehearsals.on_copied(m)

    def on_dumped(self, m: ObjectDumped | DumpFailed) -> None:
        if not self.member.operators.copies.on_dumped(m):
            self.member.snapshots.on_dumped(m)

    def on_point(self, m: StatePointTaken) -> None:
        self.member.operators.comparisons.on_point(m)

    def on_shown(self, m: PartsShown) -> None:
        self.member.operators.comparisons.on_shown(m)

    def on_question_failed(self, token: int, error: FleetError) -> None:
        if self.local_reads.pop(token, None) is not None:
            return
        if self.member.reminding.effects.on_failed(token):
            return
        if not self.member.operators.rehearsals.on_failed(token, error):
            self.member.clients.on_question_failed(token, error)

    def newest_meta(self) -> SnapshotMeta | None:
        return self.member.snapshots.newest_meta()

    def newest_snapshot(self) -> tuple[SnapshotMeta, bytes] | None:
        return self.member.snapshots.newest()
