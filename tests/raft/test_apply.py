"""Committed entries and the data object they change."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.errors import NotEncodable
from fleet.interfaces import Context
from fleet.objects import applier as applier_module
from fleet.objects.applied_state import dumped_object
from fleet.objects.applier import Applier, Opened, Outcomes
from fleet.raft.config import GroupConfig
from fleet.raft.entries import (
    Body,
    Commands,
    ConfigChanged,
    Entry,
    Founded,
    MemberAdded,
    MemberPromoted,
    Noop,
    SessionClosed,
    SessionOpened,
    Skipped,
    SkipProposed,
)
from fleet.raft.sessions import DONE, EXPIRED, OUT_OF_ORDER, SessionTable
from tests.raft.cores import CONFIG, N1
from tests.raft.ledger import FAIL, Ledger


class Group:
    """An applier that is fed by hand; session 1 is open."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.applier = Applier(self.ledger, CONFIG)
        opened = self.feed(SessionOpened("c", 0))
        assert isinstance(opened, Opened)
        self.session = opened.session
        self.seq = 0

    def feed(self, body: Body) -> Opened | None:
        self.told: list[tuple[Outcomes, bool]] = []
        entry = Entry(1, self.applier.index + 1, body)
        return self.applier.apply(entry, lambda outcomes, is_new: self.told.append((outcomes, is_new)))

    def do(self, *payloads: bytes, wall_ms: int = 0) -> Outcomes:
        """The client's next commands, sent together."""
        (outcomes,) = self.repeat(self.seq + 1, *payloads, wall_ms=wall_ms)
        self.seq += len(payloads)
        return outcomes

    def repeat(self, first: int, *payloads: bytes, wall_ms: int = 0) -> list[Outcomes]:
        self.feed(Commands(self.session, first, 0, wall_ms, payloads))
        return [outcomes for outcomes, _ in self.told]


def test_entries_that_skip_a_command_change_nothing_and_count_no_revision() -> None:
    """The driver records the command as failed where it stands."""
    group = Group()
    group.do(b"1")
    before = group.applier.revision, group.applier.executor.dump()
    for body in (SkipProposed(2, 0, "hangs"), Skipped(2, 0, "hangs")):
        assert group.feed(body) is None and group.told == []
    assert (group.applier.revision, group.applier.executor.dump()) == before


def test_a_command_is_answered_with_the_revision_at_which_it_took_effect() -> None:
    group = Group()
    assert group.do(b"a") == Outcomes(group.session, 1, DONE, 1, (b"1",))
    group.feed(Noop())
    assert group.do(b"b", b"c") == Outcomes(group.session, 2, DONE, 2, (b"2", b"3"))
    assert group.do(b"d").revision == group.applier.revision == 4
    group.feed(ConfigChanged(CONFIG))
    group.feed(MemberAdded(N1, "a"))
    group.feed(MemberPromoted(N1))
    group.feed(SessionOpened("other", 0))
    assert group.do(b"e").revision == 8


def test_a_repeated_command_changes_nothing_and_answers_alike() -> None:
    group = Group()
    first = group.do(b"a")
    assert group.repeat(1, b"a") == [first]
    assert group.ledger.lines == [b"a"] and group.told == [(first, False)]


def test_of_commands_sent_together_those_that_are_new_are_executed() -> None:
    """A client sends everything again that is under way; the beginning may have been executed."""
    group = Group()
    group.do(b"a", b"b")
    outcomes = group.repeat(2, b"b", b"c", b"d")
    assert outcomes == [
        Outcomes(group.session, 2, DONE, 2, (b"2",)),
        Outcomes(group.session, 3, DONE, 3, (b"3", b"4")),
    ]
    assert [is_new for _, is_new in group.told] == [False, True]
    assert group.ledger.lines == [b"a", b"b", b"c", b"d"]


def test_commands_that_failed_among_others_leave_no_trace_but_their_answers() -> None:
    group = Group()
    outcomes = group.do(b"a", FAIL, b"b", FAIL, FAIL, b"c")
    assert outcomes.values == (b"1", b"failed", b"2", b"failed", b"failed", b"3")
    assert group.ledger.lines == [b"a", b"b", b"c"]
    assert group.repeat(1, b"a", FAIL)[1].values == (b"failed",)


