"""Handles: a data class whose methods are calls of a group."""

import asyncio
import copy
import pickle
import threading
from collections.abc import Callable
from typing import Any, cast

import pytest

from fleet.errors import (
    BadArguments,
    CommandFailed,
    ConfigError,
    ImpureCommand,
    NotEncodable,
    OutcomeUnknown,
    Rejected,
    WouldDeadlock,
)
from fleet.objects.context import executing
from fleet.objects.group_handle import bind, group_of
from fleet.objects.outcomes import Failed, Succeeded
from fleet.objects.payload import encode_ok
from fleet.objects.replies import Reply
from tests.objects.direct import Counter, Direct, world

LOADED_BY: list[str] = []


class Unchecked(Counter, check_arguments=False):
    pass


class Watched:
    def __setstate__(self, state: object) -> None:
        LOADED_BY.append(threading.current_thread().name)

    def __getstate__(self) -> object:
        return "state"


# -- handles --------------------------------------------------------------------------------------


def test_a_handle_sends_commands_and_queries_to_its_group() -> None:
    caller = Direct(Counter)
    counter = bind(Counter, "visits", caller)
    assert counter.add(5) == 5
    assert counter.add(n=2) == 7
    assert counter.get() == 7
    assert caller.calls == [
        ("visits", "command", "add", None),
        ("visits", "command", "add", None),
        ("visits", "query", "get", None),
    ]


def test_a_handle_is_an_instance_of_its_data_class_and_knows_its_group() -> None:
    counter = bind(Counter, "visits", Direct(Counter))
    assert isinstance(counter, Counter)
    assert group_of(counter) == "visits"
    assert repr(counter) == "<handle of group 'visits', a Counter>"
    assert repr(counter.add) == "<command add of group 'visits'>"
    with pytest.raises(TypeError):
        group_of(Counter())


def test_a_handle_has_no_state() -> None:
    counter = bind(Counter, "visits", Direct(Counter))
    with pytest.raises(AttributeError, match="the state lives in the group; ask by a @fleet.query"):
        counter.value
    with pytest.raises(AttributeError, match="the state lives in the group; change it by a @fleet.command"):
        counter.value = 3
    with pytest.raises(AttributeError, match="neither a @fleet.command nor a @fleet.query"):
        counter.helper()


@pytest.mark.parametrize("send", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_handle_cannot_be_sent(send: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError, match="send the group's name"):
        send(bind(Counter, "visits", Direct(Counter)))


def test_options_make_another_call_and_leave_the_first() -> None:
    caller = Direct(Counter)
    add = bind(Counter, "visits", caller).add
    add.options(timeout=1.5).options()(1)
    add(1)
    assert [timeout for *_, timeout in caller.calls] == [1.5, None]
    for wrong in (0, "2"):
        with pytest.raises(ConfigError, match="timeout"):
            add.options(timeout=cast(Any, wrong))


def test_a_query_may_be_answered_by_any_member_within_bounds() -> None:
    caller = Direct(Counter)
    get = bind(Counter, "visits", caller).get
    for query, age_ms, revision in (
        (get, None, 0),
        (get.stale(), 2000, 0),
        (get.stale(0.25), 250, 0),
        (get.stale(max_age=None), -1, 0),
        (get.at_least(7), -1, 7),
        (get.stale(1).at_least(7), 1000, 7),
        (get.at_least(7).stale(1).options(timeout=2.0), 1000, 7),
    ):
        assert query() == 0
        assert (caller.options.max_age_ms, caller.options.at_least) == (age_ms, revision)
    assert caller.options.timeout == 2.0


@pytest.mark.parametrize("age", [-1, float("nan"), float("inf"), 1e12, "2"])
def test_an_age_that_is_none_is_refused(age: Any) -> None:
    with pytest.raises(ConfigError, match="max_age"):
        bind(Counter, "visits", Direct(Counter)).get.stale(age)


@pytest.mark.parametrize("revision", [-1, 1.0, True, None, 1 << 62])
def test_a_revision_that_is_none_is_refused(revision: Any) -> None:
    with pytest.raises(ConfigError, match="revision"):
        bind(Counter, "visits", Direct(Counter)).get.at_least(revision)


def test_a_result_may_come_with_its_revision() -> None:
    caller = Direct(Counter)
    counter = bind(Counter, "visits", caller)
    assert counter.add.with_revision(5) == (5, 1)
    seen = counter.get.stale(1.0).with_revision()
    assert (seen.value, seen.revision) == (5, 2) and caller.options.max_age_ms == 1000
    with pytest.raises(Rejected):
        counter.add.with_revision(-1)


def test_a_command_cannot_be_stale() -> None:
    add = bind(Counter, "visits", Direct(Counter)).add
    assert not hasattr(add, "stale") and not hasattr(add, "at_least")


def test_a_call_raises_what_the_group_answered() -> None:
    counter = bind(Unchecked, "visits", Direct(Unchecked))
    with pytest.raises(Rejected) as refused:
        counter.add(-1)
    assert refused.value.value == "n must not be negative"
    with pytest.raises(BadArguments, match="unexpected keyword argument 'm'"):
        counter.add(m=1)  # type: ignore[call-arg]
    with pytest.raises(CommandFailed, match="TypeError"):
        counter.add("1")  # type: ignore[arg-type]


def test_an_argument_that_cannot_be_encoded_is_never_sent() -> None:
    caller = Direct(Unchecked)
    with pytest.raises(NotEncodable, match="argument 1"):
        bind(Unchecked, "visits", caller).add(threading.Lock())  # type: ignore[arg-type]
    assert caller.calls == []


def test_a_submitted_call_has_a_future_of_the_decoded_value() -> None:
    counter = bind(Counter, "visits", Direct(Counter))
    future = counter.add.submit(5)
    assert future.exception() is None
    assert future.result() == 5
    refused = counter.add.submit(-1)
    assert isinstance(refused.exception(), Rejected)
    with pytest.raises(Rejected):
        refused.result()


def test_a_submitted_call_can_be_awaited_for_a_time() -> None:
    reply: Reply[int] = Reply()
    with pytest.raises(TimeoutError):
        reply.result(0)
    with pytest.raises(TimeoutError):
        reply.exception(0)
    reply.settle(Failed(OutcomeUnknown("no answer")))
    assert isinstance(reply.exception(), OutcomeUnknown)
    with pytest.raises(OutcomeUnknown):
        reply.result()


def test_a_reply_is_decoded_once_and_by_who_asks() -> None:
    LOADED_BY.clear()
    reply: Reply[Watched] = Reply()
    loop = threading.Thread(target=reply.settle, args=(Succeeded(encode_ok(Watched())),), name="client loop")
    loop.start()
    loop.join()
    first = reply.result()
    assert reply.result() is first
    assert LOADED_BY == [threading.current_thread().name]


def test_aio_gives_the_value_or_the_error_to_asyncio() -> None:
    counter = bind(Counter, "visits", Direct(Counter))

    async def main() -> None:
        assert await counter.add.aio(5) == 5
        assert await counter.get.aio() == 5
        with pytest.raises(Rejected):
            await counter.add.aio(-1)

    asyncio.run(main())


def test_a_command_cannot_call_a_group() -> None:
    counter = bind(Counter, "visits", Direct(Counter))
    with executing(world()):
        with pytest.raises(WouldDeadlock):
            counter.add(1)
        with pytest.raises(ImpureCommand):
            counter.add.submit(1)
