"""How long a node waits for members in memory only that its restart has cost to be replaced."""

from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from fleet.actors.messages.operator import DAMAGED, LOST
from fleet.actors.messages.values import GroupSpec
from fleet.actors.node.hosted_member import HostedMember
from fleet.actors.node.lost_members import REMOVED_MS, REPLACED_MS, LostMembers
from fleet.cluster.state import ACTIVE, GroupInfo, NodeRecord
from fleet.cluster.view import ClusterView
from fleet.interfaces import GroupRecord
from fleet.raft.config import GroupConfig
from fleet.raft.ids import GroupName, MemberId, NodeName

SPEC = GroupSpec("g", b"class", GroupConfig(), 7, is_in_memory=True)
GROUP = GroupInfo("g", 7, 2, b"class", GroupConfig(), (), is_in_memory=True)
NAMES = (NodeName("n1"), NodeName("n2"))


def a_member(ill: str = "", votes: bool = False, uid: int = 7) -> HostedMember:
    record = GroupRecord(2, GroupName("g"), b"")
    return HostedMember(record, replace(SPEC, uid=uid), MemberId("n1@d.2"), ill=ill, votes=votes)


def is_awaited(hosted: HostedMember | None = None, age: int = 0, rev: int = 9, **changed: Any) -> bool:
    records = {name: NodeRecord(name, "d", name, "", 1.0, ACTIVE) for name in NAMES}
    group = replace(GROUP, **changed)
    view = ClusterView(rev=rev, nodes=records, groups={group.name: group})
    by_name = {"g": hosted} if hosted is not None else {}
    parts = SimpleNamespace(by_name=by_name)
    start = SimpleNamespace(name="n1")
    node: Any = SimpleNamespace(
        started_at=50, now=lambda: 50 + age, view=view, hosted_members=parts, start=start
    )
    lost = LostMembers(node)
    lost.add(SPEC)
    return bool(lost.awaited())


@pytest.mark.parametrize("hosted", [None, a_member()], ids=["to come", "a learner"])
def test_a_new_member_is_awaited_until_it_votes(hosted: HostedMember | None) -> None:
    assert is_awaited(hosted) and is_awaited(hosted, REPLACED_MS - 1)
    assert not is_awaited(hosted, REPLACED_MS)
    assert not is_awaited(a_member(votes=True))


def test_a_lost_member_that_is_not_removed_is_awaited_for_a_shorter_time() -> None:
    assert is_awaited(a_member(LOST), REMOVED_MS - 1) and not is_awaited(a_member(LOST), REMOVED_MS)


def test_what_will_not_come_is_not_awaited() -> None:
    assert not is_awaited(a_member(DAMAGED))
    assert not is_awaited(a_member(uid=8)), "another group of that name"
    assert not is_awaited(uid=8) and not is_awaited(name="h"), "the group was removed"
    assert not is_awaited(pinned=("n2",)), "its members are elsewhere"


def test_a_view_older_than_the_group_does_not_say_that_it_was_removed() -> None:
    assert is_awaited(rev=6, name="h")


def test_a_replaced_member_is_not_awaited_again() -> None:
    hosted = a_member(votes=True)
    node: Any = SimpleNamespace(
        started_at=0, now=lambda: 1, hosted_members=SimpleNamespace(by_name={"g": hosted})
    )
    lost = LostMembers(node)
    lost.add(SPEC)
    assert lost.awaited() == set()
    hosted.votes = False
    assert lost.awaited() == set()
