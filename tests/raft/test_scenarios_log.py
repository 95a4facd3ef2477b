"""Scenarios of log replication and elections, by their ids."""

from zlib import crc32

import pytest

from fleet.raft.core import Core
from fleet.raft.entries import Command, Entry, HardState, MemberAdded, SnapshotMeta
from fleet.raft.events import Change, Persisted, Propose, Tick, Transfer
from fleet.raft.messages import (
    AppendEntries,
    AppendReply,
    Diverged,
    InstallSnapshot,
    PreVote,
    TimeoutNow,
    VoteReply,
    VoteRequest,
)
from fleet.raft.progress import PROBE, REPLICATE
from fleet.raft.ready import TARGET_UNRESPONSIVE, TRANSFERRING, CommittedConflict
from fleet.raft.restart import start_core
from fleet.raft.state import Candidate, Follower
from tests.raft.cores import (
    N1,
    N2,
    N3,
    N4,
    accept,
    all_said,
    answered,
    append,
    campaign,
    command,
    entries,
    follower,
    leader,
    leading,
    said,
    settle,
    settled,
    step,
    take,
    terms_of,
    write_of,
)
from tests.raft.host import Host, Weather
from tests.raft.world import World, member


def propose(world: World, host: Host, *payloads: bytes) -> list[int]:
    """Sessions do not matter here: every command is appended, and answered as expired."""
    return [
        world.ask(
            host.id,
            lambda token: Propose(token, (Command(session=0, seq=1, acked=0, wall_ms=0, payload=payload),)),
        )
        for payload in payloads
    ]


@pytest.mark.parametrize("elected_before", [True, False])
def test_s01_s02_an_isolated_leader_gives_up_its_unacknowledged_commands(elected_before: bool) -> None:
    """W1. S02: in a group never re-elected, a missing entry must not look like one of the first term."""
    world = World.of(3)
    old = world.elect()
    if elected_before:
        old = world.make_leader(next(id for id in world.hosts if id != old.id))
    world.isolate(old.id)
    propose(world, old, *[b"never %d" % number for number in range(8)])
    world.run(2000)
    new = world.elect()
    assert new is not old
    propose(world, new, b"new 1", b"new 2", b"new 3")
    world.heal()
    world.run(1000)
    bodies = [entry.body for entry in old.core.log.entries]
    assert old.core.log.last_index == new.core.log.last_index == old.core.log.commit
    assert [body.payload for body in bodies if isinstance(body, Command)] == [b"new 1", b"new 2", b"new 3"]


def test_s02_an_unknown_previous_entry_equals_no_term() -> None:
    core = follower(term=1, terms=())
    append(core, (5, 0), entries(1, first=6))
    (reply,) = said(settle(core), AppendReply)
    assert (reply.ok, reply.hint) == (False, 0)
    assert core.log.last_index == 0


def test_s03_commit_moves_only_over_what_is_verified() -> None:
    """A heartbeat with a higher commit reaches a follower with an unverified suffix."""
    core = follower(term=3, terms=(1, 2, 2, 2))
    append(core, (1, 1), (), commit=4)
    assert core.log.commit == 1


def test_s04_figure_8() -> None:
    """S1 led term 2, S5 term 3, S1 again term 4: entry 2 of term 2 on a majority is not committed yet."""
    first = leader(term=4, terms=(1, 2))
    accept(first, N2, index=2)
    accept(first, N3, index=2)
    assert first.log.commit == 0
    rival = follower(term=4, terms=(1, 2), me=N2)
    append(rival, (1, 1), entries(3, 5, first=2), src=N3, term=5)
    assert terms_of(rival) == [1, 3, 5]


def test_s06_late_and_repeated_replies_move_nothing_back() -> None:
    core = settled()
    for number in range(5):
        step(core, Propose(number, (command(number + 1),)))
    accept(core, N2, index=7)
    progress = leading(core).progress[N2]
    before = (progress.match, progress.next, progress.state)
    accept(core, N2, index=3)
    core.step(core.now, AppendReply(2, N2, N1, ok=False, index=6, hint=1, hint_term=1, round=0, sent_at=0))
    core.step(core.now, AppendReply(1, N2, N1, ok=True, index=99, hint=0, hint_term=0, round=0, sent_at=0))
    assert (progress.match, progress.next, progress.state) == before == (7, 8, REPLICATE)


