"""Scenarios of log replication, by their ids."""

import pytest

from fleet.raft.entries import Commands, Entry, MemberAdded
from fleet.raft.events import Change, Persisted, Propose, Tick
from fleet.raft.messages import (
    AppendEntries,
    AppendReply,
)
from fleet.raft.progress import PROBE, REPLICATE
from tests.raft.cores import (
    N1,
    N2,
    N3,
    N4,
    accept,
    all_said,
    append,
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
)
from tests.raft.world import World, propose


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
    assert [payload for body in bodies if isinstance(body, Commands) for payload in body.payloads] == [
        b"new 1", b"new 2", b"new 3",
    ]  # fmt: skip


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


def test_a_silent_follower_costs_one_small_message_a_heartbeat() -> None:
    core = settled()
    for number in range(50):
        step(core, Propose(number, (command(number + 1, payload=b"x" * 1000),)), later=1)
        accept(core, N3)
    silent_since = core.now
    sent: list[AppendEntries] = []
    core.step(max(core.deadline, core.now), Tick())
    for _ in range(40):
        accept(core, N3)
        settle(core)
        core.step(core.deadline, Tick())
        sent += [m for m in said(take(core), AppendEntries) if m.dst == N2]
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
