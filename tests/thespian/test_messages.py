"""Calls and results as messages."""

import pickle
import threading
from typing import Any

import pytest

import fleet
from fleet.errors import BadArguments, ConfigError, NotDecodable, NotEncodable, OutcomeUnknown, Rejected
from fleet.objects.messages import LazyTag
from fleet.objects.payload import decode_call, encode_ok, encode_rejected
from fleet.thespian import Call, Result
from tests.support.classes import Counter


def test_a_call_is_the_same_with_and_without_its_class() -> None:
    for call in (Counter.add.call(5), Call("add", 5)):
        assert (call.kind, call.method, decode_call(call.payload)) == ("command", "add", ("add", (5,), {}))
    for call in (Counter.get.call(), Call.query("get")):
        assert (call.kind, decode_call(call.payload)) == ("query", ("get", (), {}))
    assert decode_call(Call("add", n=5).payload) == ("add", (), {"n": 5})
    assert decode_call(Call("note", method=1, tag=2).payload) == ("note", (), {"method": 1, "tag": 2})


def test_a_method_is_called_by_the_name_that_members_know() -> None:
    def plain(self: Any) -> int:
        return 1

    class Renamed(fleet.Data):
        one = fleet.command(plain)

    assert Renamed.one.call().method == "one"


def test_arguments_are_encoded_when_the_call_is_made() -> None:
    items = [1]
    call = Call("put", items)
    items.append(2)
    assert decode_call(call.payload)[1] == ([1],)
    with pytest.raises(NotEncodable, match="argument 1"):
        Call("put", threading.Lock())
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    with pytest.raises(NotEncodable):
        Call("put", nested)
    with pytest.raises(BadArguments):
        Call("")


def test_options_make_another_call_and_keep_the_others() -> None:
    call = Call("add", 1)
    timed = call.options(timeout=2.0)
    tagged = timed.options(tag=("order", 7))
    assert (tagged.tag, tagged.timeout, tagged.payload) == (("order", 7), 2.0, call.payload)
    assert (call.tag, timed.tag, tagged.options(tag=None).tag) == (None, None, None)
    with pytest.raises(ConfigError):
        call.options(timeout=0)
    sent = pickle.loads(pickle.dumps(tagged))
    assert (sent.kind, sent.method, sent.payload) == (call.kind, "add", call.payload)
    assert (sent.tag, sent.timeout) == (("order", 7), 2.0)


class Unloadable:
    def __reduce__(self) -> Any:
        return unload, ()


def unload() -> None:
    raise ValueError("of a module that is elsewhere")


def test_a_tag_is_loaded_by_whoever_asks_for_it() -> None:
    """The process of `multiprocQueueBase` that passed such a call on ended."""
    call = Call("add").options(tag=Unloadable())
    for _ in range(2):
        call = pickle.loads(pickle.dumps(call))
    result = pickle.loads(pickle.dumps(Result("visits", call.lazy_tag, 0, encode_ok(1))))
    assert result.get() == 1
    with pytest.raises(ValueError):
        result.tag


@pytest.mark.parametrize(
    ("name", "value"),
    [("kind", "order"), ("method", 5), ("payload", [1]), ("timeout", "soon"), ("lazy_tag", 1)],
)
def test_a_call_that_was_not_made_properly_is_refused(name: str, value: Any) -> None:
    call = Call("add", 1)
    call.check()
    setattr(call, name, value)
    with pytest.raises(BadArguments):
        call.check()


def through_pickle(result: Result) -> Result:
    copy: Result = pickle.loads(pickle.dumps(result))
    return copy


@pytest.mark.parametrize("copied", [lambda result: result, through_pickle])
def test_a_result_has_a_value_or_an_error(copied: Any) -> None:
    good = copied(Result("visits", LazyTag("t"), 7, encode_ok(5)))
    assert (good.ok, good.value, good.error, good.get()) == (True, 5, None, 5)
    assert (good.group, good.tag, good.revision) == ("visits", "t", 7)
    rejected = copied(Result("visits", encoded=encode_rejected("no")))
    assert not rejected.ok and rejected.value is None and isinstance(rejected.error, Rejected)
    with pytest.raises(Rejected):
        rejected.get()
    failed = copied(Result("visits", failure=OutcomeUnknown("sent", group="visits")))
    assert isinstance(failed.error, OutcomeUnknown) and failed.error.group == "visits"


def test_a_value_that_cannot_be_loaded_is_an_error_of_whoever_asks_for_it() -> None:
    broken = encode_ok(Counter).replace(b"Counter", b"Nothing")
    result = through_pickle(Result("visits", encoded=broken))
    assert isinstance(result.error, NotDecodable)
    assert isinstance(through_pickle(result).error, NotDecodable)