def test_s06_reordered_appends_are_not_sent_again_for_every_refusal() -> None:
    """Each of 16 refusals resent the window: 1280 messages a second in an idle group of a storm."""
    core = settled()
    for number in range(16):
        step(core, Propose(number, (command(number + 1),)), later=1)
    left = core.now
    refusals = [
        AppendReply(2, N2, N1, ok=False, index=index, hint=2, hint_term=2, round=0, sent_at=left)
        for index in range(17, 7, -1)
    ]
    core.step(core.now + 5, refusals[0])
    (probe,) = said(settle(core), AppendEntries)
    assert (probe.dst, probe.prev_index) == (N2, 2)
    accept(core, N2, index=3)
    sent = all_said(settle(core))
    for refusal in refusals[1:]:
        core.step(core.now, refusal)
        sent += all_said(settle(core))
    assert len(sent) == 1


def test_s07_a_short_late_append_truncates_nothing_that_matches() -> None:
    core = follower(term=2, terms=(1, 1, 2, 2))
    append(core, (1, 1), entries(1, first=2))
    (reply,) = said(settle(core), AppendReply)
    assert terms_of(core) == [1, 1, 2, 2]
    assert (reply.ok, reply.index) == (True, 2)


@pytest.mark.parametrize("durable", [True, False])
def test_s09_no_second_vote_after_a_restart(durable: bool) -> None:
    """Killed before the write: no vote was told. After it: the vote is remembered."""
    core = follower()
    core.step(0, VoteRequest(2, N2, N1, last_index=1, last_term=1, transfer=True))
    (ready,) = take(core)
    told = ready.send_after if durable else []
    hard = write_of(ready).hard if durable else HardState(1, None)
    assert hard is not None
    again = start_core(N1, 0, core.rng, hard, core.snapshot, core.log.entries)
    (reply,) = said(step(again, VoteRequest(2, N3, N1, last_index=1, last_term=1, transfer=True)), VoteReply)
    assert reply.granted is not bool(told)


def test_s10_a_restart_of_all_keeps_terms_and_acknowledged_commands() -> None:
    world = World.of(3)
    for _ in range(3):
        world.make_leader(world.rng.choice([id for id in world.hosts if not world.hosts[id].core.is_leader]))
    host = world.elect()
    propose(world, host, b"kept")
    world.run(200)
    term, commit = host.core.term, host.core.log.commit
    for id in list(world.hosts):
        world.restart(id)
    assert all(host.core.term == term for host in world.hosts.values())
    assert world.elect().core.term > term
    world.run(500)
    assert all(host.core.log.commit > commit for host in world.hosts.values())
    assert b"kept" in [getattr(entry.body, "payload", b"") for entry in world.witness.committed.values()]


def test_s11_a_member_that_was_cut_off_disturbs_nobody_when_it_returns() -> None:
    """RV21. A hundred elections in vain, and its term has not moved."""
    world = World.of(3)
    host = world.elect()
    cut = next(id for id in world.hosts if id != host.id)
    term = host.core.term
    world.isolate(cut)
    world.run(100 * 600)
    assert world.hosts[cut].core.term == term
    world.heal()
    world.run(3000)
    assert world.leader is host and host.core.term == term


@pytest.mark.parametrize("both_ways", [True, False])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_s12_a_partial_partition_still_has_a_stable_leader(number: int, both_ways: bool) -> None:
    """A and B do not hear each other, both reach C; one way: B does not hear A."""
    world = World.of(3)
    a, b, _ = member(number), member(number % 3 + 1), None
    world.make_leader(a)
    world.cut((a, b), *([(b, a)] if both_ways else []))
    world.run(5000)
    host = world.elect()
    term = host.core.term
    assert term <= 4
    world.run(10_000)
    assert world.leader is host and host.core.term == term


def test_s12_a_leader_that_hears_nobody_makes_room() -> None:
    world = World.of(3)
    deaf = world.elect()
    world.cut(*[(id, deaf.id) for id in world.hosts if id != deaf.id])
    world.run(3000)
    host = world.elect()
    assert host is not deaf
    term = host.core.term
    world.run(5000)
    assert host.core.is_leader and host.core.term == term


def test_s13_a_longer_log_in_a_lower_term_wins_in_bounded_time() -> None:
    """And the shorter log in the higher term, without which there is no majority, votes for it."""
    world = World.of(3)
    old = world.make_leader(member(1))
    world.isolate(member(3))
    propose(world, old, b"long")
    world.run(300)
    world.kill(member(2))
    high = world.hosts[member(3)]
    world.kill(member(3))
    high.disk.hard = HardState(9, member(3))
    world.weather.cut.clear()
    world.restart(member(3))
    world.run(300)
    host = world.elect(within=3000)
    assert host.id == member(1) and host.core.term > 9


