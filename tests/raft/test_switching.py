"""A log names the class that executes it: what is handed out, and how a member without that class goes on."""

import random
from typing import Any

import pytest
from msgspec.structs import replace

from fleet.raft.core import Core
from fleet.raft.entries import ClassSwitched, Entry, Founded, Halt, HardState, Members, Noop, SnapshotMeta
from fleet.raft.events import Change, ExecutionHalted, Propose, Skip, SnapshotStored, SnapshotTaken, Tick
from fleet.raft.halting import may_be_succeeded, may_retry
from fleet.raft.messages import OTHER_CODE, AppendReply, InstallSnapshot, SnapshotReply
from fleet.raft.progress import PROBE, SNAPSHOT
from fleet.raft.ready import CHANGE_IN_PROGRESS, NOT_HALTED, Ready
from fleet.raft.restart import first_class, start_core
from fleet.raft.switching import class_at
from tests.raft.compacted import META, chunk
from tests.raft.cores import (
    CONFIG,
    N1,
    N2,
    N3,
    THREE,
    accept,
    answered,
    append,
    command,
    follower,
    leading,
    said,
    settle,
    settled,
    snapshot_of,
    step,
    take,
)

OLD, NEW = b"old", b"new"
OTHER = "its commands were proposed under other code"


def handed_out(readies: list[Ready]) -> list[int]:
    return [entry.index for ready in readies for entry in ready.apply]


def asked(readies: list[Ready]) -> list[int]:
    return [ready.take_snapshot for ready in readies if ready.take_snapshot]


def taken(core: Core, index: int) -> list[Ready]:
    """Up to where the store writes it."""
    core.step(core.now, SnapshotTaken(index, b"state"))
    return take(core)


def committed(core: Core) -> list[Ready]:
    readies = settle(core)
    for peer in (N2, N3):
        accept(core, peer)
    return readies + take(core)


# -- the switch --------------------------------------------------------------------------------------


def switching() -> tuple[Core, int]:
    """A leader whose switch is committed, and a command behind it."""
    core = settled()
    step(core, Change(7, ClassSwitched(NEW)))
    step(core, Propose(8, (command(9),)))
    return core, core.log.last_index - 1


def test_nothing_behind_a_switch_is_handed_out_before_its_snapshot_is_durable() -> None:
    core, at = switching()
    readies = committed(core)
    assert core.log.commit == at + 1
    assert handed_out(readies) == [at] and asked(readies) == [at]
    assert answered(readies) == {7: None}
    (save,) = [ready.save for ready in taken(core, at) if ready.save]
    assert (save.meta.index, save.meta.data_class) == (at, NEW)
    assert handed_out(take(core)) == []
    core.step(core.now, SnapshotStored(at))
    assert handed_out(take(core)) == [at + 1]


def test_a_snapshot_before_a_switch_names_the_former_class_although_the_switch_is_known() -> None:
    core, at = switching()
    core.bytes_since_snapshot = 10 * core.config.snapshot_ceiling_bytes
    core.is_settled = False
    (before,) = asked(take(core))
    assert before < at
    committed(core)
    (save,) = [ready.save for ready in taken(core, before) if ready.save]
    assert save.meta.data_class == b""


def test_a_group_is_switched_once_at_a_time() -> None:
    core, at = switching()
    assert answered(step(core, Change(9, ClassSwitched(OLD)))) == {9: CHANGE_IN_PROGRESS}
    committed(core)
    assert answered(step(core, Change(9, ClassSwitched(OLD)))) == {9: CHANGE_IN_PROGRESS}
    taken(core, at)
    step(core, SnapshotStored(at))
    step(core, Change(9, ClassSwitched(OLD)))
    assert core.log.entries[-1].body == ClassSwitched(OLD)


def test_a_leader_that_has_committed_nothing_switches_no_class() -> None:
    core = settled()
    leading(core).first_index = core.log.commit + 1
    assert answered(step(core, Change(7, ClassSwitched(NEW)))) == {7: CHANGE_IN_PROGRESS}


def test_the_class_in_force_follows_from_the_log_and_the_snapshot() -> None:
    founded = Founded(N1, "", CONFIG, ((N2, ""), (N3, "")), OLD)
    core = start_core(N1, 0, random.Random(1))
    core.term = 1
    core.merge((Entry(1, 1, founded), Entry(1, 2, Noop()), Entry(1, 3, ClassSwitched(NEW))))
    assert [class_at(core, index) for index in (1, 2, 3, 9)] == [OLD, OLD, NEW, NEW]
    core.merge((Entry(2, 3, Noop()),))  # another leader's history
    assert class_at(core, 9) == OLD


