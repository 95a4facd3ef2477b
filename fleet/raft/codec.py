"""Peer messages and entries as bytes: msgpack arrays, the same form on the wire, on disk and in traces."""

from typing import Final

import msgspec

from fleet.raft.entries import Entry
from fleet.raft.messages import PeerMessage

_encode: Final = msgspec.msgpack.Encoder().encode
_decode_messages: Final = msgspec.msgpack.Decoder(tuple[PeerMessage, ...]).decode
_decode_entry: Final = msgspec.msgpack.Decoder(Entry).decode


def encode_messages(messages: list[PeerMessage]) -> bytes:
    return _encode(messages)


def decode_messages(data: bytes) -> tuple[PeerMessage, ...]:
    """Raises `msgspec.MsgspecError` for anything that is not a list of messages."""
    return _decode_messages(data)


def encode_entry(entry: Entry) -> bytes:
    return _encode(entry)


def decode_entry(data: bytes) -> Entry:
    return _decode_entry(data)