def test_s14_a_leader_whose_disk_hangs_makes_room() -> None:
    """W1-free twin of the storage watchdog: at most two election timeouts, and nothing acknowledged."""
    core = settled()
    core.step(core.now, Propose(1, (command(),)))
    take(core)
    hung = core.now
    while core.is_leader and core.now < hung + 60_000:
        core.step(core.deadline, Tick())
        for peer in (N2, N3):
            accept(core, peer, index=2)
    assert core.now - hung <= core.config.storage_timeout_ms + core.config.heartbeat_ms
    core.step(core.deadline, Tick())
    assert type(core.role) is Follower


def test_s15_a_dead_target_costs_the_deadline_and_no_more() -> None:
    core = settled()
    assert said(step(core, Transfer(9, N2)), TimeoutNow) != []
    assert answered(step(core, Propose(1, (command(),)))) == {1: TRANSFERRING}
    start = core.now
    answers: dict[int, str | None] = {}
    while 9 not in answers and core.now < start + 60_000:
        core.step(core.deadline, Tick())
        accept(core, N3)
        answers |= answered(settle(core))
    assert answers == {9: TARGET_UNRESPONSIVE}
    assert core.now - start <= core.config.transfer_timeout_ms + core.config.heartbeat_ms
    assert answered(step(core, Propose(2, (command(),)))) == {}


def test_s15_a_learner_refuses_the_leadership() -> None:
    core = settled(learners=(N4,))
    assert answered(step(core, Transfer(9, N4))) == {9: TARGET_UNRESPONSIVE}
    learner = follower(voters=(N2, N3), learners=(N1,))
    assert all_said(step(learner, TimeoutNow(1, N2, N1, round=0, life=learner.life))) == []
    assert type(learner.role) is Follower and learner.term == 1


def test_s15_a_word_of_an_earlier_term_starts_no_election() -> None:
    core = follower(term=2)
    assert said(step(core, TimeoutNow(1, N2, N1, round=0, life=core.life)), VoteRequest) == []
    assert core.term == 2


def test_s15_a_lost_word_is_said_again() -> None:
    core = settled()
    step(core, Transfer(9, N2))
    core.step(core.deadline, Tick())
    assert said(settle(core), TimeoutNow) == [TimeoutNow(2, N1, N2)]


def test_s15_writes_resume_when_the_target_dies_after_it_was_told() -> None:
    world = World.of(3)
    host = world.elect()
    target = next(id for id in world.hosts if id != host.id)
    world.weather = Weather(drop=lambda m: type(m) is TimeoutNow)
    world.ask(host.id, lambda token: Transfer(token, target))
    world.run(1)
    world.kill(target)
    world.run(world.config.transfer_timeout_ms + 2 * world.config.heartbeat_ms)
    before = host.core.log.commit
    propose(world, host, b"on")
    world.run(100)
    assert world.leader is host and host.core.log.commit == before + 1


def test_a_candidate_in_vain_asks_first_again() -> None:
    """It must not raise its term a second time alone."""
    core = follower()
    campaign(core)
    assert core.term == 2
    readies = step(core, Tick(), later=5000)
    assert [type(m) for m in all_said(readies)] == [PreVote, PreVote]
    assert type(core.role) is Candidate and core.term == 2


def test_a_silent_follower_costs_one_small_message_a_heartbeat() -> None:
    core = settled()
    for number in range(50):
        step(core, Propose(number, (command(number + 1, payload=b"x" * 1000),)), later=1)
        accept(core, N3)
    silent_since = core.now
    sent: list[AppendEntries] = []
    for _ in range(40):
        core.step(max(core.deadline, core.now), Tick())
        accept(core, N3)
        sent += [m for m in said(settle(core), AppendEntries) if m.dst == N2]
    late = [m for m in sent if m.sent_at > silent_since + core.config.election_ms]
    assert leading(core).progress[N2].state == PROBE
    assert len(sent) == 40 and all(m.entries == () for m in late)


def test_a_new_member_is_sent_the_log_from_its_beginning() -> None:
    core = settled()
    readies = step(core, Change(1, MemberAdded(N4, "a4")))
    (probe,) = [m for m in said(readies, AppendEntries) if m.dst == N4]
    core.step(
        core.now,
        AppendReply(
            2, N4, N1, ok=False, index=probe.prev_index, hint=0, hint_term=0, round=0, sent_at=core.now
        ),
    )
    (whole,) = [m for m in said(settle(core), AppendEntries) if m.dst == N4]
    assert whole.prev_index == 0 and [entry.index for entry in whole.entries] == [1, 2, 3]
    assert isinstance(whole.entries[0], Entry)


