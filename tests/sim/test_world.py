"""The simulated world itself: whole nodes on it work as on a real host, and a seed is a history."""

import os
import random
import subprocess
import sys
from collections.abc import Callable
from hashlib import blake2b

import msgspec
import pytest

from fleet.actors.base.settings import LinkSettings
from fleet.cluster.state import CLUSTER_GROUP
from fleet.interfaces import PutMeta, Write
from fleet.raft.config import GroupConfig
from fleet.raft.entries import HardState
from fleet.raft.ids import GroupName, node_of
from fleet.sim.faults.network import BreakLinks, Resolve
from fleet.sim.faults.operators import AddGroup, Calm
from fleet.sim.faults.processes import BadCode, Busy, Fail, Pause, SlowCode
from fleet.sim.search.episode import Episode
from fleet.sim.world.clock import SimClock
from fleet.sim.world.disk import DiskStore, SimDisk, SimWriter
from fleet.sim.world.process import Process
from fleet.sim.world.timeline import MS, Broken, S
from fleet.sim.world.world import World

TRACE = """
from hashlib import blake2b
from fleet.sim.search.episode import Episode
episode = Episode({seed}, tracing=True)
episode.run()
print(blake2b("\\n".join(episode.world.lines).encode()).hexdigest())
"""


def quiet(seed: int = 1) -> Episode:
    """Served groups, clients, and nothing that goes wrong."""
    episode = Episode(seed)
    episode.config = msgspec.structs.replace(episode.config, uncommitted_max=8192)
    episode.found()
    episode.begin_load()
    return episode


def test_a_fleet_on_virtual_time_serves_its_clients() -> None:
    episode = quiet()
    episode.world.run(10 * S)
    episode.settle()
    episode.judge()
    assert episode.done > 100
    assert not any(load.failed for load in episode.loads)
    assert len(episode.world.members_of(CLUSTER_GROUP)) == len(episode.world.nodes)


def test_a_majority_goes_on_when_a_node_dies_and_the_node_catches_up() -> None:
    episode = quiet(2)
    world = episode.world
    world.run(2 * S)
    leader = next(node for node, member in world.members() if member.core.is_leader)
    leader.kill(power=True)
    before = episode.done
    world.run(10 * S)
    assert episode.done > before
    leader.start()
    episode.settle()
    episode.judge()


def test_everything_acknowledged_is_there_after_all_lost_their_power() -> None:
    episode = quiet(3)
    world = episode.world
    world.run(3 * S)
    for node in world.nodes.values():
        node.kill(power=True)
    world.run(1 * S)
    for node in reversed(world.nodes.values()):
        node.start()
    episode.settle()
    episode.judge()


def test_a_minority_acknowledges_nothing() -> None:
    episode = quiet(4)
    for load in episode.loads:
        load.stale = 0  # what any member may answer, a minority does, too
    world = episode.world
    names = list(world.nodes)
    cut = world.network.weather.cut
    cut.update((a, b) for a in names for b in names if a != b)
    world.run(8 * S)
    before = episode.done
    world.run(5 * S)
    assert episode.done == before
    cut.clear()
    world.network.heal()
    episode.settle()
    episode.judge()


@pytest.mark.parametrize("by_seeds", [False, True])
def test_a_founder_whose_disk_is_full_founds_when_there_is_room(by_seeds: bool) -> None:
    world = World(7)
    node = world.add_node("n1")
    node.founders = (node.endpoint,) if by_seeds else ()
    node.disk.is_full = True
    node.start()
    world.run(3 * S)
    assert node.manager is not None and not world.members_of(CLUSTER_GROUP)
    node.disk.is_full = False
    assert world.run(3 * S, lambda: any(one.core.is_leader for one in world.members_of(CLUSTER_GROUP)))


def test_two_leaders_of_a_term_are_told_with_seed_and_moment() -> None:
    episode = quiet(5)
    group = next(iter(episode.kinds))
    leader = next(member for member in episode.world.members_of(group) if member.core.is_leader)
    episode.world.invariants.past(leader.spec).leaders[leader.core.term + 1] = leader.core.id
    other = next(member for member in episode.world.members_of(group) if not member.core.is_leader)
    with pytest.raises(Broken, match=r"seed 5, t=\d+\.\d+: g0: .* lead in term"):
        other.core.term += 1
        other.core.role = leader.core.role
        episode.world.run(5 * S)


