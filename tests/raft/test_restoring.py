"""A group that begins with the state of a backup, which none of its members has executed."""

import random
from zlib import crc32

import pytest

from fleet.objects.applier import Applier
from fleet.raft.entries import Commands, Entry, Founded, Noop, SessionOpened
from fleet.raft.events import StateGiven, Tick
from fleet.raft.ids import MemberId
from fleet.raft.restart import start_core
from fleet.raft.restoring import is_blank
from tests.raft.cores import CONFIG, N1, N2, N3, all_said, settle, step
from tests.raft.world import QUICK, Host, Ledger, World, member

FOUNDERS = [member(1), member(2), member(3)]
FOUNDED = Founded(FOUNDERS[0], "a1", QUICK, ((FOUNDERS[1], "a2"), (FOUNDERS[2], "a3")))


def saved(lines: int = 20) -> tuple[int, bytes]:
    """The index and state of a group that executed so many commands of one client."""
    applier = Applier(Ledger(), QUICK)
    applier.apply(Entry(1, 1, Founded(member(9), "a9", QUICK)))
    applier.apply(Entry(2, 2, Noop()))
    opened = applier.apply(Entry(2, 3, SessionOpened("client", 5000)))
    assert opened is not None
    for seq in range(1, lines + 1):
        applier.apply(Entry(2, 3 + seq, Commands(opened.session, seq, 0, 5000 + seq, (b"%d" % seq,))))
    return applier.index, applier.dump()


def newcomers() -> World:
    world = World()
    for who in FOUNDERS:
        world.start(who)
    return world


def give(world: World, host: Host, index: int, state: bytes) -> None:
    host.core.step(world.now, StateGiven(FOUNDED, index, state, crc32(state)))
    world.pump(host)


def test_founders_of_a_restored_group_do_nothing_until_the_first_is_given_the_state() -> None:
    world = newcomers()
    world.run(5000)
    assert all(is_blank(host.core) and host.core.term == 0 for host in world.hosts.values())


def test_all_members_begin_with_the_state_and_the_log_goes_on_behind_it() -> None:
    index, state = saved()
    world = newcomers()
    give(world, world.hosts[FOUNDERS[0]], index, state)
    leader = world.elect(within=1000)
    assert leader.id == FOUNDERS[0]
    world.run(1000)
    for host in world.hosts.values():
        assert host.applier.index == index + 2 and host.applier.revision == 20
        assert host.ledger.lines == [b"%d" % seq for seq in range(1, 21)]
        assert host.core.membership.current.voters == tuple(FOUNDERS)


def test_sessions_of_the_saved_group_are_not_kept_and_time_does_not_go_back() -> None:
    """A client of the group that was there before holds a session whose number a later one may draw again."""
    index, state = saved()
    world = newcomers()
    before = Applier(Ledger(), QUICK)
    before.restore(state)
    give(world, world.hosts[FOUNDERS[0]], index, state)
    world.elect(within=1000)
    world.run(1000)
    for host in world.hosts.values():
        sessions = host.applier.sessions
        assert sessions.sessions == {} and sessions.clients == {}
        assert sessions.salt != before.sessions.salt and sessions.log_ms == before.sessions.log_ms == 5020


def test_a_restored_group_survives_the_restart_of_all_its_members() -> None:
    index, state = saved()
    world = newcomers()
    give(world, world.hosts[FOUNDERS[0]], index, state)
    world.elect(within=1000)
    world.run(500)
    for who in FOUNDERS:
        world.restart(who)
    world.elect(within=5000)
    world.run(500)
    assert all(host.ledger.lines[-1] == b"20" for host in world.hosts.values())


def test_a_founder_that_dies_before_its_state_is_durable_takes_it_again() -> None:
    index, state = saved()
    world = newcomers()
    host = world.hosts[FOUNDERS[0]]
    host.core.step(world.now, StateGiven(FOUNDED, index, state, crc32(state)))  # and nothing is carried out
    host = world.restart(FOUNDERS[0])
    assert is_blank(host.core)
    give(world, host, index, state)
    assert world.elect(within=1000).id == FOUNDERS[0]


def test_a_state_is_taken_once_and_only_by_the_first_founder() -> None:
    index, state = saved()
    founded = Founded(N1, "a1", CONFIG, ((N2, "a2"), (N3, "a3")))
    first = start_core(N1, 0, random.Random(1))
    step(first, StateGiven(founded, index, state, crc32(state)))
    settle(first)
    assert (first.term, first.log.base_index, first.log.last_index) == (1, index, index + 1)
    step(first, StateGiven(founded, index + 9, state, 0))
    assert first.log.base_index == index
    second = start_core(N2, 0, random.Random(1))
    step(second, StateGiven(founded, index, state, crc32(state)))
    assert is_blank(second)


@pytest.mark.parametrize("is_alone", [True, False])
def test_no_vote_is_asked_for_before_the_state_is_durable(is_alone: bool) -> None:
    index, state = saved()
    others: tuple[tuple[MemberId, str], ...] = () if is_alone else ((N2, "a2"), (N3, "a3"))
    core = start_core(N1, 0, random.Random(1))
    core.step(0, StateGiven(Founded(N1, "a1", CONFIG, others), index, state, crc32(state)))
    core.step(0, Tick())
    ready = core.take_ready()
    assert ready is not None and ready.write is not None and ready.write.reset
    assert ready.write.snapshot is not None and len(ready.write.entries) == 1
    assert [type(message).__name__ for message in all_said([ready])] == ([] if is_alone else ["PreVote"] * 2)
    assert not core.is_leader
