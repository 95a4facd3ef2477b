"""Scenarios of membership on whole simulated nodes."""

from collections.abc import Mapping
from unittest.mock import patch

from fleet.actors.messages.operator import AddMember, DemoteMember, PromoteMember, RemoveMember
from fleet.errors import StorageFault
from fleet.raft.ids import MemberId, member_id, node_of
from fleet.storage.store import Store
from fleet.testing import Sim
from tests.sim.scenes import Log, agree, ask, config, hand_over, leader_of, member, others, terms, voters


def test_s27_an_empty_disk_is_another_member() -> None:
    sim = Sim(seed=27, nodes=3)
    group = sim.group("g", Log, config=config())
    group.append(0)
    lost = others(sim, leader_of(sim))[0]
    node = sim.nodes[lost]
    before = member(sim, lost).core.id
    node.kill()
    node.replace_disk()
    node.join = tuple(other.endpoint for other in sim.nodes.values() if other is not node)
    node.start()
    here = {name: m for m in sim.world.members_of("g") for name in [node_of(m.core.id)]}
    assert lost not in here
    assert sim.run("120s", lambda: lost in {node_of(v) for v in voters(sim)} and before not in voters(sim))
    assert group.append(1) == 2
    agree(sim)


def test_s28_a_newcomer_that_cannot_be_reached_does_not_lower_the_availability() -> None:
    """It learns first, and votes when it has what the others have: until then nobody waits for it."""
    sim = Sim(seed=28)
    group = sim.group("g", Log, config=config())
    group.append(0)
    old = leader_of(sim)
    newcomer = member_id("n9", "n9d1", "g1")
    ask(sim, AddMember(newcomer, "n9:7400"))

    def is_known() -> bool:
        members = sim.world.members_of("g")
        return all(newcomer in m.core.membership.current.everyone for m in members)

    assert sim.run("5s", is_known, 0.0001)
    ask(sim, PromoteMember(newcomer))
    sim.run("1ms")
    sim.kill(old)
    assert group.append.options(timeout=10.0)(1) == 2
    agree(sim)


def test_s25_s29_a_removed_member_disturbs_nobody_and_what_breaks_the_quorum_is_refused() -> None:
    sim = Sim(seed=29, nodes=4)
    group = sim.group("g", Log, config=config())
    group.append(0)
    leader = leader_of(sim)
    gone = node_of(next(v for v in voters(sim) if node_of(v) != leader))
    sim.partition(gone)
    ask(sim, RemoveMember(member(sim, gone).core.id))
    sim.run("10s")
    before = max(terms(sim))
    sim.heal()
    sim.run("10s")
    assert group.append(1) == 2
    assert max(m.core.term for m in sim.world.members_of("g")) <= before + 1
    agree(sim)


def test_a_voter_stands_whose_demotion_its_leader_has_lost() -> None:
    """The leader sent it before its own disk refused it; it has too short a log to be elected itself."""
    sim = Sim(seed=1269, nodes=2)
    group = sim.group("g", Log, replicas=2, config=config())
    group.append(0)
    sim.run("1s")
    old = leader_of(sim)
    (other,) = others(sim, old)
    sim.nodes[old].disk.is_full = True
    ask(sim, DemoteMember(member(sim, other).core.id))
    sim.run("1s")
    assert len(member(sim, other).core.membership.current.voters) == 1
    sim.nodes[old].disk.is_full = False
    assert group.append.options(timeout=30.0)(1) == 2
    agree(sim)


def test_a_member_that_left_stays_away_although_its_disk_did_not_delete_it() -> None:
    """Seed 9202676. It came back beside its successor with the next start of its node."""
    sim = Sim(seed=2676)
    group = sim.group("g", Log, config=config())
    group.append(0)
    node = sim.nodes[others(sim, leader_of(sim))[0]]
    former = member(sim, node.name).core.id

    def here() -> set[MemberId]:
        return {one.core.id for one in sim.world.members_of("g") if node_of(one.core.id) == node.name}

    def fail(self: Store, number: int, meta: Mapping[str, bytes]) -> None:
        raise StorageFault("the simulated disk erred")

    with patch.object(Store, "drop_group", fail):
        ask(sim, RemoveMember(former))
        assert sim.run("10s", lambda: former not in here() and bool(here() & set(voters(sim))))
    node.kill()
    node.start()
    assert sim.run("1s", lambda: bool(here()))
    assert former not in here()
    hand_over(sim, node.name)
    assert group.append(1) == 2
    agree(sim)
