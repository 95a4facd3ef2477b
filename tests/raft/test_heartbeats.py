"""How little a leader sends to peers that it is in touch with, and how little it does on acknowledgements."""

import pytest

from fleet.raft.config import GroupConfig
from fleet.raft.core import Core
from fleet.raft.events import Persisted, Propose, ReadQuery, Tick
from fleet.raft.messages import AppendEntries, AppendReply
from tests.raft.cores import (
    CONFIG,
    N1,
    N2,
    N3,
    accept,
    append,
    command,
    entries,
    follower,
    leading,
    said,
    settle,
    settled,
    step,
    take,
)

HALF_MS = CONFIG.heartbeat_ms // 2


def at_next_heartbeat(core: Core, since_ms: int = HALF_MS - 1) -> None:
    """Propose so long before the leader's next heartbeat, and have everybody answer."""
    step(core, Propose(1, (command(1),)), later=core.deadline - core.now + CONFIG.heartbeat_ms - since_ms)
    leading(core).next_heartbeat = core.deadline = core.now + since_ms
    for peer in leading(core).progress:
        accept(core, peer)
    settle(core)


def heartbeats(core: Core) -> list[str]:
    core.step(core.deadline, Tick())
    return [m.dst for m in said(take(core), AppendEntries)]


def test_an_append_that_left_lately_replaces_a_heartbeat() -> None:
    core = settled()
    at_next_heartbeat(core)
    assert heartbeats(core) == []
    assert heartbeats(core) == [N2, N3]


def test_one_that_left_longer_ago_does_not() -> None:
    core = settled()
    at_next_heartbeat(core, since_ms=HALF_MS)
    assert heartbeats(core) == [N2, N3]


def test_a_busy_group_hears_its_leader_often_enough() -> None:
    """However commands fall between the heartbeats."""
    core = settled()
    seq, last, longest = 0, core.now, 0
    for gap_ms in [7, 51, 99, 101, 149, 199, 201, 240] * 20:
        until = core.now + gap_ms
        while core.deadline <= until:
            core.step(core.deadline, Tick())
            if N2 in [m.dst for m in said(take(core), AppendEntries)]:
                longest, last = max(longest, core.now - last), core.now
            for peer in (N2, N3):
                accept(core, peer)
        seq += 1
        core.step(until, Propose(seq, (command(seq),)))
        assert N2 in [m.dst for m in said(settle(core), AppendEntries)]
        longest, last = max(longest, core.now - last), core.now
        for peer in (N2, N3):
            accept(core, peer)
        settle(core)
    assert longest <= 1.5 * CONFIG.heartbeat_ms < CONFIG.election_ms / 3


def test_a_peer_that_does_not_answer_appends_gets_heartbeats() -> None:
    """Its disk may be slow: heartbeats are answered meanwhile."""
    core = settled()
    step(core, Propose(1, (command(1),)), later=core.deadline - core.now + CONFIG.heartbeat_ms - 1)
    leading(core).next_heartbeat = core.deadline = core.now + 1
    accept(core, N2)
    assert heartbeats(core) == [N3]


def test_reads_that_wait_are_asked_about_again() -> None:
    core = settled()
    at_next_heartbeat(core)
    step(core, ReadQuery(9, lease=False))
    assert heartbeats(core) == [N2, N3]


def test_sleep_is_offered_though_an_append_left_lately() -> None:
    core = settled()
    core.may_sleep = True
    at_next_heartbeat(core)
    leading(core).active_at = core.now - 10 * CONFIG.election_ms
    core.step(core.deadline, Tick())
    assert [m.sleep for m in said(take(core), AppendEntries)] == [True, True]


# -- acknowledgements that leave nothing to do ------------------------------------------------------------


def proposed(config: GroupConfig = CONFIG) -> Core:
    """A leader that has sent an entry, which is nowhere durable."""
    core = settled(config=config)
    core.step(core.now, Propose(1, (command(1),)))
    assert said(take(core), AppendEntries) and core.is_settled
    return core


def test_only_the_acknowledgement_that_commits_asks_for_a_turn() -> None:
    core = proposed()
    core.step(core.now, Persisted(core.seq))
    assert core.is_settled
    accept(core, N2)
    assert not core.is_settled
    take(core)
    accept(core, N3)
    assert core.is_settled and leading(core).progress[N3].match == core.log.last_index


def test_an_acknowledgement_opens_the_window() -> None:
    core = proposed(GroupConfig(window_max=1))
    core.step(core.now, Propose(2, (command(2),)))
    take(core)
    accept(core, N3, index=core.log.last_index - 1)
    assert not core.is_settled
    assert [m.dst for m in said(take(core), AppendEntries)] == [N3]


def test_an_acknowledgement_ends_a_probe() -> None:
    core = proposed()
    progress = leading(core).progress[N3]
    progress.become_probe(progress.match + 1)
    progress.probing = True
    take(core)
    accept(core, N3, index=progress.match)
    assert not core.is_settled and [m.dst for m in said(take(core), AppendEntries)] == [N3]


def test_an_acknowledgement_confirms_a_read() -> None:
    core = settled()
    core.step(core.now, ReadQuery(9, lease=False))
    (first, _) = said(take(core), AppendEntries)
    accept(core, N2, round=first.round)
    assert not core.is_settled and [ready.reads for ready in take(core)] == [[9]]


def test_a_commit_is_announced_to_a_follower_that_was_behind() -> None:
    core = proposed(GroupConfig(announce_commits=True, window_max=1))
    core.step(core.now, Persisted(core.seq))
    accept(core, N2)
    take(core)
    leading(core).progress[N3].commit_told = 0
    accept(core, N3)
    assert not core.is_settled


@pytest.mark.parametrize("term", [2, 3])
def test_a_later_term_ends_the_leadership_with_an_acknowledgement(term: int) -> None:
    core = proposed()
    ok = term == 2
    core.step(core.now, AppendReply(term, N3, core.id, ok, core.log.last_index - ok, 0, 0, 0, core.now))
    assert core.is_settled == core.is_leader == ok


def test_a_later_term_is_written_by_a_follower_that_learns_of_it_so() -> None:
    core = follower(term=2, terms=(1,))
    take(core)
    core.step(core.now, AppendReply(3, N3, core.id, False, 0, 0, 0, 0, core.now))
    assert not core.is_settled and take(core)[0].write is not None


def test_the_acknowledgement_with_which_a_group_falls_asleep_asks_for_a_turn() -> None:
    """Its node must be told."""
    core = settled()
    core.may_sleep = True
    leading(core).active_at = core.now - 10 * CONFIG.election_ms
    core.step(core.deadline, Tick())
    take(core)
    for peer in (N2, N3):
        last = core.log.last_index
        core.step(core.now, AppendReply(2, peer, N1, True, last, 0, 0, 0, core.now, asleep=True))
    assert core.asleep and not core.is_settled


def test_a_followers_disk_asks_for_no_turn() -> None:
    core = follower(term=2, terms=(1,))
    append(core, (1, 1), entries(2, 2, first=2), commit=2)
    ready, *_ = take(core)
    assert ready.send_after and core.is_settled
    core.step(core.now, Persisted(core.seq))
    assert core.is_settled and core.log.durable == 3