def test_no_commands_at_all_change_nothing() -> None:
    group = Group()
    assert group.repeat(1) == [] and group.repeat(7)[0].values == ()
    assert group.do(b"a").revision == 1


def test_s76_a_client_that_leaves_takes_its_results_with_it() -> None:
    """2,000 of them, with a result of 50 KB each, made a snapshot of 100 MB."""
    group = Group()
    group.do(bytes(1000))
    group.feed(SessionClosed("c", 7))
    assert group.applier.sessions == SessionTable(log_ms=7)


@pytest.mark.parametrize(("session", "seq", "status"), [(99, 1, EXPIRED), (None, 5, OUT_OF_ORDER)])
def test_what_is_refused_is_not_executed(session: int | None, seq: int, status: str) -> None:
    group = Group()
    group.feed(Commands(session or group.session, seq, 0, 0, (b"a", b"b")))
    assert group.told == [(Outcomes(session or group.session, seq, status, 0, (b"", b"")), False)]
    assert group.ledger.lines == []


def test_s46_a_command_that_fails_leaves_no_trace_but_its_answer() -> None:
    group = Group()
    group.do(b"a")
    failed = group.do(FAIL)
    assert (failed.status, failed.values) == (DONE, (b"failed",))
    assert group.ledger.lines == [b"a"]
    assert group.do(b"b").values == (b"2",)
    assert group.repeat(2, FAIL) == [failed]


def outcomes_of(applier: Applier, entry: Entry) -> list[Outcomes]:
    told: list[Outcomes] = []
    applier.apply(entry, lambda outcomes, is_new: told.append(outcomes))
    return told


DEEDS = st.one_of(
    st.lists(st.sampled_from([b"a", b"b", FAIL]), min_size=1, max_size=4),
    st.sampled_from(["snapshot", "restart", "query"]),
)


def object_in(state: bytes) -> bytes | None:
    return dumped_object(state) or None


@given(st.lists(DEEDS, max_size=25))
def test_s46_members_agree_however_often_they_were_restarted(deeds: list[list[bytes] | str]) -> None:
    """One member executes all; another takes snapshots, is restored and fails queries in between."""
    steady, other = Group(), Group()
    saved = other.applier.dump()
    since: list[Entry] = []
    for deed in deeds:
        if deed == "snapshot":
            saved, since = other.applier.dump(), []
            other.applier.journal.rebase(other.applier.index, partial(object_in, saved), len(saved))
        elif deed == "restart":
            other.ledger = Ledger()
            other.applier = Applier(other.ledger, CONFIG)
            other.applier.restore(saved)
            for entry in since:
                other.applier.apply(entry)
        elif deed == "query":
            assert other.applier.query((FAIL,)) == [b"failed"]
        else:
            assert isinstance(deed, list)
            outcomes = steady.do(*deed)
            commands = Commands(other.session, outcomes.first, 0, 0, tuple(deed))
            entry = Entry(1, other.applier.index + 1, commands)
            since.append(entry)
            assert outcomes_of(other.applier, entry) == [outcomes]
        assert other.ledger.lines == steady.ledger.lines
    assert other.applier.dump() == steady.applier.dump()


def test_queries_asked_together_are_answered_one_by_one_when_one_changes_the_object() -> None:
    group = Group()
    group.do(b"a")
    assert group.applier.query((b"", b"")) == [b"1", b"1"]
    assert group.applier.query((b"", FAIL, b"")) == [b"1", b"failed", b"1"]
    assert group.ledger.lines == [b"a"]


def test_a_late_snapshot_does_not_undo_a_later_base() -> None:
    """A snapshot from before a failure becomes durable after it."""
    group = Group()
    group.do(b"a")
    at, old = group.applier.index, dumped_object(group.applier.dump())
    group.do(b"b")
    group.do(FAIL)
    group.applier.journal.rebase(at, lambda: old, len(old))
    group.do(FAIL)
    assert group.ledger.lines == [b"a", b"b"]


