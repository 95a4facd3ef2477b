"""Reads of a leader that sleeps, under the lease that its followers' nodes confirm."""

import msgspec
import pytest

from fleet.raft.core import Core
from fleet.raft.events import ExecutorAway, ReadQuery, SleepConfirmed
from fleet.raft.ids import Millis, NodeName
from fleet.raft.messages import AppendEntries
from fleet.raft.progress import NOT_OFFERED
from fleet.raft.state import NEVER, Leader
from tests.raft.sleepers import ELECTION_MS, sleeping_group
from tests.raft.stage import member

MARGIN_MS = 200
READ = ReadQuery(7)


@pytest.fixture
def leader() -> Core:
    """Of a group whose members all sleep, and whose reads are answered under leases."""
    core = sleeping_group().core("n1")
    core.config = msgspec.structs.replace(core.config, lease_reads=True, clock_drift_margin_ms=MARGIN_MS)
    assert core.asleep and type(core.role) is Leader
    return core


def role_of(core: Core) -> Leader:
    assert isinstance(core.role, Leader)
    return core.role


def confirm(core: Core, *names: str, at: Millis | None = None) -> None:
    """The nodes' members slept when they had heard what left at that time."""
    at = core.now if at is None else at
    core.step(core.now, SleepConfirmed({NodeName(name): at for name in names}))


def outcome(core: Core, event: ReadQuery = READ) -> str:
    """What becomes of the read."""
    core.step(core.now, event)
    ready = core.take_ready()
    assert ready is not None
    if ready.lease_reads:
        assert not ready.send_now and core.asleep and role_of(core).offered_at != NOT_OFFERED
        return "under the lease"
    assert any(isinstance(m, AppendEntries) for m in ready.send_now) and not core.asleep
    return "a round"


def test_a_leader_that_sleeps_has_no_lease_by_itself(leader: Core) -> None:
    leader.now += 10 * ELECTION_MS
    assert outcome(leader) == "a round"


def test_what_the_node_of_one_follower_confirms_suffices_for_a_majority(leader: Core) -> None:
    leader.now += 10 * ELECTION_MS
    confirm(leader, "n3")
    assert leader.lease_holds(leader.now) and outcome(leader) == "under the lease"
    assert leader.take_ready() is None


def test_a_leader_that_loses_its_executor_sleeps_on_until_a_read_wakes_it(leader: Core) -> None:
    """Each executor serves many groups: to wake them all for nothing would cost more than it helps. A read
    may have to be answered by another leader."""
    confirm(leader, "n3")
    leader.step(leader.now, ExecutorAway(True))
    assert leader.asleep and leader.lease_holds(leader.now)
    leader.step(leader.now, READ)
    assert not leader.asleep


@pytest.mark.parametrize(("later", "then"), [(-1, "under the lease"), (0, "a round")])
def test_it_counts_from_when_the_heartbeat_left(leader: Core, later: Millis, then: str) -> None:
    leader.now += 10 * ELECTION_MS
    confirm(leader, "n2", at=leader.now - (ELECTION_MS - MARGIN_MS) - later)
    assert outcome(leader) == then


def test_a_node_of_nobody_confirms_nothing(leader: Core) -> None:
    leader.now += 10 * ELECTION_MS
    confirm(leader, "n9")
    assert outcome(leader) == "a round"


def test_a_follower_that_does_not_sleep_as_far_as_the_leader_knows_promises_nothing(leader: Core) -> None:
    leader.now += 10 * ELECTION_MS
    role_of(leader).progress[member("n2")].slept_at = NOT_OFFERED
    confirm(leader, "n2")
    assert outcome(leader) == "a round"


def test_what_left_before_the_lease_began_prolongs_it_not(leader: Core) -> None:
    leader.now += 10 * ELECTION_MS
    role_of(leader).lease_since = leader.now
    confirm(leader, "n2")
    assert outcome(leader) == "a round"


def test_a_lease_that_is_void_stays_void(leader: Core) -> None:
    leader.now += 10 * ELECTION_MS
    role_of(leader).lease_void[member("n2")] = NEVER
    confirm(leader, "n2", "n3")
    assert outcome(leader) == "a round"


def test_a_late_word_takes_nothing_back(leader: Core) -> None:
    leader.now += 10 * ELECTION_MS
    confirm(leader, "n2")
    confirm(leader, "n2", at=leader.now - 5 * ELECTION_MS)
    assert outcome(leader) == "under the lease"


def test_a_word_that_comes_when_the_leader_is_awake_again_is_too_late(leader: Core) -> None:
    leader.now += 10 * ELECTION_MS
    assert outcome(leader) == "a round"
    confirm(leader, "n2", "n3")
    assert not leader.lease_holds(leader.now)


def test_a_read_whose_lease_ended_meanwhile_wakes_the_group(leader: Core) -> None:
    leader.now += 10 * ELECTION_MS
    confirm(leader, "n2")
    assert outcome(leader) == "under the lease"
    assert outcome(leader, ReadQuery(8, lease=False)) == "a round"


def test_without_leases_a_word_of_the_nodes_changes_nothing() -> None:
    core = sleeping_group().core("n1")
    core.now += 10 * ELECTION_MS
    confirm(core, "n2", "n3")
    assert outcome(core) == "a round"
