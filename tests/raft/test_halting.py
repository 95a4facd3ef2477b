"""A command that no member can execute is passed, one that some member may have executed is not."""

import pytest

from fleet.raft.core import Core
from fleet.raft.entries import (
    Entry,
    Halt,
    MemberAdded,
    MemberPromoted,
    MemberRemoved,
    Noop,
    Skipped,
    SkipProposed,
)
from fleet.raft.events import (
    Change,
    ExecutionHalted,
    ExecutionResumed,
    Skip,
    Tick,
    Transfer,
)
from fleet.raft.halting import skip_if_agreed, skipped_at
from fleet.raft.ids import MemberId
from fleet.raft.messages import NO_PLACE, AppendReply
from fleet.raft.ready import CHANGE_IN_PROGRESS, NOT_HALTED, NOT_LEADER, TRANSFERRING
from tests.raft.cores import (
    CONFIG,
    N1,
    N2,
    N3,
    N4,
    THREE,
    accept,
    answered,
    append,
    command,
    follower,
    leader,
    leading,
    said,
    settle,
    settled,
    step,
)
from tests.raft.poison import DONE, POISON, Poisoned, poisoned_group

HALT = Halt(2, 0, "add hangs")
"""At the entry that a `settled` leader began with."""


def report(
    core: Core, peer: MemberId, at: tuple[int, int] = (2, 0), index: int | None = None, sent_at: int = -1
) -> None:
    """The peer has everything up to `index`, and has halted."""
    index = core.log.last_index if index is None else index
    sent_at = core.now if sent_at < 0 else sent_at
    reply = AppendReply(
        core.term, peer, core.id, True, index, 0, 0, 0, sent_at, halted_index=at[0], halted_place=at[1]
    )
    core.step(core.now, reply)
    settle(core)


def halted(voters: tuple[MemberId, ...] = THREE, learners: tuple[MemberId, ...] = ()) -> Core:
    """A leader that has halted, and has not heard of another that has."""
    core = settled(voters=voters, learners=learners)
    step(core, ExecutionHalted(HALT))
    assert core.halt == HALT
    return core


def kinds(core: Core) -> list[str]:
    return [type(entry.body).__name__ for entry in core.log.entries[2:]]


# -- by agreement ----------------------------------------------------------------------------------


def test_a_command_in_which_all_hang_is_recorded_as_failed_by_all_and_the_group_goes_on() -> None:
    group, index = poisoned_group()
    group.run("propose n1 after")
    group.run("live 1000")
    assert set(group.of(index).values()) == {"n1 hangs"}
    assert set(group.of(index + 1).values()) == {DONE}
    assert [core.halt for core in group.cores] == [None, None, None]
    assert [len(group.proposals), len(group.skips())] == [1, 1]


def test_two_poison_commands_of_one_entry_are_passed_one_after_the_other() -> None:
    core = halted()
    for place in (0, 1):
        step(core, ExecutionHalted(Halt(2, place, "hangs")))
        for _ in range(2):
            for peer in (N2, N3):
                report(core, peer, (2, place))
    skipped = [entry.body for entry in core.skips if isinstance(entry.body, Skipped)]
    assert [body.place for body in skipped] == [0, 1]


def test_a_group_of_one_passes_it_alone() -> None:
    core = halted(voters=(N1,))
    assert kinds(core) == ["SkipProposed"]
    step(core, Tick(), later=CONFIG.heartbeat_ms)
    assert kinds(core) == ["SkipProposed", "Skipped"] and skipped_at(core) == {(2, 0): "add hangs"}


def test_every_voter_is_asked_first_and_confirms_it_behind_the_proposal() -> None:
    core = halted()
    report(core, N2)
    assert kinds(core) == []
    report(core, N3)
    assert kinds(core) == ["SkipProposed"]
    report(core, N2)
    report(core, N3, index=2)
    assert kinds(core) == ["SkipProposed"]
    report(core, N3)
    assert kinds(core) == ["SkipProposed", "Skipped"]


def test_the_leader_counts_itself_when_the_proposal_is_on_its_disk() -> None:
    core = halted()
    report(core, N2)
    report(core, N3)
    core.log.durable = 2
    report(core, N2)
    report(core, N3)
    assert kinds(core) == ["SkipProposed"]


@pytest.mark.parametrize("at", [(0, 0), (1, 0), (2, 1), (3, 0)])
def test_a_voter_that_has_not_halted_at_the_same_place_prevents_it(at: tuple[int, int]) -> None:
    """It may have executed the command."""
    core = halted()
    for _ in range(2):
        report(core, N2)
        report(core, N3, at)
    assert kinds(core) == []


def test_a_voter_that_takes_its_report_back_prevents_it() -> None:
    core = halted()
    report(core, N2)
    accept(core, N2)
    report(core, N3)
    assert kinds(core) == []
    report(core, N2)
    report(core, N2)
    report(core, N3)
    assert kinds(core) == ["SkipProposed", "Skipped"]


