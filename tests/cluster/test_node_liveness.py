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
AT_A, AT_B, ALSO_AT_B = member_id("a", "d", 3), member_id("b", "d", 3), member_id("b", "d", 4)
ELECTION_MS = 1000
FOLLOWS = Sleeper(MINE, LEADER, (A,), ELECTION_MS)
LEADS = Sleeper(OTHER, OTHER, (A, B), ELECTION_MS, followers=(AT_A, AT_B))


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
    assert isinstance(first, SendHeartbeat) and (first.node, first.leaders) == (B, 1)
    assert {e.node: e.leaders for e in watch.until(250) if isinstance(e, SendHeartbeat)} == {A: 1, B: 1}
    watch.step(LEADS)
    watch.step(Woke(MINE))
    assert {e.node: e.leaders for e in watch.until(500) if isinstance(e, SendHeartbeat)} == {A: 1, B: 1}
    watch.step(Sleeper(OTHER, LEADER, (A,), ELECTION_MS))
    assert {e.node: e.leaders for e in watch.until(750) if isinstance(e, SendHeartbeat)} == {A: 0}


def test_a_follower_that_its_leader_does_not_know_to_sleep_is_not_counted() -> None:
    """Its answers were lost: once it checks, the leader that sleeps without it hears of it (seed 730728)."""
    watch = Watch()
    watch.step(LEADS)
    watch.step(replace(LEADS, followers=(AT_B,)))
    assert {e.node: e.leaders for e in watch.until(250) if isinstance(e, SendHeartbeat)} == {A: 0, B: 1}
    watch.step(FOLLOWS)
    assert told_to_check(watch.until(500 + DOUBT_MS, A, B, leaders=1)) == []
    assert told_to_check(watch.until(1000 + 2 * DOUBT_MS, A, B, leaders=0)) == [MINE]


# -- what sleeping followers promise ----------------------------------------------------------------------


class Pair:
    """Two nodes: a leader that sleeps on one, a follower on the other, and heartbeats as they are carried."""

    def __init__(self) -> None:
        self.near, self.far = NodeLiveness(run=1), NodeLiveness(run=2)
        self.now = 0
        self.near.step(0, Sleeper(OTHER, OTHER, (B,), ELECTION_MS, followers=(AT_B,)))
        self.far.step(0, Sleeper(AT_B, OTHER, (ME,), ELECTION_MS))

    def beat(self, source: NodeLiveness) -> list[SendHeartbeat]:
        """It is time for heartbeats."""
        assert source.deadline is not None
        self.now = max(self.now, source.deadline)
        return [one for one in source.step(self.now, Tick()) if isinstance(one, SendHeartbeat)]

    def carry(self, source: NodeLiveness, m: SendHeartbeat, later: Millis = 0) -> None:
        self.now += later
        name, to = (ME, self.far) if source is self.near else (B, self.near)
        said = m.leaders, m.sent_at, m.heard_run, m.heard_at, m.sleepers
        to.step(self.now, HeartbeatReceived(name, source.run, *said))

    def exchange(self) -> Millis:
        """There and back. When the first of the two left."""
        (there,) = self.beat(self.near)
        left = self.now
        self.carry(self.near, there, later=3)
        (back,) = self.beat(self.far)
        self.carry(self.far, back, later=3)
        return left

    @property
    def confirmed(self) -> dict[NodeName, Millis]:
        return self.near.confirmed(OTHER)


ME = NodeName("me")


def test_a_promise_counts_from_the_heartbeat_that_was_heard() -> None:
    pair = Pair()
    assert pair.confirmed == {}
    for _ in range(3):
        left = pair.exchange()
        assert pair.confirmed == {B: left}


def test_a_follower_that_is_awake_promises_nothing() -> None:
    pair = Pair()
    left = pair.exchange()
    pair.far.step(pair.now, Sleeper(ALSO_AT_B, OTHER, (ME,), ELECTION_MS))
    pair.far.step(pair.now, Woke(AT_B))
    pair.exchange()
    assert pair.confirmed == {B: left}
    pair.far.step(pair.now, Woke(ALSO_AT_B))
    pair.far.step(pair.now, Sleeper(AT_B, OTHER, (ME,), ELECTION_MS))
    assert pair.exchange() == pair.confirmed[B]


def test_one_that_sleeps_under_another_leader_promises_nothing() -> None:
    pair = Pair()
    pair.far.step(pair.now, Sleeper(AT_B, MINE, (ME,), ELECTION_MS))
    pair.exchange()
    assert pair.confirmed == {}


def test_a_leader_that_fell_asleep_later_waits_for_the_next_heartbeat() -> None:
    pair = Pair()
    pair.exchange()
    pair.near.step(pair.now, Sleeper(MINE, MINE, (B,), ELECTION_MS, followers=(ALSO_AT_B,)))
    pair.far.step(pair.now, Sleeper(ALSO_AT_B, MINE, (ME,), ELECTION_MS))
    assert pair.near.confirmed(MINE) == {}
    left = pair.exchange()
    assert pair.near.confirmed(MINE) == {B: left}


def test_what_an_earlier_run_sent_confirms_nothing() -> None:
    pair = Pair()
    (there,) = pair.beat(pair.near)
    pair.carry(pair.near, there)
    pair.near.run = 7
    (back,) = pair.beat(pair.far)
    pair.carry(pair.far, back)
    assert pair.confirmed == {}


def test_a_late_heartbeat_takes_nothing_back_and_adds_nothing() -> None:
    pair = Pair()
    (there,) = pair.beat(pair.near)
    pair.carry(pair.near, there)
    (late,) = pair.beat(pair.far)
    left = pair.exchange()
    pair.near.step(pair.now, Sleeper(MINE, MINE, (B,), ELECTION_MS))
    pair.carry(pair.far, late, later=1)
    assert pair.confirmed == {B: left} and pair.near.confirmed(MINE) == {}


def test_heartbeats_that_overtake_each_other_are_heard_once() -> None:
    pair = Pair()
    (first,) = pair.beat(pair.near)
    (second,) = pair.beat(pair.near)
    left = pair.now
    pair.carry(pair.near, second)
    pair.carry(pair.near, first, later=1)
    (back,) = pair.beat(pair.far)
    assert back.heard_at == left


def test_followers_and_those_that_are_awake_are_promised_nothing() -> None:
    pair = Pair()
    pair.exchange()
    assert pair.far.confirmed(AT_B) == {} and pair.near.confirmed(ALSO_AT_B) == {}
    pair.near.step(pair.now, Sleeper(OTHER, OTHER, (B,), ELECTION_MS, is_asleep=False, followers=(AT_B,)))
    pair.exchange()
    assert pair.confirmed == {}


def test_what_cannot_have_left_yet_confirms_nothing() -> None:
    """A node that says so is wrong about something: the lease would last for as long."""
    pair = Pair()
    (there,) = pair.beat(pair.near)
    pair.carry(pair.near, replace(there, sent_at=pair.now + 10_000))
    (back,) = pair.beat(pair.far)
    assert back.heard_at > pair.now
    pair.carry(pair.far, back)
    assert pair.confirmed == {}
