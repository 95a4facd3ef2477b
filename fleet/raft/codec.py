"""Peer messages and entries as bytes: msgpack arrays, the same form on the wire, on disk and in traces."""

from typing import Final

import msgspec

from fleet.raft.entries import Entry
from fleet.raft.messages import AppendEntries, InstallSnapshot, PeerMessage, SnapshotReply

_encode: Final = msgspec.msgpack.Encoder().encode
_decode_messages: Final = msgspec.msgpack.Decoder(tuple[PeerMessage, ...]).decode
_decode_entry: Final = msgspec.msgpack.Decoder(Entry).decode


def encode_messages(messages: list[PeerMessage]) -> bytes:
    return _encode(messages)


def decode_messages(data: bytes) -> tuple[PeerMessage, ...]:
    """Raises `msgspec.MsgspecError` for anything that is not a list of messages."""
    return _decode_messages(data)


def read_messages(data: bytes) -> tuple[PeerMessage, ...]:
    """Decode messages of another process, and check what a member would never send.

    Raises `msgspec.MsgspecError`, RecursionError or ValueError.
    """
    messages = _decode_messages(data)
    for message in messages:
        if type(message) is AppendEntries:
            _check_append(message)
        elif type(message) is InstallSnapshot:
            _check_chunk(message)
        elif type(message) is SnapshotReply and message.offset < 0:
            raise ValueError(f"{message.offset} bytes of a snapshot")
    return messages


def _check_append(m: AppendEntries) -> None:
    index, term = m.prev_index, m.prev_term
    for entry in m.entries:
        index += 1
        if entry.index != index or entry.term < term:
            raise ValueError(f"entry {entry.index} of term {entry.term} after {index - 1} of term {term}")
        term = entry.term
    if term > m.term:
        raise ValueError(f"entries of term {term} from a leader of term {m.term}")


def _check_chunk(m: InstallSnapshot) -> None:
    if not 0 <= m.offset <= m.meta.size or len(m.data) > m.meta.size - m.offset or m.meta.term > m.term:
        raise ValueError(f"a chunk of {len(m.data)} bytes at {m.offset} of a snapshot of {m.meta.size}")


def encode_entry(entry: Entry) -> bytes:
    return _encode(entry)


def decode_entry(data: bytes) -> Entry:
    return _decode_entry(data)
