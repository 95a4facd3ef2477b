"""Members in memory only: what a node knows of them after a restart, and what it tells."""

from typing import Any

import pytest
from msgspec.structs import replace

from fleet.actors.messages.client import ClientReply, ClientRequest
from fleet.actors.messages.local import (
    Belongs,
    MemberGone,
    MemberHere,
    MemberLost,
    MemberStopped,
    StartMember,
    StartRegistry,
    Whereabouts,
)
from fleet.actors.messages.operator import LOST, MEMBER_LOST
from fleet.actors.messages.values import GroupSpec
from fleet.actors.node.hosted_member import HostedMember
from fleet.actors.node.hosted_members import HostedMembers
from fleet.actors.node.registry import Registry
from fleet.raft.config import GroupConfig
from fleet.raft.entries import Founded
from fleet.raft.ids import MemberId, NodeName, member_id
from tests.actors.base.helpers import Bench, Recorder
from tests.storage.disks import crash_before
from tests.support.clocks import HandClock
from tests.support.fake_manager import Manager

SPEC = GroupSpec("g", b"class", GroupConfig(), 7, is_in_memory=True)


@pytest.fixture
def manager() -> Manager:
    manager = Manager()
    manager.start.store = manager.store
    return manager


def started(manager: Manager) -> HostedMembers:
    """After a start of the node's process."""
    manager.sent.clear()
    hosted_members = HostedMembers(manager)  # type: ignore[arg-type]
    hosted_members.load()
    return hosted_members


def create(hosted_members: HostedMembers, spec: GroupSpec = SPEC) -> HostedMember:
    hosted_members.create([spec])
    return hosted_members.by_name[spec.name]


def sent(manager: Manager, kind: type) -> list[Any]:
    return [message for _, message in manager.sent if type(message) is kind]


def test_it_keeps_its_log_beside_the_disk(manager: Manager) -> None:
    hosted_members = started(manager)
    hosted = create(hosted_members)
    (start,) = sent(manager, StartMember)
    assert start.store is hosted_members.memory and start.disk is None
    assert start.store.load(hosted.record.number).entries == ()
    create(hosted_members, replace(SPEC, name="kept", is_in_memory=False))
    assert sent(manager, StartMember)[-1].store is manager.store


@pytest.mark.parametrize("is_held", [False, True])
def test_after_a_restart_it_is_lost_and_never_started(manager: Manager, is_held: bool) -> None:
    before = create(started(manager)).member
    if is_held:
        manager.held.unheard = {"n2"}
    again = started(manager)
    again.start_held()
    (info,) = again.infos()
    assert (info.member, info.ill, info.leads) == (before, LOST, False)
    assert sent(manager, StartMember) == [] and sent(manager, MemberLost) == [MemberLost("g", before)]
    again.on_start_due(again.by_name["g"].record.number)
    assert sent(manager, StartMember) == []


def test_after_its_removal_another_member_comes(manager: Manager) -> None:
    """A founder that is lost is not founded again either."""
    first = member_id("n1", "a", "g7")
    founding = replace(SPEC, member=first, founded=Founded(first, "n1:1", GroupConfig()))
    create(started(manager), founding)
    again = started(manager)
    again.drop(again.by_name["g"])
    manager.write()
    assert again.left == {7} and manager.store.groups() == []
    assert create(again).member not in (first, "")
    assert started(manager).left == {7}


def test_what_it_kept_goes_with_it_at_once(manager: Manager) -> None:
    """A sweep in steps, which the node itself runs, blocked its loop for seconds."""
    hosted_members = started(manager)
    hosted = create(hosted_members)
    assert hosted.record.number in hosted_members.memory.image
    transactions = crash_before(hosted_members.memory, 1)
    hosted_members.drop(hosted)
    hosted_members.on_child_exited(hosted.address)
    assert hosted.record.number not in hosted_members.memory.image and transactions() == 0


def test_a_member_that_failed_starts_again_with_what_it_had(manager: Manager) -> None:
    hosted_members = started(manager)
    hosted = create(hosted_members)
    hosted_members.on_member_stopped(MemberStopped(hosted.member, False, "it hurts", True))
    hosted_members.on_start_due(hosted.record.number)
    first, second = sent(manager, StartMember)
    assert (second.member, second.store) == (first.member, first.store) and hosted.ill == ""


def test_where_a_member_is_a_process_it_is_lost_with_that(manager: Manager) -> None:
    manager.start.store = None
    hosted_members = started(manager)
    hosted = create(hosted_members)
    (start,) = sent(manager, StartMember)
    assert (start.store, start.directory) == (None, "")
    hosted_members.on_member_stopped(MemberStopped(hosted.member, False, "it hurts", True))
    hosted_members.on_start_due(hosted.record.number)
    assert hosted.ill == LOST and hosted.address is None and len(sent(manager, StartMember)) == 1


def test_a_member_of_a_former_incarnation_is_lost_under_its_own_id(manager: Manager) -> None:
    """An older copy of the directory was given a new incarnation, and was started again."""
    before = create(started(manager)).member
    again = started(manager)
    manager.store.renew("b", again.give_up_all("an older copy"))
    (info,) = started(manager).infos()
    assert (info.member, info.ill) == (before, LOST)


# -- callers ---------------------------------------------------------------------------------------


def refusal(bench: Bench, registry: Any, number: int) -> str:
    request = ClientRequest("g", "client", bench.me, 7, 0, True, 1, (), 0, (), number, cluster=9)
    (reply,) = bench.ask(registry, request)
    assert isinstance(reply, ClientReply)
    return str(reply.refusals[0].error.to_error().what)


def test_callers_are_told_until_a_new_member_is_here() -> None:
    bench = Bench()
    registry, member = bench.create(Registry), bench.create(Recorder)
    old, new = MemberId("n1@a.1"), MemberId("n1@a.2")
    bench.ask(registry, StartRegistry(NodeName("n1"), HandClock(), 5), Belongs(9), Whereabouts({}))
    bench.tell(registry, MemberLost("g", old))
    assert refusal(bench, registry, 1) == MEMBER_LOST
    bench.tell(registry, MemberGone("g", old))
    assert "knows no group" in refusal(bench, registry, 2)
    bench.tell(registry, MemberLost("g", old))
    bench.tell(registry, MemberHere("g", new, member))
    bench.tell(registry, MemberGone("g", new))
    assert "knows no group" in refusal(bench, registry, 3)
