"""The encoding of messages between processes.

A frame is a 4-byte length and a msgpack array of [dst, src, tag, body], one for each message of a turn; dst
and src are local ids, since the link knows both processes. The tag says how to decode the body: a registered
Struct has the tag of its registration, and plain values (None, bool, int, float, str, bytes) are sent as they
are. Nothing else is sent: no pickle, no container outside of a registered Struct, and of Thespian's own
messages only PoisonMessage, which tells a sender in another process that its message was not handled.
Messages between actors of one process are not registered, so they cannot arrive over a link. Users' payloads
are bytes and stay bytes here.

Cost: about 1 us to encode and decode a registered message of 100 bytes (`python -m tests.benchmarks actors`).
"""

import struct
from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta, Raw, Struct
from thespian.actors import ActorAddress, PoisonMessage

from fleet.actors.base.addresses import ENDPOINT_BYTES_MAX, SYSTEM, ActorId, Address, LocalId
from fleet.versions import NEWEST, OLDEST

PLAIN = -2
POISON = -3
TAG_MIN = 0
"""Tags of registered types are ints from here on, or strings."""
NAME_MAX = 256
"""Characters of a well-known actor's name, and of a tag."""
ITEMS_MAX = 65_536
"""Messages in one frame."""
DETAILS_MAX = 4000
"""Characters of the explanation in a PoisonMessage: its end, which has the exception."""
RETURNED_BYTES_MAX = 65_536
"""A longer message is not returned in its PoisonMessage."""

LENGTH = struct.Struct(">I")
_HEADER = struct.Struct(">IBI")
"""Length of what follows it, then msgpack's array32 mark and its count."""
_ARRAY32 = 0xDD
_EMPTY_HEADER = bytes(_HEADER.size)
FRAME_CLOSED_BYTES = 256 * 1024
"""A frame of a turn ends at this size and another begins, so that the peer can start to read."""

_PLAIN_TYPES = frozenset((str, bytes, bool, int, float, type(None)))

_Id: TypeAlias = int | Annotated[str, Meta(max_length=NAME_MAX)]
_Item: TypeAlias = tuple[_Id, _Id, _Id, Raw]

_addresses: dict[tuple[Any, ...], Address] = {}
"""Those that were decoded lately: a client gives its own with each request."""
ADDRESSES_MAX = 4096


class Unregistered(TypeError):
    """The type of a message is not registered: no process could decode it."""


class _Poison(Struct, frozen=True, array_like=True):
    """A PoisonMessage: the tag and body of the message that was not handled, and why."""

    tag: _Id
    body: Raw
    details: Annotated[str, Meta(max_length=DETAILS_MAX)]


def _encode_address(value: Any) -> Any:
    if isinstance(value, ActorAddress):
        return value.addressDetails
    raise NotImplementedError(f"a {type(value).__name__} inside a registered message")


def _decode_address(kind: type, value: Any) -> Any:
    if not issubclass(kind, ActorAddress):
        raise NotImplementedError(f"a {kind.__name__} inside a registered message")
    try:
        return _addresses[tuple(value)]
    except (KeyError, TypeError):
        pass
    ident = msgspec.convert(value, ActorId)
    is_name = isinstance(ident.local, str)
    if is_name and len(str(ident.local)) > NAME_MAX or len(ident.endpoint) > ENDPOINT_BYTES_MAX:
        raise ValueError("an actor's address that is too long")
    if not 0 <= ident.boot < 2**63:
        raise ValueError("an actor's address with a boot id that is none")
    if len(_addresses) >= ADDRESSES_MAX:
        _addresses.clear()
    address = _addresses[ident.endpoint, ident.boot, ident.local] = Address(ident)
    return address


_encoder = msgspec.msgpack.Encoder(enc_hook=_encode_address)
_items_decoder = msgspec.msgpack.Decoder(Annotated[list[_Item], Meta(max_length=ITEMS_MAX)])
_item_decoder = msgspec.msgpack.Decoder(_Item)
_plain_decoder = msgspec.msgpack.Decoder()
_CONTAINERS = frozenset((*range(0x80, 0xA0), *range(0xC7, 0xCA), *range(0xD4, 0xD9), *range(0xDC, 0xE0)))
"""First bytes of arrays, maps and extensions."""
_poison_decoder = msgspec.msgpack.Decoder(_Poison)

Tags: TypeAlias = dict[type, int | str]
_tags: Tags = {}
_tags_by_version: dict[int, Tags] = {version: {} for version in range(OLDEST, NEWEST + 1)}
"""The types that may be sent over a link that speaks so."""
_decoders: dict[int | str, msgspec.msgpack.Decoder[Any]] = {}
_types: dict[int | str, type] = {}


def register(*types: type[Struct], since: int = OLDEST) -> None:
    """Let these Structs travel between processes, each under its own msgspec `tag`.

    Every process must register the same types, in any order. Idempotent. Sending a message of another type
    fails; a link over which one arrives is closed. Fields may hold ActorAddress values. `since`: the version
    of the fleet that brought the type; over a link that speaks an older one, sending it fails.

    Raises:
        ValueError: a type without a tag, or a tag that another type has.
    """
    for kind in types:
        tag = kind.__struct_config__.tag
        if tag is None:
            raise ValueError(f"{kind.__name__} has no tag: declare it with tag=..., or use register_as")
        register_as(tag, kind, since)


