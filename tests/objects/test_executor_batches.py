"""Calls that are executed together: each keeps its own context, refusal and proof."""

from typing import Any

import pytest

from fleet.errors import BadArguments, CommandFailed, ImpureQuery, QueryFailed
from fleet.interfaces import MemberMustHalt
from fleet.objects import signatures
from fleet.objects.context import ctx
from fleet.objects.declare import Data, command
from fleet.objects.executor import ObjectExecutor
from fleet.objects.payload import decode_result, encode_call
from tests.objects.boxes import CONTEXT, Box

DECODED: list[int] = []


def call(method: str, *args: Any, **kwargs: Any) -> bytes:
    return encode_call(method, args, kwargs)


REFUSED = call("put", "a", refuse=True)
GET = call("ask", lambda box: box.count)


def spoil(box: Box) -> None:
    box.items["half"] = 1
    raise ValueError


def deepen(box: Box) -> None:
    box.items["deep"] = 1


def assign(box: Box) -> None:
    box.count += 1


def restored(number: int) -> "Traced":
    DECODED.append(number)
    return Traced(number)


class Traced:
    """An argument that notes when it is decoded."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __reduce__(self) -> Any:
        return restored, (self.number,)


def test_each_command_has_a_revision_and_a_number_of_its_own() -> None:
    executor = ObjectExecutor(Box)
    look = call("run", lambda box: (ctx.index, ctx.random.random()))
    values, is_clean = executor.apply(CONTEXT, [look] * 3)
    seen = [decode_result(value) for value in values]
    assert is_clean and [index for index, _ in seen] == [9, 10, 11]
    assert len({drawn for _, drawn in seen}) == 3
    (alone,), _ = ObjectExecutor(Box).apply(CONTEXT.next(), [look])
    assert decode_result(alone) == seen[1], "as if it had been sent alone"


def test_they_end_with_the_first_whose_result_is_too_much() -> None:
    executor = ObjectExecutor(Box)
    put = call("put", "a", 1)
    size = len(executor.apply(CONTEXT, [put])[0][0])
    values, is_clean = executor.apply(CONTEXT, [put] * 5, 2 * size)
    assert (len(values), is_clean) == (3, True)
    assert len(executor.apply(CONTEXT, [put] * 5, 0)[0]) == 1


def test_a_refusal_among_others_is_no_end_of_them() -> None:
    executor = ObjectExecutor(Box)
    values, is_clean = executor.apply(CONTEXT, [call("put", "a", 1), REFUSED, call("put", "b", 2)])
    assert (len(values), is_clean, decode_result(values[2])) == (3, True, 2)


def test_a_failure_among_others_ends_them() -> None:
    executor = ObjectExecutor(Box)
    values, is_clean = executor.apply(CONTEXT, [call("put", "a"), call("run", spoil), call("put", "b")])
    assert (len(values), is_clean) == (2, False)
    with pytest.raises(CommandFailed):
        decode_result(values[1])


def test_a_replay_gives_the_same_object_and_checks_nothing() -> None:
    first, again = ObjectExecutor(Box), ObjectExecutor(Box)
    done = [call("put", "a", 1), call("run", lambda box: box.items.update(b=ctx.random.random())), REFUSED]
    for payload in done:
        first.apply(CONTEXT, [payload])
    again.replay(CONTEXT, [done[0]])
    again.replay(CONTEXT, [done[1]])
    again.replay(CONTEXT, [done[2]])
    assert again.dump() == first.dump()


class Tally(Data, codec="msgspec"):
    value: int = 0

    @command
    def add(self, count: int) -> int:
        self.value += count
        return self.value


@pytest.mark.parametrize(
    "cls, misfit",
    [
        (Box, b"\x80\x05]e."),
        (Box, b"\x80\x05N."),
        (Tally, Tally.__fleet_codec__.encode_call("add", ("many",), {})),
    ],
    ids=["a broken pickle", "no call", "typed"],
)
def test_a_call_that_cannot_be_read_does_not_halt_whoever_executes_it_again(
    cls: type[Data], misfit: bytes
) -> None:
    """Any caller could have halted every member of a group: such a call is answered, and stays in the log."""
    executor = ObjectExecutor(cls)
    values, is_clean = executor.apply(CONTEXT, [misfit])
    with pytest.raises(BadArguments):
        decode_result(values[0])
    before = executor.dump()
    executor.replay(CONTEXT, [misfit])
    assert is_clean and executor.dump() == before


def test_a_call_that_others_may_read_halts_a_replay_too() -> None:
    with pytest.raises(MemberMustHalt):
        ObjectExecutor(Box).replay(CONTEXT, [b"\x80\x05\x8c\x07nowhere\x8c\x07nothing\x93."])


@pytest.mark.parametrize("how", [deepen, assign])
def test_s49_queries_asked_together_have_no_results_when_one_changes_the_object(how: Any) -> None:
    executor = ObjectExecutor(Box)
    executor.apply(CONTEXT, [call("put", "a", 1)])
    assert executor.query([GET, call("ask", how), GET]) == ([], False)


def test_queries_that_fail_and_change_nothing_are_answered_among_others() -> None:
    executor = ObjectExecutor(Box)
    values, is_clean = executor.query([GET, call("ask", lambda box: 1 / 0), GET])
    assert is_clean and [decode_result(values[place]) for place in (0, 2)] == [0, 0]
    with pytest.raises(QueryFailed):
        decode_result(values[1])


def test_one_query_alone_is_told_that_it_changes_the_object() -> None:
    (value,), is_clean = ObjectExecutor(Box).query([call("ask", deepen)])
    assert not is_clean
    with pytest.raises(ImpureQuery):
        decode_result(value)


def test_s49_a_command_is_decoded_once_on_its_leader_and_never_executed_with_used_arguments() -> None:
    DECODED.clear()
    executor = ObjectExecutor(Box)
    payload = call("put", "a", Traced(7))
    assert executor.check(payload) is None
    executor.apply(CONTEXT, [payload])
    assert DECODED == [7]
    executor.apply(CONTEXT, [payload])
    executor.replay(CONTEXT, [payload])
    assert DECODED == [7, 7, 7]


def test_calls_that_are_never_executed_are_not_kept_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signatures, "DECODED_MAX", 2)
    executor = ObjectExecutor(Box)
    payloads = [call("put", str(number)) for number in range(5)]
    assert [executor.check(payload) for payload in payloads] == [None] * 5
    assert len(executor._calls._decoded) <= 2
    values, _ = executor.apply(CONTEXT, payloads)
    assert [decode_result(value) for value in values] == [1, 2, 3, 4, 5]
