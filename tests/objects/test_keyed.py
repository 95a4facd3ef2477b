"""Keys of clients' own: one command is executed under each, whoever sends it."""

import subprocess
import sys
from dataclasses import dataclass
from enum import Enum
from typing import Any

import msgspec
import pytest

from fleet.errors import BadArguments, CommandFailed, ConfigError, KeyReused, KeysFull
from fleet.interfaces import MemberMustHalt
from fleet.objects import applier as applier_module
from fleet.objects.applier import Applier, Outcomes
from fleet.objects.declare import Data, command, query
from fleet.objects.executor import ObjectExecutor
from fleet.objects.keyed import KEEP_S, digest_of, keyed_encoder, without_key
from fleet.objects.messages import Call
from fleet.objects.payload import KEYED, decode_call, decode_result, encode_call
from fleet.objects.weights import FAILED
from fleet.raft.config import GroupConfig
from fleet.raft.entries import Commands, Entry, KeyedCommands, Noop, SessionOpened
from fleet.raft.ids import SessionId
from fleet.raft.keys import KEY_OVERHEAD, KeyTable

DAY_MS = round(KEEP_S * 1000)


class Shop(Data, keep_keys=60):
    paid: list[str] = []

    @command
    def pay(self, invoice: str, cents: int = 100) -> int:
        if cents < 0:
            raise ValueError("below zero")
        self.paid.append(invoice)
        return len(self.paid)

    @command
    def exhaust(self) -> None:
        raise MemoryError

    @query
    def count(self) -> int:
        return len(self.paid)


class Group:
    """An applier, and clients with a session each."""

    def __init__(self, config: GroupConfig = GroupConfig(), clients: int = 2) -> None:
        self.config = config
        self.applier = Applier(ObjectExecutor(Shop), config)
        self.wall_ms = 1_000
        self.next: dict[SessionId, int] = {}
        for number in range(clients):
            opened = self.applier.apply(Entry(1, number + 1, SessionOpened(f"c{number}", self.wall_ms)))
            assert opened is not None
            self.next[opened.session] = 1
        self.first, *_ = self.next
        self.other = list(self.next)[-1]
        self.told: list[bool] = []

    def feed(self, body: Any) -> list[Outcomes]:
        told: list[Outcomes] = []
        self.told = []

        def tell(outcomes: Outcomes, is_new: bool) -> None:
            told.append(outcomes)
            self.told += [is_new] * len(outcomes.values)

        self.applier.apply(Entry(1, self.applier.index + 1, body), tell)
        return told

    def send(self, session: SessionId, *payloads: bytes) -> list[tuple[int, bytes]]:
        """Revision and result of each."""
        first = self.next[session]
        self.next[session] += len(payloads)
        told = self.feed(KeyedCommands(session, first, 0, self.wall_ms, payloads))
        numbered = [one for outcomes in told for one in enumerate(outcomes.values, outcomes.revision)]
        assert len(numbered) == len(payloads)
        return numbered

    def call(self, session: SessionId, *payloads: bytes) -> Any:
        """What its caller is told of the last of them."""
        return decode_result(self.send(session, *payloads)[-1][1])

    @property
    def shop(self) -> Any:
        return self.applier.executor._object  # type: ignore[attr-defined]

    def again(self) -> "Group":
        """The same group, as another member has it that restored a snapshot."""
        other = Group(self.config, len(self.next))
        other.applier.restore(self.applier.dump())
        other.next, other.wall_ms = dict(self.next), self.wall_ms
        return other


def pay(key: str, *args: Any, keep: float | None = None, **kwargs: Any) -> bytes:
    return keyed_encoder(encode_call, key, keep)("pay", args, kwargs)


def test_rv17_w4_a_key_is_executed_once_whoever_sends_it_and_told_to_all() -> None:
    group = Group()
    (first,) = group.send(group.first, pay("7781", "a"))
    for n in range(200):
        group.send(group.first, encode_call("pay", (f"x{n}",), {}))
    assert group.send(group.other, pay("7781", "a")) == [first] == group.send(group.first, pay("7781", "a"))
    assert group.shop.paid.count("a") == 1 and group.told == [False]


