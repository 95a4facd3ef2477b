"""What a member may execute of a log in which commands are skipped, also after restarts and elections."""

import random

import pytest

from fleet.raft.config import GroupConfig
from fleet.raft.core import Core
from fleet.raft.entries import (
    ConfigChanged,
    Entry,
    Halt,
    Noop,
    Skipped,
    SkipProposed,
    SnapshotMeta,
)
from fleet.raft.events import (
    ExecutionHalted,
    ExecutionResumed,
    Skip,
    SnapshotStored,
    SnapshotTaken,
)
from fleet.raft.halting import may_retry, skip_of, skipped_at
from fleet.raft.messages import AppendReply, InstallSnapshot
from fleet.raft.restart import start_core
from tests.raft.cores import (
    CONFIG,
    N1,
    N2,
    append,
    command,
    follower,
    settle,
    settled,
    step,
)
from tests.raft.poison import DONE, POISON, Poisoned, poisoned_group

HALT = Halt(2, 0, "add hangs")
"""At the entry that a `settled` leader began with."""


# -- a member that restarts ------------------------------------------------------------------------


def restarted(*bodies: Skipped | SkipProposed, term: int = 2) -> Core:
    """Its log: a command of term 1, then these of `term`."""
    core = follower(term=term, terms=(1, *[term] * len(bodies)), bodies=dict(enumerate(bodies, 2)))
    settle(core)
    return core


def handed_out(core: Core) -> list[int]:
    return [entry.index for ready in settle(core) for entry in ready.apply]


PROPOSED, SKIPPED = SkipProposed(1, 0, "add hangs"), Skipped(1, 0, "add hangs")


def test_a_command_that_may_be_skipped_is_not_executed_after_a_restart() -> None:
    core = restarted(PROPOSED)
    append(core, (2, 2), commit=2)
    assert handed_out(core) == [] and core.halt == Halt(1, 0, "add hangs")
    append(core, (2, 2), [Entry(2, 3, SKIPPED)], commit=2)
    assert handed_out(core) == [] and skipped_at(core) == {}
    append(core, (3, 2), commit=3)
    assert handed_out(core) == [1, 2, 3] and skipped_at(core) == {(1, 0): "add hangs"} and core.halt is None


def test_what_is_held_back_is_reported() -> None:
    core = restarted(PROPOSED)
    append(core, (2, 2), commit=2)
    settle(core)
    append(core, (2, 2), commit=2)
    (reply,) = [m for ready in settle(core) for m in ready.send_now if isinstance(m, AppendReply)]
    assert (reply.halted_index, reply.halted_place, reply.index) == (1, 0, 2)


def test_a_leader_skips_only_behind_its_own_proposal_so_a_later_term_frees_the_command() -> None:
    core = restarted(PROPOSED)
    append(core, (2, 2), [Entry(3, 3, Noop())], commit=2, term=3)
    assert handed_out(core) == []
    append(core, (3, 3), commit=3, term=3)
    assert handed_out(core) == [1, 2, 3] and core.halt is None


def test_a_proposal_that_is_overwritten_is_void_when_its_place_is_committed() -> None:
    core = restarted(PROPOSED)
    append(core, (1, 1), [Entry(3, 2, Noop())], commit=1, term=3)
    assert core.skips == [] and handed_out(core) == []
    append(core, (2, 3), commit=2, term=3)
    assert handed_out(core) == [1, 2]


def test_a_proposal_that_is_overwritten_may_still_win_the_next_election() -> None:
    core = follower(term=2, terms=(1, 2, 2), bodies={3: PROPOSED})
    append(core, (3, 2), commit=2)
    assert handed_out(core) == [] and core.halt is not None and not core.unconfirmed
    append(core, (2, 2), [Entry(3, 3, Noop())], commit=2, term=3)
    assert handed_out(core) == [] and core.halt is None
    append(core, (3, 3), commit=3, term=3)
    assert handed_out(core) == [1, 2, 3]


