"""A member's part in comparing its group's states: what it halts for, what it shows, how it is repaired."""

from typing import Any, Final, Protocol

from fleet.actors.member.member_object import MemberObject
from fleet.actors.messages.executor import KeepState, PartsShown, ShowParts, StatePointTaken
from fleet.actors.messages.local import MemberHalted, StartMember
from fleet.actors.messages.operator import (
    GroupRequest,
    OpReply,
    RepairMember,
    ShownPart,
    ShowState,
    StateShown,
)
from fleet.actors.messages.values import GroupSpec
from fleet.actors.runtime.actor import log
from fleet.errors import NotMember, Unavailable
from fleet.objects.payload import ErrorRecord
from fleet.raft.core import Core
from fleet.raft.events import Repair, StateDigested
from fleet.raft.ids import Index
from fleet.raft.ready import StateDiffered, StatesUndecided

WAITING_MAX: Final = 64
"""Requests to be shown a state that an executor has not answered."""
UNDECIDED: Final = "states differ after log entry {}, and no majority of the voters has the same"


class ComparedMember(Protocol):
    start: StartMember
    spec: GroupSpec
    core: Core
    object: MemberObject

    def send(self, target: Any, message: Any) -> None: ...

    def step(self, event: Any) -> None: ...


class Comparisons:
    def __init__(self, member: ComparedMember) -> None:
        self.member = member
        self.trouble = ""
        """Why its state is not compared, or that states differ and nobody knows which is right."""
        self.waiting: dict[int, GroupRequest] = {}
        """Who wants to be shown the state, by token."""

    # -- points --------------------------------------------------------------------------------------

    def on_point(self, m: StatePointTaken) -> None:
        if m.error is not None:
            self.trouble = m.error.to_error().what + _field(m.error)
        elif not self.trouble.startswith(UNDECIDED[:13]):
            self.trouble = ""
        self.member.step(StateDigested(m.index, m.revision, m.digest))

    def on_differed(self, hook: StateDiffered) -> None:
        """Of this member, or, where it leads, of another one: both keep that state to be shown."""
        member, held = self.member, self.member.object
        held.port(KeepState(held.number, held.run, hook.index))
        if hook.member != member.core.id:
            what = "group=%s the state of %s differs from that of a majority %s: it halts"
            log.error(what, member.spec.name, hook.member, self._range(hook))
            return
        held.diverge(hook.index, f"its state differs from that of a majority {self._range(hook)}")

    def _range(self, hook: StateDiffered) -> str:
        points = self.member.core.points
        found, agreed = points.get(hook.index), points.get(hook.agreed)
        since = f"log entries {hook.agreed} and {hook.index}" if hook.agreed else f"log entry {hook.index}"
        if found is None:
            return f"between {since}" if hook.agreed else f"at {since}"
        if agreed is None:
            return f"at {since} (revision {found.revision}) or before"
        return f"between {since} (revisions {agreed.revision} and {found.revision})"

    def on_undecided(self, hook: StatesUndecided) -> None:
        if not hook.index:
            if self.trouble.startswith(UNDECIDED[:13]):
                self.trouble = ""
            return
        self.trouble = UNDECIDED.format(hook.index)
        log.error("group=%s %s", self.member.spec.name, self.trouble)

    def resume(self, repaired_from: Index) -> None:
        """As in `StartMember.diverged`."""
        member, core = self.member, self.member.core
        if not repaired_from:
            return
        if core.snapshot is not None and core.snapshot.index >= repaired_from:
            member.send(member.start.manager, MemberHalted(core.id, None))
        else:
            what = "its state differed from that of a majority before it was started again"
            member.object.diverge(core.log.applied, what)

    # -- requests ------------------------------------------------------------------------------------

    def show(self, token: int, request: GroupRequest, op: ShowState) -> None:
        held = self.member.object
        while len(self.waiting) >= WAITING_MAX:  # an executor that was lost answers none
            oldest = self.waiting.pop(next(iter(self.waiting)))
            error = Unavailable("too many requests to be shown a state", group=self.member.spec.name)
            self._reply(oldest, None, ErrorRecord.of(error))
        self.waiting[token] = request
        held.port(ShowParts(held.number, held.run, token, op.index, op.path))

    def on_shown(self, m: PartsShown) -> None:
        request = self.waiting.pop(m.token, None)
        if request is None:
            return
        if m.error is not None:
            self._reply(request, None, m.error)
            return
        parts = tuple(ShownPart(one.label, one.digest, one.text, one.has_parts) for one in m.parts)
        core = self.member.core
        self._reply(request, StateShown(core.id, m.index, m.revision, parts, m.kept), None)

    def refuses(self, request: GroupRequest, op: ShowState | RepairMember) -> bool:
        """It is for another member of the group."""
        core = self.member.core
        if op.member == core.id:
            return False
        error = NotMember(f"{core.id} was asked for {op.member}", group=self.member.spec.name)
        self._reply(request, None, ErrorRecord.of(error))
        return True

    def repair(self, token: int) -> None:
        log.warning(
            "group=%s member=%s is to take its leader's state", self.member.spec.name, self.member.core.id
        )
        self.member.step(Repair(token))

    def _reply(self, request: GroupRequest, value: Any, error: ErrorRecord | None) -> None:
        self.member.send(request.reply_to, OpReply(request.token, value, error))


def _field(error: ErrorRecord) -> str:
    field = error.facts.get("field")
    return f" (field {field})" if field else ""
