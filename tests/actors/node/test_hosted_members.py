"""The members of one node: when they start again, what is kept of those that left."""

from typing import Any

import pytest

from fleet.actors.messages.local import MemberGone, MemberHalted, MemberStopped
from fleet.actors.messages.operator import CONFLICT
from fleet.actors.messages.values import GroupSpec
from fleet.actors.node.hosted_member import HostedMember
from fleet.actors.node.hosted_members import BACK_OFF_MS, HALTED_KEY, LEFT_KEY, STABLE_MS, HostedMembers
from fleet.actors.node.timers import RestartMember
from fleet.errors import StorageFault
from fleet.interfaces import ChoreDone, CreateGroups, DropGroup, PutMeta
from fleet.raft.config import GroupConfig
from fleet.raft.entries import Founded, Halt
from fleet.raft.ids import MemberId, NodeName, member_id
from fleet.storage.writer import carry_out
from tests.support.fake_manager import Manager


@pytest.fixture
def manager() -> Manager:
    return Manager()


@pytest.fixture
def hosted_members(manager: Manager) -> HostedMembers:
    return HostedMembers(manager)  # type: ignore[arg-type]


def spec(name: str, uid: int, member: str = "", founded: bool = False) -> GroupSpec:
    first = MemberId(member) if founded else None
    entry = Founded(first, "n1:1", GroupConfig()) if first is not None else None
    return GroupSpec(name, b"class", GroupConfig(), uid, MemberId(member), entry)


def create(hosted_members: HostedMembers, spec: GroupSpec) -> HostedMember:
    hosted_members.create([spec])
    return hosted_members.by_name[spec.name]


def failed(hosted: HostedMember, restart: bool = True) -> MemberStopped:
    return MemberStopped(hosted.member, False, "it hurts", restart)


def test_a_member_that_fails_starts_again_later_each_time_and_not_too_late(
    manager: Manager, hosted_members: HostedMembers
) -> None:
    hosted = create(hosted_members, spec("g", 7))
    for _ in range(15):
        hosted_members.on_member_stopped(failed(hosted))
        assert hosted.address is None and hosted.trouble == "it hurts"
        hosted_members.on_start_due(hosted.record.number)
        assert hosted.address is not None
    delays = [delay for delay, _ in manager.wakes]
    assert delays[:4] == [BACK_OFF_MS[0] << turn for turn in range(4)]
    assert delays == sorted(delays) and delays[-1] == BACK_OFF_MS[1]


def test_a_member_that_ran_for_long_is_forgiven(manager: Manager, hosted_members: HostedMembers) -> None:
    hosted = create(hosted_members, spec("g", 7))
    for _ in range(5):
        manager.time_ms += STABLE_MS + 1
        hosted_members.on_member_stopped(failed(hosted))
        hosted_members.on_start_due(hosted.record.number)
    assert {delay for delay, _ in manager.wakes} == {BACK_OFF_MS[0]}


def test_a_member_that_cannot_start_is_reported_and_left_alone(
    manager: Manager, hosted_members: HostedMembers
) -> None:
    hosted = create(hosted_members, spec("g", 7))
    hosted_members.on_member_stopped(failed(hosted, restart=False))
    assert manager.wakes == []
    assert [info.state for info in hosted_members.infos()] == ["it hurts"]


def test_a_member_that_died_without_a_word_starts_again(
    manager: Manager, hosted_members: HostedMembers
) -> None:
    one, other = create(hosted_members, spec("g", 7)), create(hosted_members, spec("h", 8))
    hosted_members.on_child_exited(one.address)
    assert (one.address, other.address is not None) == (None, True)
    assert manager.wakes == [(BACK_OFF_MS[0], RestartMember(one.record.number))]


def test_a_start_that_is_due_twice_starts_one_member(manager: Manager, hosted_members: HostedMembers) -> None:
    hosted = create(hosted_members, spec("g", 7))
    hosted_members.on_start_due(hosted.record.number)
    hosted_members.on_start_due(99)
    assert len(manager.starts()) == 1


def test_a_dropped_member_is_gone_at_once_and_its_data_when_it_has_stopped(
    manager: Manager, hosted_members: HostedMembers
) -> None:
    hosted = create(hosted_members, spec("g", 7))
    hosted_members.drop(hosted)
    assert "g" not in hosted_members.by_name and len(manager.store.groups()) == 1
    assert ("registry", MemberGone("g", hosted.member)) in manager.sent
    hosted_members.on_child_exited(hosted.address)
    assert manager.store.groups() == [] and manager.dropped == [hosted]
    assert hosted_members.infos() == ()
    hosted_members.on_start_due(hosted.record.number)
    assert len(manager.starts()) == 1