def test_a_report_that_arrives_late_does_not_count() -> None:
    core = halted()
    core.now += 100
    accept(core, N2)
    report(core, N3)
    report(core, N2, sent_at=core.now - 1)
    assert kinds(core) == []


def test_a_leader_that_has_not_halted_skips_nothing() -> None:
    core = settled()
    report(core, N2)
    report(core, N3)
    step(core, ExecutionHalted(HALT))
    assert kinds(core) == ["SkipProposed"]
    step(core, ExecutionResumed())
    report(core, N2)
    report(core, N3)
    assert kinds(core) == ["SkipProposed"]


def test_nothing_is_skipped_before_a_commit_of_the_leaders_own_term() -> None:
    core = leader()
    core.log.commit = core.log.applied = 1
    step(core, ExecutionHalted(Halt(1, 0, "hangs")))
    report(core, N2, (1, 0), index=1)
    report(core, N3, (1, 0), index=1)
    assert kinds(core) == []
    report(core, N2, (1, 0))
    assert kinds(core) == ["SkipProposed"]


def test_nothing_is_skipped_during_a_transfer() -> None:
    core = halted()
    report(core, N2)
    step(core, Transfer(1, N2))
    report(core, N3)
    assert kinds(core) == []


def test_it_is_skipped_once() -> None:
    core = halted()
    for commits in (False, True):
        for peer in (N2, N3) * 3:
            report(core, peer, index=None if commits or not core.skips else max(3, core.log.last_index - 1))
    assert kinds(core) == ["SkipProposed", "Skipped"] and core.log.commit == 4
    skip_if_agreed(core, leading(core))
    assert kinds(core) == ["SkipProposed", "Skipped"]


def test_a_new_leader_does_not_skip_again_what_its_log_skips() -> None:
    core = settled(terms=(1, 1), bodies={2: Skipped(1, 0, "hangs")})
    step(core, ExecutionHalted(Halt(1, 0, "hangs")))
    for peer in (N2, N3):
        report(core, peer, (1, 0))
    assert [type(entry.body) for entry in core.log.entries[1:]] == [Skipped, Noop]


def test_a_proposal_of_an_earlier_leader_is_made_again() -> None:
    """Its voters may have freed themselves from it by this leader's first commit."""
    core = settled(term=3, terms=(1, 2), bodies={2: SkipProposed(1, 0, "hangs")})
    step(core, ExecutionHalted(Halt(1, 0, "hangs")))
    for peer in (N2, N3):
        report(core, peer, (1, 0))
    assert [type(entry.body) for entry in core.log.entries[1:]] == [SkipProposed, Noop, SkipProposed]


def test_reports_to_an_earlier_leader_do_not_count() -> None:
    """n1 hears the reports, and is cut off before it proposes: n2 asks anew, in its own term."""
    group, index = poisoned_group()
    group.run("cut n3")
    group.run("live 900")
    assert not group.proposals and group.core("n1").halt is not None
    group.run("cut n1")
    group.run("live 4000")
    (name,) = group.leading[-1:]
    assert name in ("n2", "n3") and not group.proposals
    group.run("heal")
    group.run("live 1000")
    assert [entry.term for entry in group.proposals] == [group.core(name).term] == [group.skips()[0].term]
    assert set(group.of(index).values()) == {f"{name} hangs"}


def test_lost_messages_delay_it_only() -> None:
    group, index = poisoned_group()
    for number in range(30):
        group.run(f"tick n1 {100 + number}")
        for pair in ("n1->n2", "n2->n1", "n1->n3", "n3->n1"):
            if number % 3 and group.links.get((pair[:2], pair[-2:])):
                group.run(f"{'drop' if (number + hash_of(pair)) % 2 else 'deliver'} {pair}")
    group.run("live 3000")
    assert len(set(group.of(index).values())) == 1 and None not in group.of(index).values()
    assert len(group.skips()) == 1


def hash_of(word: str) -> int:
    return sum(map(ord, word))


# -- members that come and go ----------------------------------------------------------------------


@pytest.mark.parametrize("who", [N1, N2])
def test_a_member_that_may_have_executed_it_prevents_that_it_is_skipped(who: MemberId) -> None:
    core = settled()
    step(core, ExecutionHalted(Halt(2, 0, "hangs", is_repeated=who == N1)))
    for voter in (N2, N3):
        report(core, voter, (2, NO_PLACE if voter == who else 0))
    assert core.skips == []


def test_a_member_reports_that_it_may_have_executed_it() -> None:
    core = follower(term=2, terms=(1,))
    append(core, (1, 1), [Entry(2, 2, command())], commit=2)
    settle(core)
    step(core, ExecutionHalted(Halt(1, 0, "hangs", is_repeated=True)))
    append(core, (2, 2), commit=2)
    (reply,) = said(settle(core), AppendReply)
    assert (reply.halted_index, reply.halted_place) == (1, NO_PLACE)


