"""Frames and handshakes as bytes, without a socket."""

import pickle
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct
from thespian.actors import ActorExitRequest, PoisonMessage

from fleet.actors.base import ActorId, Address, decode_message, encode_message, register, register_as, wire
from fleet.actors.base.frames import FrameError, FrameReader
from fleet.actors.base.wire import (
    FRAME_CLOSED_BYTES,
    LENGTH,
    FrameTooLarge,
    Outbox,
    Unregistered,
    decode_body,
    decode_frame,
    encode_item,
)
from fleet.versions import NEWEST
from tests.actors.base.mutations import mutations

SHARED = 4096


class Note(Struct, frozen=True, array_like=True, tag="test.note", gc=False):
    number: int
    body: bytes = b""
    about: Any = None


class Letter(Struct, frozen=True, array_like=True, tag="test.letter"):
    to: Address


class Untagged(Struct, frozen=True):
    number: int


class Plain:
    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Plain) and self.value == other.value


register(Note, Letter)


def read_all(data: bytes, limit: int = 1 << 20, step: int = SHARED) -> list[bytes]:
    """The frames in `data`, received `step` bytes at a time at most."""
    shared = memoryview(bytearray(SHARED))
    reader = FrameReader(shared, limit)
    frames = []
    while data:
        space = reader.space()
        count = min(len(space), step, len(data))
        space[:count] = data[:count]
        data = data[count:]
        frames += [bytes(frame) for frame in reader.received(count)]
    return frames


def messages(frames: bytes | bytearray) -> list[tuple[Any, Any, Any]]:
    return [
        (dst, src, decode_body(tag, body))
        for frame in read_all(bytes(frames))
        for dst, src, tag, body in decode_frame(memoryview(frame))
    ]


# -- messages --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        Note(7, b"x" * 300),
        Letter(Address(ActorId("there:1", 5, "registry"))),
        "text",
        b"bytes",
        True,
        None,
        1.5,
        -(2**63),
        2**64 - 1,
        PoisonMessage(Note(7), "why"),
        PoisonMessage("text", ""),
    ],
)
def test_every_message_comes_out_as_it_went_in(message: Any) -> None:
    assert decode_message(encode_message(message)) == message
    assert type(decode_message(encode_message(message))) is type(message)


def test_s68_only_what_is_registered_travels() -> None:
    assert len(encode_message(Note(7))) < 30
    with pytest.raises(msgspec.ValidationError):
        decode_body("test.note", msgspec.msgpack.encode(["test.note", "seven"]))
    with pytest.raises(LookupError, match="test.unknown"):
        decode_body("test.unknown", b"\xc0")
    with pytest.raises(LookupError, match="-1"):
        decode_body(-1, msgspec.msgpack.encode(pickle.dumps(Note(7))))
    unknown: Any
    for unknown in (Untagged(8), Plain(3), [1], {}, Address(ActorId("there:1", 5, 9)), ActorExitRequest()):
        with pytest.raises(Unregistered, match="is not registered"):
            encode_message(unknown)
    for message in (Note(2**70), Note(1, about=Plain(3)), 2**64):
        with pytest.raises((OverflowError, NotImplementedError)):
            encode_message(message)


def test_a_poison_brings_back_what_can_travel_and_tells_the_rest_by_its_type() -> None:
    for returned, told in (
        (Plain(3), "Plain"),
        (bytes(100_000), "bytes"),
        (PoisonMessage(1, ""), "PoisonMessage"),
    ):
        poison = decode_message(encode_message(PoisonMessage(returned, "x" * 9000 + "the end\ud800")))
        assert poison.poisonMessage == told and poison.details.endswith("xthe end?")


@given(st.data())
def test_s68_whatever_a_peer_sends_is_a_message_or_an_exception(data: st.DataObject) -> None:
    genuine = [
        Note(7, b"body", [1]),
        Letter(Address(ActorId("there:1", 5, "x"))),
        PoisonMessage(Note(1), "why"),
        7,
    ]
    frame = data.draw(
        mutations(
            msgspec.msgpack.encode([[1, 2, tag, msgspec.Raw(body)] for tag, body in map(parts, genuine)])
        )
    )
    with suppress(Exception):
        for _, _, tag, body in decode_frame(memoryview(frame)):
            assert type(decode_body(tag, body)) in (Note, Letter, PoisonMessage, *PLAIN_TYPES)


def parts(message: Any) -> tuple[Any, bytes]:
    _, _, tag, body = msgspec.msgpack.decode(
        encode_message(message), type=tuple[int, int, int | str, msgspec.Raw]
    )
    return tag, bytes(body)


PLAIN_TYPES = (str, bytes, bool, int, float, type(None))


