"""Who is told what, without a cluster."""

import threading
from functools import partial
from typing import Any

import pytest

import fleet
from fleet.actors.executor.hook_events import HookEvents, open_hook_events
from fleet.objects.applier import Applier, Outcomes
from fleet.objects.executor import ObjectExecutor
from fleet.objects.hooks import HookCall, HookRunner, InlineRunner, LeaderHooks
from fleet.objects.keyed import keyed_encoder
from fleet.objects.payload import encode_call
from fleet.raft.config import GroupConfig
from fleet.raft.entries import (
    Body,
    Commands,
    Entry,
    KeyedCommands,
    MemberAdded,
    MemberRemoved,
    Noop,
    SessionOpened,
)
from fleet.raft.ids import MemberId

M1, M2 = MemberId("n1@a.1"), MemberId("n2@b.1")
TOLD: list[tuple[object, ...]] = []
SEEN: list[Any] = []


class Notes(LeaderHooks["Sum"]):
    def on_restored(self, state: "Sum") -> None:
        SEEN.append(("restored", state.value))

    def on_elected(self, state: "Sum", term: int) -> None:
        SEEN.append(("elected", state.value, term))

    def on_stepped_down(self, term: int) -> None:
        SEEN.append(("stepped down", term))

    def on_committed(self, event: fleet.Committed) -> None:
        SEEN.append((event.value, event.inherited))
        TOLD.append(event.args)

    def on_member_added(self, member: str) -> None:
        SEEN.append(("added", member))

    def on_member_removed(self, member: str) -> None:
        SEEN.append(("removed", member))


class Sum(fleet.Data, hooks=Notes):
    value: int = 0

    @fleet.command
    def add(self, n: int) -> int:
        self.value += n
        return self.value


class OnlyDown(LeaderHooks["Quiet"]):
    def on_stepped_down(self, term: int) -> None:
        SEEN.append(("stepped down", term))


class Quiet(Sum, hooks=OnlyDown):
    pass


class Nothing(Sum, hooks=LeaderHooks):
    pass


class AskedNotes(LeaderHooks["Asked"]):
    def on_elected(self, state: "Asked", term: int) -> None:
        SEEN.append(("elected", term))

    def on_query_answered(
        self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any], value: Any
    ) -> None:
        SEEN.append((method, value))


class Asked(fleet.Data, hooks=AskedNotes):
    @fleet.query
    def get(self) -> int:
        return 7


class Unencodable(Sum):
    def __init__(self) -> None:
        self.lock = threading.Lock()


class Group:
    """A member's applied state, fed by hand."""

    def __init__(self, cls: type[Any]) -> None:
        SEEN.clear()
        executor = ObjectExecutor(cls)
        self.applier = Applier(executor, GroupConfig())
        self.hook_events = HookEvents("sums", M1, self.applier, executor, InlineRunner())
        self.session = 0
        self.apply(1, SessionOpened("me", 0))
        self.session = next(iter(self.applier.sessions.sessions))

    def apply(self, term: int, body: Body) -> None:
        entry = Entry(term, self.applier.index + 1, body)
        self.applier.apply(entry, partial(self._on_outcomes, body))
        self.hook_events.on_applied(entry)

    def _on_outcomes(self, body: Body, outcomes: Outcomes, is_new: bool) -> None:
        if is_new:
            assert isinstance(body, Commands)
            self.hook_events.on_executed(body, outcomes)

    def add(self, term: int, seq: int) -> None:
        self.apply(term, Commands(self.session, seq, 0, 0, (encode_call("add", (1,), {}),)))


# -- who is told what --------------------------------------------------------------------------------------


def test_a_leadership_begins_with_its_first_own_entry_and_inherits_what_came_before() -> None:
    group = Group(Sum)
    group.add(1, 1)
    group.hook_events.lead(3, False, False)
    group.add(1, 2)
    group.apply(2, MemberAdded(M2, ""))
    assert SEEN == []
    group.apply(3, Noop())
    group.add(3, 3)
    group.apply(3, MemberRemoved(M2))
    group.hook_events.leave()
    group.add(4, 4)
    assert SEEN == [
        ("elected", 2, 3), (2, True), ("added", M2), (3, False), ("removed", M2), ("stepped down", 3)
    ]  # fmt: skip


def test_of_commands_sent_together_those_executed_now_are_told() -> None:
    group = Group(Sum)
    group.add(1, 1)
    group.hook_events.lead(1, False, False)
    group.apply(1, Noop())
    SEEN.clear()
    add = [encode_call("add", (n,), {}) for n in (1, 10, 100)]
    group.apply(1, Commands(group.session, 1, 0, 0, tuple(add)))
    assert SEEN == [(11, False), (111, False)] and TOLD[-2:] == [(10,), (100,)]