def test_a_snapshot_from_the_leader_ends_a_halt() -> None:
    core = restarted(PROPOSED)
    append(core, (2, 2), commit=2)
    settle(core)
    assert core.halt is not None
    meta = SnapshotMeta(9, 2, core.membership.current, core.config, 3, 0x352441C2)
    step(core, InstallSnapshot(2, N2, N1, meta=meta, offset=0, data=b"abc", round=0, sent_at=0))
    assert core.halt is None and core.skips == []
    core.halt = Halt(9, 0, "hangs")
    append(core, (9, 2), [Entry(2, 10, command())], commit=10)
    assert handed_out(core) == [10]
    meta = SnapshotMeta(19, 2, core.membership.current, core.config, 3, 0x352441C2)
    step(core, InstallSnapshot(2, N2, N1, meta=meta, offset=0, data=b"abc", round=0, sent_at=0))
    assert core.halt is None


def test_a_restarted_member_executes_nothing_before_a_commit_of_the_current_term() -> None:
    """Its proposal may have been overwritten, and may still win the next election."""
    core = restarted()
    append(core, (1, 1), commit=1)
    assert handed_out(core) == [] and not core.has_more()
    append(core, (1, 1), [Entry(2, 2, Noop())], commit=2)
    assert handed_out(core) == [1, 2]
    append(core, (2, 2), [Entry(3, 3, Noop()), Entry(3, 4, command())], commit=2, term=3)
    append(core, (4, 3), commit=3, term=3)
    assert handed_out(core) == [3]


# -- a member that was away ------------------------------------------------------------------------


def test_a_member_that_returns_executes_nothing_before_it_has_what_was_committed_meanwhile() -> None:
    """A `Skipped` may be among it; entries come in batches, and the first message is often empty."""
    core = restarted(SkipProposed(9, 0, "another"))
    append(core, (4, 2), commit=4)
    append(core, (2, 2), commit=4)
    assert handed_out(core) == [] and not core.has_more()
    append(core, (2, 2), [Entry(2, 3, Noop())], commit=6)
    assert handed_out(core) == []
    append(core, (3, 2), [Entry(2, 4, SKIPPED), Entry(2, 5, Noop())], commit=6)
    assert handed_out(core) == [1, 2, 3, 4, 5] and skipped_at(core) == {(1, 0): "add hangs"}


def test_a_newcomer_catches_up_before_it_executes() -> None:
    core = start_core(N1, 0, random.Random(1))
    append(core, (2, 2), commit=2, term=2)
    append(core, (0, 0), [Entry(2, 1, command())], commit=2)
    assert handed_out(core) == []
    append(core, (1, 2), [Entry(2, 2, SKIPPED)], commit=2)
    assert handed_out(core) == [1, 2] and skipped_at(core) == {(1, 0): "add hangs"}


def test_a_member_that_heard_nothing_for_an_election_timeout_catches_up_first() -> None:
    core = follower(term=2, terms=(2,))
    append(core, (1, 2), commit=1)
    settle(core)
    for away, expected in ((CONFIG.election_ms - 1, [True, True]), (CONFIG.election_ms, [False, True])):
        core.now += away
        last, executes = core.log.last_index, []
        for index in (last + 1, last + 2):
            append(core, (index - 1, 2), [Entry(2, index, command())], commit=last + 2)
            executes.append(handed_out(core) != [])
        assert executes == expected


def test_an_operator_passes_a_command_that_the_lost_voter_could_execute() -> None:
    group, index = poisoned_group()
    group.run("settle")
    group.run("crash n3")
    group.run("live 3000")
    group.step("n1", Skip(0, index))
    group.run("live 500")
    group.hangs["n3"] = set()
    group.run("restart n3")
    group.run("live 1000")
    assert set(group.of(index).values()) == {"n1 hangs"}


