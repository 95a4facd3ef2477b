"""The members of one node: when they start again, what is kept of those that left."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest

from fleet.actors.messages.local import MemberGone, MemberStopped, StartMember
from fleet.actors.messages.values import GroupSpec
from fleet.actors.node.hosted_members import BACK_OFF_MS, LEFT_KEY, STABLE_MS, Hosting, Hostings
from fleet.actors.node.manager import NodeManager
from fleet.errors import StorageFault
from fleet.interfaces import DropGroup
from fleet.raft.config import GroupConfig
from fleet.raft.entries import Founded
from fleet.raft.ids import MemberId, NodeName, member_id
from fleet.storage.memory_store import MemoryStore


@dataclass
class Start:
    name: NodeName = NodeName("n1")
    clock: Any = None
    seed: int = 1
    store: Any = None
    directory: str = ""
    fork_above_bytes: int = 0
    fork: Any = None
    hooks: Any = None


@dataclass
class Manager:
    """What hostings need of one: members are numbers, and whatever is sent is kept."""

    store: MemoryStore = field(default_factory=lambda: MemoryStore("c", NodeName("n1"), incarnation="a"))
    start: Start = field(default_factory=Start)
    time_ms: int = 0
    created: int = 0
    sent: list[tuple[Any, Any]] = field(default_factory=list)
    wakes: list[tuple[int, Any]] = field(default_factory=list)
    dropped: list[Hosting] = field(default_factory=list)
    registry: str = "registry"
    myAddress: str = "manager"
    disk: Any = None
    carry_out: ClassVar[Any] = NodeManager.carry_out
    on_chore_done: ClassVar[Any] = NodeManager.on_chore_done

    @property
    def citizen(self) -> "Manager":
        return self

    def on_dropped(self, hosting: Hosting) -> None:
        self.dropped.append(hosting)

    def now(self) -> int:
        return self.time_ms

    def createActor(self, kind: type) -> int:
        self.created += 1
        return self.created

    def send(self, address: Any, message: Any) -> None:
        self.sent.append((address, message))

    def wake_in(self, delay: int, payload: Any) -> None:
        self.wakes.append((delay, payload))

    def starts(self) -> list[MemberId]:
        return [message.member for _, message in self.sent if type(message) is StartMember]


@pytest.fixture
def manager() -> Manager:
    return Manager()


@pytest.fixture
def hostings(manager: Manager) -> Hostings:
    return Hostings(manager)  # type: ignore[arg-type]


def spec(name: str, uid: int, member: str = "", founded: bool = False) -> GroupSpec:
    first = MemberId(member) if founded else None
    entry = Founded(first, "n1:1", GroupConfig()) if first is not None else None
    return GroupSpec(name, b"class", GroupConfig(), uid, MemberId(member), entry)


def failed(hosting: Hosting, restart: bool = True) -> MemberStopped:
    return MemberStopped(hosting.member, False, "it hurts", restart)


def test_a_member_that_fails_starts_again_later_each_time_and_not_too_late(
    manager: Manager, hostings: Hostings
) -> None:
    hosting = hostings.create(spec("g", 7))
    for _ in range(15):
        hostings.on_member_stopped(failed(hosting))
        assert hosting.address is None and hosting.trouble == "it hurts"
        hostings.on_start_due(hosting.record.number)
        assert hosting.address is not None
    delays = [delay for delay, _ in manager.wakes]
    assert delays[:4] == [BACK_OFF_MS[0] << turn for turn in range(4)]
    assert delays == sorted(delays) and delays[-1] == BACK_OFF_MS[1]


def test_a_member_that_ran_for_long_is_forgiven(manager: Manager, hostings: Hostings) -> None:
    hosting = hostings.create(spec("g", 7))
    for _ in range(5):
        manager.time_ms += STABLE_MS + 1
        hostings.on_member_stopped(failed(hosting))
        hostings.on_start_due(hosting.record.number)
    assert {delay for delay, _ in manager.wakes} == {BACK_OFF_MS[0]}


def test_a_member_that_cannot_start_is_reported_and_left_alone(manager: Manager, hostings: Hostings) -> None:
    hosting = hostings.create(spec("g", 7))
    hostings.on_member_stopped(failed(hosting, restart=False))
    assert manager.wakes == []
    assert [info.state for info in hostings.infos()] == ["it hurts"]


def test_a_member_that_died_without_a_word_starts_again(manager: Manager, hostings: Hostings) -> None:
    one, other = hostings.create(spec("g", 7)), hostings.create(spec("h", 8))
    hostings.on_child_exited(one.address)
    assert (one.address, other.address is not None) == (None, True)
    assert manager.wakes == [(BACK_OFF_MS[0], ("start", one.record.number))]


def test_a_start_that_is_due_twice_starts_one_member(manager: Manager, hostings: Hostings) -> None:
    hosting = hostings.create(spec("g", 7))
    hostings.on_start_due(hosting.record.number)
    hostings.on_start_due(99)
    assert len(manager.starts()) == 1


def test_a_dropped_member_is_gone_at_once_and_its_data_when_it_has_stopped(
    manager: Manager, hostings: Hostings
) -> None:
    hosting = hostings.create(spec("g", 7))
    hostings.drop(hosting)
    assert "g" not in hostings.by_name and len(manager.store.groups()) == 1
    assert ("registry", MemberGone("g", hosting.member)) in manager.sent
    hostings.on_child_exited(hosting.address)
    assert manager.store.groups() == [] and manager.dropped == [hosting]
    assert hostings.infos() == ()
    hostings.on_start_due(hosting.record.number)
    assert len(manager.starts()) == 1


def test_a_dropped_member_that_is_waiting_to_start_goes_at_once(manager: Manager, hostings: Hostings) -> None:
    hosting = hostings.create(spec("g", 7))
    hostings.on_member_stopped(failed(hosting))
    hostings.drop(hosting)
    assert manager.store.groups() == [] and manager.dropped == [hosting]


def test_a_new_member_of_the_name_is_not_touched_by_the_end_of_the_former(
    manager: Manager, hostings: Hostings
) -> None:
    former = hostings.create(spec("g", 7))
    hostings.drop(former)
    fresh = hostings.create(spec("g", 9))
    hostings.on_child_exited(former.address)
    assert hostings.by_name == {"g": fresh} and [info.member for info in hostings.infos()] == [fresh.member]


def test_a_group_that_was_founded_here_and_left_is_remembered_over_restarts(
    manager: Manager, hostings: Hostings
) -> None:
    """Else this disk would found it again, with the vote of a member that forgot what it promised."""
    founder = hostings.create(spec("g", 7, member_id(NodeName("n1"), "a", "g7"), founded=True))
    joined = hostings.create(spec("h", 8))
    for hosting in (founder, joined):
        hostings.on_member_stopped(MemberStopped(hosting.member, True, "", False))
    again = Hostings(manager)  # type: ignore[arg-type]
    again.load()
    assert again.left == {7}
    again.forget_left({7, 8})
    assert again.left == set()
    assert manager.store.get_meta(LEFT_KEY) is not None


def test_everything_on_the_disk_is_started_as_the_member_that_it_was(
    manager: Manager, hostings: Hostings
) -> None:
    before = [hostings.create(spec(name, uid)).member for uid, name in enumerate("abc", 5)]
    again = Hostings(manager)  # type: ignore[arg-type]
    again.load()
    assert [info.member for info in again.infos()] == before
    assert manager.starts() == before * 2


def test_a_disk_that_errs_leaves_the_data_and_says_so(
    manager: Manager, hostings: Hostings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hosting = hostings.create(spec("g", 7))

    def fail(number: int) -> None:
        raise StorageFault("no space")

    monkeypatch.setattr(manager.store, "drop_group", fail)
    hostings.drop(hosting)
    hostings.on_child_exited(hosting.address)
    assert "its data stays" in caplog.text and manager.dropped == [hosting]


def test_s74_a_groups_data_goes_off_the_loop(manager: Manager, hostings: Hostings) -> None:
    """A disk that hung stopped the whole node there."""
    manager.disk = "disk"
    hosting = hostings.create(spec("g", 7))
    hostings.drop(hosting)
    hostings.on_child_exited(hosting.address)
    assert ("disk", DropGroup(hosting.record.number)) in manager.sent
    assert [record.number for record in manager.store.groups()] == [hosting.record.number]


def test_a_disk_that_errs_while_forgetting_forgets_later(
    manager: Manager, hostings: Hostings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The node went on without its manager. Found by seed 110309 of the simulator."""
    founder = hostings.create(spec("g", 7, member_id(NodeName("n1"), "a", "g7"), founded=True))
    hostings.on_member_stopped(MemberStopped(founder.member, True, "", False))

    def fail(key: str, value: bytes) -> None:
        raise StorageFault("it errs")

    with monkeypatch.context() as disk:
        disk.setattr(manager.store, "put_meta", fail)
        hostings.forget_left({7})
    assert hostings.left == {7} and "it errs" in caplog.text
    hostings.forget_left({7})
    again = Hostings(manager)  # type: ignore[arg-type]
    again.load()
    assert again.left == hostings.left == set()
