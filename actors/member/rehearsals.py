"""Whether a group's state survives a change of its class: tried in an executor of its own, on each member.

The member's own object gives its state as it is now; a member that has other code takes its newest snapshot,
if no command is behind that. A fresh executor, which has imported nothing yet, loads the class, migrates that
state and encodes what comes out.
"""

from typing import Any, Final, Protocol

from fleet.actors.member.member_object import MemberObject
from fleet.actors.messages.executor import ClassTried, StateCopied, TryClass
from fleet.actors.messages.local import StartMember
from fleet.actors.messages.operator import GroupRequest, OpReply, RehearseClass, Rehearsed
from fleet.actors.messages.values import GroupSpec
from fleet.errors import FleetError
from fleet.objects.class_refs import is_imported, version_of
from fleet.objects.payload import ErrorRecord
from fleet.raft.core import Core
from fleet.raft.entries import Commands, RemindersDue

EXECUTED: Final = (Commands, RemindersDue)
"""What only the code in force may execute."""


class RehearsingMember(Protocol):
    core: Core
    start: StartMember
    spec: GroupSpec
    object: MemberObject

    def send(self, target: Any, message: Any) -> None: ...


class Rehearsals:
    def __init__(self, member: RehearsingMember) -> None:
        self.member = member
        self.waiting: dict[int, GroupRequest] = {}
        """By the tokens of questions to executors."""
        self.with_state: set[int] = set()
        """Those that try the state as it is now."""

    def begin(self, token: int, request: GroupRequest) -> None:
        """Without a state, as on a member that has other code and lacks commands, the class alone is tried.
        A request that is sent again while it is tried, as on a busy host, starts no further process."""
        op = request.op
        assert isinstance(op, RehearseClass)
        if request in self.waiting.values():
            return
        self.waiting[token] = request
        if not op.with_state:
            self._try(token, b"")
        elif self.member.object.can_answer:
            self.with_state.add(token)
            self.member.object.copy(token, op.data_class)
        else:
            self._try_kept(token, op)

    def on_copied(self, m: StateCopied) -> None:
        if m.token in self.waiting:
            self._try(m.token, m.state)

    def _try_kept(self, token: int, op: RehearseClass) -> None:
        """With the newest snapshot, where that is the state as it is now."""
        self.with_state.discard(token)
        state, held = b"", self.member.object
        is_back = version_of(op.data_class)[0] < version_of(held.data_class)[0]
        if self._keeps_whole_state() and not is_back:  # for the way back the former code encodes the state
            try:
                found = held.told.newest_snapshot()
            except FleetError as error:
                self._reply(self.waiting.pop(token), ErrorRecord.of(error))
                return
            self.with_state.add(token)
            state = found[1] if found is not None else b""
        self._try(token, state)

    def _keeps_whole_state(self) -> bool:
        """Whether no command of the log, committed or not, is behind the newest snapshot."""
        held, log = self.member.object, self.member.core.log
        if not self._has_other_code() or held.halt is not None:
            return False
        meta = held.told.newest_meta()
        behind = log.slice((meta.index if meta is not None else 0) + 1, log.last_index)
        return not any(isinstance(entry.body, EXECUTED) for entry in behind)

    def _try(self, token: int, state: bytes) -> None:
        member, op = self.member, self.waiting[token].op
        assert isinstance(op, RehearseClass)
        is_fresh = is_imported(op.data_class)
        question = TryClass(member.start.record.number, token, op.data_class, is_fresh, state)
        member.object.port(question)

    def on_tried(self, m: ClassTried) -> None:
        request, held = self.waiting.pop(m.run, None), self.member.object
        with_state = m.run in self.with_state
        self.with_state.discard(m.run)
        if request is None:
            return
        op = request.op
        is_there = isinstance(op, RehearseClass) and op.data_class == held.data_class and m.error is None
        if is_there and self._has_other_code():
            held.open_again(is_fresh=True)  # the code in force is here again
        self._reply(request, m.error, with_state)

    def on_failed(self, token: int, error: FleetError) -> bool:
        """The state cannot be had. False: nobody asked for it here. If the executor was lost meanwhile and
        the next one has other code, it is tried as on a member that had that from the beginning."""
        request = self.waiting.get(token)
        if request is not None and isinstance(request.op, RehearseClass) and self._has_other_code():
            self._try_kept(token, request.op)
            return True
        self.waiting.pop(token, None)
        self.with_state.discard(token)
        if request is not None:
            self._reply(request, ErrorRecord.of(error))
        return request is not None

    def _has_other_code(self) -> bool:
        return self.member.object.halts.other_code is not None

    def _reply(self, request: GroupRequest, error: ErrorRecord | None, with_state: bool = False) -> None:
        value = Rehearsed(self.member.start.member, with_state) if error is None else None
        self.member.send(request.reply_to, OpReply(request.token, value, error))