def register_as(tag: int | str, kind: type[Struct], since: int = OLDEST) -> None:
    """`register` for one type under a tag of the caller's choice."""
    if isinstance(tag, int) and tag < TAG_MIN:
        raise ValueError(f"tag {tag} of {kind.__name__}: negative tags are the wire's own")
    if _types.setdefault(tag, kind) is not kind:
        raise ValueError(f"tag {tag!r} of {kind.__name__} is taken by {_types[tag].__name__}")
    if _tags.setdefault(kind, tag) != tag:
        raise ValueError(f"{kind.__name__} is registered under {_tags[kind]!r} already")
    for version, tags in _tags_by_version.items():
        if version >= since:
            tags[kind] = tag
    _decoders[tag] = msgspec.msgpack.Decoder(kind, dec_hook=_decode_address)


class Outbox:
    """The frames that wait to be sent on one link, which speaks `version`. Invariant: after `close`, `frames`
    holds complete frames."""

    __slots__ = ("frames", "_tags", "_begin", "_count")

    def __init__(self, version: int = NEWEST) -> None:
        self.frames = bytearray()
        self._tags = _tags_by_version[version]
        self._begin = -1
        self._count = 0

    def add(self, dst: LocalId, src: LocalId, message: Any, bytes_max: int) -> None:
        """Append one message. `bytes_max`: the longest frame that the peer reads.

        Raises what encoding raises, or FrameTooLarge; the outbox is then unchanged.
        """
        frames = self.frames
        if self._begin < 0:
            self._open()
        before = len(frames)
        try:
            _append(frames, dst, src, message, self._tags)
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
        """Append the result of `encode_item`; False, without a change, if it is too long for the peer."""
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


def _append(frames: bytearray, dst: LocalId, src: LocalId, message: Any, tags: Tags) -> None:
    kind = type(message)
    tag = tags.get(kind)
    if tag is None:
        if kind in _PLAIN_TYPES:
            tag = PLAIN
        elif kind is PoisonMessage:
            tag, message = POISON, _poison(message)
        elif kind in _tags:
            raise Unregistered(f"{kind.__name__} is newer than what the peer is known to speak")
        else:
            raise Unregistered(
                f"{kind.__name__} is not registered: only msgspec Structs that every process has passed to "
                "fleet.actors.base.register travel between processes, and plain values"
            )
    _encoder.encode_into((dst, src, tag, message), frames, -1)


def _poison(message: Any) -> _Poison:
    returned = message.poisonMessage
    tag = _tags.get(type(returned), PLAIN)
    body = b""
    if tag != PLAIN or type(returned) in _PLAIN_TYPES:
        try:
            body = _encoder.encode(returned)
        except (TypeError, NotImplementedError, OverflowError, ValueError):
            pass  # its type is sent instead
    if not 0 < len(body) <= RETURNED_BYTES_MAX:
        tag, body = PLAIN, _encoder.encode(type(returned).__name__)
    details = str(message.details or "")[-DETAILS_MAX:]
    return _Poison(tag, Raw(body), details.encode(errors="replace").decode())


def decode_frame(frame: memoryview) -> list[tuple[LocalId, LocalId, LocalId, Raw]]:
    """The messages of a frame, with bodies not yet decoded.

    Raises:
        msgspec.DecodeError, RecursionError: the bytes are no frame.
    """
    items: list[tuple[LocalId, LocalId, LocalId, Raw]] = _items_decoder.decode(frame)
    return items


def decode_body(tag: LocalId, body: Any) -> Any:
    """Decode the body of a message. May raise anything: the bytes are another process's."""
    decoder = _decoders.get(tag)
    if decoder is not None:
        return decoder.decode(body)
    if tag == PLAIN:
        if memoryview(body)[0] in _CONTAINERS:
            raise ValueError("a container outside of a registered message")
        return _plain_decoder.decode(body)
    if tag != POISON:
        raise LookupError(f"no message type is registered under {tag!r} here")
    poison = _poison_decoder.decode(body)
    if poison.tag == POISON:
        raise ValueError("a poison in a poison")
    return PoisonMessage(decode_body(poison.tag, poison.body), poison.details)


def encode_item(dst: LocalId, src: LocalId, message: Any, version: int = OLDEST) -> bytes:
    """Encode one message of a frame, on its own, for a peer that speaks `version`. Raises what encoding
    raises."""
    item = bytearray()
    _append(item, dst, src, message, _tags_by_version[version])
    return bytes(item)


def encode_message(message: Any) -> bytes:
    """Encode a message without addresses, for a simulated network. Raises what encoding raises."""
    return encode_item(SYSTEM, SYSTEM, message, NEWEST)


def decode_message(data: bytes) -> Any:
    _, _, tag, body = _item_decoder.decode(data)
    return decode_body(tag, body)
