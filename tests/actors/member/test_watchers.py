"""Who watches at a member, event by event: the member and its object are the test's."""

import pytest

from fleet.actors.executor.event_pages import read_events
from fleet.actors.member import watchers as module
from fleet.actors.member.watchers import READING_MAX, SILENT_MS
from fleet.actors.messages.client import KeepWatch
from fleet.errors import GroupHalted, Unavailable
from fleet.objects.applier import Applier
from fleet.objects.executor import ObjectExecutor
from fleet.raft.config import GroupConfig
from fleet.raft.group_events import LAST, GroupEvent, Position
from fleet.raft.state import Leader
from tests.actors.member.watch_bench import LEADER, Bench, address
from tests.support.classes import Feed


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_watcher_is_told_what_is_kept_and_then_what_is_new(bench: Bench) -> None:
    bench.emit("a", "b")
    bench.watch()
    bench.emit("c")  # the question is under way: the answer will have it
    assert bench.told() == []
    bench.answer()
    (reply,) = bench.told()
    assert [event.kind for event in reply.events] == ["a", "b", "c"]
    assert (reply.place, reply.until, reply.uid) == (1, (2, LAST), 7)
    bench.emit("d")
    bench.emit()
    (reply,) = bench.told()
    assert (reply.place, [event.kind for event in reply.events], reply.now) == (2, ["d"], 3)


def test_from_now_on_says_where_that_is(bench: Bench) -> None:
    bench.emit("a")
    bench.watch(after=None)
    bench.answer()
    (reply,) = bench.told()
    assert reply.events == () and reply.until == (1, LAST)


def test_a_member_that_does_not_lead_says_who_does(bench: Bench) -> None:
    bench.core.is_leader, bench.core.leader = False, LEADER
    bench.watch()
    (reply,) = bench.told()
    assert reply.error is not None and reply.error.kind == "Unavailable"
    assert (reply.place, reply.leader, reply.leader_address) == (0, "n2", "n2:1")
    assert bench.questions == [] and bench.watchers.by_client == {}


def test_a_leader_that_has_not_executed_its_log_begins_no_watch(bench: Bench) -> None:
    """Seed 321: a watch of what comes from now on began at revision 0 of a member that had just started."""
    bench.core.role = Leader(5, {}, 0, 0, 0)
    bench.index = 4
    bench.watch(after=None)
    (reply,) = bench.told()
    assert reply.error is not None and reply.error.kind == "Unavailable" and bench.questions == []
    bench.index = 5
    bench.watch(after=None, number=2)
    bench.answer()
    (reply,) = bench.told()
    assert reply.error is None


def test_now_is_not_in_the_past_of_an_object_that_is_made_again(bench: Bench) -> None:
    bench.watch()
    bench.answer()
    bench.emit("a")
    bench.emit("b")
    assert [reply.now for reply in bench.told()] == [0, 1, 2]
    bench.run, bench.applier = 2, Applier(ObjectExecutor(Feed), GroupConfig())
    bench.watchers.on_other_object()
    bench.keep(asks=True)
    assert [reply.now for reply in bench.told()] == [2]


def test_when_the_leadership_is_lost_all_are_told(bench: Bench) -> None:
    for client in "cd":
        bench.watch(client)
    bench.answer()
    bench.replies.clear()
    bench.watchers.lose_all(LEADER)
    assert [reply.leader_address for _, reply in bench.replies] == ["n2:1", "n2:1"]
    assert bench.watchers.by_client == {} and bench.left == 1


def test_what_is_not_confirmed_is_bounded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "UNCONFIRMED_MAX", 3)
    bench.watch()
    bench.answer()
    for _ in range(10):
        bench.emit("a")
    told = bench.told()
    assert len(told) == 3 and bench.questions == [] and bench.watchers.live == {}
    bench.keep(taken=1)
    bench.emit("a")
    bench.answer()
    assert bench.places() == [(revision, 0) for revision in range(3, 12)]
    bench.emit("a")
    assert bench.places() == [] and bench.watchers.live == {}
    bench.keep(taken=4)
    bench.answer()
    assert bench.places() == [(12, 0)]


def test_bytes_that_are_not_confirmed_are_bounded_too(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "UNCONFIRMED_BYTES_MAX", 150)
    bench.watch()
    bench.answer()
    for _ in range(10):
        bench.emit("a")
    assert len(bench.places()) == 3