@pytest.mark.parametrize("data_class", [OLD, NEW])
def test_a_restarted_member_begins_with_the_class_of_its_snapshot_or_of_its_first_entry(
    data_class: bytes,
) -> None:
    founded = Entry(1, 1, Founded(N1, "", CONFIG, (), data_class))
    meta = SnapshotMeta(5, 1, Members(THREE), CONFIG, 0, 0, data_class)
    assert first_class(None, (founded,)) == data_class
    assert first_class(meta, ()) == data_class
    assert first_class(None, ()) == first_class(None, (Entry(1, 2, Noop()),)) == b""
    core = start_core(N1, 0, random.Random(1), HardState(1), None, (founded,))
    assert class_at(core, 1) == data_class


# -- members with other code -------------------------------------------------------------------------


def waiting() -> Core:
    """A follower with six entries that cannot execute the fourth."""
    core = follower(term=2, terms=(1, 1, 1, 1, 1, 1))
    append(core, (6, 1), commit=6)
    settle(core)
    append(core, (6, 1), [Entry(2, 7, Noop())], commit=7)
    settle(core)
    step(core, ExecutionHalted(Halt(4, OTHER_CODE, OTHER, is_repeated=True)))
    return core


def state_at(index: int) -> InstallSnapshot:
    return chunk(meta=replace(META, index=index, term=1, data_class=NEW))


def test_a_follower_with_other_code_goes_on_from_its_leaders_snapshot_and_keeps_its_log() -> None:
    core = waiting()
    readies = step(core, state_at(5))
    (restore,) = [ready.restore for ready in readies if ready.restore]
    assert restore[0].data_class == NEW
    assert core.halt is None and handed_out(readies) == [6, 7]
    assert core.log.last_index == core.log.durable == 7
    assert snapshot_of(core).index == 5
    assert said(readies, SnapshotReply)[-1].installed


def test_a_state_that_is_too_old_is_not_adopted() -> None:
    core = waiting()
    readies = step(core, state_at(3))
    assert core.halt is not None and not any(ready.restore for ready in readies)


def test_a_state_of_more_than_is_known_to_be_committed_replaces_the_log() -> None:
    core = waiting()
    step(core, state_at(8))
    assert core.halt is None and core.log.base_index == core.log.last_index == 8


def test_a_follower_that_executes_takes_no_state_that_its_log_holds() -> None:
    core = waiting()
    core.halt = None
    assert not any(ready.restore for ready in step(core, state_at(5)))


def report(core: Core, at: int) -> list[Ready]:
    """N3 has everything, and waits at that entry for the right code."""
    where: dict[str, Any] = {"halted_index": at, "halted_place": OTHER_CODE}
    return step(core, AppendReply(core.term, N3, N1, True, core.log.last_index, 0, 0, 0, core.now, **where))


def test_a_leader_sends_its_state_to_a_member_that_waits_for_one() -> None:
    core, at = switching()
    committed(core)
    assert said(report(core, at), InstallSnapshot) == []
    taken(core, at)
    step(core, SnapshotStored(at))
    (first,) = said(report(core, at), InstallSnapshot)
    assert (first.dst, first.meta.index, first.meta.data_class) == (N3, at, NEW)
    assert said(report(core, at), InstallSnapshot) == []  # it is on its way
    assert leading(core).progress[N3].state == SNAPSHOT
    size = first.meta.size
    step(core, SnapshotReply(core.term, N3, N1, at, size, True, 0, core.now))
    progress = leading(core).progress[N3]
    assert progress.state == PROBE and progress.match == core.log.last_index


def test_a_leader_keeps_its_state_from_a_member_that_waits_behind_it() -> None:
    core, at = switching()
    committed(core)
    taken(core, at)
    step(core, SnapshotStored(at))
    assert said(report(core, at + 1), InstallSnapshot) == []


def test_what_waits_for_other_code_is_neither_skipped_by_agreement_nor_by_an_operator() -> None:
    core = settled()
    step(core, ExecutionHalted(Halt(2, OTHER_CODE, OTHER, is_repeated=True)))
    assert may_retry(core)
    for peer in (N2, N3):
        reply = AppendReply(core.term, peer, N1, True, core.log.last_index, 0, 0, 0, core.now,
                            halted_index=2, halted_place=OTHER_CODE)  # fmt: skip
        step(core, reply)
    step(core, Tick(), later=core.config.heartbeat_ms)
    assert [type(entry.body).__name__ for entry in core.log.entries[2:]] == []
    assert answered(step(core, Skip(3, 2))) == {3: NOT_HALTED}


def test_a_leader_that_has_other_code_sends_callers_on_as_long_as_another_voter_may_execute() -> None:
    core = settled()
    step(core, ExecutionHalted(Halt(2, OTHER_CODE, OTHER, is_repeated=True)))
    for peer, others_may in ((N2, True), (N3, False)):
        assert may_be_succeeded(core)
        reply = AppendReply(core.term, peer, N1, True, core.log.last_index, 0, 0, 0, core.now,
                            halted_index=2, halted_place=OTHER_CODE)  # fmt: skip
        step(core, reply)
        assert may_be_succeeded(core) is others_may
