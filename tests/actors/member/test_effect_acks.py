"""How often a leader asks how far `on_effect` is, and what it has the log acknowledge (S51)."""

from types import SimpleNamespace
from typing import Any

import pytest

from fleet.actors.member.effect_acks import FAILING_MS_MAX, FAILING_MS_MIN, PAUSE_MS, SLOW_MS_MAX, EffectAcks
from fleet.actors.messages.executor import AskEffects, EffectsTold
from fleet.raft.entries import EffectsDone
from fleet.raft.group_events import Position
from fleet.raft.state import NEVER, Follower, Leader


class Member:
    """Leads in term 4 a group that sleeps, so that its core sees no time pass; and a hook that fails after a
    while."""

    def __init__(self, runs_ms: int = 0, is_inside: bool = True) -> None:
        self.now = 1000
        self.core: Any = SimpleNamespace(
            role=Leader(7, {}, 0, 0, 0), term=4, now=1000, log=SimpleNamespace(last_index=10)
        )
        self.object: Any = SimpleNamespace(index=10, number=1, run=1, put=self.put)
        self.clients: Any = SimpleNamespace(next_token=self.next_token)
        self.start: Any = SimpleNamespace(clock=SimpleNamespace(now_ms=lambda: self.now))
        self.tokens = self.turns = 0
        self.runs_ms = runs_ms
        self.is_inside = is_inside
        """Whether the object is in this process, so that it answers at once."""
        self.asked: list[AskEffects] = []
        self.tries: list[int] = [self.now]
        self.done: Position = (0, 0)
        self.fails = True
        self.refuses = False
        self.acknowledged: list[Position] = []
        self.effects = EffectAcks(self)
        self.effects.told(1)

    def next_token(self) -> int:
        self.tokens += 1
        return self.tokens

    def step(self, event: Any) -> None:
        (body,) = event.bodies
        assert isinstance(body, EffectsDone)
        self.acknowledged.append((body.revision, body.number))
        self.core.log.last_index += not self.refuses

    def put(self, question: AskEffects) -> None:
        self.asked.append(question)
        if self.is_inside:
            self.answer()

    def answer(self) -> None:
        question = self.asked[-1]
        is_over = self.now >= self.tries[-1] + self.runs_ms
        if question.is_retry:
            assert is_over, "it runs already"
            self.tries.append(self.now)
            is_over = not self.runs_ms
        self.effects.on_told(EffectsTold(1, 1, question.token, self.done, self.fails and is_over))

    def passes(self, ms: int) -> None:
        """Call it as its timer would: when it says, or at once if that is over."""
        until = self.now + ms
        while True:
            at = self.effects.act(self.now)
            if not self.is_inside and self.asked and self.effects.token:
                self.answer()
                at = self.effects.act(self.now)
            self.turns += 1
            assert self.turns < 10_000, "it spins"
            if at > until:
                self.now = until
                return
            self.now = max(self.now, at)

    @property
    def pauses(self) -> list[int]:
        ends = [at + self.runs_ms for at in self.tries]
        return [later - end for end, later in zip(ends, self.tries[1:], strict=False)]


@pytest.mark.parametrize("is_inside", [True, False])
def test_a_hook_that_fails_while_the_group_sleeps_is_tried_again_after_pauses_that_grow(
    is_inside: bool,
) -> None:
    member = Member(is_inside=is_inside)
    member.passes(5 * 60_000)
    pauses = member.pauses
    assert pauses[:3] == [FAILING_MS_MIN, 2 * FAILING_MS_MIN, 4 * FAILING_MS_MIN]
    assert pauses == sorted(pauses) and pauses[-1] == FAILING_MS_MAX
    assert member.turns < 60
    member.passes(60 * 60_000)
    assert len(member.pauses) < len(pauses) + 125, "it is not forgotten, and not asked more often"


def test_one_that_fails_only_after_a_while_has_its_pauses_too() -> None:
    """It was tried again at once: while it ran, the pauses began anew."""
    member = Member(runs_ms=5000)
    member.passes(10 * 60_000)
    for place, pause in enumerate(member.pauses):
        assert pause >= min(FAILING_MS_MIN << place, FAILING_MS_MAX)
    assert 10 < len(member.pauses) < 30


def test_a_success_is_acknowledged_once_and_begins_the_pauses_anew() -> None:
    member = Member()
    member.passes(60_000)
    assert member.effects.failures > 5
    member.done = (5, 0)  # the next one fails
    member.passes(FAILING_MS_MAX + 2 * FAILING_MS_MIN)
    assert member.acknowledged == [(5, 0)] and 0 < member.effects.failures < 9
    member.passes(60_000)
    assert member.acknowledged == [(5, 0)]
    member.effects.told(0)
    assert member.effects.act(member.now) == NEVER


def test_a_hook_that_runs_is_asked_for_once_a_second() -> None:
    member = Member()
    member.fails = False
    member.passes(60_000)
    assert len(member.asked) < 60_000 / SLOW_MS_MAX + 10 and len(member.tries) == 1
    assert not any(question.is_retry for question in member.asked)


def test_an_object_that_does_not_answer_is_asked_again_later() -> None:
    member = Member(is_inside=False)
    member.now = 500_000  # the core has slept for long
    assert member.effects.act(member.now) == NEVER and len(member.asked) == 1
    assert not member.effects.on_failed(0) and not member.effects.on_failed(99)
    assert member.effects.on_failed(member.effects.token)
    assert member.effects.act(member.now) == member.now + SLOW_MS_MAX


def test_what_was_refused_is_proposed_again_and_the_next_term_begins_anew() -> None:
    member = Member()
    member.fails, member.done, member.refuses = False, (5, 1), True
    member.effects.act(member.now)
    member.now += PAUSE_MS
    member.refuses = False
    member.effects.act(member.now)
    assert member.acknowledged == [(5, 1), (5, 1)]
    member.passes(10_000)
    assert len(member.acknowledged) == 2
    member.core.term = 6
    assert member.effects.act(member.now) > member.now and len(member.acknowledged) == 3
    member.core.role = Follower()
    assert member.effects.act(member.now) == NEVER
