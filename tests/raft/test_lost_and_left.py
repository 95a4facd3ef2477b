"""Members that missed something: a removal, or what they had acknowledged."""

from fleet.raft.core import Core
from fleet.raft.entries import Entry, MemberAdded, Members
from fleet.raft.events import Change, Tick, Transfer
from fleet.raft.messages import AppendEntries, AppendReply, PreVote, Removed, Stranger
from fleet.raft.ready import TARGET_UNRESPONSIVE, TailLost
from tests.raft.cores import (
    N1,
    N2,
    N3,
    N4,
    accept,
    answered,
    append,
    follower,
    leader,
    said,
    settle,
    settled,
    step,
)


def test_s25_a_learner_that_hears_nothing_asks_whether_it_was_removed() -> None:
    core = follower(voters=(N2, N1, N3), learners=(N4,), me=N4)
    core.step(core.deadline, Tick())
    ready = core.take_ready()
    assert ready is not None
    asked = {m.dst for m in ready.send_now if isinstance(m, PreVote)}
    assert asked == {N1, N2, N3}
    assert core.deadline > core.now, "and asks again, later"


def test_s25_a_learner_that_hears_nothing_knows_no_leader() -> None:
    """Seed 30039: the entry that added it was lost. With a leader of long ago in its status, its node never
    asked for it to be added again."""
    core = follower(voters=(N2, N1, N3), learners=(N4,), me=N4)
    append(core, (core.log.last_index, core.log.last_term))
    assert core.leader == N2
    core.step(core.deadline, Tick())
    assert core.leader is None


def test_s25_a_newcomer_without_members_to_ask_stays_quiet() -> None:
    core = follower(term=0, terms=(), voters=(), me=N4)
    assert core.membership.current == Members()
    assert core.deadline > 1 << 60


def test_s36_a_follower_that_lost_an_acknowledged_tail_is_reported_and_repaired() -> None:
    core = settled(terms=(1, 1, 1))
    role, last = core.role, core.log.last_index
    assert role.progress[N2].match == last  # type: ignore[union-attr]
    later = core.now + 10
    core.step(
        later,
        AppendReply(core.term, N2, N1, ok=False, index=last, hint=1, hint_term=1, round=0, sent_at=later - 1),
    )
    ready = core.take_ready()
    assert ready is not None
    assert TailLost(member=N2, acknowledged=last, has=1) in ready.hooks
    sent = [m for m in ready.send_now if isinstance(m, AppendEntries) and m.dst == N2]
    assert sent and sent[0].prev_index == 1 and sent[0].entries[-1].index == last


def test_s36_a_late_refusal_from_before_the_acknowledgement_accuses_nobody() -> None:
    core = settled(terms=(1, 1, 1))
    role, last = core.role, core.log.last_index
    core.step(
        core.now + 10,
        AppendReply(
            core.term, N2, N1, ok=False, index=last, hint=1, hint_term=1, round=0, sent_at=core.now - 10
        ),
    )
    settle(core)
    assert role.progress[N2].match == last  # type: ignore[union-attr]


def test_s15_the_leadership_is_not_handed_to_who_has_not_answered_in_this_term() -> None:
    """A new leader takes everybody for alive at first; waiting for a dead target it would serve nobody."""
    core = leader()
    assert answered(step(core, Transfer(7, N2))) == {7: TARGET_UNRESPONSIVE}
    accept(core, N2)
    core.step(core.now, Transfer(8, N2))
    assert 8 not in answered(settle(core)), "it is under way"


def asking(core: Core) -> PreVote:
    """What a member that nobody leads says to N1 in the end."""
    core.step(core.deadline, Tick())
    (asked,) = [m for m in said(settle(core), PreVote) if m.dst == N1]
    return asked


def test_s25_a_member_whose_addition_was_lost_with_its_leader_leaves() -> None:
    """Its leader was deposed before the addition was committed: nobody would ever remove it, either. Found by
    seed 101826 of the simulator, as a member that stayed on a node for good."""
    added = {2: MemberAdded(N4, "n4:1")}
    stranger = follower(terms=(1, 1), me=N4, bodies=added)
    for lead in (settled(term=3), settled(term=2)):
        (told,) = said(step(lead, asking(stranger)), Stranger)
        assert told == Stranger(lead.term, N1, N4, last_index=2, last_term=1)
    step(stranger, told)
    assert stranger.removed


def test_s25_only_a_leader_that_knows_what_is_committed_calls_a_member_a_stranger() -> None:
    stranger = follower(terms=(1, 1), me=N4, bodies={2: MemberAdded(N4, "n4:1")})
    asked = asking(stranger)
    assert said(step(follower(), asked), Stranger) == []
    assert said(step(leader(), asked), Stranger) == []
    adding = settled()
    step(adding, Change(7, MemberAdded(N4, "n4:1")))
    assert said(step(adding, asked), Stranger) == []


def test_s25_a_member_that_has_a_newer_leader_is_no_stranger() -> None:
    told = Stranger(2, N1, N4, last_index=2, last_term=1)
    newer = follower(term=3, terms=(1, 1), me=N4, bodies={2: MemberAdded(N4, "n4:1")})
    step(newer, told)
    assert not newer.removed
    led = follower(term=2, terms=(1, 1), me=N4, bodies={2: MemberAdded(N4, "n4:1")})
    append(led, (2, 1), term=2)
    step(led, told)
    assert not led.removed
    step(led, Removed(2, N1, N4))
    assert led.removed


def test_s25_a_member_that_was_added_after_all_is_not_sent_away_by_a_late_word() -> None:
    """The very leader that knew nothing of it added it since, and then fell silent."""
    told = Stranger(2, N1, N4, last_index=2, last_term=1)
    member = follower(term=2, terms=(1, 1), me=N4, bodies={2: MemberAdded(N4, "n4:1")})
    append(member, (2, 1), [Entry(2, 3, MemberAdded(N4, "n4:1"))], term=2)
    member.step(member.deadline, Tick())
    step(member, told)
    assert not member.removed
