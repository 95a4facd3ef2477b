"""Requests of operators to a member: status, membership, configuration, leadership."""

import logging
from collections.abc import Callable
from typing import Final

from fleet.actors.member import histories
from fleet.actors.member.client_requests import RequestedMember, where_is
from fleet.actors.member.comparisons import Comparisons
from fleet.actors.member.rehearsals import Rehearsals
from fleet.actors.member.state_copies import COPY_OPS, StateCopies
from fleet.actors.messages.group_states import GetHistory, ReadBase, ReadLog, TakeCopy
from fleet.actors.messages.local import MemberHalted
from fleet.actors.messages.operator import (
    AddMember,
    AwaitMembers,
    ChangeConfig,
    DemoteMember,
    Done,
    GetStatus,
    GroupRequest,
    MemberStatus,
    OpReply,
    PeerStatus,
    PromoteMember,
    RehearseClass,
    RemoveMember,
    RepairMember,
    ShowState,
    SkipCommand,
    SwitchClass,
    TransferLeader,
)
from fleet.cluster.state import CLUSTER_GROUP
from fleet.errors import (
    BadArguments,
    CannotRemoveLeader,
    ChangeInProgress,
    FleetError,
    NoSuchGroup,
    NotHalted,
    NotMember,
    OutcomeUnknown,
    TargetUnresponsive,
    Unavailable,
    WouldBreakQuorum,
)
from fleet.objects.class_refs import class_name, version_of
from fleet.objects.payload import ErrorRecord
from fleet.raft.comparing import is_halted_by_state, own_snapshot
from fleet.raft.core import Core
from fleet.raft.entries import (
    ClassSwitched,
    ConfigChanged,
    Halt,
    MemberAdded,
    MemberDemoted,
    MemberPromoted,
    MemberRemoved,
)
from fleet.raft.events import Change, Skip, Transfer
from fleet.raft.ids import MemberId, Millis
from fleet.raft.ready import (
    CANNOT_REMOVE_LEADER,
    CHANGE_IN_PROGRESS,
    LOST,
    NOT_HALTED,
    NOT_LEADER,
    NOT_MEMBER,
    TARGET_HALTED,
    TARGET_UNRESPONSIVE,
    WOULD_BREAK_QUORUM,
    Answer,
)
from fleet.raft.sleeping import is_responsive
from fleet.raft.state import Leader

audit = logging.getLogger("fleet.audit")

ERRORS: dict[str, type[FleetError]] = {
    CANNOT_REMOVE_LEADER: CannotRemoveLeader,
    CHANGE_IN_PROGRESS: ChangeInProgress,
    LOST: OutcomeUnknown,
    NOT_HALTED: NotHalted,
    NOT_MEMBER: NotMember,
    TARGET_HALTED: TargetUnresponsive,
    TARGET_UNRESPONSIVE: TargetUnresponsive,
    WOULD_BREAK_QUORUM: WouldBreakQuorum,
}
"""Any other reason means that this member cannot take the request now."""


LOADING: Final = "it is being loaded"
ARRIVAL_MS: Final[Millis] = 5000
"""How long a leader waits to hear all its members before it answers anyway."""


