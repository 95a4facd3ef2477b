"""`ctx.emit`: what commands emit becomes events of the group, the same on every member."""

from typing import Any

import pytest

import fleet
import fleet.testing
from fleet.errors import CommandFailed, ConfigError, ImpureCommand, NotEncodable, Reject, Rejected
from fleet.objects.applier import Applier, Outcomes
from fleet.objects.declare import Data, command, query
from fleet.objects.event import Event, received
from fleet.objects.executor import ObjectExecutor
from fleet.objects.fingerprint import fingerprint_of
from fleet.objects.keyed import keyed_encoder
from fleet.objects.payload import decode_result, encode_call
from fleet.raft.config import GroupConfig
from fleet.raft.entries import Entry, KeyedCommands, SessionOpened


class Till(Data, events_kept=5):
    total: int = 0
    lines: list[str] = []

    @command
    def pay(self, cents: int, note: str = "") -> int:
        fleet.ctx.emit("paid", {"cents": cents})
        if cents < 0:
            raise Reject("below zero")
        self.total += cents
        if note == "fail":
            raise ValueError(note)
        if note:
            self.lines.append(note)
            fleet.ctx.emit("noted", self.lines)
        return self.total

    @command
    def many(self, count: int) -> None:
        for number in range(count):
            fleet.ctx.emit("number", number)

    @command
    def try_to_pay(self, cents: int) -> None:
        fleet.ctx.emit("tried", cents)
        try:
            self.pay(cents)
        except Reject:
            pass

    @command
    def emit(self, kind: Any, value: Any) -> None:
        fleet.ctx.emit(kind, value)

    @command
    def emit_generator(self) -> None:
        fleet.ctx.emit("broken", (n for n in [1]))

    @query
    def ask(self) -> None:
        fleet.ctx.emit("asked")


class Group:
    def __init__(self, cls: type[Any] = Till) -> None:
        self.applier = Applier(ObjectExecutor(cls), GroupConfig())
        opened = self.applier.apply(Entry(1, 1, SessionOpened("c", 1000)))
        assert opened is not None
        self.session, self.next = opened.session, 1

    def send(self, *payloads: bytes) -> list[bytes]:
        told: list[Outcomes] = []
        body = KeyedCommands(self.session, self.next, 0, 2000, payloads)
        self.next += len(payloads)
        self.applier.apply(Entry(1, self.applier.index + 1, body), lambda outcomes, _: told.append(outcomes))
        return [value for outcomes in told for value in outcomes.values]

    def call(self, method: str, *args: Any) -> Any:
        return decode_result(self.send(encode_call(method, args, {}))[0])

    @property
    def events(self) -> list[Event]:
        return list(map(received, self.applier.events.events))

    @property
    def kinds(self) -> list[str]:
        return [f"{event.id} {event.kind}" for event in self.events]


def test_what_a_command_emits_is_kept_with_its_revision_and_its_place() -> None:
    group = Group()
    group.call("pay", 5, "a")
    group.call("pay", 6)
    assert group.events == [
        Event(1, 0, "paid", {"cents": 5}),
        Event(1, 1, "noted", ["a"]),
        Event(2, 0, "paid", {"cents": 6}),
    ]
    assert [event.id for event in group.events] == ["1-0", "1-1", "2-0"]


def test_a_value_is_as_it_was_when_it_was_emitted() -> None:
    group = Group()
    group.send(encode_call("pay", (1, "a"), {}), encode_call("pay", (1, "b"), {}))
    assert [event.value for event in group.events if event.kind == "noted"] == [["a"], ["a", "b"]]


def test_a_command_that_rejects_or_fails_emits_nothing_wherever_it_stands() -> None:
    group = Group()
    pays = [encode_call("pay", args, {}) for args in [(1,), (-1,), (2,), (3, "fail"), (4,)]]
    values = group.send(*pays)
    with pytest.raises(Rejected):
        decode_result(values[1])
    with pytest.raises(CommandFailed):
        decode_result(values[3])
    assert group.kinds == ["1-0 paid", "3-0 paid", "5-0 paid"]
    assert [event.value["cents"] for event in group.events] == [1, 2, 4]


def test_a_command_that_another_one_calls_emits_only_if_it_returns() -> None:
    group = Group()
    group.call("try_to_pay", 5)
    group.call("try_to_pay", -5)
    assert group.kinds == ["1-0 tried", "1-1 paid", "2-0 tried"]


