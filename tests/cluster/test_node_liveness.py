"""Heartbeats between pairs of nodes, and who is told of silence."""

from msgspec.structs import replace

from fleet.cluster.node_liveness import (
    DOUBT_MS,
    HEARTBEATS,
    Effect,
    HeartbeatReceived,
    NodeLiveness,
    SendHeartbeat,
    Sleeper,
    TellSilent,
    TellToCheck,
    Tick,
    Woke,
)
from fleet.raft.ids import MemberId, Millis, NodeName, member_id

A, B = NodeName("a"), NodeName("b")
MINE, OTHER = member_id("me", "d", 1), member_id("me", "d", 2)
LEADER, NEXT = member_id("a", "d", 1), member_id("a", "d", 2)
ELECTION_MS = 1000
FOLLOWS = Sleeper(MINE, LEADER, (A,), ELECTION_MS)
LEADS = Sleeper(OTHER, OTHER, (A, B), ELECTION_MS, led=(A, B))


class Watch:
    """A node's liveness, ticked when due."""

    def __init__(self) -> None:
        self.liveness = NodeLiveness()
        self.now: Millis = 0

    def step(self, event: object) -> list[Effect]:
        return self.liveness.step(self.now, event)  # type: ignore[arg-type]

    def until(self, end: Millis, *alive: NodeName, leaders: int = 1) -> list[Effect]:
        """What happens until `end`, while heartbeats of the nodes arrive with each of this node's."""
        effects: list[Effect] = []
        while self.liveness.deadline is not None and self.liveness.deadline <= end:
            self.now = self.liveness.deadline
            for node in alive:
                effects += self.step(HeartbeatReceived(node, 1, leaders))
            effects += self.step(Tick())
        self.now = end
        return effects


def told(effects: list[Effect]) -> list[tuple[MemberId, NodeName]]:
    return [(one.member, one.node) for one in effects if isinstance(one, TellSilent)]


def told_to_check(effects: list[Effect]) -> list[MemberId]:
    return [one.member for one in effects if isinstance(one, TellToCheck)]


def beaten(effects: list[Effect]) -> list[NodeName]:
    return [one.node for one in effects if isinstance(one, SendHeartbeat)]


def test_a_node_without_sleepers_says_nothing_and_wakes_for_nothing() -> None:
    watch = Watch()
    assert watch.step(Tick()) == [] and watch.liveness.deadline is None
    assert watch.step(HeartbeatReceived(A, 1, 1)) == []


def test_heartbeats_go_to_the_nodes_of_the_sleepers_peers_at_once_and_then_regularly() -> None:
    watch = Watch()
    assert beaten(watch.step(LEADS)) == [A, B]
    assert beaten(watch.step(FOLLOWS)) == []
    assert beaten(watch.until(ELECTION_MS, A, B)) == [A, B] * HEARTBEATS


def test_the_shortest_election_timeout_sets_the_rate() -> None:
    watch = Watch()
    watch.step(FOLLOWS)
    watch.step(Sleeper(OTHER, OTHER, (B,), 100))
    assert len(beaten(watch.until(1000, A, B))) == 2 * 10 * HEARTBEATS
    deadline = watch.liveness.deadline
    watch.step(Sleeper(OTHER, OTHER, (B,), 3000))
    assert watch.liveness.deadline == deadline
    watch.step(Woke(OTHER))
    watch.until(2000, A)
    assert len(beaten(watch.until(3000, A))) == HEARTBEATS


def test_silence_is_told_once_to_each_member_after_its_own_election_timeout() -> None:
    watch = Watch()
    watch.step(FOLLOWS)
    watch.step(Sleeper(OTHER, NEXT, (A,), 3 * ELECTION_MS))
    assert told(watch.until(ELECTION_MS - 1)) == []
    assert told(watch.until(ELECTION_MS)) == [(MINE, A)]
    assert told(watch.until(3 * ELECTION_MS - 1)) == []
    assert told(watch.until(3 * ELECTION_MS)) == [(OTHER, A)]
    assert told(watch.until(20 * ELECTION_MS)) == []


def test_silence_is_told_again_after_the_node_was_heard() -> None:
    watch = Watch()
    watch.step(LEADS)
    assert told(watch.until(2000, B)) == [(OTHER, A)]
    assert told(watch.until(5000, A, B)) == []
    assert told(watch.until(7000, B)) == [(OTHER, A)]


def test_a_sleeper_on_a_silent_node_has_an_election_timeout_from_its_sleep() -> None:
    watch = Watch()
    watch.step(LEADS)
    watch.until(5000, B)
    watch.step(FOLLOWS)
    assert told(watch.until(5900, B)) == []
    assert told(watch.until(6000, B)) == [(MINE, A)]


