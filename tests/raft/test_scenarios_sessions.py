"""Scenarios of sessions, retries, limits and unknown outcomes, by their ids."""

from fleet.raft.config import GroupConfig
from fleet.raft.entries import Commands, MemberAdded, MemberPromoted
from fleet.raft.events import Change, Propose, SnapshotTaken
from fleet.raft.messages import AppendReply
from fleet.raft.ready import LOST, OVERLOADED, SteppedDown
from tests.raft.asking import call, do, open_session
from tests.raft.cores import (
    N1,
    N2,
    N4,
    accept,
    answered,
    command,
    follower,
    leader,
    leading,
    settled,
    step,
    take,
    written,
)
from tests.raft.world import World, member


def test_s42_a_retry_after_a_change_of_leaders_is_executed_once() -> None:
    """W4: also after any number of other clients' commands."""
    world = World.of(3)
    session = open_session(world)
    first = do(world, session, 1, b"mine")
    for number in range(20):
        do(world, open_session(world, f"other {number}"), 1, b"%d" % number)
    world.kill(world.elect().id)
    assert do(world, session, 1, b"mine") == first
    assert world.elect().ledger.lines.count(b"mine") == 1


def test_s43_a_retry_finds_its_result_in_a_snapshot() -> None:
    small = GroupConfig(heartbeat_ms=50, election_ms=300, snapshot_floor_bytes=1, log_tail=0)
    world = World.of(3, config=small)
    session = open_session(world)
    first = do(world, session, 1, b"mine")
    do(world, open_session(world, "other"), 1)
    world.start(member(4))
    call(world, lambda t: Change(t, MemberAdded(member(4), "a4")))
    call(world, lambda t: Change(t, MemberPromoted(member(4))))
    assert world.hosts[member(4)].disk.snapshot is not None
    world.make_leader(member(4))
    world.restart(member(4))
    world.run(1000)
    world.make_leader(member(4))
    assert do(world, session, 1, b"mine") == first
    assert world.hosts[member(4)].ledger.lines == [b"mine", b"x"]


def test_s44_a_command_of_an_expired_session_is_never_executed() -> None:
    config = GroupConfig(heartbeat_ms=50, election_ms=300, session_ttl_ms=1000)
    world = World.of(3, config=config)
    session = open_session(world)
    do(world, session, 1, b"once", wall_ms=500)
    open_session(world, "other", wall_ms=2000)
    assert do(world, session, 1, b"once", wall_ms=600).status == "session expired"
    world.run(1000)
    assert [host.ledger.lines for host in world.hosts.values()] == [[b"once"]] * 3


def test_s44_a_new_leader_whose_clock_is_years_ahead_expires_no_session() -> None:
    config = GroupConfig(heartbeat_ms=50, election_ms=300, session_ttl_ms=1000)
    world = World.of(3, config=config)
    session = open_session(world)
    first = do(world, session, 1, b"once", wall_ms=500)
    world.kill(world.elect().id)
    year_ms = 365 * 86_400_000
    open_session(world, "other", wall_ms=year_ms)
    assert do(world, session, 1, b"once", wall_ms=year_ms) == first
    open_session(world, "third", wall_ms=year_ms + 2000)
    assert do(world, session, 1, b"once", wall_ms=year_ms).status == "session expired"


def test_s45_what_was_appended_is_never_refused_for_certain() -> None:
    """A change in flight ends as lost; commands are unknown, as the hook says."""
    core = settled()
    step(core, Propose(1, (command(),)))
    step(core, Change(2, MemberAdded(N4, "a4")))
    readies = step(core, AppendReply(9, N2, N1, ok=False, index=0, hint=0, hint_term=0, round=0, sent_at=0))
    assert answered(readies) == {2: LOST}
    assert any(isinstance(hook, SteppedDown) for ready in readies for hook in ready.hooks)


def test_s45_what_was_refused_is_not_in_the_log() -> None:
    core = settled(config=GroupConfig(uncommitted_max=2))
    assert answered(step(core, Propose(1, (command(1),)))) == {}
    assert answered(step(core, Propose(2, (Commands(1, 2, 0, 0, (b"x", b"y", b"z")),)))) == {}
    last_index = core.log.last_index
    assert answered(step(core, Propose(3, (command(5),)))) == {3: OVERLOADED}
    assert core.log.last_index == last_index
    accept(core, N2)
    assert leading(core).uncommitted == 0
    assert answered(step(core, Propose(4, (command(5),)))) == {}


def test_commands_that_are_more_than_the_limit_are_taken_when_nothing_is_under_way() -> None:
    """Sent together again and again, they would never be executed."""
    core = settled(config=GroupConfig(uncommitted_max=2))
    assert answered(step(core, Propose(1, (Commands(1, 1, 0, 0, (b"x",) * 3),)))) == {}


def test_the_limit_on_what_is_uncommitted_is_reached_and_not_passed() -> None:
    core = settled(config=GroupConfig(uncommitted_max=2))
    told = [answered(step(core, Propose(token, (command(token),)))) for token in (1, 2, 3)]
    assert told == [{}, {}, {3: OVERLOADED}]


def test_what_a_leader_found_in_its_log_does_not_count_as_its_own() -> None:
    """After a restart it does not know what of it is committed, and refused every command until it did."""
    small = GroupConfig(uncommitted_max=2, uncommitted_bytes_max=100)
    core = leader(terms=(1,) * 50, config=small)
    assert core.log.commit < 50
    assert answered(step(core, Propose(1, (command(1),)))) == {}
    accept(core, N2)
    assert core.log.commit == core.log.last_index
    assert (leading(core).uncommitted, leading(core).uncommitted_bytes) == (0, 0)


def test_the_limit_on_uncommitted_bytes_does_not_wear_off() -> None:
    """Entries that the leader did not get from a proposal were subtracted and never added."""
    core = settled(terms=(1,) * 50, config=GroupConfig(uncommitted_bytes_max=100))
    assert leading(core).uncommitted_bytes == 0
    step(core, Change(1, MemberAdded(N4, "a4")))
    accept(core, N2)
    assert leading(core).uncommitted_bytes == 0
    step(core, Propose(2, (command(payload=b"x" * 100),)))
    assert answered(step(core, Propose(3, (command(),)))) == {3: OVERLOADED}


def test_an_idle_turn_asks_for_nothing() -> None:
    assert take(settled()) == [] and take(follower()) == []


def test_a_late_snapshot_of_a_former_self_is_forgotten() -> None:
    core = follower()
    assert written(step(core, SnapshotTaken(1, b"x"))) == []