def test_a_completion_of_an_overwritten_entry_counts_for_nothing() -> None:
    """The ABA problem: the write of (3, term 1) completes when (3, term 2) stands there."""
    core = follower(term=1)
    append(core, (1, 1), entries(1, 1, first=2))
    take(core)
    append(core, (1, 1), entries(2, 2, first=2), src=N3, term=2)
    take(core)
    core.step(core.now, Persisted(1))
    assert core.log.durable == 1
    core.step(core.now, Persisted(2))
    assert core.log.durable == 3


# -- S84: committed data that conflicts ---


def committed(*terms: int) -> Core:
    """A follower whose entries are all committed and durable."""
    core = follower(term=terms[-1], terms=terms)
    append(core, (len(terms), terms[-1]), commit=len(terms))
    settle(core)
    assert core.log.commit == len(terms)
    return core


@pytest.mark.parametrize(
    ("prev", "new", "at", "leader_term"),
    [
        ((1, 1), (4,), 2, 4),
        ((1, 1), (4, 4, 4), 3, 4),
        ((2, 4), (), 2, 4),
        ((3, 4), (4,), 3, 4),
    ],
)
def test_s84_a_leader_that_has_other_committed_entries_halts_the_follower(
    prev: tuple[int, int], new: tuple[int, ...], at: int, leader_term: int
) -> None:
    core = committed(1, 2, 3)
    append(core, prev, entries(*new, first=prev[0] + 1), term=4)
    (ready,) = settle(core)[-1:]
    assert ready.conflict == CommittedConflict(
        leader=N2, committed=3, committed_term=3, at=at, leader_term=leader_term
    )
    assert not ready.send_after and terms_of(core) == [1, 2, 3]
    append(core, (3, 3), term=4)
    assert settle(core) == [] and core.log.commit == 3


def test_s84_a_member_that_halts_promises_nothing_more() -> None:
    core = committed(1, 2, 3)
    append(core, (3, 3), entries(4, first=4), term=4)
    append(core, (1, 1), entries(4, first=2), term=4)
    readies = settle(core)
    assert readies[-1].conflict is not None and said(readies, AppendReply) == []


def test_s84_a_short_late_append_is_no_conflict() -> None:
    core = committed(1, 2, 3)
    append(core, (0, 0), entries(1, 2), term=4)
    (reply,) = said(settle(core), AppendReply)
    assert reply.ok and core.conflict is None


def test_s84_what_was_committed_is_known_as_such_after_a_restart() -> None:
    """Without it, the entries would be an uncommitted suffix, and any leader might overwrite them."""
    core = follower(term=1, terms=())
    append(core, (0, 0), entries(1, 1, 1))
    append(core, (3, 1), entries(1, first=4), commit=3)
    hard = [ready.write.hard for ready in settle(core) if ready.write and ready.write.hard][-1]
    assert hard is not None
    again = start_core(N1, 0, core.rng, hard, core.snapshot, core.log.entries)
    assert (again.committed, again.log.commit) == (3, 0)
    append(again, (1, 1), entries(2, first=2), term=2)
    (ready,) = settle(again)[-1:]
    assert ready.conflict is not None and terms_of(again) == [1, 1, 1, 1]


def test_s84_no_snapshot_replaces_what_was_committed_before_a_restart() -> None:
    core = follower(term=1, terms=())
    append(core, (0, 0), entries(1, 1, 1))
    append(core, (3, 1), entries(1, first=4), commit=3)
    hard = [ready.write.hard for ready in settle(core) if ready.write and ready.write.hard][-1]
    assert hard is not None
    again = start_core(N1, 0, core.rng, hard, core.snapshot, core.log.entries)
    meta = SnapshotMeta(
        index=2, term=2, members=core.membership.current, config=core.config, size=1, crc=crc32(b"x")
    )
    again.step(0, InstallSnapshot(2, N2, N1, meta=meta, offset=0, data=b"x", round=0, sent_at=0))
    assert settle(again)[-1].conflict == CommittedConflict(
        leader=N2, committed=3, committed_term=1, at=2, leader_term=2
    )
    assert terms_of(again) == [1, 1, 1, 1]


def test_s84_a_follower_that_confirms_what_its_leader_lost_is_told_and_the_leader_goes_on() -> None:
    """What the follower holds is compacted: only the leader can see that it has less."""
    core = leader(term=2)
    accept(core, N2)
    settle(core)
    accept(core, N3, index=core.log.last_index + 5)
    (told,) = said(settle(core), Diverged)
    assert told == Diverged(2, N1, N3, last_index=core.log.last_index, last_term=2)
    assert core.is_leader and core.conflict is None
    behind = committed(1, 2, 3)
    behind.step(behind.now, Diverged(3, N2, N1, last_index=2, last_term=2))
    assert settle(behind)[-1].conflict == CommittedConflict(
        leader=N2, committed=3, committed_term=3, at=2, leader_term=2
    )
