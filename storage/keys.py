"""The layout of the database: keys whose byte order keeps each group in one contiguous range.

| key | holds |
|---|---|
| `0, IDENTITY` | the cluster, node and incarnation that own the directory |
| `0, COUNTER` | the number of the next group |
| `0, GROUP, number` | a living group's name and spec |
| `0, DROPPED, number` | a dropped group whose range may not be empty yet |
| `0, STAGED, number, generation` | chunks that no snapshot owns yet |
| `0, META, text` | small records of the node |
| `number, HARD` | term and vote |
| `number, SNAPSHOT` | the current snapshot's description and generation |
| `number, CHUNK, generation, chunk` | a piece of a snapshot |
| `number, BASE, generation` | the description of an older snapshot, which is kept for the history |
| `number, ENTRY, index` | a log entry; last in the range, so that appending is at its end |

Numbers are big-endian, a group's number is from 1 and never used again.
"""

from struct import Struct

from fleet.raft.ids import Index

IDENTITY, COUNTER, GROUP, DROPPED, STAGED, META = range(1, 7)
HARD, SNAPSHOT, CHUNK, BASE, ENTRY = range(1, 6)

_KIND = Struct(">IB")
_KIND_NUMBER = Struct(">IBI")
_TWO_NUMBERS = Struct(">IBII")
_ENTRY = Struct(">IBQ")

META_KEY_BYTES_MAX = 400
"""LMDB takes keys of up to 511 bytes."""

identity_key = _KIND.pack(0, IDENTITY)
counter_key = _KIND.pack(0, COUNTER)


def group_key(number: int) -> bytes:
    return _KIND_NUMBER.pack(0, GROUP, number)


def dropped_key(number: int) -> bytes:
    return _KIND_NUMBER.pack(0, DROPPED, number)


def staged_key(number: int, generation: int) -> bytes:
    return _TWO_NUMBERS.pack(0, STAGED, number, generation)


def meta_key(text: str) -> bytes:
    return _KIND.pack(0, META) + text.encode()


def hard_key(number: int) -> bytes:
    return _KIND.pack(number, HARD)


def snapshot_key(number: int) -> bytes:
    return _KIND.pack(number, SNAPSHOT)


def chunk_key(number: int, generation: int, chunk: int) -> bytes:
    return _TWO_NUMBERS.pack(number, CHUNK, generation, chunk)


def base_key(number: int, generation: int) -> bytes:
    return _KIND_NUMBER.pack(number, BASE, generation)


def entry_key(number: int, index: Index) -> bytes:
    return _ENTRY.pack(number, ENTRY, index)


def kind_range(number: int, kind: int) -> tuple[bytes, bytes]:
    """The range of the keys of one kind: from the first, up to but excluding the second."""
    return _KIND.pack(number, kind), _KIND.pack(number, kind + 1)


def group_range(number: int) -> tuple[bytes, bytes]:
    return _KIND.pack(number, 0), _KIND.pack(number + 1, 0)


def chunk_range(number: int, generation: int) -> tuple[bytes, bytes]:
    return chunk_key(number, generation, 0), chunk_key(number, generation + 1, 0)


def number_of(key: bytes) -> int:
    """The group in whose range the key is; 0: the store's own."""
    return int.from_bytes(key[:4], "big")


def subject_of(key: bytes) -> int:
    """The group that a key of kind GROUP, DROPPED or STAGED is about."""
    return int.from_bytes(key[5:9], "big")


def staged_of(key: bytes) -> tuple[int, int]:
    """The group and the generation that a key of kind STAGED is about."""
    return subject_of(key), int.from_bytes(key[9:13], "big")


def index_of(key: bytes) -> Index:
    """The log position of an entry's key."""
    return int.from_bytes(key[5:], "big")


def locate(key: bytes) -> tuple[int | None, str]:
    """The group (None: the store itself) and the place in words, for error messages."""
    number, kind, rest = number_of(key), key[4], key[5:]
    if number:
        numbers = [int.from_bytes(rest[at : at + 4], "big") for at in (0, 4)]
        places = {
            HARD: "hard state",
            SNAPSHOT: "snapshot",
            CHUNK: f"snapshot chunk {numbers[1]} of generation {numbers[0]}",
            BASE: f"base of generation {numbers[0]}",
            ENTRY: f"entry {index_of(key)}",
        }
        return number, places.get(kind, f"key {key.hex()}")
    if kind in (GROUP, DROPPED, STAGED):
        return subject_of(key), {GROUP: "group record", DROPPED: "drop mark", STAGED: "stage mark"}[kind]
    if kind == META:
        return None, f"meta {rest.decode(errors='replace')!r}"
    return None, {IDENTITY: "identity", COUNTER: "group counter"}.get(kind, f"key {key.hex()}")