def test_a_leader_that_only_offers_sleep_is_told_nothing() -> None:
    """It hears for itself who answers. Once it sleeps it is told."""
    watch = Watch()
    watch.step(Sleeper(OTHER, OTHER, (A, B), ELECTION_MS, is_asleep=False))
    assert told(watch.until(5000)) == []
    watch.step(LEADS)
    assert told(watch.until(6000)) == [(OTHER, A), (OTHER, B)]


def test_a_node_that_stood_still_counts_silence_anew() -> None:
    watch = Watch()
    watch.step(FOLLOWS)
    watch.until(250, A)
    watch.now = 60_000
    assert told(watch.step(Tick())) == []
    assert told(watch.until(60_900)) == []
    assert told(watch.until(61_000)) == [(MINE, A)]


def test_whoever_woke_is_forgotten() -> None:
    watch = Watch()
    watch.step(FOLLOWS)
    watch.step(Woke(MINE))
    assert not watch.liveness.watched and watch.liveness.deadline is None
    assert not watch.liveness.timeouts
    assert watch.step(Woke(MINE)) == []


def test_a_sleeper_of_other_nodes_than_before_has_only_those() -> None:
    watch = Watch()
    watch.step(LEADS)
    watch.step(Sleeper(OTHER, LEADER, (A,), ELECTION_MS))
    assert set(watch.liveness.watched) == {A} and len(watch.liveness.timeouts) == 1


def test_a_node_that_was_restarted_leads_nothing_any_more() -> None:
    watch = Watch()
    watch.step(FOLLOWS)
    watch.step(LEADS)
    watch.until(1000, A, B)
    assert told(watch.step(HeartbeatReceived(A, 2, 1))) == [(MINE, A)]
    assert told(watch.step(HeartbeatReceived(A, 2, 1))) == []


def test_members_check_when_fewer_lead_on_a_node_than_rely_on_it() -> None:
    watch = Watch()
    watch.step(FOLLOWS)
    watch.step(LEADS)
    assert told_to_check(watch.until(5000, A, B, leaders=1)) == []
    assert told_to_check(watch.until(5250 + DOUBT_MS - 1, A, B, leaders=0)) == []
    assert told_to_check(watch.until(5250 + DOUBT_MS, A, B, leaders=0)) == [MINE]
    assert told_to_check(watch.until(5250 + 3 * DOUBT_MS - 1, A, B, leaders=0)) == []
    assert told_to_check(watch.until(5250 + 3 * DOUBT_MS, A, B, leaders=0)) == [MINE]


def test_a_difference_that_does_not_last_says_nothing() -> None:
    watch = Watch()
    watch.step(FOLLOWS)
    for round in range(10):
        watch.until(watch.now + DOUBT_MS, A, leaders=0)
        assert told_to_check(watch.until(watch.now + 250, A, leaders=1)) == []
    assert told_to_check(watch.until(watch.now + 250 + DOUBT_MS, A, leaders=0)) == [MINE]
    watch.until(watch.now + 250, A, leaders=1)
    assert told_to_check(watch.until(watch.now + 250 + DOUBT_MS, A, leaders=0)) == [MINE]


def test_a_node_says_how_many_of_its_sleepers_lead_members_of_the_other() -> None:
    watch = Watch()
    watch.step(FOLLOWS)
    (first,) = watch.step(LEADS)
    assert first == SendHeartbeat(B, 1)
    assert {e.node: e.leaders for e in watch.until(250) if isinstance(e, SendHeartbeat)} == {A: 1, B: 1}
    watch.step(LEADS)
    watch.step(Woke(MINE))
    assert {e.node: e.leaders for e in watch.until(500) if isinstance(e, SendHeartbeat)} == {A: 1, B: 1}
    watch.step(Sleeper(OTHER, LEADER, (A,), ELECTION_MS))
    assert [e for e in watch.until(750) if isinstance(e, SendHeartbeat)] == [SendHeartbeat(A, 0)]


def test_a_follower_that_its_leader_does_not_know_to_sleep_is_not_counted() -> None:
    """Its answers were lost: once it checks, the leader that sleeps without it hears of it (seed 730728)."""
    watch = Watch()
    watch.step(LEADS)
    watch.step(replace(LEADS, led=(B,)))
    assert {e.node: e.leaders for e in watch.until(250) if isinstance(e, SendHeartbeat)} == {A: 0, B: 1}
    watch.step(FOLLOWS)
    assert told_to_check(watch.until(500 + DOUBT_MS, A, B, leaders=1)) == []
    assert told_to_check(watch.until(1000 + 2 * DOUBT_MS, A, B, leaders=0)) == [MINE]
