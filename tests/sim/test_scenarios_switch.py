"""Nodes die at every step of a change of their group's class (S50), each test at one step."""

from collections.abc import Callable
from typing import Any

import pytest

from fleet.actors.messages.operator import SwitchClass
from fleet.objects.class_refs import version_of
from fleet.raft.entries import ClassSwitched
from fleet.sim.world.objects import ENCODED, ENCODED_LATER, KINDS
from fleet.testing import Sim
from tests.sim.scenes import ask, config, leader_of, member, others

COUNTER: Any = KINDS["counter"]
FORMER = version_of(ENCODED["counter"])[1]
LATER = ENCODED_LATER["counter"]


def switch_in(member: Any) -> int:
    """Where its log has it; 0: nowhere."""
    entries = [one.index for one in member.core.log.entries if type(one.body) is ClassSwitched]
    return entries[0] if entries else 0


def saving(member: Any) -> int:
    pairs = [pair for pair in (member.core.saving, member.core.storing) if pair is not None]
    return max((pair[0].index for pair in pairs), default=0)


def stored(member: Any) -> int:
    return member.core.snapshot.index if member.core.snapshot is not None else 0


STEPS: dict[str, Callable[[Any], bool]] = {
    "it is in the log": lambda one: switch_in(one) > 0,
    "it is on the disk": lambda one: 0 < switch_in(one) <= one.core.log.durable,
    "it is committed": lambda one: 0 < switch_in(one) <= one.core.log.commit,
    "it is handed out": lambda one: 0 < switch_in(one) <= one.core.log.applied,
    "all before it is executed": lambda one: 0 < switch_in(one) <= one.object.index,
    "its snapshot is being written": lambda one: 0 < switch_in(one) <= saving(one),
    "its snapshot is on the disk": lambda one: 0 < switch_in(one) <= stored(one),
    "the later class is loaded": lambda one: one.object.data_class == LATER and one.object.is_open,
}
WHO = ("leader", "follower", "everyone")


def is_whole(sim: Sim, leader: str) -> bool:
    """All three members vote, and have executed the same."""
    members = sim.world.members_of("g")
    voters = member(sim, leader).core.membership.current.voters
    return len(members) == len(voters) == 3 and len({one.object.index for one in members}) == 1


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("step", STEPS)
def test_s50_nodes_that_die_at_any_step_of_a_switch_lose_nothing(step: str, who: str) -> None:
    sim = Sim(seed=len(step) + len(who), nodes=3, executors=1)
    counter = sim.group("g", COUNTER, config=config())
    for _ in range(5):
        counter.add(1)
    leader = leader_of(sim)
    assert sim.run(10.0, lambda: is_whole(sim, leader))
    watched = others(sim, leader)[0] if who == "follower" else leader
    later = counter.add.options(timeout=60.0)
    ask(sim, SwitchClass(LATER, FORMER), "g")
    under_way = [later.submit(1) for _ in range(3)]
    assert sim.run(10.0, lambda: STEPS[step](member(sim, watched)), every=0.0001)
    dying = [*sim.nodes] if who == "everyone" else [watched]
    for name in dying:
        sim.kill(name, power=True)
    under_way += [later.submit(1)]
    sim.run(0.5)
    for name in dying:
        sim.restart(name)

    def is_switched() -> bool:
        members = sim.world.members_of("g")
        return len(members) == 3 and all(one.object.data_class == LATER for one in members)

    for _ in range(20):
        if sim.run(2.0, is_switched):
            break
        ask(sim, SwitchClass(LATER, FORMER), "g")  # the operator repeats what was not answered
    assert is_switched()
    assert sim.run(60.0, lambda: all(reply.done() for reply in under_way))
    done = [reply.exception() is None for reply in under_way]
    assert all(done) and counter.get() == 5 + len(done)
    assert later(1) == 6 + len(done)
    assert sim.states_equal("g")


def test_s50_a_group_that_changes_its_class_before_its_first_command_begins_alike_everywhere() -> None:
    """A member with only the later code had a new object of that, the others a migrated one of the former."""
    sim = Sim(seed=7, nodes=3, executors=1)
    counter = sim.group("g", COUNTER, config=config())
    leader = leader_of(sim)
    assert sim.run(10.0, lambda: is_whole(sim, leader))
    behind = others(sim, leader)[0]
    sim.world.nodes[behind].code = 2
    sim.kill(behind, power=True)
    sim.restart(behind)
    assert sim.run(10.0, lambda: is_whole(sim, leader))
    assert member(sim, behind).object.halts.other_code is not None
    ask(sim, SwitchClass(LATER, FORMER), "g")
    assert sim.run(10.0, lambda: all(one.object.data_class == LATER for one in sim.world.members_of("g")))
    assert counter.add(1) == 1
    assert sim.run(10.0, lambda: len({one.object.index for one in sim.world.members_of("g")}) == 1)
    assert sim.states_equal("g")


def test_s50_a_majority_that_has_no_code_at_all_elects_commits_and_is_upgraded() -> None:
    """Their module was moved before the group was upgraded: they vote, and keep the log and the state."""
    sim = Sim(seed=5, nodes=3, executors=1)
    counter = sim.group("g", COUNTER, config=config())
    assert counter.add(5) == 5
    leader = leader_of(sim)
    for name in others(sim, leader):
        sim.world.nodes[name].code = 3
        sim.kill(name, power=True)
        sim.restart(name)
    assert counter.add.options(timeout=60.0)(1) == 6, "one of the three executes, and all of them vote"
    without = [member(sim, name).object for name in others(sim, leader)]
    assert sim.run(10.0, lambda: all(one.halts.other_code is not None for one in without))
    sim.kill(leader, power=True)
    sim.restart(leader)
    assert counter.add.options(timeout=60.0)(1) == 7, "who executes leads again, elected by who does not"
    for name in sim.nodes:
        sim.world.nodes[name].code = 2
    ask(sim, SwitchClass(LATER, FORMER), "g")
    members = sim.world.members_of
    assert sim.run(60.0, lambda: all(one.object.data_class == LATER for one in members("g")))
    assert counter.add.options(timeout=60.0)(1) == 8
    assert sim.run(60.0, lambda: all(one.object.can_answer for one in members("g")))
    assert sim.states_equal("g")


def test_a_group_changes_by_itself_once_every_node_has_the_code() -> None:
    sim = Sim(seed=6, nodes=3, executors=1)
    counter = sim.group("g", COUNTER, config=config())
    assert counter.add(5) == 5
    leader = leader_of(sim)
    first, *_ = others(sim, leader)
    for name in sim.nodes:
        sim.world.nodes[name].code = 1 if name == leader else 2
    sim.kill(first)
    sim.restart(first)
    sim.run(10.0)
    members = sim.world.members_of
    assert all(one.object.data_class == ENCODED["counter"] for one in members("g")), "the leader has it not"
    sim.world.nodes[leader].code = 2
    assert sim.run(30.0, lambda: all(one.object.data_class == LATER for one in members("g")))
    assert counter.add.options(timeout=60.0)(1) == 6
    assert sim.states_equal("g")
