"""Where a member's object cannot go on, why, and when that is tried again."""

from typing import Any, Final, Protocol

from fleet.actors.messages.local import StartMember
from fleet.actors.messages.values import GroupSpec
from fleet.actors.runtime.actor import log
from fleet.errors import FleetError, GroupHalted, OtherCode, Unavailable
from fleet.raft.comparing import OF_STATE
from fleet.raft.core import Core
from fleet.raft.entries import Halt
from fleet.raft.events import ExecutionHalted, ExecutionResumed
from fleet.raft.halting import may_be_succeeded, may_retry, skipped_at
from fleet.raft.ids import Index, Millis
from fleet.raft.messages import DIVERGED, OTHER_CODE, REPAIRING
from fleet.raft.state import NEVER

TRY_MS: Final[tuple[Millis, Millis]] = (15_000, 900_000)
"""The shortest and the longest pause before a member that has halted tries that command again, or one that
has other code looks for the right one."""
CAUSE_MAX: Final = 500
"""Characters of the cause of a halt, which is kept in the log."""

WHICH: Final = {OTHER_CODE: ", which was proposed under other code", DIVERGED: "", REPAIRING: ""}


class HaltedMember(Protocol):
    core: Core
    start: StartMember
    spec: GroupSpec

    def step(self, event: Any) -> None: ...


class ObjectHalts:
    def __init__(self, member: HaltedMember) -> None:
        self.member = member
        self.at: Halt | None = None
        """The command that it cannot execute."""
        self.count = 0
        """How often it has halted there, or was found to have other code."""
        self.is_parked = False
        """It has halted, and is not opened again before `try_at`, or before the group passes that command."""
        self.try_at: Millis = NEVER
        self.other_code: FleetError | None = None
        """Why it executes nothing, though it is open: the code here is not that of the class in force."""
        self.offer = b""
        """As `ObjectOpened.offer`."""
        self.is_certain = False
        """A fresh executor has that other code, too."""

    @property
    def is_diverged(self) -> bool:
        """It halts since its state is wrong, until that is replaced."""
        return self.at is not None and self.at.place in OF_STATE

    @property
    def is_repairing(self) -> bool:
        return self.at is not None and self.at.place == REPAIRING

    def is_passed(self, index: Index, place: int) -> bool:
        """Whether the group has agreed by now to pass that command, or a snapshot of the leader stands for it
        (seed 1200125)."""
        core = self.member.core
        is_behind = core.snapshot is not None and index <= core.snapshot.index
        return is_behind or (index, place) in skipped_at(core)

    def begin(self, index: Index, place: int, cause: str, is_repeated: bool) -> None:
        """Nothing more is executed until the group has agreed to pass that command."""
        halt = self.at = Halt(index, place, cause[:CAUSE_MAX], is_repeated)
        self.is_parked = True
        if place in OF_STATE:
            self.try_at = NEVER  # to execute the log again would tell nobody which state is right
        else:
            self._put_off()
        name, member = self.member.spec.name, self.member.start.member
        which = WHICH.get(place, f", command {place + 1}")
        log.error("group=%s member=%s halts at entry %d%s: %s", name, member, index, which, halt.cause)
        self.member.step(ExecutionHalted(halt))

    def should_look_again(self, other_code: FleetError | None) -> bool:
        """Whether a fresh executor may have the right code, which was not tried yet."""
        was_certain, self.is_certain = self.is_certain, other_code is not None
        return self.is_certain and not was_certain

    def found_code(self, other_code: FleetError | None, offer: bytes = b"") -> None:
        """It was opened: None, with the code of the class in force."""
        self.offer = offer
        if other_code is None:
            if self.other_code is not None and self.at is None:
                self.count = 0
        else:
            self._put_off()
            name, member = self.member.spec.name, self.member.start.member
            log.error("group=%s member=%s executes nothing for now: %s", name, member, other_code)
        self.other_code = other_code

    def is_opened_again(self) -> None:
        """It is not due any more, until it is known what came of that."""
        self.is_parked, self.try_at = False, NEVER

    def forget_code(self) -> None:
        """Another class is in force."""
        self.count, self.is_certain = 0, False

    def _put_off(self) -> None:
        least, most = TRY_MS
        self.try_at = self.member.start.clock.now_ms() + min(most, least << min(self.count, 20))
        self.count += 1

    def pass_by(self, index: Index) -> None:
        """All up to `index` is executed: the command at which it halted may be behind it now."""
        if self.at is not None and self.at.index <= index:
            self.at = None
            self.count = 0
            self.member.step(ExecutionResumed())

    def is_due(self, now: Millis) -> bool:
        """Whether to open it again: the cause may have been its own executor, or gone. The group may have
        passed the command, too, by an entry that is held back."""
        if self.is_diverged:
            return False
        if self.is_parked and self.at is not None and self.is_passed(self.at.index, self.at.place):
            return True
        if now < self.try_at:
            return False
        return may_retry(self.member.core) if self.is_parked else self.other_code is not None

    def error(self) -> FleetError | None:
        """For callers; None: it executes. One that has other code and leads will hand over, as long as there
        is somebody who may execute: callers are to ask again."""
        error = error_of(self.at, self.member.spec.name)
        if self.at is None or self.at.place == OTHER_CODE:
            error = self.other_code or error
        if isinstance(error, OtherCode) and may_be_succeeded(self.member.core):
            return Unavailable(error.what, group=self.member.spec.name)
        return error


def error_of(halt: Halt | None, group: str) -> FleetError | None:
    """As a caller gets it."""
    if halt is None:
        return None
    if halt.place == OTHER_CODE:
        return OtherCode(halt.cause, group=group, index=halt.index)
    if halt.place in OF_STATE:
        return Unavailable(
            halt.cause, group=group
        )  # another member leads soon, or this one has another state
    return GroupHalted(f"it cannot execute entry {halt.index}: {halt.cause}", group=group, index=halt.index)
