"""Who is told what, without a cluster; and the threads that do the telling."""

import logging
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

import fleet
from fleet.actors.member.hook_events import HookEvents, open_hook_events
from fleet.actors.member.hook_threads import LOG_EVERY_S, Lane, ThreadRunner
from fleet.objects.applier import Applier, Outcomes
from fleet.objects.executor import ObjectExecutor
from fleet.objects.hooks import HookCall, HookRunner, InlineRunner, LeaderHooks
from fleet.objects.payload import encode_call
from fleet.raft.config import GroupConfig
from fleet.raft.entries import Body, Commands, Entry, MemberAdded, MemberRemoved, Noop, SessionOpened
from fleet.raft.ids import MemberId
from fleet.raft.ready import BecameLeader, SteppedDown
from tests.actors.member.requested import start_of
from tests.raft.ledger import Ledger
from tests.support.clocks import HandClock

M1, M2 = MemberId("n1@a.1"), MemberId("n2@b.1")
WAIT_S = 20.0
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


class Unencodable(Sum):
    def __init__(self) -> None:
        self.lock = threading.Lock()


class Group:
    """A member's applied state, fed by hand."""

    def __init__(self, cls: type[Any], is_restored: bool = False) -> None:
        SEEN.clear()
        executor = ObjectExecutor(cls)
        self.applier = Applier(executor, GroupConfig())
        self.hook_events = HookEvents(
            "sums", M1, self.applier, executor, InlineRunner(), is_restored=is_restored
        )
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
    group.hook_events.on_role(BecameLeader(3))
    group.add(1, 2)
    group.apply(2, MemberAdded(M2, ""))
    assert SEEN == []
    group.apply(3, Noop())
    group.add(3, 3)
    group.apply(3, MemberRemoved(M2))
    group.hook_events.on_role(SteppedDown(3, None))
    group.add(4, 4)
    assert SEEN == [
        ("elected", 2, 3), (2, True), ("added", M2), (3, False), ("removed", M2), ("stepped down", 3)
    ]  # fmt: skip


def test_of_commands_sent_together_those_executed_now_are_told() -> None:
    group = Group(Sum)
    group.add(1, 1)
    group.hook_events.on_role(BecameLeader(1))
    group.apply(1, Noop())
    SEEN.clear()
    add = [encode_call("add", (n,), {}) for n in (1, 10, 100)]
    group.apply(1, Commands(group.session, 1, 0, 0, tuple(add)))
    assert SEEN == [(11, False), (111, False)] and TOLD[-2:] == [(10,), (100,)]


def test_a_leader_deposed_before_its_first_own_entry_tells_nothing() -> None:
    group = Group(Sum)
    group.hook_events.on_role(BecameLeader(2))
    group.add(1, 1)
    group.hook_events.on_role(SteppedDown(2, None))
    group.hook_events.on_role(BecameLeader(4))
    group.apply(4, Noop())
    assert SEEN == [("elected", 1, 4)]


def test_a_command_is_told_when_it_is_executed_and_not_when_it_is_repeated_or_refused() -> None:
    group = Group(Sum)
    group.hook_events.on_role(BecameLeader(2))
    group.apply(2, Noop())
    for seq in (1, 1, 5, 2):
        group.add(2, seq)
    group.session = 999
    group.add(2, 1)
    assert SEEN[1:] == [(1, False), (2, False)]


def test_what_was_restored_is_told_once_in_a_members_life() -> None:
    group = Group(Sum, is_restored=True)
    for term in (2, 3):
        group.hook_events.on_role(BecameLeader(term))
        group.apply(term, Noop())
        group.hook_events.on_role(SteppedDown(term, None))
    hooks = [told[0] for told in SEEN]
    assert hooks == ["restored", "elected", "stepped down", "elected", "stepped down"]


def test_a_state_is_encoded_only_for_hooks_that_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ObjectExecutor, "dump", lambda _: pytest.fail("nobody asked for the state"))
    group = Group(Quiet, is_restored=True)
    group.hook_events.on_role(BecameLeader(2))
    group.apply(2, Noop())
    group.add(2, 1)
    group.hook_events.end()
    assert SEEN == [("stepped down", 2)]


