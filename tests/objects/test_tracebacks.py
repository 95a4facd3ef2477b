"""The traceback of users' code, beside the result of a command and never in it."""

import pickle
from typing import Any

from fleet.errors import CommandFailed, QueryFailed, Reject, Rejected
from fleet.objects.applier import Applier, Outcomes
from fleet.objects.declare import Data, command, query
from fleet.objects.executor import ObjectExecutor
from fleet.objects.payload import decode_result, encode_call
from fleet.objects.tracebacks import KEPT_MAX, TEXT_MAX, Tracebacks, traceback_text
from fleet.raft.config import GroupConfig
from fleet.raft.entries import Commands, Entry, SessionOpened


class Fragile(Data):
    n: int = 0

    @command
    def divide(self, by: int) -> int:
        self.n += 1
        return self.inside(by)

    @command
    def refuse(self) -> None:
        raise Reject("no")

    @query
    def ask(self, by: int) -> int:
        return self.inside(by)

    def inside(self, by: int) -> int:
        return 1 // by


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("odd")


class Member:
    """A member's applied state with a session that is open."""

    def __init__(self, traced: Tracebacks | None) -> None:
        self.traced = traced
        self.applier = Applier(ObjectExecutor(Fragile, None, traced), GroupConfig())
        self.told: list[Outcomes] = []
        opened = self.applier.apply(Entry(1, 1, SessionOpened("c", 0)))
        assert opened is not None
        self.session = opened.session

    def run(self, first: int, *payloads: bytes) -> list[Any]:
        entry = Entry(1, self.applier.index + 1, Commands(self.session, first, 0, 0, payloads))
        self.told.clear()
        self.applier.apply(entry, lambda outcomes, is_new: self._tell(outcomes, is_new))
        return [ended(value) for outcomes in self.told for value in outcomes.values]

    def _tell(self, outcomes: Outcomes, is_new: bool) -> None:
        self.told.append(self.traced.added_to(outcomes) if is_new and self.traced else outcomes)


def ended(value: bytes) -> Any:
    try:
        return decode_result(value)
    except (CommandFailed, QueryFailed, Rejected) as error:
        return error


DIVIDE = encode_call("divide", (0,), {})


def test_a_failed_command_tells_its_traceback_from_users_code_on() -> None:
    good, bad, refused = Member(Tracebacks()).run(
        1, encode_call("divide", (1,), {}), DIVIDE, encode_call("refuse", (), {})
    )
    assert good == 1 and isinstance(refused, Rejected) and refused.remote_traceback == ""
    lines = bad.remote_traceback.splitlines()
    assert lines[0] == "Traceback (most recent call last):" and lines[1].endswith("in divide")
    assert lines[-1] == "ZeroDivisionError: integer division or modulo by zero"
    assert "in inside" in bad.remote_traceback and "Traceback" not in str(bad)
    assert pickle.loads(pickle.dumps(bad)).remote_traceback == bad.remote_traceback


def test_the_state_of_a_member_that_traces_is_that_of_one_that_does_not() -> None:
    one, other = Member(Tracebacks()), Member(None)
    assert one.run(1, DIVIDE)[0].remote_traceback and not other.run(1, DIVIDE)[0].remote_traceback
    assert one.applier.dump() == other.applier.dump()


def test_a_command_that_is_answered_again_has_none() -> None:
    member = Member(Tracebacks())
    member.run(1, DIVIDE)
    (again,) = member.run(1, DIVIDE)
    assert isinstance(again, CommandFailed) and again.remote_traceback == ""


def test_of_many_failures_some_bring_theirs_and_each_its_own() -> None:
    member = Member(Tracebacks())
    failures = member.run(1, *[DIVIDE] * (KEPT_MAX + 5))
    assert [bool(failure.remote_traceback) for failure in failures] == [True] * KEPT_MAX + [False] * 5
    assert member.run(KEPT_MAX + 6, DIVIDE)[0].remote_traceback


def test_a_failed_query_tells_its_traceback() -> None:
    for traced, tells in ((Tracebacks(), True), (None, False)):
        (value,), _ = ObjectExecutor(Fragile, None, traced).query((encode_call("ask", (0,), {}),))
        failure = ended(value)
        assert isinstance(failure, QueryFailed)
        assert ("in ask" in failure.remote_traceback) is tells


def test_a_long_traceback_is_cut_in_the_middle() -> None:
    text = traceback_text(ValueError("a" * 2 * TEXT_MAX + "z"))
    assert len(text) <= TEXT_MAX and text.startswith("ValueError: aaa") and text.endswith("z\n")
    assert "[...]" in text


def test_an_error_that_cannot_be_printed_is_told_nevertheless() -> None:
    assert "Unprintable" in traceback_text(Unprintable())
    assert traceback_text(ValueError("\ud800")) == "ValueError: ?\n"
