"""An operator skips a command that no member can execute: what is answered, and what is on record."""

import logging
from typing import Any

import pytest

from fleet.actors.messages.local import MemberHalted
from fleet.actors.messages.operator import Done, GetStatus, GroupRequest, MemberStatus, OpReply, SkipCommand
from fleet.raft.core import Core
from fleet.raft.entries import Halt
from fleet.raft.events import ExecutionHalted, ExecutionResumed
from tests.actors.base.helpers import Bench
from tests.actors.member.requested import Requested
from tests.raft.cores import N2, accept, settle, settled, step

HALT = Halt(2, 0, "add hangs")
ME = Bench().me


class Member(Requested):
    """It steps its core, and answers whom the core does. Its object has halted."""

    def __post_init__(self) -> None:
        super().__post_init__()
        vars(self.object).update(revision=5, index=1, halt=HALT)

    def step(self, event: Any) -> None:
        for ready in step(self.core, event):
            for answer in ready.answers:
                self.operators.on_answer(answer)

    @property
    def error(self) -> str:
        (reply,) = self.told
        assert reply.error is not None
        return reply.error.kind


def halted() -> Core:
    core = settled()
    step(core, ExecutionHalted(HALT))
    return core


def request(index: int) -> GroupRequest:
    return GroupRequest(3, ME, "g", SkipCommand(index))


def test_who_skips_what_is_answered_when_it_is_committed_and_is_on_record(
    caplog: pytest.LogCaptureFixture,
) -> None:
    member = Member(halted())
    with caplog.at_level(logging.WARNING, "fleet.audit"):
        member.operators.take(request(2))
        assert member.told == []
        accept(member.core, N2)
        for ready in settle(member.core):
            for answer in ready.answers:
                member.operators.on_answer(answer)
    assert member.told == [OpReply(3, Done(3, 5))]
    asked, done = [record.getMessage() for record in caplog.records if record.name == "fleet.audit"]
    for line in (asked, done):
        assert "group=g" in line and "entry 2" in line and str(ME) in line and "add hangs" in line
    assert "asked for" in asked and "committed at 3" in done


def test_what_cannot_be_skipped_is_refused_on_record(caplog: pytest.LogCaptureFixture) -> None:
    member = Member(settled())
    with caplog.at_level(logging.WARNING, "fleet.audit"):
        member.operators.take(request(2))
    assert member.error == "NotHalted"
    assert "not halted" in caplog.records[-1].getMessage()


def test_a_status_says_where_a_member_has_halted() -> None:
    member = Member(halted())
    member.operators.take(GroupRequest(3, ME, "g", GetStatus()))
    (reply,) = member.told
    assert isinstance(reply.value, MemberStatus) and reply.value.halt == HALT


def test_the_node_manager_is_told_once_when_a_member_halts_and_when_it_goes_on() -> None:
    member = Member(halted())
    member.operators.end_turn()
    member.operators.end_turn()
    assert member.told == [MemberHalted(member.core.id, HALT)]  # type: ignore[comparison-overlap]
    step(member.core, ExecutionResumed())
    member.operators.end_turn()
    assert member.told[1:] == [MemberHalted(member.core.id, None)]  # type: ignore[comparison-overlap]
