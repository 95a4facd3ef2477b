"""An operator's requests about the class of a group, as its leader takes them."""

import logging
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest

import fleet
from fleet.actors.messages.executor import ClassTried, TryClass
from fleet.actors.messages.operator import (
    Done,
    GroupOp,
    GroupRequest,
    OpReply,
    RehearseClass,
    Rehearsed,
    SwitchClass,
)
from fleet.cluster.state import CLUSTER_GROUP
from fleet.errors import Damaged, OtherCode
from fleet.objects.class_refs import encode_class, version_of
from fleet.raft.entries import Body, ClassSwitched, Entry, Halt, Members, Noop, RemindersDue, SnapshotMeta
from fleet.raft.events import Tick
from tests.actors.base.helpers import Bench
from tests.actors.member.requested import SPEC, Requested
from tests.raft.cores import N2, THREE, accept, command, settled, step
from tests.support.classes import Counter, Ledger

OTHER = encode_class(Ledger)
FORMER = version_of(SPEC.data_class)[1]


class Second(fleet.Data, version=2):
    pass


class Third(fleet.Data, version=3):
    pass


IN_FORCE, LATER = encode_class(Second), encode_class(Third)


class Member(Requested):
    """It steps its core, and answers whom the core does."""

    def __post_init__(self) -> None:
        super().__post_init__()
        vars(self.object).update(revision=5, index=9, halt=None)

    def step(self, event: Any) -> None:
        for ready in step(self.core, event):
            for answer in ready.answers:
                self.operators.on_answer(answer)


def asked(op: GroupOp, member: Member | None = None, group: str = "g") -> OpReply:
    member = member or Member(settled())
    member.operators.take(GroupRequest(3, Bench().me, group, op))
    (reply,) = member.told
    assert not any(type(entry.body) is ClassSwitched for entry in member.core.log.entries)
    return reply


def kind(reply: OpReply) -> str:
    assert reply.error is not None
    return reply.error.kind


@pytest.mark.parametrize("junk", [b"", b"junk", b"\xff" * 9])
@pytest.mark.parametrize("ask", [RehearseClass, lambda junk: SwitchClass(junk, FORMER)])
def test_bytes_that_are_no_class_are_refused_and_the_member_goes_on(ask: Any, junk: bytes) -> None:
    """They stopped every member that read them."""
    assert kind(asked(ask(junk))) == "DataClassUnavailable"


@pytest.mark.parametrize("op", [RehearseClass(OTHER), SwitchClass(OTHER, "")])
def test_the_clusters_own_group_keeps_its_class(op: GroupOp) -> None:
    member = Member(settled())
    vars(member)["spec"] = type(SPEC)(CLUSTER_GROUP, SPEC.data_class, SPEC.config, 7)
    assert kind(asked(op, member, CLUSTER_GROUP)) == "BadArguments"


def test_a_switch_from_another_class_than_the_one_in_force_is_refused() -> None:
    assert kind(asked(SwitchClass(OTHER, "something else"))) == "ChangeInProgress"


def test_a_switch_to_what_is_in_force_is_done_already() -> None:
    assert isinstance(asked(SwitchClass(encode_class(Counter), "whatever")).value, Done)


def test_a_leader_that_cannot_execute_what_is_before_a_switch_proposes_none() -> None:
    member = Member(settled())
    vars(member.object).update(halt=Halt(2, 0, "hangs"), halted=lambda: OtherCode("of version 2"))
    assert kind(asked(SwitchClass(OTHER, FORMER), member)) == "OtherCode"


def test_who_switches_what_is_on_record(caplog: pytest.LogCaptureFixture) -> None:
    member = Member(settled())
    with caplog.at_level(logging.WARNING, "fleet.audit"):
        member.operators.take(GroupRequest(3, Bench().me, "g", SwitchClass(OTHER, FORMER)))
        accept(member.core, N2)
        for ready in step(member.core, Tick()):
            for answer in ready.answers:
                member.operators.on_answer(answer)
    asked_for, committed = (record.getMessage() for record in caplog.records)
    assert "asked for" in asked_for and "tests.support.classes.Ledger" in asked_for
    assert "committed at 3" in committed


def test_a_rehearsal_that_is_asked_for_again_starts_no_further_process() -> None:
    """On a busy host a class takes its time to load, and the client asks four times a second."""
    member = Member(settled())
    sent: list[Any] = []
    vars(member.object).update(can_answer=False, port=sent.append)
    for _ in range(5):
        member.operators.take(GroupRequest(3, member.start.registry, "g", RehearseClass(OTHER)))
    assert [type(one) for one in sent] == [TryClass]


