"""What a member tells its node of its sleep."""

import pytest

from fleet.actors.member.sleeping import sleeper_of
from fleet.raft.events import CheckLeader
from fleet.raft.ids import MemberId, NodeName, node_of
from fleet.raft.sleeping import GONE_TIMEOUTS
from fleet.raft.state import Leader
from tests.raft.sleepers import ASLEEP_MS, ELECTION_MS, Sleepers, sleeping_group

N1, N2, N3 = NodeName("n1"), NodeName("n2"), NodeName("n3")


@pytest.fixture
def group() -> Sleepers:
    return sleeping_group()


def told(group: Sleepers, name: str) -> tuple[tuple[NodeName, ...], tuple[NodeName, ...]] | None:
    """The nodes to be watched for that member, and those whose members it leads."""
    sleeper = sleeper_of(group.core(name))
    return None if sleeper is None else (sleeper.nodes, tuple(map(node_of, sleeper.followers)))


def test_a_leader_leads_all_until_it_sleeps_and_then_those_that_it_knows_to_sleep(group: Sleepers) -> None:
    assert told(group, "n1") == ((N2, N3), (N2, N3)) and told(group, "n3") == ((N1,), ())
    group.silence("n3", "n1")
    assert told(group, "n1") == ((N2, N3), (N2,))
    group.run("propose n1 x")
    group.run("settle")
    assert told(group, "n1") is None and told(group, "n3") is None


def test_a_leader_that_sleeps_without_a_sleeping_follower_hears_of_it_once_that_checks() -> None:
    """Each answer of n3 is lost (seed 730728): n1 takes it for gone, and n3 relies on n1."""
    group = Sleepers()
    group.run("live 1000")
    group.run("cut n3->n1")
    group.run(f"live {2 * GONE_TIMEOUTS * ELECTION_MS}")
    assert group.asleep == ["n1", "n2", "n3"]
    assert told(group, "n1") == ((N2, N3), (N2,)) and told(group, "n3") == ((N1,), ())
    group.run("heal")
    group.step("n3", CheckLeader())
    group.run(f"live {ASLEEP_MS}")
    assert group.asleep == ["n1", "n2", "n3"] and told(group, "n1") == ((N2, N3), (N2, N3))


def test_a_node_with_two_members_of_a_group_is_named_once(group: Sleepers) -> None:
    """One was on its old disk."""
    role = group.core("n1").role
    assert isinstance(role, Leader)
    (second,) = [peer for peer in role.progress if node_of(peer) == N2]
    role.progress[MemberId("n2@other.1")] = role.progress[second]
    assert told(group, "n1") == ((N2, N3), (N2, N3, N2))