def test_what_a_commit_breaks_is_told_although_the_writer_takes_errors_for_the_disks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Since the simulated disk serves the shipping writer, nothing that was wrong on a disk was found."""
    episode = quiet(5)
    world = episode.world
    monkeypatch.setattr(world.invariants, "written", lambda process, writes: world.violated("g0: n1 forgets"))
    with pytest.raises(Broken, match=r"^seed 5, t=\d+\.\d+: g0: n1 forgets$"):
        world.run(5 * S)


def test_a_clock_that_is_wrong_knows_when_its_timers_are_due() -> None:
    world = World()
    clock = SimClock(world, 5_000_000, 0, rate=960)
    world.now += 1_000_000
    assert clock.micros() == 5_960_000
    due = clock.when(7.0)
    world.now = due
    assert clock.micros() > 7_000_000
    world.now = due - 2
    assert clock.micros() <= 7_000_000
    clock.jump(10 * S)
    assert clock.now_ms() == 16_999
    assert clock.wall_ms() == clock.now_ms()


@pytest.mark.parametrize("seed", [7, 19, 13])
def test_one_seed_is_one_trace_byte_for_byte(seed: int) -> None:
    """In other processes, whatever their hash seeds."""
    found = set()
    for hash_seed in ("1", "4711"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        command = [sys.executable, "-c", TRACE.format(seed=seed)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        found.add(done.stdout.strip())
    episode = Episode(seed, tracing=True)
    episode.run()
    assert episode.world.lines is not None
    found.add(blake2b("\n".join(episode.world.lines).encode()).hexdigest())
    assert len(found) == 1


def test_virtual_time_passes_by_itself_only_in_run() -> None:
    world = World()
    assert world.run(3 * MS)
    assert world.now == 3 * MS
    assert not world.run(MS, lambda: False)
    assert world.now == 4 * MS


@pytest.mark.parametrize("actor", ["registry", "disk writer", "node manager"])
def test_an_actor_that_a_node_is_not_without_takes_it_along_and_it_is_started_again(actor: str) -> None:
    episode = quiet()
    world, faults = episode.world, episode.injector
    node = world.nodes["n2"]
    first = node.process
    message = "Write" if actor == "disk writer" else "PeerMail" if actor == "registry" else "WakeupMessage"
    assert faults.do(Fail("n2", actor, message, False, 300 * MS))
    assert world.run(5 * S, lambda: node.process is not first)
    assert node.lives == 2
    episode.settle()
    episode.judge()


@pytest.mark.parametrize("silently", [False, True])
@pytest.mark.parametrize("message", ["Persisted", "EndTurn", "LocalRead"])
def test_a_member_that_fails_before_any_message_starts_again(message: str, silently: bool) -> None:
    episode = quiet()
    world, faults = episode.world, episode.injector
    (before,) = (m for m in world.members_of(CLUSTER_GROUP) if node_of(m.core.id) == "n2")
    assert faults.do(Fail("n2", CLUSTER_GROUP, message, silently, 0))
    faults.do(AddGroup("x1"))
    world.run(5 * S)
    (after,) = (m for m in world.members_of(CLUSTER_GROUP) if node_of(m.core.id) == "n2")
    assert after is not before
    episode.settle()
    episode.judge()


def test_a_busy_node_hears_of_what_arrives_in_the_middle_of_its_turns() -> None:
    episode = quiet()
    world = episode.world
    cuts: list[int] = []
    for node in world.nodes.values():
        episode.injector.do(Busy(node.name, 10 * S))
    for _ in range(1000):
        world.run(10 * MS)
        cuts += [len(node.process.kernel.queue) for node in world.nodes.values() if node.process]
    assert max(cuts) > 1 and episode.done > 50
    episode.settle()
    episode.judge()


def test_what_comes_after_the_end_of_a_process_is_answered_by_a_reset() -> None:
    """Seed 8000198: a node died in a turn that was to take a minute, and others were not told before that was
    over."""
    world = quiet().world
    node = world.nodes["n1"]
    assert node.process is not None
    ends = list(node.process.wire.ends)
    for end in ends:
        end.arrives_at = world.now + 60 * S
    node.kill(power=False)
    node.start()
    world.run(5 * S)
    assert not all(end.other.is_open for end in ends)
    assert not any(end.other.is_open and end.other.unread for end in ends), "something was sent there"


def test_a_big_state_is_encoded_by_a_child_and_a_fork_may_fail() -> None:
    episode = Episode(2)
    for node in episode.world.nodes.values():
        node.fork_above_bytes, node.dump_us = 1, (100, 100_000)
    episode.config = GroupConfig(snapshot_floor_bytes=300, snapshot_ceiling_bytes=300, log_tail=0)
    episode.found()
    episode.begin_load()
    for node in episode.world.nodes.values():
        node.forks_fail = 0.3
    episode.world.run(8 * S)
    for node in episode.world.nodes.values():  # what failed is tried again, later each time
        node.forks_fail = 0.0
    episode.world.run(6 * S)
    episode.settle()
    episode.judge()
    members = [member for group in episode.kinds for member in episode.world.members_of(group)]
    assert episode.world.run(70 * S, lambda: all(member.core.durable_snapshot > 10 for member in members))


def test_names_that_resolve_late_or_elsewhere_only_put_off_what_must_be_dialled() -> None:
    episode = quiet()
    world, faults = episode.world, episode.injector
    faults.do(Resolve("n1", 2 * S, False))
    faults.do(Resolve("n2", S, True))
    for name in ("n1", "n2"):
        faults.do(BreakLinks(name, ()))
    world.run(5 * S)
    assert "n2" in world.network.weather.misled
    episode.settle()
    episode.judge()


def test_what_a_full_link_drops_is_sent_again_when_it_is_read() -> None:
    """The policy is that of the shipping links: what waits there beyond the limit is lost."""
    episode = quiet()
    world = episode.world
    world.network.settings = LinkSettings(buffer_bytes_max=2_000)
    world.network.weather.socket_bytes = 500
    episode.injector.do(Pause("n2", 4 * S))
    world.run(5 * S)
    assert world.marks.counts["a message is dropped, since too much waits on its link"] > 0
    ends = [end for one in world.network.links for end in (one, one.other)]
    assert all(end.unread <= 2_000 + 500 + 1_000 for end in ends)
    episode.settle()
    episode.judge()


def is_at_work(process: Process | None) -> bool:
    """Users' code runs there, in an executor or, where there is none, instead of everything else."""
    if process is None:
        return False
    return process.is_held or any(executor.is_busy for executor in process.executors.values())