def test_one_that_waits_for_the_future_takes_nothing_from_others(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "UNCONFIRMED_MAX", 2)
    bench.watch("c")
    bench.watch("d", after=(10**9, LAST))
    bench.answer()
    for _ in range(3):
        bench.emit("a")
    bench.keep("c", taken=2)
    bench.answer()
    assert bench.places("c") == [(1, 0), (2, 0), (3, 0)]


def test_an_object_that_was_made_anew_is_read_again(bench: Bench) -> None:
    bench.watch()
    bench.answer()
    bench.emit("a")
    bench.run = 2
    bench.applier.fresh_events = None
    bench.applier.revision += 1  # executed by the new one, which was not asked to tell
    bench.applier.events.add([GroupEvent(2, 0, "b", b"")], 1000, 1 << 20)
    bench.emit("c")
    bench.answer()
    bench.emit("d")
    assert bench.places() == [(1, 0), (2, 0), (3, 0), (4, 0)]


def test_a_new_watcher_of_an_object_that_was_made_anew_costs_the_others_nothing(bench: Bench) -> None:
    """Seed 9002165: whoever asked it first had it tell of new events, and the others missed those before."""
    bench.watch("c")
    bench.answer()
    bench.emit("a")
    bench.run = 2
    bench.applier.fresh_events = None
    bench.applier.revision += 1
    bench.applier.events.add([GroupEvent(2, 0, "b", b"")], 1000, 1 << 20)
    bench.watch("d")
    bench.answer()
    bench.emit("c")
    bench.answer()
    assert bench.places("c") == bench.places("d") == [(1, 0), (2, 0), (3, 0)]


def test_an_object_that_has_another_state_is_read_again(bench: Bench) -> None:
    bench.watch()
    bench.answer()
    bench.applier.revision = 9
    bench.applier.events.add([GroupEvent(9, 0, "b", b"")], 1000, 1 << 20)
    bench.watchers.on_other_object()
    bench.answer()
    assert bench.places() == [(9, 0)]


def test_one_that_asks_for_what_is_forgotten_is_told_from_where_all_is_kept(bench: Bench) -> None:
    bench.applier.events.add([GroupEvent(n, 0, "a", b"") for n in (2, 4, 6)], 2, 1 << 20)
    bench.applier.revision = 6
    bench.watch(after=(1, LAST))
    bench.answer()
    (reply,) = bench.told()
    assert reply.error is not None
    assert (reply.error.kind, reply.error.facts["oldest"]) == ("Compacted", "4")
    assert bench.watchers.by_client == {} and bench.left == 1


def test_an_object_that_does_not_answer_ends_the_watch(bench: Bench) -> None:
    bench.watch()
    token = bench.questions[0].token
    assert not bench.watchers.on_failed(99, Unavailable("other"))
    assert bench.watchers.on_failed(token, GroupHalted("halted"))
    (reply,) = bench.told()
    assert reply.error is not None and reply.error.kind == "GroupHalted"


def test_who_says_nothing_is_forgotten_and_nobody_else(bench: Bench) -> None:
    for client in "cd":
        bench.watch(client)
    bench.answer()
    for _ in range(4):
        bench.now += SILENT_MS // 2
        bench.keep("d", asks=True)
        bench.emit("a")
    assert list(bench.watchers.by_client) == ["d"]
    bench.replies.clear()
    bench.emit("a")
    assert [to for to, _ in bench.replies] == [address("d")]
    bench.keep("c", asks=True)
    (reply,) = bench.told("c")
    assert reply.error is not None and reply.error.what == module.NOT_KNOWN


def test_a_later_watch_of_a_client_takes_the_place_of_the_earlier_one(bench: Bench) -> None:
    bench.watch(number=2)
    bench.answer()
    bench.watch(number=1)  # overtaken on its way
    assert bench.questions == []
    bench.watch(number=3)
    bench.answer()
    bench.told()
    bench.emit("a")
    (reply,) = bench.told()
    assert reply.number == 3