def test_settings_are_in_force_once_committed_whatever_is_held_back() -> None:
    core = follower(term=2, terms=(1, 2), bodies={2: PROPOSED})
    slow = Entry(2, 3, ConfigChanged(GroupConfig(election_ms=5000)))
    append(core, (2, 2), [slow], commit=3)
    assert handed_out(core) == [] and core.config.election_ms == 5000
    append(core, (3, 2), [Entry(2, 4, SKIPPED)], commit=3)
    append(core, (4, 2), commit=4)
    readies = settle(core)
    assert [entry.index for ready in readies for entry in ready.apply] == [1, 2, 3, 4]
    assert not any(ready.hooks for ready in readies)


def test_all_restart_between_the_proposal_and_the_skip() -> None:
    group, index = poisoned_group()
    group.run("live 100")
    while not group.proposals:
        group.run("tick n1 100")
        group.run("deliver")
    for name in group.players:
        group.run(f"crash {name}")
    for name in group.players:
        group.run(f"restart {name}")
    group.run("live 6000")
    assert len(set(group.of(index).values())) == 1 and None not in group.of(index).values()


def test_a_halted_member_may_try_again_unless_a_leader_may_rely_on_it() -> None:
    core = follower(term=2, terms=(1,))
    append(core, (1, 1), [Entry(2, 2, Noop())], commit=2)
    settle(core)
    assert not may_retry(core)
    step(core, ExecutionHalted(Halt(1, 0, "hangs")))
    assert may_retry(core)
    append(core, (2, 2), [Entry(2, 3, PROPOSED)], commit=3)
    settle(core)
    assert not may_retry(core)
    append(core, (3, 2), [Entry(3, 4, Noop())], commit=3, term=3)
    settle(core)
    assert not may_retry(core)
    append(core, (4, 3), commit=4, term=3)
    settle(core)
    assert may_retry(core)
    append(core, (4, 3), commit=4, term=4)
    assert not may_retry(core)


# -- what the driver is told -----------------------------------------------------------------------


def test_the_skip_is_known_with_the_entry_that_is_handed_out_before_it() -> None:
    core = follower(term=2, terms=())
    append(core, (0, 0), [Entry(2, 1, command()), Entry(2, 2, SKIPPED)], commit=1)
    assert handed_out(core) == [1] and skipped_at(core) == {}
    core = follower(term=2, terms=())
    append(core, (0, 0), [Entry(2, 1, command()), Entry(2, 2, SKIPPED)], commit=2)
    core.step(core.now, ExecutionResumed())
    (entry, _) = [entry for ready in settle(core) for entry in ready.apply]
    assert skipped_at(core) == {(entry.index, 0): "add hangs"}


def test_of_two_skips_the_first_counts_since_others_may_know_only_that() -> None:
    core = restarted(SKIPPED, Skipped(1, 0, "another cause"))
    append(core, (3, 2), commit=3)
    assert skipped_at(core) == {(1, 0): "add hangs"}


def test_an_overwritten_skip_is_forgotten() -> None:
    core = restarted(SKIPPED)
    append(core, (1, 1), [Entry(3, 2, Noop())], commit=2, term=3)
    assert skipped_at(core) == {} and core.skips == []


def test_a_skip_goes_with_the_log_that_a_snapshot_replaces() -> None:
    core = restarted(SKIPPED, SKIPPED)
    append(core, (3, 2), commit=3)
    settle(core)
    members = core.membership.current
    core.storing = SnapshotMeta(3, 2, members, core.config, 1, 0), 2
    step(core, SnapshotStored(3))
    assert [entry.index for entry in core.skips] == [3]


def test_a_halt_that_the_leaders_snapshot_has_overtaken_is_void() -> None:
    core = settled()
    step(core, ExecutionHalted(HALT))
    core.snapshot = SnapshotMeta(2, 2, core.membership.current, core.config, 1, 0)
    step(core, ExecutionResumed())
    step(core, ExecutionHalted(HALT))
    assert core.halt is None