def test_a_snapshot_lets_the_journal_go() -> None:
    group = Group()
    for _ in range(5):
        group.do(b"a")
    state = dumped_object(group.applier.dump())
    group.applier.journal.rebase(group.applier.index, lambda: state, len(state))
    assert group.applier.journal.executed == []
    group.do(FAIL)
    assert len(group.ledger.lines) == 5


def test_s76_a_journal_gives_way_to_the_object_that_it_makes() -> None:
    """It held 20,000 commands, since a small object is seldom worth a snapshot."""
    group = Group()
    longest = 0
    for number in range(20_000):
        group.do(b"%d" % (number % 10))
        longest = max(longest, len(group.applier.journal.executed))
    assert longest < 5000
    group.do(FAIL)
    assert len(group.ledger.lines) == 20_000


def test_a_journal_stays_where_the_object_cannot_be_dumped(monkeypatch: pytest.MonkeyPatch) -> None:
    group = Group()
    tries = []

    def refuse(ledger: Ledger) -> bytes:
        tries.append(len(ledger.lines))
        raise NotEncodable("no bytes hold it")

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "dump", refuse)
        for _ in range(200):
            group.do(bytes(10_000))
    assert len(tries) == 1, "not with every command"
    group.do(FAIL)
    assert len(group.ledger.lines) == 200


def test_time_inside_commands_never_goes_back() -> None:
    seen = []

    class Watch(Ledger):
        def apply(
            self,
            context: Context,
            payloads: Sequence[bytes],
            bytes_max: int = 0,
            is_due: bool = False,
            weigh: bool = False,
        ) -> Any:
            seen.append((context.revision, context.now_ms, context.client, context.seq))
            return super().apply(context, payloads, bytes_max)

    group = Group()
    group.applier.executor = Watch()
    for wall_ms in (500, 300, 700):
        group.do(b"a", wall_ms=wall_ms)
    assert seen == [(1, 500, "c", 1), (2, 500, "c", 2), (3, 700, "c", 3)]


def test_entries_are_applied_in_order_without_holes() -> None:
    group = Group()
    with pytest.raises(AssertionError, match="3 applied after 1"):
        group.applier.apply(Entry(1, 3, Noop()))


def test_the_configuration_is_part_of_the_state() -> None:
    changed = GroupConfig(session_ttl_ms=500)
    applier = Applier(Ledger(), GroupConfig())
    applier.apply(Entry(1, 1, Founded(N1, "a", changed)))
    assert applier.config == changed
    applier.apply(Entry(1, 2, ConfigChanged(CONFIG)))
    again = Applier(Ledger(), changed)
    again.restore(applier.dump())
    assert (again.config, again.index) == (CONFIG, 2)


def test_a_snapshot_of_an_unknown_format_is_refused() -> None:
    data = bytearray(Applier(Ledger(), CONFIG).dump())
    assert data[1] == 1
    data[1] = 9
    with pytest.raises(AssertionError, match="snapshot format 9"):
        Applier(Ledger(), CONFIG).restore(bytes(data))


def test_s76_results_of_commands_sent_together_are_told_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """All at once they would fill the member, whatever a session may keep."""
    monkeypatch.setattr(applier_module, "RESULTS_BYTES_MAX", 2)
    group = Group()
    group.feed(Commands(group.session, 1, 0, 0, (b"a",) * 4 + (FAIL,) + (b"b",) * 5))
    parts = [(outcomes.first, outcomes.revision, len(outcomes.values)) for outcomes, _ in group.told]
    assert parts == [(1, 1, 3), (4, 4, 2), (6, 6, 3), (9, 9, 2)]
    assert [is_new for _, is_new in group.told] == [True] * 4
    (session,) = group.applier.sessions.sessions.values()
    assert [(results.first, len(results.values)) for results in session.results] == [
        (first, count) for first, _, count in parts
    ]
    assert group.applier.revision == 10 and group.ledger.lines == [b"a"] * 4 + [b"b"] * 5