def test_commands_with_and_without_a_key_are_executed_in_their_order() -> None:
    group = Group()
    bare = encode_call("pay", ("bare",), {})
    told = group.send(group.first, bare, pay("1", "a"), bare, bare, pay("1", "a"), pay("2", "b"), bare)
    assert [decode_result(value) for _, value in told] == [1, 2, 3, 4, 2, 5, 6]
    assert [revision for revision, _ in told] == [1, 2, 3, 4, 2, 5, 6]
    assert group.told == [True] * 4 + [False] + [True] * 2
    assert group.applier.revision == 6


def test_a_snapshot_has_the_keys_and_members_with_and_without_one_stay_equal() -> None:
    group = Group()
    (first,) = group.send(group.first, pay("1", "a"))
    other = group.again()
    assert other.send(other.other, pay("1", "a")) == [first]
    group.send(group.other, pay("1", "a"))
    for one in (group, other):
        one.wall_ms += 30_000
        one.send(one.first, pay("2", "b", keep=1.0), pay("3", "c"))
        one.wall_ms += 40_000
        one.send(one.first, pay("4", "d"))
    assert list(group.applier.keys.results) == ["3", "4"]
    assert group.applier.dump() == other.applier.dump() and other.shop.paid == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    "later",
    [pay("1", "b"), pay("1", "a", 5), keyed_encoder(encode_call, "1", 1)("exhaust", (), {})],
    ids=["other", "more", "method"],
)
def test_another_command_with_that_key_is_refused(later: bytes) -> None:
    group = Group()
    group.send(group.first, pay("1", "a"))
    before = group.applier.revision, group.applier.executor.dump()
    with pytest.raises(KeyReused) as caught:
        group.call(group.other, later)
    assert (caught.value.key, caught.value.revision) == ("1", "1")
    assert (group.applier.revision, group.applier.executor.dump()) == before


def test_a_command_that_failed_is_not_tried_again_under_its_key() -> None:
    group = Group()
    for session in (group.first, group.other):
        with pytest.raises(CommandFailed):
            group.call(session, pay("1", "a", -1))
    assert group.applier.revision == 1


def test_a_key_lasts_as_long_as_the_class_or_the_call_says_in_log_time() -> None:
    group = Group()
    group.send(group.first, pay("class", "a"), pay("call", "b", keep=90))
    group.wall_ms += 60_000
    assert group.call(group.first, pay("class", "a")) == 1
    group.wall_ms += 1
    assert group.call(group.first, pay("class", "a")) == 3, "its time is over"
    assert group.call(group.first, pay("call", "b", keep=90)) == 2
    group.wall_ms += 30_000
    assert group.call(group.first, pay("call", "b", keep=90)) == 4


def test_s44_the_clock_of_another_leader_forgets_no_key() -> None:
    group = Group()
    group.send(group.first, pay("1", "a"))
    group.feed(Noop())
    group.wall_ms += 365 * DAY_MS
    assert group.call(group.first, pay("1", "a")) == 1
    group.wall_ms += 59_000
    assert group.call(group.first, pay("1", "a")) == 1
    group.wall_ms -= 30_000
    assert group.call(group.first, pay("1", "a")) == 1
    group.wall_ms += 32_000
    assert group.call(group.first, pay("1", "a")) == 2


@pytest.mark.parametrize(
    "config", [GroupConfig(keys_max=2), GroupConfig(keys_bytes_max=150)], ids=["count", "bytes"]
)
def test_no_key_is_forgotten_for_another(config: GroupConfig) -> None:
    group = Group(config)
    group.send(group.first, pay("1", "a"), pay("2", "b"))
    with pytest.raises(KeysFull):
        group.call(group.first, pay("3", "c"))
    assert group.call(group.other, pay("1", "a")) == 1 and group.shop.paid == ["a", "b"]
    group.wall_ms += 60_001
    assert group.call(group.first, pay("3", "c")) == 3
    assert list(group.applier.keys.results) == ["3"]


def test_a_key_whose_command_is_skipped_stays_so() -> None:
    group = Group()
    exhaust = keyed_encoder(encode_call, "1", None)("exhaust", (), {})
    at = group.applier.index + 1
    with pytest.raises(MemberMustHalt):
        group.again().send(group.first, exhaust)
    group.applier.skipped[at, 0] = "it ended its executor"
    for session in (group.first, group.other):
        with pytest.raises(CommandFailed, match="ended its executor"):
            group.call(session, exhaust)
    assert group.applier.keys.weight == KEY_OVERHEAD + 1 + FAILED


