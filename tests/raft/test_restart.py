"""A member is what it wrote: it goes on as if it had only been slow."""

import random
from collections.abc import Sequence

import pytest

from fleet.raft.config import GroupConfig
from fleet.raft.core import Core
from fleet.raft.entries import (
    ConfigChanged,
    Entry,
    Founded,
    HardState,
    MemberAdded,
    MemberPromoted,
    Members,
    Noop,
    SnapshotMeta,
)
from fleet.raft.events import LocalEvent, Tick
from fleet.raft.ids import MemberId
from fleet.raft.messages import AppendReply, PeerMessage
from fleet.raft.restart import join_founding, start_core
from fleet.raft.state import NEVER
from tests.raft.asking import do, open_session
from tests.raft.cores import (
    CONFIG,
    N1,
    N2,
    N3,
    N4,
    THREE,
    all_said,
    append,
    entries,
    follower,
    said,
    settle,
    step,
)
from tests.raft.world import World, member

META = SnapshotMeta(index=5, term=2, members=Members(THREE), config=CONFIG, size=10, crc=0)


def restarted(
    hard: HardState = HardState(3, N2), snapshot: SnapshotMeta | None = META, log: Sequence[Entry] = ()
) -> Core:
    return start_core(N1, 50, follower().rng, hard, snapshot, log)


def test_a_founder_alone_is_its_groups_only_voter_and_leads_when_that_is_durable() -> None:
    core = start_core(N1, 0, follower().rng)
    founded = Founded(N1, "a1", CONFIG)
    join_founding(core, founded)
    settle(core)
    step(core, Tick())
    assert core.is_leader and core.term == 2 and core.log.commit == core.log.last_index == 2
    assert core.membership.current.voters == (N1,)
    with pytest.raises(AssertionError, match="no newcomer"):
        join_founding(core, founded)


def test_a_newcomer_keeps_quiet_until_a_leader_adds_it() -> None:
    core = start_core(N4, 0, follower().rng)
    assert core.deadline == NEVER and not core.is_voter
    log = [Entry(1, 1, Founded(N2, "a2", CONFIG)), Entry(1, 2, MemberAdded(N4, "a4"))]
    append(core, (0, 0), log, commit=1, term=1)
    settle(core)
    assert core.deadline > core.now and core.membership.current.learners == (N4,)
    append(core, (2, 1), [Entry(1, 3, MemberPromoted(N4))], term=1)
    assert core.is_voter and core.deadline < NEVER


def test_term_and_vote_are_what_was_written() -> None:
    core = restarted()
    assert (core.term, core.vote, core.leader) == (3, N2, None)


def test_nothing_but_a_snapshot_counts_as_committed() -> None:
    core = restarted(log=entries(2, 3, first=6))
    assert (core.log.base_index, core.log.applied, core.log.commit) == (5, 5, 5)
    assert (core.log.last_index, core.log.durable) == (7, 7)


@pytest.mark.parametrize("first", [1, 3, 5])
def test_a_kept_tail_before_the_snapshot_stays_of_use(first: int) -> None:
    """Slow followers are served from it."""
    core = restarted(log=entries(*[2] * (8 - first), first=first))
    assert (core.log.base_index, core.log.base_term) == (first, 2)
    assert (core.log.commit, core.log.last_index) == (5, 7)
    assert core.take_ready() is None


def test_changes_after_the_snapshot_are_in_force_and_those_before_are_in_it() -> None:
    log = [Entry(2, 4, MemberAdded(N3, "a")), Entry(2, 5, Noop()), Entry(2, 6, MemberAdded(N4, "a4"))]
    core = restarted(log=log)
    assert core.membership.current.everyone == (*THREE, N4)
    assert core.membership.at(5) == META.members
    append(core, (5, 2), entries(4, first=6), term=4)
    assert core.membership.current == META.members


def test_an_uncommitted_configuration_waits_for_its_commit() -> None:
    changed = GroupConfig(election_ms=777)
    core = restarted(log=[Entry(3, 6, ConfigChanged(changed))])
    assert core.config == CONFIG
    append(core, (6, 3), commit=6)
    settle(core)
    assert core.config == changed


def test_a_restart_promises_nothing_that_was_not_written() -> None:
    core = follower()
    append(core, (1, 1), entries(1, 1, first=2))
    ready = core.take_ready()
    assert ready is not None and [type(m) for m in ready.send_after] == [AppendReply]
    again = start_core(N1, 0, core.rng, HardState(1), core.snapshot, entries(1))
    append(again, (3, 1))
    (reply,) = said(settle(again), AppendReply)
    assert (reply.ok, reply.hint) == (False, 1)


def test_w5_rv32_restarts_in_any_order_lose_nothing() -> None:
    """Also in the middle of a snapshot, whose write completed or did not."""
    config = GroupConfig(
        snapshot_floor_bytes=200, snapshot_factor=1, log_tail=3, heartbeat_ms=50, election_ms=300
    )
    world = World.of(3, config=config)
    session = open_session(world)
    for seq in range(1, 60):
        do(world, session, seq, b"%d" % seq)
        world.restart(member(seq % 3 + 1))
    world.run(3000)
    expected = [b"%d" % seq for seq in range(1, 60)]
    assert [host.ledger.lines for host in world.hosts.values()] == [expected] * 3
    disks = [host.disk for host in world.hosts.values()]
    assert all(disk.snapshot is not None and len(disk.entries) < 50 for disk in disks)


def test_founders_begin_alike_and_the_first_leads_soon() -> None:
    """Several founders in one entry: no learner, no promotion, one election; also with leases."""
    founders = [member(1), member(2), member(3)]
    config = GroupConfig(lease_reads=True)
    founded = Founded(founders[0], "a1", config, ((founders[1], "a2"), (founders[2], "a3")))
    world = World(config=config)
    for who in founders:
        host = world.start(who)
        join_founding(host.core, founded)
        world.pump(host)
    assert world.elect(within=100).id == founders[0]
    assert all(host.core.membership.current.voters == tuple(founders) for host in world.hosts.values())
    for who in founders:
        world.restart(who)
    assert world.elect(within=5000).core.term > 2


@pytest.mark.parametrize("first_starts_last", [False, True])
def test_the_election_of_a_new_group_waits_for_no_timer(first_starts_last: bool) -> None:
    """The first founder's pre-votes went to members that did not exist yet; it asked again 25 ms later."""
    founded = Founded(N1, "a1", CONFIG, ((N2, "a2"), (N3, "a3")))
    cores: dict[MemberId, Core] = {}

    def run(core: Core, event: PeerMessage | LocalEvent) -> None:
        """What is said to members that do not exist yet is lost."""
        for message in all_said(step(core, event)):
            if message.dst in cores:
                run(cores[message.dst], message)

    for me in (N2, N1) if first_starts_last else (N1, N2):
        core = cores[me] = start_core(me, 7, random.Random(1))
        join_founding(core, founded)
        run(core, Tick())
    assert cores[N1].is_leader and cores[N1].now == 7 and cores[N2].leader == N1


def test_a_group_that_never_had_a_leader_owes_no_loyalty_after_a_restart() -> None:
    """Nobody leads in term 1, so no lease can count on anybody."""
    world = World.of(3, config=GroupConfig(lease_reads=True))
    assert world.elect(within=500).id == member(1)