def restart_all(group: Poisoned) -> None:
    for name in group.players:
        group.run(f"crash {name}")
    for name in group.players:
        group.run(f"restart {name}")


def test_a_command_that_an_earlier_life_may_have_executed_is_passed_by_an_operator_alone() -> None:
    """The leader executed it and told its client; then all hang in it, as the log is executed again."""
    group, index = poisoned_group(hang="")
    group.run("live 1000")
    assert set(group.of(index).values()) == {DONE}
    group.hangs = {name: {POISON} for name in group.players}
    restart_all(group)
    group.run("live 20000")
    assert set(group.of(index).values()) == {None} and group.proposals == []
    leader = group.leading[-1]
    assert group.retry(leader) and group.of(index)[leader] == DONE


def test_one_member_that_may_have_executed_it_prevents_that_it_is_skipped() -> None:
    group, index = poisoned_group(hang="n1 n2")
    group.run("deliver")
    group.hangs["n3"] = {POISON}
    group.run("crash n3")
    group.run("restart n3")
    group.run("live 20000")
    halts = {core.id[:2]: core.halt for core in group.cores}
    assert [bool(halt and halt.is_repeated) for halt in halts.values()] == [False, False, True]
    assert group.proposals == [] and set(group.of(index).values()) == {None}


def test_s71_a_voter_that_was_removed_since_may_have_executed_it_and_only_an_operator_skips_it() -> None:
    """Both others had executed it and told its result. One was drained, the other lost its vote: the last
    voter, whose executor had hung, skipped what clients knew to be done (seed 840001)."""
    core = halted(voters=(N1, N2, N3))
    report(core, N2)
    for body in (MemberAdded(N4, "a"), MemberPromoted(N4)):
        step(core, Change(1, body))
        for peer in (N2, N3, N4):
            accept(core, peer)
        settle(core)
    assert N4 in core.membership.current.voters
    for _ in range(2):
        report(core, N2)
        report(core, N3)
    assert not core.skips
    step(core, Change(2, MemberRemoved(N4)))
    settle(core)
    for peer in (N2, N3):
        accept(core, peer)
    for _ in range(2):
        report(core, N2)
        report(core, N3)
    assert N4 not in core.membership.current.everyone and not core.skips
    step(core, Skip(7, core.halt.index))  # type: ignore[union-attr]
    assert [type(entry.body) for entry in core.skips] == [Skipped]


def test_a_learner_is_not_asked() -> None:
    core = halted(learners=(N4,))
    for _ in range(2):
        report(core, N2)
        report(core, N3)
    assert kinds(core) == ["SkipProposed", "Skipped"]


# -- by an operator --------------------------------------------------------------------------------


def test_an_operator_passes_a_command_although_a_voter_is_away() -> None:
    group, index = poisoned_group()
    group.run("crash n3")
    group.run("live 3000")
    assert group.proposals == [] and None in group.of(index).values()
    group.step("n1", Skip(0, index))
    group.run("live 500")
    assert group.of(index) == {"n1": "n1 hangs", "n2": "n1 hangs", "n3": None}
    group.run("restart n3")
    group.run("live 1000")
    assert group.of(index)["n3"] == "n1 hangs"


def test_an_operator_is_answered_when_it_is_committed() -> None:
    core = halted()
    assert answered(step(core, Skip(7, 2))) == {}
    accept(core, N2)
    (answer,) = [answer for ready in settle(core) for answer in ready.answers]
    assert (answer.token, answer.error, answer.index) == (7, None, 3) and kinds(core) == ["Skipped"]
    assert answered(step(core, Skip(8, 2))) == {8: None} and kinds(core) == ["Skipped"]


def test_an_operator_joins_a_skip_that_is_under_way() -> None:
    core = halted()
    for _ in range(2):
        report(core, N2)
        report(core, N3)
    assert answered(step(core, Skip(7, 2))) == {}
    assert answered(step(core, Skip(8, 2))) == {8: CHANGE_IN_PROGRESS}
    report(core, N2)
    assert kinds(core) == ["SkipProposed", "Skipped"] and core.log.commit == 4 and not leading(core).waiting


@pytest.mark.parametrize("index", [1, 3])
def test_an_operator_cannot_skip_another_entry(index: int) -> None:
    assert answered(step(halted(), Skip(7, index))) == {7: NOT_HALTED}


def test_an_operators_skip_is_refused_where_it_makes_no_sense() -> None:
    assert answered(step(settled(), Skip(7, 2))) == {7: NOT_HALTED}
    assert answered(step(follower(), Skip(7, 2))) == {7: NOT_LEADER}
    core = halted()
    step(core, Transfer(1, N2))
    accept(core, N2, index=1)
    assert answered(step(core, Skip(7, 2))) == {7: TRANSFERRING}
    core = leader()
    core.log.commit = core.log.applied = 1
    step(core, ExecutionHalted(Halt(1, 0, "hangs")))
    assert answered(step(core, Skip(7, 1))) == {7: CHANGE_IN_PROGRESS}