def test_what_is_no_call_with_a_key_is_refused_and_halts_nobody() -> None:
    group = Group()
    for junk in (b"", b"junk", msgspec.msgpack.encode(("", 1, bytes(16), b"x")), b"\x94\xa1\xff"):
        with pytest.raises(BadArguments):
            group.call(group.first, bytes((KEYED,)) + junk)
        assert group.applier.check(bytes((KEYED,)) + junk)
    assert group.applier.check(pay("1", "a")) is None and group.applier.check(pay("1")) is not None


def test_commands_without_a_key_cost_not_a_byte_and_not_a_look(monkeypatch: pytest.MonkeyPatch) -> None:
    assert msgspec.msgpack.encode(Commands(1, 2, 3, 4, (b"x",))) == bytes.fromhex("96030102030491c40178")
    monkeypatch.setattr(applier_module, "is_keyed", None)
    monkeypatch.setattr(KeyTable, "pass_time", None)
    group = Group()
    (told,) = group.feed(Commands(group.first, 1, 0, group.wall_ms, (encode_call("pay", ("a",), {}),) * 3))
    assert list(map(decode_result, told.values)) == [1, 2, 3]


# -- the digest ------------------------------------------------------------------------------------


class Color(Enum):
    RED = 1


@dataclass
class Order:
    lines: set[str]
    note: Any = None


def digest(*args: Any, **kwargs: Any) -> bytes:
    return digest_of(encode_call("pay", args, kwargs), "pay", args, kwargs)


def test_equal_arguments_have_one_digest_also_where_their_pickles_differ() -> None:
    twice = "".join(["ab", "cd"])
    assert encode_call("pay", (twice, twice), {}) != encode_call("pay", (twice, "".join(["ab", "cd"])), {})
    assert digest(twice, twice) == digest(twice, "".join(["ab", "cd"]))
    assert digest(a=1, b=2) == digest(b=2, a=1) and digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest(Order({"x", "y"}, Color.RED)) == digest(Order({"y", "x"}, Color.RED))
    code = (
        "from tests.objects.test_keyed import Color, Order, digest;"
        "print(digest(Order({'alpha', 'beta', 'gamma'}, Color.RED), {'x', 'y', 'z'}).hex())"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed},
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert told == {digest(Order({"alpha", "beta", "gamma"}, Color.RED), {"x", "y", "z"}).hex()}


def test_other_arguments_have_other_digests() -> None:
    calls = [(), (1,), (1.0,), (True,), ("1",), (b"1",), ([1],), ((1,),), ({1},), ({1: 1},), (1, 1), (None,)]
    calls += [
        (Order({"x"}),),
        (Order({"x"}, 1),),
        (Color.RED,),
        (Order,),
        (len,),
        (["a", ["b"]],),
        (["a", "b"],),
    ]
    assert len({digest(*args) for args in calls}) == len(calls)
    assert digest(1) != digest_of(b"", "other", (1,), {})


def test_what_cannot_be_looked_into_counts_by_its_bytes() -> None:
    circle: list[Any] = []
    circle.append(circle)
    one, two = (lambda n: n + 1), (lambda n: n + 2)
    assert digest(circle) == digest(circle) != digest(one) != digest(two)


# -- what callers say ------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["", "x" * 256, 7, "\udc80"])
def test_an_impossible_key_is_refused(key: Any) -> None:
    with pytest.raises(ConfigError):
        Call("pay", "a").options(key=key)


@pytest.mark.parametrize("keep", [0, -1, float("nan"), float("inf"), "1", True])
def test_an_impossible_time_is_refused(keep: Any) -> None:
    with pytest.raises(ConfigError):
        Call("pay", "a").options(key="1", keep=keep)
    with pytest.raises(ConfigError):
        type("Bad", (Data,), {}, keep_keys=keep)


def test_a_time_without_a_key_and_a_query_with_one_are_refused() -> None:
    with pytest.raises(ConfigError):
        Call("pay", "a").options(keep=1.0)
    with pytest.raises(ConfigError):
        Call.query("count").options(key="1")


def test_a_message_with_a_key_is_the_same_command_as_a_handles() -> None:
    call = Shop.pay.call("a", cents=5).options(key="1", tag="mine").options(key="2", keep=3)
    assert call.payload == pay("2", "a", cents=5, keep=3) and call.tag == "mine"
    assert decode_call(without_key(call.payload)) == ("pay", ("a",), {"cents": 5})
