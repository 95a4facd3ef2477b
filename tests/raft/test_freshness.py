"""How old a member's state can be at most: what is proven, by whom, and what is not."""

import pytest

from fleet.raft.core import Core
from fleet.raft.events import Tick
from fleet.raft.freshness import age_at_most, fresh_at, own_stamp
from fleet.raft.ids import Index, Millis
from fleet.raft.messages import AppendEntries, AppendReply
from fleet.raft.state import NEVER
from tests.raft.cores import (
    FIVE,
    LEASES,
    N1,
    N2,
    N3,
    N4,
    accept,
    append,
    entries,
    follower,
    leader,
    leading,
    said,
    settle,
    settled,
    take,
)
from tests.raft.storm import Storm
from tests.raft.world import World, member, propose


def reply(core: Core, stamp: int, sent_at: Millis | None = None, later: Millis = 0) -> None:
    """N2 accepts what left at `sent_at`."""
    sent_at = core.now if sent_at is None else sent_at
    index = core.log.last_index
    answer = AppendReply(
        core.term, N2, N1, ok=True, index=index, hint=0, hint_term=0, round=0, sent_at=sent_at, stamp=stamp
    )
    core.step(core.now + later, answer)


def told(core: Core, commit: Index, at: Millis, stamp: int | None = None) -> None:
    """The leader repeats the stamp of what this follower said at that time."""
    last = core.log.last_index
    stamp = own_stamp(core) - core.now + at if stamp is None else stamp
    core.step(core.now, AppendEntries(core.term, N2, N1, last, 1, (), commit, 0, core.now, stamp=stamp))


# -- the leader ------------------------------------------------------------------------------------


def proven(core: Core) -> int:
    return leading(core).progress[N2].proven_stamp


def test_a_stamp_is_proven_by_a_majority_that_follows_after_it_arrived() -> None:
    core = settled()
    core.now += 100
    reply(core, 77)
    assert proven(core) == 0
    reply(core, 78, later=5, sent_at=core.now)
    assert proven(core) == 0, "it left when the stamp arrived, perhaps before it"
    reply(core, 79, later=5, sent_at=core.now + 1)
    assert proven(core) == 77


def test_of_five_one_follower_is_no_majority() -> None:
    core = settled(voters=FIVE)
    core.now += 100
    reply(core, 77)
    reply(core, 78, later=10, sent_at=core.now + 5)
    assert proven(core) == 0
    accept(core, N4, at=core.now - 5)
    reply(core, 79, later=10)
    assert proven(core) == 77


def test_the_oldest_stamp_is_proven_first_however_many_come() -> None:
    core = settled()
    core.now += 100
    for number in range(1, 9):  # each round trip takes 50 ms, and something leaves every 10
        reply(core, 1000 + number, later=10, sent_at=core.now - 40)
    assert proven(core) == 1001


def test_a_leader_that_does_not_know_what_is_committed_proves_nothing() -> None:
    core = leader()
    core.now += 100
    for number in range(1, 4):
        core.step(
            core.now + 10,
            AppendReply(
                2, N2, N1, True, index=1, hint=0, hint_term=0, round=0, sent_at=core.now, stamp=number
            ),
        )
    assert core.log.commit < leading(core).first_index and proven(core) == 0


def test_appends_repeat_the_newest_proven_stamp() -> None:
    core = settled()
    core.now += 100
    reply(core, 77)
    reply(core, 78, later=10, sent_at=core.now + 5)
    core.step(max(core.now, core.deadline), Tick())
    appends = said(settle(core), AppendEntries)
    assert {m.dst: m.stamp for m in appends} == {N2: 77, N3: 0}


def test_a_leaders_own_state_is_as_fresh_as_its_majority() -> None:
    core = settled()
    core.now += 100
    accept(core, N2)
    before = core.now
    core.now += 500
    assert fresh_at(core) == before
    accept(core, N3)
    assert fresh_at(core) == core.now


def test_a_leader_that_has_not_handed_out_all_that_is_committed_claims_nothing() -> None:
    core = settled()
    core.now += 100
    accept(core, N2)
    core.log.applied -= 1
    assert fresh_at(core) < 0