def test_two_types_cannot_share_a_tag() -> None:
    class Other(Struct, tag="test.note"):
        pass

    register(Note)
    register_as("test.untagged", Untagged)
    with pytest.raises(ValueError, match="taken by Note"):
        register(Other)
    with pytest.raises(ValueError, match="has no tag"):
        register(type("Bare", (Struct,), {}))
    with pytest.raises(ValueError, match="registered under"):
        register_as("test.else", Untagged)
    with pytest.raises(ValueError, match="wire's own"):
        register_as(-1, Other)


# -- frames ----------------------------------------------------------------------------------------


def test_a_turn_is_one_frame() -> None:
    outbox = Outbox()
    for number in range(100):
        outbox.add(number, "me", Note(number), 1 << 20)
    outbox.close()
    assert len(read_all(bytes(outbox.frames))) == 1
    assert messages(outbox.frames) == [(number, "me", Note(number)) for number in range(100)]


def test_a_long_turn_is_cut_into_frames_that_the_peer_reads() -> None:
    outbox = Outbox()
    for number in range(10):
        outbox.add(number, 1, Note(number, bytes(1000)), 4096)
    for number in range(10, 20):
        outbox.add(number, 1, Note(number, bytes(FRAME_CLOSED_BYTES // 3)), 1 << 20)
    outbox.close()
    assert [dst for dst, _, _ in messages(outbox.frames)] == list(range(20))
    assert len(read_all(bytes(outbox.frames))) > 6


def test_a_message_that_cannot_be_encoded_leaves_the_frame_as_it_was() -> None:
    outbox = Outbox()
    bad = [lambda: (yield)][0]()
    with pytest.raises(Unregistered, match="generator"):
        outbox.add(1, 2, bad, 1 << 20)
    assert not outbox.frames
    outbox.add(1, 2, Note(1), 1 << 20)
    with pytest.raises(Exception, match="generator"):
        outbox.add(1, 2, Note(1, about=bad), 1 << 20)
    with pytest.raises(FrameTooLarge):
        outbox.add(1, 2, Note(1, bytes(5000)), 4096)
    assert not outbox.add_encoded(bytes(5000), 4096)
    outbox.close()
    assert messages(outbox.frames) == [(1, 2, Note(1))]


@pytest.mark.parametrize("step", [1, 3, 100, SHARED])
def test_frames_come_whole_however_the_bytes_arrive(step: int) -> None:
    bodies = [b"", b"a", b"b" * 5000, b"c" * 7, b"d" * 20000, b"e"]
    data = b"".join(LENGTH.pack(len(body)) + body for body in bodies)
    assert read_all(data, step=step) == bodies


def test_s69_a_frame_that_is_only_announced_costs_no_memory() -> None:
    reader = FrameReader(memoryview(bytearray(SHARED)), 1 << 30)
    reader.space()[:9] = LENGTH.pack(1 << 29) + b"begin"
    assert list(reader.received(9)) == []
    assert len(reader.space()) < 100_000


def test_a_length_over_the_limit_is_refused_before_anything_is_allocated() -> None:
    with pytest.raises(FrameError, match="over the limit"):
        read_all(LENGTH.pack(2**32 - 1), limit=4096)


@pytest.mark.parametrize(
    "garbage", [b"", b"\xc1", b"GET / HTTP/1.1", b"\x91\x01", b"\xdd\xff\xff\xff\xff", b"\x90\x90"]
)
def test_garbage_is_not_a_frame(garbage: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_frame(memoryview(garbage))


# -- versions ----------------------------------------------------------------------------------------------


class Later(Struct, frozen=True, array_like=True, tag="test.later"):
    number: int


@pytest.fixture
def two_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    """This build speaks one version more, which brought a type."""
    tables = {version: dict(tags) for version, tags in wire._tags_by_version.items()}
    tables[NEWEST + 1] = dict(tables[NEWEST])
    for name in ("_tags", "_types", "_decoders"):
        monkeypatch.setattr(wire, name, dict(getattr(wire, name)))
    monkeypatch.setattr(wire, "_tags_by_version", tables)
    register(Later, since=NEWEST + 1)


def test_a_type_is_sent_only_where_the_peer_speaks_the_version_that_brought_it(two_versions: None) -> None:
    outbox = Outbox(NEWEST + 1)
    outbox.add(1, 2, Later(7), 1 << 20)
    outbox.close()
    assert messages(outbox.frames) == [(1, 2, Later(7))]
    outbox = Outbox(NEWEST)
    outbox.add(1, 2, Note(6), 1 << 20)
    with pytest.raises(Unregistered, match="Later is newer than what the peer is known to speak"):
        outbox.add(1, 2, Later(7), 1 << 20)
    outbox.close()
    assert messages(outbox.frames) == [(1, 2, Note(6))]


def test_before_the_peer_is_known_only_what_every_version_has_is_encoded(two_versions: None) -> None:
    assert encode_item(1, 2, Note(6))
    with pytest.raises(Unregistered, match="newer"):
        encode_item(1, 2, Later(7))