class OperatorRequests:
    """`next_token` is the member's: the core answers clients and operators by the same tokens."""

    def __init__(self, member: RequestedMember, next_token: Callable[[], int]) -> None:
        self.member = member
        self.next_token = next_token
        self.waiting: dict[int, GroupRequest] = {}
        self.rehearsals = Rehearsals(member)
        self.copies = StateCopies(member, self)
        self.comparisons = Comparisons(member)
        self.arriving: list[tuple[Millis, GroupRequest]] = []
        """Who waits for all members to be there, each with the time until which."""
        self.told_halt: tuple[Halt | None, str, str, bytes] = (None, "", "", b"")
        """What the node manager knows."""
        self.committed: list[tuple[GroupRequest, Answer]] = []
        """Changes whose entries are not executed yet, so that their revision is not known."""

    def take(self, m: GroupRequest) -> None:
        op = m.op
        if isinstance(op, GetStatus):
            self.member.send(m.reply_to, OpReply(m.token, status_of(self.member, self.comparisons.trouble)))
            return
        if isinstance(op, GetHistory | ReadBase | ReadLog):
            self.member.send(m.reply_to, histories.answer(self.member, m.token, op))
            return
        if isinstance(op, AddMember) and op.uid not in (0, self.member.spec.uid):
            error = NoSuchGroup("that group was removed, and another one has its name", group=m.group)
            self.member.send(m.reply_to, OpReply(m.token, None, ErrorRecord.of(error)))
            return
        if isinstance(op, AwaitMembers):
            self.arriving.append((self.member.start.clock.now_ms() + ARRIVAL_MS, m))
            self.end_turn()
            return
        if isinstance(op, COPY_OPS):
            self.copies.take(m)
            return
        if isinstance(op, RehearseClass | SwitchClass) and self._answers_at_once(m, op):
            return
        if isinstance(op, ShowState | RepairMember) and self.comparisons.refuses(m, op):
            return
        token = self.next_token()
        if isinstance(op, RehearseClass):
            self.rehearsals.begin(token, m)
            return
        if isinstance(op, ShowState):
            self.comparisons.show(token, m, op)
            return
        self.waiting[token] = m
        self._change(token, m)

    def _change(self, token: int, m: GroupRequest) -> None:
        match op := m.op:
            case AddMember():
                self.member.step(Change(token, MemberAdded(op.member, op.address)))
            case PromoteMember():
                self.member.step(Change(token, MemberPromoted(op.member)))
            case DemoteMember():
                self.member.step(Change(token, MemberDemoted(op.member)))
            case RemoveMember():
                self.member.step(Change(token, MemberRemoved(op.member)))
            case ChangeConfig():
                self.member.step(Change(token, ConfigChanged(op.config)))
            case TransferLeader():
                self.member.step(Transfer(token, op.member))
            case SkipCommand():
                self._note_skip(m, op, "asked for")
                self.member.step(Skip(token, op.index))
            case RepairMember():
                self._note_repair(m, "asked for")
                self.comparisons.repair(token)
            case SwitchClass():
                self._note_switch(m, op, "asked for")
                self.member.step(Change(token, ClassSwitched(op.data_class)))

    def _answers_at_once(self, m: GroupRequest, op: RehearseClass | SwitchClass) -> bool:
        """It is no class, or is in force already, or nobody could carry the switch out."""
        held, core = self.member.object, self.member.core
        try:
            if self.member.spec.name == CLUSTER_GROUP:
                raise BadArguments("the cluster's own group has the class that comes with its nodes")
            wanted = class_name(op.data_class), *version_of(op.data_class)
            former = class_name(held.data_class), *version_of(held.data_class)
            if isinstance(op, RehearseClass):
                return False
            if wanted != former and op.former != former[2]:
                raise ChangeInProgress(f"the class in force has the fingerprint {former[2]!r} by now")
            if wanted != former and core.is_leader and held.halt is not None:
                raise held.halted()
        except FleetError as error:
            self.member.send(m.reply_to, OpReply(m.token, None, ErrorRecord.of(error)))
            return True
        if wanted != former:
            return False
        self.member.send(m.reply_to, OpReply(m.token, Done(core.log.commit, held.revision)))
        return True

    def waits(self, token: int) -> bool:
        """Whether it is of a request of an operator."""
        return token in self.waiting

    def on_answer(self, answer: Answer) -> None:
        request = self.waiting.pop(answer.token, None)
        if request is None:
            return
        if isinstance(request.op, SkipCommand):
            self._note_skip(request, request.op, answer.error or f"committed at {answer.index}")
        if isinstance(request.op, SwitchClass):
            self._note_switch(request, request.op, answer.error or f"committed at {answer.index}")
        if answer.error is None:
            self.committed.append((request, answer))
            self.on_applied()
            return
        kind = Unavailable if isinstance(request.op, TakeCopy) else ERRORS.get(answer.error, Unavailable)
        self._refuse(request, kind, answer.error, answer.leader)

    def on_applied(self) -> None:
        """Answer the changes that are executed; those of a group that halts at once."""
        held, executed = self.member.object, self.committed
        self.committed = []
        for request, answer in executed:
            if answer.index <= held.index or held.halt is not None:
                done = Done(answer.index, held.revision)
                self.member.send(request.reply_to, OpReply(request.token, done))
            else:
                self.committed.append((request, answer))

    def end_turn(self) -> None:
        """Tell the node manager of a halt, and answer those whose group is complete, and those who asked a
        member that is not to lead it."""
        core, arriving = self.member.core, self.arriving
        offer = self.member.object.halts.offer
        halted = core.halt, other_code_of(self.member), self.comparisons.trouble, offer
        if halted != self.told_halt:
            self.told_halt = halted
            self.member.send(self.member.start.manager, MemberHalted(core.id, *halted, own_snapshot(core)))
        if not arriving:
            return
        self.arriving = []
        for until, request in arriving:
            is_over = core.now >= until or core.asleep  # no turn would tell that the time is over
            if is_complete(core) or (has_committed(core) and is_over):
                self.member.send(
                    request.reply_to, OpReply(request.token, status_of(self.member, self.comparisons.trouble))
                )
            elif not core.is_leader and (core.leader is not None or core.now >= until):
                self._refuse(request, Unavailable, NOT_LEADER, core.leader)
            else:
                self.arriving.append((until, request))

    def _note_skip(self, request: GroupRequest, op: SkipCommand, what: str) -> None:
        """It gives up what the command may have done somewhere: who did so, and when, must be on record."""
        halt = self.member.core.halt
        audit.warning(
            "group=%s skip of the command in entry %d, by %s: %s (halted at %s)",
            self.member.spec.name, op.index, request.reply_to, what,
            f"{halt.index}, command {halt.place + 1}: {halt.cause}" if halt is not None else "nothing",
        )  # fmt: skip

    def _note_switch(self, request: GroupRequest, op: SwitchClass, what: str) -> None:
        version, fingerprint = version_of(op.data_class)
        audit.warning(
            "group=%s switch from %s to %s of version %d (%s), by %s: %s", self.member.spec.name, op.former,
            class_name(op.data_class), version, fingerprint, request.reply_to, what,
        )  # fmt: skip

    def _note_repair(self, request: GroupRequest, what: str) -> None:
        name, halt = self.member.spec.name, self.member.core.halt
        where = halt.cause if halt is not None else "it has not halted"
        audit.warning("group=%s member=%s repair, by %s: %s (%s)", name, self.member.core.id,
                      request.reply_to, what, where)  # fmt: skip

    def _refuse(
        self, request: GroupRequest, kind: type[FleetError], why: str, leader: MemberId | None
    ) -> None:
        member = self.member
        error = kind(why, group=member.spec.name, member=member.core.id)
        node, address = where_is(member, leader)
        member.send(request.reply_to, OpReply(request.token, None, ErrorRecord.of(error), node, address))