def test_a_command_with_a_key_is_told_once_and_as_the_call_that_it_is() -> None:
    group = Group(Sum)
    group.hook_events.lead(1, False, False)
    group.apply(1, Noop())
    SEEN.clear()
    keyed = keyed_encoder(encode_call, "invoice", None)("add", (10,), {})
    group.apply(1, KeyedCommands(group.session, 1, 0, 0, (keyed, encode_call("add", (1,), {}), keyed)))
    assert SEEN == [(10, False), (11, False)] and TOLD[-2:] == [(10,), (1,)]


def test_a_leader_deposed_before_its_first_own_entry_tells_nothing() -> None:
    group = Group(Sum)
    group.hook_events.lead(2, False, False)
    group.add(1, 1)
    group.hook_events.leave()
    group.hook_events.lead(4, False, False)
    group.apply(4, Noop())
    assert SEEN == [("elected", 1, 4)]


def test_queries_are_told_between_the_beginning_and_the_end_of_a_leadership() -> None:
    """Others may be answered with an old state before, and by followers."""
    group = Group(Asked)

    def read() -> None:
        payloads = (encode_call("get", (), {}),)
        group.hook_events.on_read(payloads, group.applier.query(payloads))

    read()
    group.hook_events.lead(2, False, False)
    read()
    assert SEEN == []
    group.apply(2, Noop())
    read()
    group.hook_events.leave()
    read()
    assert SEEN == [("elected", 2), ("get", 7)]


def test_a_command_is_told_when_it_is_executed_and_not_when_it_is_repeated_or_refused() -> None:
    group = Group(Sum)
    group.hook_events.lead(2, False, False)
    group.apply(2, Noop())
    for seq in (1, 1, 5, 2):
        group.add(2, seq)
    group.session = 999
    group.add(2, 1)
    assert SEEN[1:] == [(1, False), (2, False)]


def test_what_was_restored_is_told_once_in_a_members_life() -> None:
    group = Group(Sum)
    for term in (2, 3):
        group.hook_events.lead(term, True, False)
        group.apply(term, Noop())
        group.hook_events.leave()
    hooks = [told[0] for told in SEEN]
    assert hooks == ["restored", "elected", "stepped down", "elected", "stepped down"]


def test_an_object_that_replaces_one_that_led_is_told_so_at_once() -> None:
    """Its executor ended: it has executed what the other had, and no more may come for long."""
    group = Group(Sum)
    group.apply(2, Noop())
    group.add(2, 1)
    assert SEEN == []
    group.hook_events.lead(2, False, True)
    assert SEEN == [("elected", 1, 2)]
    group.add(2, 2)
    assert SEEN[1:] == [(2, False)]


def test_a_state_is_encoded_only_for_hooks_that_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ObjectExecutor, "dump", lambda _: pytest.fail("nobody asked for the state"))
    group = Group(Quiet)
    group.hook_events.lead(2, True, False)
    group.apply(2, Noop())
    group.add(2, 1)
    group.hook_events.leave()
    assert SEEN == [("stepped down", 2)]


def test_a_state_that_cannot_be_encoded_costs_that_one_hook(caplog: pytest.LogCaptureFixture) -> None:
    group = Group(Unencodable)
    group.hook_events.lead(2, False, False)
    group.apply(2, Noop())
    group.add(2, 1)
    assert SEEN == [(1, False)]
    assert "group=sums hooks are not told of the state" in caplog.text


@pytest.mark.parametrize("runner", [None, InlineRunner()])
@pytest.mark.parametrize(("cls", "tells"), [(Sum, True), (Nothing, False)])
def test_hook_events_are_kept_only_if_a_hook_is_overridden_and_somebody_runs_it(
    cls: type[Any], tells: bool, runner: HookRunner | None
) -> None:
    executor = ObjectExecutor(cls)
    events = open_hook_events("sums", M1, Applier(executor, GroupConfig()), executor, runner)
    assert (events is not None) == (tells and runner is not None)


def test_after_close_an_inline_runner_runs_nothing() -> None:
    runner = InlineRunner()
    ran: list[str] = []
    runner.submit("g", HookCall("on_committed", partial(ran.append, "before")))
    runner.close()
    runner.submit("g", HookCall("on_committed", partial(ran.append, "after")))
    assert ran == ["before"]
