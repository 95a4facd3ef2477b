"""Who may call reminders, what they may be asked for, and how a class declares them."""

from typing import Any

import msgspec
import pytest

import fleet
from fleet.errors import BadArguments, CommandFailed, ConfigError, ImpureCommand, NotEncodable
from fleet.objects.declare import Data, command, reminder
from fleet.objects.fingerprint import fingerprint_of
from fleet.objects.group_handle import bind
from fleet.objects.payload import decode_result, encode_call
from fleet.testing import executing
from tests.objects.direct import Direct
from tests.objects.test_reminders import Group
from tests.support.stock import Stock

# -- who may do what -------------------------------------------------------------------------------


def test_no_client_can_call_a_reminder() -> None:
    group = Group()
    for method in ("release", "_release", "noted"):
        payload = encode_call(method, ("ann",), {})
        why = group.applier.check(payload)
        assert why is not None and ("is not a command" in why or "has no command" in why)
        with pytest.raises(BadArguments):
            decode_result(group.send(payload)[0])
    assert not hasattr(Stock.__dict__["_release"], "call")


@pytest.mark.parametrize(
    "when, words",
    [
        ({}, "say when"),
        ({"after": 1, "at": 5}, "say when"),
        ({"after": -1}, "after is a number of seconds"),
        ({"after": float("nan")}, "after is a number of seconds"),
        ({"at": 1e12}, "at is a number of seconds"),
        ({"every": 0.01}, "every is a number of seconds from 0.1"),
        ({"after": True}, "after is a number of seconds"),
        ({"after": 1, "key": ""}, "a key is a text"),
        ({"after": 1, "key": 5}, "a key is a text"),
    ],
    ids=str,
)
def test_a_time_that_is_none_is_an_error_in_the_command(when: dict[str, Any], words: str) -> None:
    with pytest.raises(CommandFailed, match=words):
        Group().call("remind", "noted", "x", when=when)


def test_a_time_of_thousands_of_digits_is_told_in_words_that_are_the_same_on_every_node() -> None:
    with pytest.raises(CommandFailed, match="at is a number of seconds .*, not a value of type int"):
        Group().call("remind", "noted", "x", when={"at": 10**5000})


def test_a_reminder_that_the_class_does_not_have_or_that_does_not_fit_is_an_error_in_the_command() -> None:
    group = Group()
    with pytest.raises(CommandFailed, match="no @fleet.reminder 'noed'; the class has: noted, release"):
        group.call("remind", "noed", "x", when={"after": 1})
    with pytest.raises(CommandFailed, match="do not fit the reminder 'noted': missing a required argument"):
        group.call("remind", "noted", when={"after": 1})
    with pytest.raises(CommandFailed, match="no @fleet.reminder"):
        group.call("forget", "noed")


def test_outside_of_a_command_there_are_no_reminders() -> None:
    with pytest.raises(ImpureCommand, match="ctx.remind is only there while a command runs"):
        fleet.ctx.remind("release", after=1)
    with pytest.raises(ImpureCommand, match="ctx.forget is only there while a command runs"):
        fleet.ctx.forget("release")


def test_arguments_are_encoded_when_the_reminder_is_set() -> None:
    class Late(Data):
        called: list[Any] = []

        @command
        def ask(self, things: list[int]) -> None:
            fleet.ctx.remind("later", things, after=1)
            things.append(9)

        @command
        def ask_badly(self) -> None:
            fleet.ctx.remind("later", (one for one in [1]), after=1)

        @reminder("later")
        def later(self, things: list[int]) -> None:
            self.called.append((things, 0))

    group = Group(cls=Late)
    group.call("ask", [1, 2])
    assert group.fire(1) == [[1, 2]]
    with pytest.raises(CommandFailed) as told:
        group.call("ask_badly")
    assert told.value.error == NotEncodable.__name__


# -- the class -------------------------------------------------------------------------------------


def test_on_a_plain_instance_a_reminder_runs_at_once() -> None:
    stock = Stock()
    stock.held.append("ann")
    with executing():
        stock._release("ann")
    assert stock.held == []


def test_a_test_sees_what_commands_of_a_plain_instance_have_set() -> None:
    stock = Stock()
    with executing(now=100.0) as ran:
        stock.reserve("ann")
        stock.note("x", 5.0, 10.0)
        stock.reserve("bob", 1.0)
        stock.buy("ann")
        assert ran.reminders == [
            ("release", ("bob",), "bob", 101.0, 0.0),
            ("noted", ("x",), None, 105.0, 10.0),
        ]


def test_what_a_reminder_emits_is_an_event_of_the_group() -> None:
    class Bell(Data):
        called: list[str] = []

        @command
        def set(self) -> None:
            fleet.ctx.remind("ring", "dong", after=1)

        @reminder("ring")
        def ring(self, what: str) -> None:
            fleet.ctx.emit("rang", what)

    group = Group(cls=Bell)
    group.call("set")
    group.fire(1)
    (event,) = group.applier.events.events
    assert (event.kind, event.revision) == ("rang", group.applier.revision)


def test_two_methods_for_one_reminder_and_names_that_are_none_are_refused() -> None:
    with pytest.raises(ConfigError, match="two methods for the reminder 'x'"):

        class Twice(Data):
            @reminder("x")
            def one(self) -> None: ...

            @reminder("x")
            def two(self) -> None: ...

    with pytest.raises(ConfigError, match="write @fleet.reminder"):
        reminder(lambda self: None)  # type: ignore[arg-type]


def test_the_fingerprint_counts_reminders() -> None:
    def made(name: str) -> type[Data]:
        class Made(Data):
            @reminder(name)
            def method(self) -> None: ...

        return Made

    assert fingerprint_of(made("a")) != fingerprint_of(made("b"))


def test_a_handle_says_that_it_is_no_command() -> None:
    with pytest.raises(AttributeError, match="it is a @fleet.reminder, which its group calls when it is due"):
        bind(Stock, "stock", Direct(Stock))._release("ann")


def test_the_table_is_bytes_that_msgspec_reads() -> None:
    kept = Group().applier.reminders.kept()
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(kept), type=type(kept)) == kept
