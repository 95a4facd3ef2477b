"""How the cluster group's calls, answers and state are bytes: by declared types, whatever is sent."""

from typing import Any

import msgspec
import pytest

from fleet.cluster.commands import Cluster
from fleet.cluster.state import GroupInfo, View
from fleet.errors import BadArguments, GroupExists, NotDecodable, NotEncodable, Rejected
from fleet.interfaces import Context
from fleet.objects.executor import ObjectExecutor
from fleet.objects.payload import PACKED, PICKLED, decode_result
from fleet.raft.config import GroupConfig

CODEC = Cluster.__fleet_codec__
JOIN = ("n1", "disk", "zone", "n1:1", 1, "active")


class Run:
    def __init__(self) -> None:
        self.executor = ObjectExecutor(Cluster)
        self.index = 1

    def apply(self, payload: bytes) -> tuple[Any, bool]:
        self.index += 1
        context = Context(revision=self.index, now_ms=5, session=1, seq=self.index, client="c")
        (result,), is_clean = self.executor.apply(context, (payload,))
        return decode_result(result), is_clean

    def __call__(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return self.apply(CODEC.encode_call(method, args, kwargs))[0]


@pytest.fixture
def run() -> Run:
    return Run()


def test_arguments_arrive_as_the_method_declares_them(run: Run) -> None:
    config = GroupConfig(session_ttl_ms=1000)
    call = CODEC.encode_call("add_group", ("g", 3, b"class", config, ("n1", "n2")), {})
    assert CODEC.decode_call(call) == ("add_group", ("g", 3, b"class", config, ("n1", "n2")), {})
    by_name = CODEC.encode_call("set_purge_after", (), {"milliseconds": 5000})
    assert CODEC.decode_call(by_name) == ("set_purge_after", (), {"milliseconds": 5000})
    assert run("join", *JOIN) == 2
    assert run("join", **dict(zip(("name", "incarnation", "zone", "address", "weight", "state"), JOIN))) == 2


def test_members_that_were_sent_a_whole_number_and_a_fraction_are_equal(run: Run) -> None:
    other = Run()
    run("join", *JOIN)
    other("join", *JOIN[:4], 1.0, "active")
    assert run.executor.dump() == other.executor.dump()


def test_answers_and_refusals_come_back(run: Run) -> None:
    run("join", *JOIN)
    group = run("add_group", "g", 1, b"class", GroupConfig())
    assert type(group) is GroupInfo and group.uid == 3
    with pytest.raises(Rejected) as caught:
        run("add_group", "g", 1, b"class", GroupConfig())
    assert type(caught.value.value) is GroupExists and caught.value.value.group == "g"
    (record,), is_clean = run.executor.query((CODEC.encode_call("view", (0,), {}),))
    view = decode_result(record)
    assert is_clean and type(view) is View and view.groups == (group,)
    assert run("set_replicas", "g", 2) is None and run("prefer_leader", "g", "n1") == ""


def test_the_state_comes_back_and_keeps_its_bytes(run: Run) -> None:
    run("join", *JOIN)
    run("add_group", "g", 1, b"class", GroupConfig())
    run("remove_group", "g")
    dump, other = run.executor.dump(), ObjectExecutor(Cluster)
    other.load(dump)
    assert other.dump() == dump
    assert other.copy_from(dump).__dict__ == run.executor.copy_from(dump).__dict__
    assert other.copy_from(dump).removed[3].name == "g"
    first = ObjectExecutor(Cluster)  # an older state lacks fields that came later
    first.load(first.dump()[:4] + msgspec.msgpack.encode({"cluster_leader": "n1"}))
    assert first.copy_from(first.dump()).purge_after_ms == Cluster.purge_after_ms


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x06",
        b"\x06\xff\xff",
        b"\x06" + b"\x91" * 100_000,
        PICKLED.encode_call("purge", ("n1",), {}),
        CODEC.encode_call("purge", (7,), {}),
        CODEC.encode_call("add_group", ("g", "three", b"", GroupConfig()), {}),
        CODEC.encode_call("add_group", ("g", 3, b"", {"heartbeat_ms": -1}), {}),
    ],
)
def test_what_is_no_call_is_refused(run: Run, payload: bytes) -> None:
    with pytest.raises(BadArguments):
        CODEC.decode_call(payload)
    assert run.executor.check(payload) is not None


def test_what_does_not_fit_the_method_is_said_so(run: Run) -> None:
    for args, kwargs in (((), {}), (("n1", "n2"), {}), (("n1",), {"at": 1})):
        assert "purge(name" in str(run.executor.check(CODEC.encode_call("purge", args, kwargs)))
    assert "no command 'purify'" in str(run.executor.check(CODEC.encode_call("purify", ("n1",), {})))


def test_what_cannot_be_sent_is_refused_at_once() -> None:
    for value in (object(), "\ud800", 1 << 70):
        with pytest.raises(NotEncodable):
            CODEC.encode_call("purge", (value,), {})


@pytest.mark.parametrize("body", [b"", b"\xc1", b"\x92\xa5fleet\xc0", b"\x92\xafnew in the next\xc0"])
def test_an_answer_of_another_version_is_not_decodable(body: bytes) -> None:
    for mark in (PACKED, PACKED + 1):
        with pytest.raises(NotDecodable):
            decode_result(bytes((mark,)) + body)


def test_a_users_class_takes_no_packed_call() -> None:
    with pytest.raises(BadArguments):
        PICKLED.decode_call(CODEC.encode_call("purge", ("n1",), {}))