def test_the_last_one_that_leaves_is_the_last_that_is_told(bench: Bench) -> None:
    bench.watch("c")
    bench.watch("d")
    bench.answer()
    bench.keep("c", leaves=True)
    assert bench.left == 0
    bench.keep("d", leaves=True)
    bench.keep("d", leaves=True)
    assert bench.left == 1 and bench.applier.fresh_events is None
    bench.replies.clear()
    bench.emit("a")
    assert bench.replies == []


def test_few_pages_are_read_at_a_time_each_watcher_s_in_its_turn(bench: Bench) -> None:
    for _ in range(3):
        bench.emit("a")
    clients = [f"c{number}" for number in range(5000)]
    for client in clients:
        bench.watch(client)
    while bench.questions:
        assert len(bench.questions) <= READING_MAX
        bench.watchers.on_read(read_events(bench.applier, bench.questions.pop(0)))
    served = [to for to, reply in bench.replies if reply.events]
    assert served == [address(client) for client in clients]
    assert not bench.watchers.waiting and not bench.watchers.reading
    bench.replies.clear()
    bench.emit("a")
    assert len(bench.replies) == 5000


@pytest.mark.parametrize("after", [None, (1, LAST)])
def test_one_that_waits_for_its_page_is_told_that_it_was_heard(bench: Bench, after: Position | None) -> None:
    bench.emit("a")
    bench.emit("a")
    for number in range(READING_MAX):
        bench.watch(f"c{number}")
    bench.watch("d", after=after)
    (heard,) = bench.told("d")
    assert (heard.place, heard.events, heard.now) == (1, (), 2)
    bench.emit("a")
    bench.answer()
    told = bench.told("d")
    assert [reply.place for reply in told] == [2], "no place is left out"
    assert [event.revision for event in told[0].events] == ([3] if after is None else [2, 3])


def test_who_asks_anew_all_the_time_does_not_fill_the_object_with_questions(bench: Bench) -> None:
    bench.emit("a")
    for number in range(1, 1000):
        bench.watch(number=number)
    assert len(bench.questions) == READING_MAX and len(bench.watchers.waiting) == 1
    bench.watch("d")
    bench.answer()
    assert bench.places("d") == [(1, 0)]
    assert bench.told()[-1].number == 999 and not bench.watchers.reading
    bench.left = 0
    bench.keep("d", leaves=True)
    bench.watchers.keep(KeepWatch("g", "c", address("c"), 999, 0, asks=False, leaves=True))
    assert bench.left == 1 and bench.watchers.bytes == 0


def test_who_asks_and_confirms_nothing_is_answered_for_a_while(bench: Bench) -> None:
    bench.watch()
    bench.answer()
    bench.told()
    for _ in range(3 * module.UNCONFIRMED_MAX):
        bench.keep(taken=0, asks=True)
    assert len(bench.told()) < module.UNCONFIRMED_MAX
    assert len(bench.watchers.by_client["c"].unconfirmed) == module.UNCONFIRMED_MAX
    bench.keep(taken=module.UNCONFIRMED_MAX, asks=True)
    assert len(bench.told()) == 1


def test_what_all_together_have_not_confirmed_is_bounded(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ALL_BYTES_MAX", 500)
    for number in range(20):
        bench.watch(f"c{number}")
    bench.answer()
    for _ in range(10):
        bench.emit("a")
    assert sum(one.bytes for one in bench.watchers.by_client.values()) == bench.watchers.bytes < 2000
    assert {len(bench.places(f"c{number}")) for number in range(20)} <= {1, 2}
    for _ in range(10):
        for number in range(20):
            client = f"c{number}"
            bench.keep(client, taken=bench.watchers.by_client[client].place)
            bench.answer()
    bench.emit("b")
    assert all(bench.watchers.by_client[f"c{number}"].bytes for number in range(20)), "each has one at least"
    for number in range(20):
        bench.keep(f"c{number}", leaves=True)
    assert bench.watchers.bytes == 0


def test_an_object_that_refuses_at_once_refuses_all_who_wait(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.emit("a")
    for number in range(5000):
        bench.watch(f"c{number}")
    error = GroupHalted("halted")
    monkeypatch.setattr(bench, "put", lambda question: bench.watchers.on_failed(question.token, error))
    for question in bench.questions:
        assert bench.watchers.on_failed(question.token, error)
    assert not bench.watchers.by_client and not bench.watchers.waiting and not bench.watchers.reading
    assert len([reply for _, reply in bench.replies if reply.error is not None]) == 5000
