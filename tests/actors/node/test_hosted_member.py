"""A member as its node's membership in the cluster sees it."""

from fleet.actors.messages.values import GroupSpec
from fleet.actors.node.cluster_membership import held
from fleet.actors.node.hosted_member import HostedMember
from fleet.cluster.membership_events import Held
from fleet.interfaces import GroupRecord
from fleet.raft.config import GroupConfig
from fleet.raft.ids import GroupName, MemberId


def test_what_is_told_of_a_member_is_made_anew_only_when_it_has_changed() -> None:
    spec = GroupSpec("g", b"class", GroupConfig(), 7, cluster=8)
    hosted = HostedMember(GroupRecord(3, GroupName("g"), b""), spec, MemberId("n1@d.3"))
    first = held(hosted)
    assert first == Held(3, "g", 7, 8) and held(hosted) is first
    hosted.is_dropped = True
    assert held(hosted) == Held(3, "g", 7, 8, is_dropped=True)
