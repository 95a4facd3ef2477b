"""Groups are copied and restored on simulated nodes, which the invariants watch."""

from collections.abc import Callable
from typing import Any

from fleet.actors.messages.group_states import CopyTaken, GiveState, PartsHeld, TakeCopy
from fleet.actors.messages.operator import Done
from fleet.errors import FleetError
from fleet.objects.class_refs import encode_class
from fleet.raft.ids import node_of
from fleet.testing import Sim
from fleet.testing.histories import Calls
from tests.sim.scenes import Log, ask_cluster, config, leader_of, others

PART = 4096


def asked(sim: Sim, op: Any, group: str, seconds: int = 30) -> Any:
    """What an operator is told."""
    told: list[Any] = []

    def settled(value: Any, error: FleetError | None) -> None:
        told.append(value if error is None else error)

    sim.client.in_turn(lambda: sim.client.ask(op, group, "", settled))
    assert sim.run(f"{seconds}s", lambda: bool(told)), f"{op} is not answered"
    return told[0]


def copy_of(sim: Sim, group: str) -> CopyTaken:
    copy = asked(sim, TakeCopy(), group)
    assert isinstance(copy, CopyTaken) and copy.copy == 0
    return copy


def found(sim: Sim, name: str) -> None:
    """A group that waits for a state; any node may give it to its first founder."""
    ask_cluster(sim, "add_group", name, 3, encode_class(Log), config(), (), tuple(sim.nodes))


def give(sim: Sim, copy: CopyTaken, name: str, in_front: Callable[[int], None] = lambda at: None) -> None:
    assert sim.run("5s", lambda: bool(sim.world.members_of(name)))
    at, uid = 0, sim.world.members_of(name)[0].spec.uid
    for _ in range(200):
        in_front(at)
        part = GiveState(uid, copy.index, copy.size, copy.crc, at, copy.data[at : at + PART])
        answer = asked(sim, part, name)
        if isinstance(answer, Done):
            return
        at = answer.size if isinstance(answer, PartsHeld) else 0
    raise AssertionError("its state is not taken")


def restored(sim: Sim) -> Log:
    """A handle; histories of it do not begin with a new object, so that they are not judged."""
    sim.groups["h"], sim._calls["h"] = Log, Calls("h", Log)
    return sim.group("h", Log)


def filled(sim: Sim) -> tuple[Any, tuple[int, ...]]:
    group = sim.group("g", Log, config=config())
    group.put(b"x" * 3 * PART)
    for number in range(20):
        group.append(number)
    return group, group.all()


def test_a_restored_group_has_the_state_of_the_copy() -> None:
    for seed in range(1, 6):
        sim = Sim(seed=seed)
        group, values = filled(sim)
        copy = copy_of(sim, "g")
        group.append(99)
        found(sim, "h")
        give(sim, copy, "h")
        again = restored(sim)
        assert again.all() == values and again.append(7) == len(values) + 1
        assert group.all() == (*values, 99)
        for name in sim.nodes:
            sim.restart(name)
        assert again.all() == (*values, 7) and sim.states_equal("h")


def test_a_copy_is_not_older_than_what_was_acknowledged_by_a_leader_that_is_cut_off() -> None:
    for seed in range(1, 6):
        sim = Sim(seed=seed)
        group, _ = filled(sim)
        old = leader_of(sim)
        sim.partition(old)
        assert group.append.options(timeout=20.0)(99) == 21
        revision = copy_of(sim, "g").revision
        assert revision == 22
        sim.heal()


def test_founders_that_die_while_a_state_is_given_lose_nothing_of_it() -> None:
    """The first founder loses its power between two parts, and right after the last one."""
    for seed in range(1, 8):
        sim = Sim(seed=seed)
        _, values = filled(sim)
        copy = copy_of(sim, "g")
        found(sim, "h")
        assert sim.run("5s", lambda: len(sim.world.members_of("h")) == 3)
        spec = sim.world.members_of("h")[0].spec
        first, cut = node_of(spec.founded.member), {PART * (seed % 4)}

        def fail(at: int, first: str = first, cut: set[int] = cut) -> None:
            if at in cut:
                cut.discard(at)
                sim.kill(first, power=True)
                sim.run("300ms")
                sim.restart(first)

        give(sim, copy, "h", fail)
        second = others(sim, first)[seed % 2]
        sim.kill(second, power=True)
        again = restored(sim)
        assert again.all() == values and again.append(7) == len(values) + 1
        sim.restart(second)
        assert sim.states_equal("h")


def test_a_group_that_waits_for_its_state_serves_nobody_and_is_left_alone() -> None:
    sim = Sim(seed=3)
    _, values = filled(sim)
    copy = copy_of(sim, "g")
    found(sim, "h")
    sim.run("60s")
    assert {m.core.term for m in sim.world.members_of("h")} == {0}
    for name in sim.nodes:
        sim.restart(name)
    sim.run("5s")
    give(sim, copy, "h")
    assert restored(sim).all() == values


def test_two_clients_of_a_restored_group_never_share_a_session() -> None:
    """One has the number of a session that the lost log had behind the copy; the other opens one at the same
    index of the new log."""
    sim = Sim(seed=4)
    group, values = filled(sim)
    copy = copy_of(sim, "g")
    group.append(1)
    group.append(2)
    late = sim.group("g", Log, client="c2")
    late.append(3)
    ask_cluster(sim, "remove_group", "g")
    managers = [node.manager for node in sim.nodes.values()]
    assert sim.run("60s", lambda: not any(one.view.removed or one.view.groups for one in managers))
    found(sim, "g")
    give(sim, copy, "g")
    fresh = sim.group("g", Log, client="c3")
    sim._calls["g"] = Calls("g", Log)
    for number in range(5):
        fresh.append(100 + number)
        late.append(200 + number)
    told = fresh.all()
    assert told[: len(values)] == values
    assert sorted(told[len(values) :]) == [*range(100, 105), *range(200, 205)]