def has_committed(core: Core) -> bool:
    """It leads, and knows all that was committed before it did."""
    return type(core.role) is Leader and core.log.commit >= core.role.first_index


def is_complete(core: Core) -> bool:
    """It leads, and every other member has shown that it holds the group's log."""
    if type(core.role) is not Leader or not has_committed(core):
        return False
    return all(progress.match > 0 for progress in core.role.progress.values())


def other_code_of(member: RequestedMember) -> str:
    """As `MemberStatus.other_code`."""
    error = member.object.halts.other_code
    return error.what if error is not None else ""


def status_of(member: RequestedMember, comparison: str = "") -> MemberStatus:
    core = member.core
    members = core.membership.current
    role = core.role
    version, fingerprint = version_of(member.object.data_class)
    peers: tuple[PeerStatus, ...] = ()
    if isinstance(role, Leader):
        peers = tuple(
            PeerStatus(
                peer,
                peer in members.voters,
                progress.match,
                progress.match > 0 and is_responsive(core, role, progress),
            )
            for peer, progress in role.progress.items()
        )
    return MemberStatus(
        group=member.spec.name,
        member=core.id,
        role=type(role).__name__.lower() if core.is_voter or core.is_leader else "learner",
        term=core.term,
        leader=core.leader,
        last_index=core.log.last_index,
        commit=core.log.commit,
        applied=core.log.applied,
        snapshot_index=core.snapshot.index if core.snapshot else 0,
        voters=members.voters,
        learners=members.learners,
        peers=peers,
        changed_at=core.membership.changed_at,
        data_class=class_name(member.object.data_class),
        config=core.config,
        removed=members.removed,
        halt=core.halt,
        version=version,
        fingerprint=fingerprint,
        other_code=other_code_of(member)
        or ("" if member.object.is_open or is_halted_by_state(core) else LOADING),
        comparison=comparison,
    )