def test_no_snapshot_is_taken_of_a_member_that_has_halted() -> None:
    core = settled()
    core.bytes_since_snapshot = 1 << 30
    step(core, ExecutionHalted(HALT))
    assert core.taking is None
    readies = step(core, ExecutionResumed())
    assert core.taking is not None and [ready.take_snapshot for ready in readies] == [2]
    step(core, SnapshotTaken(2, b"state"))
    assert core.snapshot is not None and core.snapshot.index == 2


def test_a_restarted_member_knows_what_its_log_skips() -> None:
    core = restarted(SKIPPED)
    again = start_core(N1, 0, random.Random(1), core.hard, core.snapshot, core.log.entries)
    append(again, (2, 2), commit=2)
    assert handed_out(again) == [1, 2] and skipped_at(again) == {(1, 0): "add hangs"}


def skip_for_the_lost(group: Poisoned) -> None:
    """An operator skips the command in which all members hang that run, if one does not."""
    group.run("heal")
    group.run("live 1000")
    halts = {(core.halt.index, core.halt.place) if core.halt else None for core in group.cores}
    may_be_executed = group.stuck or len(list(group.cores)) != 2 or len(halts) != 1
    if may_be_executed or not group.leading:
        return
    (place,) = halts
    core = group.core(group.leading[-1])
    if place is not None and place not in group.told and place[0] <= core.log.applied:
        group.step(group.leading[-1], Skip(0, place[0]))
        is_refused = skip_of(core, place) == 0  # it hands over just now
        group.run("live 1000")
        assert is_refused or place in skipped_at(core)


def deliver_some(group: Poisoned, rng: random.Random) -> None:
    """Single messages in any order of their links; what is due happens when nothing is under way."""
    for _ in range(rng.randrange(30)):
        busy = sorted(link for link, waiting in group.links.items() if waiting)
        if busy:
            group.run(f"deliver {'->'.join(rng.choice(busy))} 1")
        else:
            group.run(f"timeout {min((core.deadline, core.id) for core in group.cores)[1].partition('@')[0]}")


# -- whatever happens ------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_no_member_executes_what_another_skips(seed: int) -> None:
    """Crashes, cuts, elections; commands that hang here and not there, now and not later. `Poisoned.check`
    compares the outcomes after every step."""
    rng = random.Random(f"poison {seed}")
    group = Poisoned()
    group.run("live 1000")
    for _ in range(60):
        name = rng.choice(list(group.players))
        runs = group.players[name].core is not None
        if rng.random() < 0.3:
            group.hangs[name] = {POISON} if rng.random() < 0.8 else set()
        match rng.randrange(10):
            case 0 if not runs or len(list(group.cores)) > 1:
                group.run(f"crash {name}" if runs else f"restart {name}")
            case 1:
                group.run(f"cut {name}")
            case 2:
                group.run("heal")
            case 3 if group.leading:
                group.run(f"propose {group.leading[-1]} {POISON}")
            case 4:
                group.stuck ^= {name}
                group.wake(rng.choice(list(group.players)))
            case 5 if runs and group.core(name).halt:
                group.retry(name, *group.hangs[name])
            case 6 if rng.random() < 0.3:
                skip_for_the_lost(group)
            case 7 if runs:
                group.run(f"crash {name}")
                group.run(f"restart {name}")
        if rng.random() < 0.3:
            group.run(f"live {rng.choice((1, 30, 100, 300, 3000))}")
        else:
            deliver_some(group, rng)
    group.run("heal")
    for name, player in group.players.items():
        if player.core is None:
            group.run(f"restart {name}")
        group.hangs[name] = {POISON}
        group.wake(name)
    group.run("live 20000")
    for name in group.players:  # what one has executed, the others execute in the end
        if group.core(name).halt is not None:
            was_executed = DONE in {told for one in group.outcomes.values() for told in one.values()}
            assert was_executed or any(core.halt and core.halt.is_repeated for core in group.cores)
            assert group.retry(name)
    group.run("live 1000")
    assert {core.halt for core in group.cores} == {None}
    assert len({tuple(sorted(outcomes.items())) for outcomes in group.outcomes.values()}) == 1