def test_users_code_takes_its_time_and_what_arrives_meanwhile_waits() -> None:
    episode = quiet()
    world = episode.world
    for name in world.nodes:
        episode.injector.do(SlowCode(name, 50 * MS))
    before = episode.done
    world.run(2 * S)
    slow = episode.done - before
    assert 0 < slow < 200 and world.marks.counts["users' code takes its time"] > 0
    assert world.run(S, lambda: any(is_at_work(node.process) for node in world.nodes.values()))
    episode.settle()
    episode.judge()


@pytest.mark.parametrize("imports", ["raise", "exit"])
def test_a_node_that_cannot_load_a_class_goes_on_and_comes_back_with_good_code(imports: str) -> None:
    episode = quiet()
    world, injector = episode.world, episode.injector
    group = next(iter(episode.kinds))
    injector.do(BadCode("n2", imports))
    injector.do(Fail("n2", group, "PeerMail", False, 0))
    world.run(5 * S)
    manager = world.nodes["n2"].manager
    assert "the simulated module" in manager.hosted_members.by_name[group].other_code
    injector.do(Calm())
    episode.settle()
    episode.judge()


@pytest.mark.parametrize("transactions", [0, 1, 2])
def test_a_process_dies_between_two_transactions_of_a_round(transactions: int) -> None:
    """The writer serves a round in the shipping order: a chore is a transaction of its own."""
    disk = SimDisk(incarnation="d1")
    store = DiskStore(disk, "c", "n", random.Random(1))
    (record,) = store.create_groups([(GroupName("g"), b"")])
    later: list[Callable[[], None]] = []
    writer = SimWriter(store, lambda: 0, lambda us, act: later.append(act), lambda: None)
    writer.submit(Write(record.number, 1, hard=HardState(1)))
    writer.do(PutMeta("key", b"1"))
    later.pop()()  # the round begins
    writer.lose(transactions)
    again = DiskStore(disk, "c", "n", random.Random(1))
    done = again.load(record.number).hard.term, again.get_meta("key")
    assert done == ((1 if transactions > 0 else 0), (b"1" if transactions > 1 else None))