def test_a_state_that_cannot_be_encoded_costs_that_one_hook(caplog: pytest.LogCaptureFixture) -> None:
    group = Group(Unencodable)
    group.hook_events.on_role(BecameLeader(2))
    group.apply(2, Noop())
    group.add(2, 1)
    assert SEEN == [(1, False)]
    assert "group=sums hook=on_elected is not told" in caplog.text


@pytest.mark.parametrize("runner", [None, InlineRunner()])
@pytest.mark.parametrize(("cls", "tells"), [(Sum, True), (Nothing, False), (Ledger, False)])
def test_hook_events_are_kept_only_if_a_hook_is_overridden_and_somebody_runs_it(
    cls: type[Any], tells: bool, runner: HookRunner | None
) -> None:
    applier = Applier(ObjectExecutor(cls) if issubclass(cls, fleet.Data) else cls(), GroupConfig())
    shared = start_of(M1, HandClock(), hooks=runner)
    events = open_hook_events(shared, "sums", applier, is_restored=True)
    assert (events is not None) == (tells and runner is not None)
    alone = start_of(M1, HandClock(), has_store=False)
    own = open_hook_events(alone, "sums", applier, is_restored=True)
    assert (own is not None) == tells
    if own is not None:
        assert own.is_restored and own.owns_runner
        own.end()


def test_after_close_an_inline_runner_runs_nothing() -> None:
    runner = InlineRunner()
    ran: list[str] = []
    runner.submit("g", HookCall("on_committed", partial(ran.append, "before")))
    runner.close()
    runner.submit("g", HookCall("on_committed", partial(ran.append, "after")))
    assert ran == ["before"]


# -- threads -------------------------------------------------------------------------------------------------


@pytest.fixture
def make_runner() -> Iterator[Callable[..., ThreadRunner]]:
    made: list[ThreadRunner] = []

    def make(**settings: Any) -> ThreadRunner:
        made.append(ThreadRunner(**settings))
        return made[-1]

    yield make
    for runner in made:
        runner.close(WAIT_S)
    assert not [thread for thread in threading.enumerate() if thread.name == "fleet-hooks"]


def loose(run: Callable[[], Any], size: int = 0) -> HookCall:
    return HookCall("on_committed", run, size, may_drop=True)


class Blocked:
    """A group whose hook waits until it is let go."""

    def __init__(self, runner: ThreadRunner, group: str) -> None:
        self.begun, self.gate = threading.Event(), threading.Event()
        runner.submit(group, HookCall("on_elected", self.run))
        assert self.begun.wait(WAIT_S)

    def run(self) -> None:
        self.begun.set()
        assert self.gate.wait(WAIT_S)


def finish(runner: ThreadRunner, group: str) -> None:
    """Until everything submitted before is done."""
    done = threading.Event()
    runner.submit(group, HookCall("on_stepped_down", done.set))
    assert done.wait(WAIT_S)


def test_each_groups_calls_run_one_by_one_in_order(make_runner: Callable[..., ThreadRunner]) -> None:
    runner = make_runner(threads_max=4)
    ran: dict[str, list[int]] = {f"g{number}": [] for number in range(10)}
    for number in range(300):
        for group in ran:
            runner.submit(group, loose(partial(ran[group].append, number)))
    for group in ran:
        finish(runner, group)
    assert all(numbers == list(range(300)) for numbers in ran.values())


def test_a_blocked_group_delays_no_other(make_runner: Callable[..., ThreadRunner]) -> None:
    runner = make_runner(threads_max=3)
    blocked = [Blocked(runner, "a"), Blocked(runner, "b")]
    for group in ("c", "d", "e"):
        finish(runner, group)
    for one in blocked:
        one.gate.set()