def test_undoing_a_failure_repeats_no_event() -> None:
    group = Group()
    group.call("pay", 1, "x" * 5000)  # so big that a failure is undone by executing again
    with pytest.raises(CommandFailed):
        group.call("pay", 1, "fail")
    group.call("pay", 2)
    assert group.kinds == ["1-0 paid", "1-1 noted", "3-0 paid"]


def test_a_command_with_a_key_emits_once() -> None:
    group = Group()
    keyed = keyed_encoder(encode_call, "7781", None)
    group.send(keyed("pay", (1,), {}), keyed("pay", (1,), {}))
    group.send(keyed("pay", (1,), {}))
    assert group.kinds == ["1-0 paid"]


def test_a_snapshot_has_the_events_and_members_with_and_without_one_stay_equal() -> None:
    group, other = Group(), Group()
    for n in range(4):
        group.call("pay", n)
    other.applier.restore(group.applier.dump())
    other.next = group.next
    for one in (group, other):
        one.call("pay", 9, "z")
        one.call("pay", 10)
    assert group.kinds == other.kinds == ["3-0 paid", "4-0 paid", "5-0 paid", "5-1 noted", "6-0 paid"]
    assert group.applier.events.forgotten == (2, 0)
    assert group.applier.dump() == other.applier.dump()


def test_a_class_says_how_many_are_kept() -> None:
    group = Group()
    group.call("many", 3)
    group.call("many", 4)
    assert group.kinds == [f"2-{n} number" for n in range(4)]
    assert (Data.__fleet_events_kept__, Data.__fleet_events_bytes_kept__) == (10_000, 4 << 20)
    for bad in (0, -1, 1.5, True):
        with pytest.raises(ConfigError, match="events_kept must be a whole number from 1"):
            type("Bad", (Data,), {}, events_kept=bad)
        with pytest.raises(ConfigError, match="events_bytes_kept must be a whole number from 1"):
            type("Bad", (Data,), {}, events_bytes_kept=bad)


def test_members_agree_on_what_is_forgotten_so_the_limits_count_as_code() -> None:
    classes = [type("Same", (Till,), {"__module__": __name__}, events_kept=n) for n in (5, 6)]
    assert len(set(map(fingerprint_of, classes))) == 2


@pytest.mark.parametrize("kind", ["", 5, "x" * 256, "\ud800"])
def test_a_kind_is_a_short_text(kind: Any) -> None:
    group = Group()
    with fleet.testing.executing(), pytest.raises(ConfigError, match="kind of an event"):
        Till().emit(kind, 1)
    with pytest.raises(CommandFailed):
        group.call("emit", kind if kind != "\ud800" else "", 1)
    assert group.kinds == []


def test_a_value_that_cannot_be_encoded_fails_the_command_with_the_same_words_everywhere() -> None:
    group = Group()
    with pytest.raises(CommandFailed, match="value of the event 'broken'"):
        group.call("emit_generator")
    with fleet.testing.executing(), pytest.raises(NotEncodable, match="generator"):
        Till().emit_generator()


def test_a_query_cannot_emit() -> None:
    (value,) = ObjectExecutor(Till).query((encode_call("ask", (), {}),))[0]
    with pytest.raises(Exception, match="ctx.emit is not there in a query"):
        decode_result(value)
    with pytest.raises(ImpureCommand, match="ctx.emit is only there while a command runs"):
        fleet.ctx.emit("kind")


def test_a_test_on_a_plain_instance_sees_what_is_emitted() -> None:
    till = Till()
    with fleet.testing.executing(index=7) as ran:
        till.pay(5)
        with pytest.raises(Reject):
            till.pay(-5)
        till.pay(6, "note")
        assert [(event.id, event.kind) for event in ran.events] == [
            ("7-0", "paid"),
            ("7-1", "paid"),
            ("7-2", "noted"),
        ]


class Careful(Data, strict=True):
    done: int = 0

    @command
    def do(self, n: int) -> int:
        self.done += n
        fleet.ctx.emit("done", {"at": fleet.ctx.now, "n": n})
        return self.done


class Hashing(Data):
    names: list[str] = []

    @command
    def add(self, name: str) -> None:
        self.names.append(name)
        fleet.ctx.emit("added", list({name, "b", "c", "d", "e"}))


def test_check_runs_commands_that_emit_and_compares_what_they_emit() -> None:
    fleet.testing.check(Careful, seeds=3)
    with pytest.raises(fleet.testing.CheckFailed, match="add.* differs from process to process"):
        fleet.testing.check(Hashing, seeds=2)


def test_a_strict_class_may_emit() -> None:
    group = Group(Careful)
    assert group.call("do", 2) == 2
    assert group.events == [Event(1, 0, "done", {"at": 2.0, "n": 2})]