def test_a_class_that_is_tried_alone_costs_no_copy_of_the_state() -> None:
    """Groups that wait for code on some node ask again and again."""
    member, questions = Member(settled()), list[Any]()
    vars(member.object).update(port=questions.append, can_answer=True)
    member.operators.take(GroupRequest(3, Bench().me, "g", RehearseClass(OTHER, with_state=False)))
    assert [one.state for one in questions] == [b""]
    member.operators.rehearsals.on_tried(ClassTried(0, questions[0].run, None))
    assert [reply.value for reply in member.told] == [Rehearsed(member.start.member, False)]


KEPT = SnapshotMeta(1, 1, Members(THREE), SPEC.config, 5, 0)


@pytest.mark.parametrize(
    "data_class, body, has_snapshot, tried",
    [
        (LATER, Noop(), True, (b"state", True)),
        (LATER, Noop(), False, (b"", True)),
        (LATER, command(), True, (b"", False)),
        (LATER, RemindersDue(5), True, (b"", False)),
        (encode_class(Counter), Noop(), True, (b"", False)),
    ],
    ids=["the snapshot", "a new group's", "a command waits", "a reminder waits", "the way back"],
)
def test_a_member_with_other_code_tries_the_state_that_it_keeps_if_nothing_is_behind_it(
    data_class: bytes, body: Body, has_snapshot: bool, tried: tuple[bytes, bool]
) -> None:
    """All members, or the only one, were restarted with the new code: a `migrate` that raises had been tried
    by none of them, and stopped the group."""
    member, questions = Member(settled()), list[Any]()
    found = (KEPT, b"state") if has_snapshot else None
    told = SimpleNamespace(newest_meta=lambda: found and found[0], newest_snapshot=lambda: found)
    vars(member.object).update(port=questions.append, can_answer=False, told=told, data_class=IN_FORCE)
    member.object.halts.other_code = OtherCode("of another version")
    member.core.log.entries[:] = [Entry(1, 1, Noop() if found is None else command()), Entry(1, 2, body)]
    member.operators.take(GroupRequest(3, Bench().me, "g", RehearseClass(data_class)))
    assert [one.state for one in questions] == [tried[0]]
    member.operators.rehearsals.on_tried(ClassTried(0, questions[0].run, None))
    assert [reply.value for reply in member.told] == [Rehearsed(member.start.member, tried[1])]


def test_a_member_whose_snapshot_cannot_be_read_cannot_go_on_with_a_class() -> None:
    def damaged() -> NoReturn:
        raise Damaged("cut short")

    member = Member(settled())
    told = SimpleNamespace(newest_meta=lambda: KEPT, newest_snapshot=damaged)
    vars(member.object).update(can_answer=False, told=told)
    member.object.halts.other_code = OtherCode("of version 2")
    assert kind(asked(RehearseClass(OTHER), member)) == "Damaged"
    assert not member.operators.rehearsals.waiting


def test_a_member_whose_next_executor_has_other_code_tries_what_it_keeps() -> None:
    """Its executor was killed while it copied the state, and the answer was that it has other code."""
    member, questions = Member(settled()), list[Any]()
    member.object.told = SimpleNamespace(newest_meta=lambda: KEPT, newest_snapshot=lambda: (KEPT, b"state"))
    vars(member.object).update(port=questions.append, can_answer=True, copy=lambda token, data_class: None)
    member.operators.take(GroupRequest(3, Bench().me, "g", RehearseClass(OTHER)))
    rehearsals = member.operators.rehearsals
    (token,) = rehearsals.waiting
    member.object.halts.other_code = OtherCode("of version 2")
    assert rehearsals.on_failed(token, OtherCode("of version 2"))
    assert [(type(one), one.state) for one in questions] == [(TryClass, b"state")]
    assert member.told == []


@pytest.mark.parametrize("why, opened", [(None, []), (OtherCode("of version 2"), [True])])
def test_a_member_that_can_load_the_class_in_force_again_opens_its_object(
    why: OtherCode | None, opened: list[bool]
) -> None:
    """It waited for its next look, up to 15 minutes, although the upgrade that was repeated had tried it."""
    member, found = Member(settled()), list[bool]()
    told = SimpleNamespace(newest_meta=lambda: None)
    vars(member.object).update(port=lambda question: None, can_answer=False, told=told)
    vars(member.object).update(open_again=lambda is_fresh: found.append(is_fresh))
    member.object.halts.other_code = why
    member.operators.take(GroupRequest(3, Bench().me, "g", RehearseClass(SPEC.data_class)))
    (token,) = member.operators.rehearsals.waiting
    member.operators.rehearsals.on_tried(ClassTried(0, token, None))
    assert found == opened and len(member.told) == 1
