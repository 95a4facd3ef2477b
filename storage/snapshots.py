"""Snapshots in chunks: the chunks of one generation belong to one snapshot.

A big snapshot is written in several transactions, under a mark and a generation that is not yet current. The
transaction with the rest of its write makes the generation current, deletes the mark and deletes the former
generation. Chunks that a crash leaves behind are found by the mark and deleted.
"""

from collections.abc import Iterator
from zlib import crc32

from fleet.errors import Damaged
from fleet.interfaces import SnapshotWrite
from fleet.storage.keys import chunk_key, chunk_range, locate, snapshot_key
from fleet.storage.records import SnapshotHead, damaged, seal, unpack, unseal
from fleet.storage.transaction import Transaction

CHUNK_BYTES = 256 << 10


def chunk_count(size: int) -> int:
    return -(-size // CHUNK_BYTES)


def check_write(number: int, snapshot: SnapshotWrite) -> None:
    """Refuse a snapshot that does not match its description, before anything is written. Raises Damaged."""
    meta, data = snapshot.meta, snapshot.data
    if len(data) != meta.size or crc32(data) != meta.crc:
        group, place = locate(snapshot_key(number))
        raise Damaged("the snapshot to be written does not match its description", group=group, place=place)


def chunk_items(number: int, generation: int, data: bytes, chunks: range) -> Iterator[tuple[bytes, bytes]]:
    """Keys and records of some of the snapshot's chunks."""
    for chunk in chunks:
        key = chunk_key(number, generation, chunk)
        yield key, seal(key, data[chunk * CHUNK_BYTES : (chunk + 1) * CHUNK_BYTES])


def chunk_keys(number: int, generation: int, chunks: int) -> list[bytes]:
    return [chunk_key(number, generation, chunk) for chunk in range(chunks)]


def read_head(txn: Transaction, number: int) -> SnapshotHead | None:
    key = snapshot_key(number)
    record = txn.get(key)
    return None if record is None else unpack(key, record, SnapshotHead)


def read_chunk(txn: Transaction, number: int, head: SnapshotHead, chunk: int) -> bytes:
    key = chunk_key(number, head.generation, chunk)
    record = txn.get(key)
    if record is None:
        raise damaged(key, "the record is missing")
    body = unseal(key, record)
    if len(body) != min(CHUNK_BYTES, head.meta.size - chunk * CHUNK_BYTES):
        raise damaged(key, f"the chunk has {len(body)} bytes of a snapshot of {head.meta.size}")
    return body


def read_slice(txn: Transaction, number: int, head: SnapshotHead, offset: int, count: int) -> bytes:
    """`count` bytes from `offset`. Reads only the chunks that contain them."""
    end = min(offset + count, head.meta.size)
    if end <= offset:
        return b""
    start = offset - offset % CHUNK_BYTES
    chunks = range(start // CHUNK_BYTES, chunk_count(end))
    data = b"".join([read_chunk(txn, number, head, chunk) for chunk in chunks])
    return data[offset - start : end - start]


def verify(txn: Transaction, number: int, head: SnapshotHead) -> None:
    """Check that the chunks are complete, valid, no more than needed, and match the head. Raises Damaged."""
    crc, chunks = 0, chunk_count(head.meta.size)
    for chunk in range(chunks):
        crc = crc32(read_chunk(txn, number, head, chunk), crc)
    span = txn.span(*chunk_range(number, head.generation))
    is_longer = span is not None and span[1] >= chunk_key(number, head.generation, chunks)
    if crc != head.meta.crc or is_longer:
        raise damaged(snapshot_key(number), "the snapshot does not match its description")
