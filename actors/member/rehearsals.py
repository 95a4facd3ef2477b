"""Whether a group's state survives a change of its class: tried in an executor of its own, on each member.

The member's own object gives its state as it is now. A fresh executor, which has imported nothing yet, loads
the class, migrates that state and encodes what comes out.
"""

from typing import Any, Protocol

from fleet.actors.member.member_object import MemberObject
from fleet.actors.messages.executor import ClassTried, StateCopied, TryClass
from fleet.actors.messages.local import StartMember
from fleet.actors.messages.operator import GroupRequest, OpReply, RehearseClass, Rehearsed
from fleet.actors.messages.values import GroupSpec
from fleet.errors import FleetError
from fleet.objects.class_refs import is_imported
from fleet.objects.payload import ErrorRecord


class RehearsingMember(Protocol):
    start: StartMember
    spec: GroupSpec
    object: MemberObject

    def send(self, target: Any, message: Any) -> None: ...


class Rehearsals:
    def __init__(self, member: RehearsingMember) -> None:
        self.member = member
        self.waiting: dict[int, GroupRequest] = {}
        """By the tokens of questions to executors."""

    def begin(self, token: int, request: GroupRequest) -> None:
        """Ask for the state; without one, as on a member that has other code, the class alone is tried. A
        request that is sent again while it is tried, as on a busy host, starts no further process."""
        op = request.op
        assert isinstance(op, RehearseClass)
        if request in self.waiting.values():
            return
        self.waiting[token] = request
        if self.member.object.can_answer:
            self.member.object.copy(token, op.data_class)
        else:
            self._try(token, b"")

    def on_copied(self, m: StateCopied) -> None:
        if m.token in self.waiting:
            self._try(m.token, m.state)

    def _try(self, token: int, state: bytes) -> None:
        member, op = self.member, self.waiting[token].op
        assert isinstance(op, RehearseClass)
        is_fresh = is_imported(op.data_class)
        question = TryClass(member.start.record.number, token, op.data_class, is_fresh, state)
        member.object.port(question)

    def on_tried(self, m: ClassTried) -> None:
        request, held = self.waiting.pop(m.run, None), self.member.object
        if request is None:
            return
        op = request.op
        is_there = isinstance(op, RehearseClass) and op.data_class == held.data_class and m.error is None
        if is_there and self._has_other_code():
            held.open_again(is_fresh=True)  # the code in force is here again
        self._reply(request, m.error)

    def on_failed(self, token: int, error: FleetError) -> bool:
        """The state cannot be had. False: nobody asked for it here. If the executor was lost meanwhile and
        the next one has other code, the class alone is tried."""
        request = self.waiting.get(token)
        if request is not None and isinstance(request.op, RehearseClass) and self._has_other_code():
            self._try(token, b"")
            return True
        self.waiting.pop(token, None)
        if request is not None:
            self._reply(request, ErrorRecord.of(error))
        return request is not None

    def _has_other_code(self) -> bool:
        return self.member.object.halts.other_code is not None

    def _reply(self, request: GroupRequest, error: ErrorRecord | None) -> None:
        value = Rehearsed(self.member.start.member) if error is None else None
        self.member.send(request.reply_to, OpReply(request.token, value, error))
