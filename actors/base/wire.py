"""How messages between processes look as bytes.

A frame is a 4-byte length and a msgpack array of [dst, src, tag, body], one for every message of a
turn; dst and src are local ids, since the link itself knows both processes. The tag says how to read
the body: a registered Struct has the tag of its registration, plain values travel as msgpack, and
whatever else through cloudpickle. Reading a pickle runs code, therefore frames are decoded only on
links whose peer has proved that it knows the cluster secret.

Cost: about 1 us to encode and decode a registered message of 100 bytes (tests/benchmarks/bench_actors.py).
"""

import pickle
import struct
from typing import Any

import cloudpickle
import msgspec
from msgspec import Raw, Struct
from thespian.actors import ActorAddress

from fleet.actors.base.addresses import SYSTEM, ActorId, Address, LocalId

PICKLED = -1
PLAIN = -2
TAG_MIN = 0
"""Tags of registered types are ints from here on, or strings."""

LENGTH = struct.Struct(">I")
_HEADER = struct.Struct(">IBI")
"""Length of what follows it, then msgpack's array32 mark and its count."""
_ARRAY32 = 0xDD
_EMPTY_HEADER = bytes(_HEADER.size)
FRAME_CLOSED_BYTES = 256 * 1024
"""A turn's messages go into one frame up to here; then another begins, so that the peer can start."""

_PLAIN_TYPES = frozenset((str, bytes, bool, int, float, type(None)))


def _encode_address(value: Any) -> Any:
    if isinstance(value, ActorAddress):
        return value.addressDetails
    raise NotImplementedError(f"a {type(value).__name__} inside a registered message")


def _decode_address(kind: type, value: Any) -> Any:
    if issubclass(kind, ActorAddress):
        return Address(msgspec.convert(value, ActorId))
    raise NotImplementedError(f"a {kind.__name__} inside a registered message")


_encoder = msgspec.msgpack.Encoder(enc_hook=_encode_address)
_items_decoder = msgspec.msgpack.Decoder(list[tuple[LocalId, LocalId, LocalId, Raw]])
_item_decoder = msgspec.msgpack.Decoder(tuple[LocalId, LocalId, LocalId, Raw])
_view_decoder = msgspec.msgpack.Decoder(memoryview)

_tags: dict[type, int | str] = {}
_decoders: dict[int | str, msgspec.msgpack.Decoder[Any]] = {
    PLAIN: msgspec.msgpack.Decoder(),
}
_types: dict[int | str, type] = {}


def register(*types: type[Struct]) -> None:
    """Let these Structs travel without pickle, each under its own msgspec `tag`.

    Every process must register the same; the order does not matter, and twice is harmless. A type
    that is not registered still travels, slower. Fields may hold ActorAddress values.

    Raises ValueError for a type without a tag, or a tag that another type has.
    """
    for kind in types:
        tag = kind.__struct_config__.tag
        if tag is None:
            raise ValueError(f"{kind.__name__} has no tag: declare it with tag=..., or use register_as")
        register_as(tag, kind)


def register_as(tag: int | str, kind: type[Struct]) -> None:
    """`register` for one type under a tag of the caller's choice."""
    if isinstance(tag, int) and tag < TAG_MIN:
        raise ValueError(f"tag {tag} of {kind.__name__}: negative tags are the wire's own")
    if _types.setdefault(tag, kind) is not kind:
        raise ValueError(f"tag {tag!r} of {kind.__name__} is taken by {_types[tag].__name__}")
    if _tags.setdefault(kind, tag) != tag:
        raise ValueError(f"{kind.__name__} is registered under {_tags[kind]!r} already")
    _decoders[tag] = msgspec.msgpack.Decoder(kind, dec_hook=_decode_address)


class Outbox:
    """The frames that wait to leave on one link. Invariant: `frames` is whole frames after `close`."""

    __slots__ = ("frames", "_begin", "_count")

    def __init__(self) -> None:
        self.frames = bytearray()
        self._begin = -1
        self._count = 0

    def add(self, dst: LocalId, src: LocalId, message: Any, bytes_max: int) -> None:
        """Append one message.

        Raises whatever encoding raises, or FrameTooLarge; the outbox is then as it was before.
        """
        frames = self.frames
        if self._begin < 0:
            self._open()
        before = len(frames)
        try:
            _append(frames, dst, src, message)
            if len(frames) - before + _HEADER.size > bytes_max:
                raise FrameTooLarge(f"{len(frames) - before} bytes, and the peer reads {bytes_max} a frame")
        except Exception:
            del frames[before:]
            if not self._count:
                del frames[self._begin :]
                self._begin = -1
            raise
        self._added(before, bytes_max)

    def add_encoded(self, item: bytes, bytes_max: int) -> bool:
        """Append what `encode_item` made; False, and nothing done, when the peer reads no such frame."""
        if len(item) + _HEADER.size > bytes_max:
            return False
        if self._begin < 0:
            self._open()
        before = len(self.frames)
        self.frames += item
        self._added(before, bytes_max)
        return True

    def _open(self) -> None:
        self._begin = len(self.frames)
        self.frames += _EMPTY_HEADER

    def _added(self, before: int, bytes_max: int) -> None:
        frames = self.frames
        if self._count and len(frames) - self._begin > bytes_max:
            item = frames[before:]
            del frames[before:]
            self.close()
            self._open()
            frames += item
        self._count += 1
        if len(frames) - self._begin >= FRAME_CLOSED_BYTES:
            self.close()

    def close(self) -> None:
        begin = self._begin
        if begin >= 0:
            size = len(self.frames) - begin - LENGTH.size
            _HEADER.pack_into(self.frames, begin, size, _ARRAY32, self._count)
            self._begin = -1
            self._count = 0


class FrameTooLarge(ValueError):
    pass


def _append(frames: bytearray, dst: LocalId, src: LocalId, message: Any) -> None:
    kind = type(message)
    tag = _tags.get(kind)
    if tag is None and kind in _PLAIN_TYPES:
        tag = PLAIN
    if tag is not None:
        before = len(frames)
        try:
            _encoder.encode_into((dst, src, tag, message), frames, -1)
            return
        except (TypeError, NotImplementedError, OverflowError, ValueError):
            del frames[before:]  # a field that msgpack has no form for, an int of more than 64 bits
    _encoder.encode_into((dst, src, PICKLED, cloudpickle.dumps(message, protocol=5)), frames, -1)


def decode_frame(frame: memoryview) -> list[tuple[LocalId, LocalId, LocalId, Raw]]:
    """The messages of a frame, bodies not yet read. Raises msgspec.DecodeError for anything else."""
    return _items_decoder.decode(frame)


def decode_body(tag: LocalId, body: Any) -> Any:
    """Raises anything: the body is another process's. Only for peers that proved who they are."""
    if tag == PICKLED:
        return pickle.loads(_view_decoder.decode(body))
    decoder = _decoders.get(tag)
    if decoder is None:
        raise LookupError(f"no message type is registered under {tag!r} here")
    return decoder.decode(body)


def encode_item(dst: LocalId, src: LocalId, message: Any) -> bytes:
    """One message of a frame, on its own. Raises whatever encoding raises."""
    item = bytearray()
    _append(item, dst, src, message)
    return bytes(item)


def encode_message(message: Any) -> bytes:
    """A message alone: what a simulated network carries. Raises whatever encoding raises."""
    return encode_item(SYSTEM, SYSTEM, message)


def decode_message(data: bytes) -> Any:
    _, _, tag, body = _item_decoder.decode(data)
    return decode_body(tag, body)