def test_a_dropped_member_that_is_waiting_to_start_goes_at_once(
    manager: Manager, hosted_members: HostedMembers
) -> None:
    hosted = create(hosted_members, spec("g", 7))
    hosted_members.on_member_stopped(failed(hosted))
    hosted_members.drop(hosted)
    assert manager.store.groups() == [] and manager.dropped == [hosted]


def test_a_new_member_of_the_name_is_not_touched_by_the_end_of_the_former(
    manager: Manager, hosted_members: HostedMembers
) -> None:
    former = create(hosted_members, spec("g", 7))
    hosted_members.drop(former)
    fresh = create(hosted_members, spec("g", 9))
    hosted_members.on_child_exited(former.address)
    assert hosted_members.by_name == {"g": fresh} and [info.member for info in hosted_members.infos()] == [
        fresh.member
    ]


def test_a_former_member_whose_data_the_disk_did_not_delete_goes_after_a_restart(
    manager: Manager, hosted_members: HostedMembers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seed 9202676: both ran, and when the former one was told to leave, calls did not find the new one."""
    other = create(hosted_members, spec("h", 8))
    former = create(hosted_members, spec("g", 7, member_id(NodeName("n1"), "a", "g7"), founded=True))

    def fail(number: int, meta: dict[str, bytes]) -> None:
        raise StorageFault("it errs")

    with monkeypatch.context() as disk:
        disk.setattr(manager.store, "drop_group", fail)
        hosted_members.on_member_stopped(MemberStopped(former.member, True, "", False))
    fresh = create(hosted_members, spec("g", 7))
    manager.sent.clear()
    again = HostedMembers(manager)  # type: ignore[arg-type]
    again.load()
    assert [info.member for info in again.infos()] == [other.member, fresh.member]
    assert manager.starts() == [other.member, fresh.member]
    assert again.by_name["g"].member == fresh.member and again.left == {7}
    assert [record.number for record in manager.store.groups()] == [1, 3]


def test_a_group_that_was_founded_here_and_left_is_remembered_over_restarts(
    manager: Manager, hosted_members: HostedMembers
) -> None:
    """Else this disk would found it again, with the vote of a member that forgot what it promised."""
    founder = create(hosted_members, spec("g", 7, member_id(NodeName("n1"), "a", "g7"), founded=True))
    joined = create(hosted_members, spec("h", 8))
    for hosted in (founder, joined):
        hosted_members.on_member_stopped(MemberStopped(hosted.member, True, "", False))
    again = HostedMembers(manager)  # type: ignore[arg-type]
    again.load()
    assert again.left == {7}
    again.forget_left({7, 8})
    assert again.left == set()
    assert manager.store.get_meta(LEFT_KEY) is not None


def test_everything_on_the_disk_is_started_as_the_member_that_it_was(
    manager: Manager, hosted_members: HostedMembers
) -> None:
    before = [create(hosted_members, spec(name, uid)).member for uid, name in enumerate("abc", 5)]
    again = HostedMembers(manager)  # type: ignore[arg-type]
    again.load()
    assert [info.member for info in again.infos()] == before
    assert manager.starts() == before * 2


def test_a_disk_that_errs_leaves_the_data_and_says_so(
    manager: Manager,
    hosted_members: HostedMembers,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    hosted = create(hosted_members, spec("g", 7))

    def fail(number: int, meta: dict[str, bytes]) -> None:
        raise StorageFault("no space")

    monkeypatch.setattr(manager.store, "drop_group", fail)
    hosted_members.drop(hosted)
    hosted_members.on_child_exited(hosted.address)
    assert "its data is not deleted yet" in caplog.text and manager.dropped == [hosted]


def test_s74_a_groups_data_goes_off_the_loop(manager: Manager, hosted_members: HostedMembers) -> None:
    """A disk that hung stopped the whole node there."""
    hosted = create(hosted_members, spec("g", 7))
    manager.disk = "disk"
    hosted_members.drop(hosted)
    hosted_members.on_child_exited(hosted.address)
    assert ("disk", DropGroup(hosted.record.number)) in manager.sent
    assert [record.number for record in manager.store.groups()] == [hosted.record.number]


def test_a_disk_that_errs_while_forgetting_forgets_later(
    manager: Manager,
    hosted_members: HostedMembers,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The node went on without its manager. Found by seed 110309 of the simulator."""
    founder = create(hosted_members, spec("g", 7, member_id(NodeName("n1"), "a", "g7"), founded=True))
    hosted_members.on_member_stopped(MemberStopped(founder.member, True, "", False))

    def fail(key: str, value: bytes) -> None:
        raise StorageFault("it errs")

    with monkeypatch.context() as disk:
        disk.setattr(manager.store, "put_meta", fail)
        hosted_members.forget_left({7})
    assert "it errs" in caplog.text
    again = HostedMembers(manager)  # type: ignore[arg-type]
    again.load()
    assert again.left == {7}
    again.forget_left({7})
    again.load()
    assert again.left == set()


def test_s74_fifty_groups_are_created_off_the_loop_by_one_commit(
    manager: Manager, hosted_members: HostedMembers
) -> None:
    """Each took a commit of its own, and the whole node waited for it."""
    manager.disk = "disk"
    told: list[Any] = []
    specs = [spec(f"g{uid}", uid) for uid in range(50)]
    hosted_members.create(specs, lambda hosted, error: told.append((hosted, error)))
    assert manager.store.groups() == [] and manager.starts() == [] and hosted_members.by_name == {}
    assert [type(chore) for chore in manager.chores()] == [CreateGroups]
    assert hosted_members.coming.keys() == {one.name for one in specs} and told == []
    manager.write()
    assert [hosted.spec for hosted, error in told if error is None] == specs
    assert len(manager.starts()) == 50 and not hosted_members.coming


def test_s74_a_group_that_was_not_written_does_not_start(
    manager: Manager, hosted_members: HostedMembers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any) -> None:
        raise StorageFault("it errs")

    monkeypatch.setattr(manager.store, "_update", fail)
    told: list[Any] = []
    hosted_members.create([spec("g", 7)], lambda hosted, error: told.append((hosted, str(error))))
    ((hosted, words),) = told
    assert hosted is None and "it errs" in words
    assert not (hosted_members.coming or hosted_members.by_name or manager.starts())


def test_s74_facts_are_written_off_the_loop(manager: Manager, hosted_members: HostedMembers) -> None:
    founder, other = (
        create(hosted_members, spec(name, uid, member_id(NodeName("n1"), "a", name), founded=True))
        for uid, name in enumerate("gh", 7)
    )
    manager.disk = "disk"
    hosted_members.on_member_stopped(MemberStopped(founder.member, True, "", False))
    hosted_members.on_member_stopped(MemberStopped(other.member, False, "two histories", False, CONFLICT))
    hosted_members.forget_left({7})
    assert manager.store.get_meta(LEFT_KEY) is None and manager.store.get_meta(HALTED_KEY) is None
    assert [type(chore) for chore in manager.chores()] == [DropGroup, PutMeta, PutMeta]
    manager.write()
    again = HostedMembers(manager)  # type: ignore[arg-type]
    again.load()
    assert again.left == set() and again.halted.keys() == {other.record.number}
    assert again.by_name["h"].ill == CONFLICT and len(manager.starts()) == 2, "it is not started again (S84)"


def test_what_is_left_is_remembered_with_its_data_gone_or_not_at_all(
    manager: Manager, hosted_members: HostedMembers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Data without the record is a member that goes again; without both, the disk would found it anew."""
    manager.disk = "disk"
    founder = spec("g", 7, member_id(NodeName("n1"), "a", "g7"), founded=True)
    hosted_members.create([founder])
    manager.write()
    hosted_members.on_member_stopped(MemberStopped(founder.member, True, "", False))
    (chore,) = manager.chores()

    def fail(*args: Any, **kwargs: Any) -> None:
        raise StorageFault("it errs")

    with monkeypatch.context() as disk:
        disk.setattr(manager.store, "_update", fail)
        assert carry_out(manager.store, chore).error is not None
    assert manager.store.groups() != [] and manager.store.get_meta(LEFT_KEY) is None
    assert carry_out(manager.store, chore) == ChoreDone(chore)
    assert manager.store.groups() == [] and manager.store.get_meta(LEFT_KEY) is not None


def test_a_group_that_was_removed_while_it_was_created_here_never_starts(
    manager: Manager, hosted_members: HostedMembers
) -> None:
    manager.disk = "disk"
    hosted_members.create([spec("g", 7), spec("h", 8)])
    manager.removed.add(7)
    manager.write()
    assert [hosted.spec.name for hosted in hosted_members.by_number.values()] == ["h"]
    assert len(manager.starts()) == 1
    manager.write()
    assert [record.name for record in manager.store.groups()] == ["h"]


def test_a_member_that_has_halted_is_shown_so_until_it_executes_or_ends(
    manager: Manager, hosted_members: HostedMembers
) -> None:
    hosted = create(hosted_members, spec("g", 7, member_id(NodeName("n1"), "a", "g"), founded=True))
    halt = Halt(5, 0, "hangs")
    for ends in (False, True):
        hosted_members.on_halted(MemberHalted(hosted.member, halt))
        assert [info.halt for info in hosted_members.infos()] == [halt]
        if ends:
            hosted_members.on_member_stopped(MemberStopped(hosted.member, False, "fault", True))
        else:
            hosted_members.on_halted(MemberHalted(hosted.member, None))
        assert [info.halt for info in hosted_members.infos()] == [None]
    hosted_members.on_halted(MemberHalted(MemberId("gone@d.1"), halt))