def test_s80_hooks_wait_while_no_thread_can_be_started(
    make_runner: Callable[..., ThreadRunner],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The member whose hook it was failed."""

    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    runner, ran = make_runner(threads_max=2), list[int]()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        for number in range(3):
            runner.submit("a", loose(partial(ran.append, number)))
    assert ["no thread for hooks" in record.getMessage() for record in caplog.records] == [True]
    finish(runner, "a")
    assert ran == [0, 1, 2]


def test_when_all_threads_are_blocked_the_log_says_by_whom(
    make_runner: Callable[..., ThreadRunner], caplog: pytest.LogCaptureFixture
) -> None:
    runner = make_runner(threads_max=2)
    blocked = [Blocked(runner, "a"), Blocked(runner, "b")]
    runner.submit("c", loose(int))
    runner.submit("d", loose(int))
    assert [record.getMessage() for record in caplog.records] == [
        "all 2 threads for hooks are busy: a:on_elected, b:on_elected"
    ]
    blocked[0].gate.set()
    finish(runner, "c")
    blocked[1].gate.set()


@pytest.mark.parametrize(("settings", "size"), [({"events_max": 3}, 0), ({"bytes_max": 30}, 10)])
def test_the_oldest_commands_are_dropped_and_counted_and_elections_never(
    make_runner: Callable[..., ThreadRunner], settings: dict[str, int], size: int
) -> None:
    runner = make_runner(**settings)
    ran: list[Any] = []
    blocked = Blocked(runner, "g")
    for number in range(10):
        runner.submit("g", loose(partial(ran.append, number), size))
        runner.submit("g", HookCall("on_elected", partial(ran.append, f"elected {number}"), 1000))
    assert runner.dropped("g") == 7 and runner.dropped("other") == 0
    blocked.gate.set()
    finish(runner, "g")
    assert [one for one in ran if isinstance(one, int)] == [7, 8, 9]
    assert [one for one in ran if isinstance(one, str)] == [f"elected {number}" for number in range(10)]


def test_a_call_too_big_for_the_queue_is_dropped_like_any_other(
    make_runner: Callable[..., ThreadRunner],
) -> None:
    runner = make_runner(bytes_max=10)
    ran: list[int] = []
    runner.submit("g", loose(partial(ran.append, 1), 11))
    finish(runner, "g")
    assert runner.dropped("g") == 1 and not ran


def test_drops_are_logged_once_a_minute(
    make_runner: Callable[..., ThreadRunner], caplog: pytest.LogCaptureFixture
) -> None:
    now = 0.0
    runner = make_runner(events_max=1, now=lambda: now)
    blocked = Blocked(runner, "g")
    for _ in range(5):
        runner.submit("g", loose(int))
    now = LOG_EVERY_S
    runner.submit("g", loose(int))
    assert [record.getMessage() for record in caplog.records] == [
        "group=g hook=on_elected is too slow: 1 events dropped, 1 in all",
        "group=g hook=on_elected is too slow: 4 events dropped, 5 in all",
    ]
    blocked.gate.set()


def test_a_call_that_raises_is_logged_and_the_next_one_runs(
    make_runner: Callable[..., ThreadRunner], caplog: pytest.LogCaptureFixture
) -> None:
    runner = make_runner()
    with caplog.at_level(logging.ERROR):
        runner.submit("g", loose(partial(int, "x")))
        finish(runner, "g")
    assert [record.getMessage() for record in caplog.records] == ["group=g hook=on_committed raised"]


def test_closing_lets_what_runs_end_and_tells_of_elections_but_not_of_commands(
    make_runner: Callable[..., ThreadRunner],
) -> None:
    runner = make_runner()
    ran: list[str] = []
    blocked = Blocked(runner, "g")
    runner.submit("g", loose(partial(ran.append, "committed")))
    runner.submit("g", HookCall("on_stepped_down", partial(ran.append, "stepped down")))
    closing = threading.Thread(target=runner.close, args=(WAIT_S,))
    closing.start()
    blocked.gate.set()
    closing.join()
    runner.submit("g", HookCall("on_elected", partial(ran.append, "elected")))
    assert ran == ["stepped down"] or ran == ["committed", "stepped down"]


def test_closing_leaves_a_hook_that_blocks_behind(caplog: pytest.LogCaptureFixture) -> None:
    runner = ThreadRunner()
    blocked = Blocked(runner, "g")
    ran: list[int] = []
    runner.submit("g", HookCall("on_stepped_down", partial(ran.append, 1)))
    runner.close(0.01)
    assert "left behind: g:on_elected" in caplog.text
    blocked.gate.set()
    for thread in threading.enumerate():
        if thread.name == "fleet-hooks":
            thread.join(WAIT_S)
    assert not ran


def test_a_lane_counts_what_it_holds() -> None:
    lane = Lane("g")
    for size in (1, 2, 3):
        lane.add(loose(int, size))
    lane.add(HookCall("on_elected", lambda: None, 100))
    lane.take()
    lane.drop_oldest()
    assert (lane.loose, lane.loose_bytes, lane.dropped, len(lane.waiting)) == (1, 3, 1, 2)