# -- a follower ------------------------------------------------------------------------------------


def test_a_follower_stamps_what_it_accepts() -> None:
    core = follower()
    core.now += 40
    append(core, (1, 1))
    (answer,) = said(settle(core), AppendReply)
    assert answer.stamp == own_stamp(core)


def test_a_heartbeat_alone_proves_nothing() -> None:
    """A deposed leader sends them, too."""
    core = follower()
    core.now += 40
    append(core, (1, 1), commit=1)
    settle(core)
    assert fresh_at(core) == -NEVER


def test_a_state_is_as_fresh_as_the_stamp_that_came_back() -> None:
    core = follower()
    core.now += 40
    told(core, commit=1, at=30)
    assert fresh_at(core) == -NEVER, "it is not handed out yet"
    settle(core)
    assert fresh_at(core) == 30
    told(core, commit=1, at=20)
    settle(core)
    assert fresh_at(core) == 30


def test_a_state_is_not_fresh_before_the_commit_index_is_handed_out() -> None:
    core = follower()
    core.now += 40
    told(core, commit=2, at=30)
    settle(core)
    assert fresh_at(core) == -NEVER
    told(core, commit=2, at=35)  # newer, and of the same index
    told(core, commit=3, at=40)
    append(core, (1, 1), entries(1, first=2), commit=2)
    take(core)
    assert core.log.applied == 2 and fresh_at(core) == 35


@pytest.mark.parametrize("at", [-1, 41])
def test_a_stamp_of_another_run_proves_nothing(at: Millis) -> None:
    """The clock began anew when its host did: what it showed then says nothing of now."""
    core = follower()
    core.now += 40
    told(core, commit=1, at=at)
    told(core, commit=1, at=0, stamp=(core.life + 1 << 31) + 30)
    settle(core)
    assert fresh_at(core) == -NEVER


def test_an_age_allows_for_a_slow_clock() -> None:
    """By as much as the margin of leases: 200 ms in 1000."""
    core = follower(config=LEASES)
    assert age_at_most(core, 2000, 1000) == 1200
    assert age_at_most(core, 1001, 1000) == 2
    assert age_at_most(core, 1000, 1000) == age_at_most(core, 999, 1000) == 0


# -- groups ----------------------------------------------------------------------------------------


def age(world: World, number: int) -> Millis:
    return world.now - fresh_at(world.hosts[member(number)].core)


def test_followers_of_a_group_that_is_awake_are_fresh_within_four_heartbeats() -> None:
    world = World.of(3)
    world.make_leader(member(1))
    world.run(500)
    for _ in range(30):
        propose(world, world.hosts[member(1)], b"x")
        world.run(world.rng.randint(1, 60))
        assert max(age(world, number) for number in (1, 2, 3)) < 4 * world.config.heartbeat_ms


def test_s21_a_follower_that_is_cut_off_with_its_old_leader_does_not_stay_fresh() -> None:
    """The old leader goes on sending heartbeats for as long as it believes in its majority."""
    world = World.of(5)
    old = world.make_leader(member(1))
    world.run(500)
    world.isolate(member(1), member(2))
    cut_at, heard = world.now, world.hosts[member(2)]
    new = world.hosts[member(3)]
    world.run(2000, lambda: new.core.is_leader or world.leader is not old)
    assert heard.core.heard_at > cut_at, "it heard its leader meanwhile"
    leading = world.elect()
    propose(world, leading, b"x")
    world.run(300)
    assert fresh_at(heard.core) <= cut_at and fresh_at(old.core) <= cut_at
    assert age(world, 2) > 300
    world.heal()
    world.run(2000)
    assert age(world, 2) < 4 * world.config.heartbeat_ms


def test_claims_of_freshness_hold_on_bad_days() -> None:
    """`Witness.fresh` judges each step of the storms in `test_random.py`; it must have something to judge."""
    storm = Storm(3)
    storm.run(2000)
    assert storm.world.witness.proofs > 100
