"""The messages, events, durable records and outputs of the founding; `founding` has the rules."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from fleet.errors import ConfigError, Damaged
from fleet.raft.ids import NodeName

FORMAT: Final = 1

Disk: TypeAlias = tuple[str, str]
"""A listed address and the incarnation of a disk that was seen there."""


class Founder(Struct, frozen=True, array_like=True):
    """A node as it describes itself; in a decision, as it did during the founding."""

    name: NodeName
    incarnation: str
    address: str
    zone: str
    weight: float


class Ballot(Struct, frozen=True, array_like=True, order=True):
    """Contains its proposer's disk, so that a wiped proposer cannot reuse a ballot for a second value."""

    round: int
    address: str
    incarnation: str


NO_BALLOT: Final = Ballot(0, "", "")


class Vote(Struct, frozen=True, array_like=True):
    ballot: Ballot
    founders: tuple[Founder, ...]


class Found(Struct, frozen=True, array_like=True):
    """Start the cluster group with exactly these founders as its first members, this node among them."""

    cluster: str
    founders: tuple[Founder, ...]


class Join(Struct, frozen=True, array_like=True):
    """A cluster exists: join it through one of these."""

    cluster: str
    addresses: tuple[str, ...]


Outcome: TypeAlias = Found | Join


# -- messages --------------------------------------------------------------------------------------


class ListedMessage(Struct, frozen=True, array_like=True):
    """Sent by one listed node to another."""

    src: Founder
    list_id: str
    """The fingerprint of the sender's list: majorities of two lists need not intersect."""
    disks: tuple[Disk, ...]


class FoundingHello(ListedMessage, frozen=True, array_like=True, tag=60):
    """The sender runs and knows no cluster. A node that knows the decision answers Decided."""


class Prepare(ListedMessage, frozen=True, array_like=True, tag=61):
    ballot: Ballot


class Promise(ListedMessage, frozen=True, array_like=True, tag=62):
    """The sender accepts no ballot below `ballot`; `accepted` is the highest that it has accepted."""

    ballot: Ballot
    accepted: Vote | None


class Refused(ListedMessage, frozen=True, array_like=True, tag=63):
    """The sender refuses `ballot`, since it has promised a higher one."""

    ballot: Ballot
    promised: Ballot


class Accept(ListedMessage, frozen=True, array_like=True, tag=64):
    ballot: Ballot
    founders: tuple[Founder, ...]


class Accepted(ListedMessage, frozen=True, array_like=True, tag=65):
    ballot: Ballot


class Decided(ListedMessage, frozen=True, array_like=True, tag=66):
    founders: tuple[Founder, ...]


class Exists(Struct, frozen=True, array_like=True, tag=67):
    """The sender, which takes no part in the founding, belongs to this cluster."""

    cluster: str
    addresses: tuple[str, ...]


FoundingMessage: TypeAlias = (
    FoundingHello | Prepare | Promise | Refused | Accept | Accepted | Decided | Exists
)


class Tick(Struct, frozen=True):
    """`deadline` may have passed. Harmless at any other time."""


class Persisted(Struct, frozen=True):
    """Every write up to `seq` is durable."""

    seq: int


# -- what is durable -------------------------------------------------------------------------------


class Record(Struct, frozen=True, array_like=True):
    """A listed node's promises, and the outcome. Kept for the life of the node: late nodes learn the outcome
    from it, and the node never founds again."""

    me: Founder
    list_id: str
    disks: tuple[Disk, ...]
    promised: Ballot = NO_BALLOT
    accepted: Vote | None = None
    decided: tuple[Founder, ...] = ()
    joined: Join | None = None
    """The cluster that this node joins without knowing its founders."""


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Record).decode


def to_bytes(record: Record) -> bytes:
    return bytes([FORMAT]) + _encode(record)


def from_bytes(data: bytes) -> Record:
    if data[:1] != bytes([FORMAT]):
        raise Damaged("not a founding record of a known format", place="founding", format=data[:1].hex())
    try:
        return _decode(data[1:])
    except msgspec.MsgspecError as error:
        raise Damaged(f"the founding record cannot be read: {error}", place="founding") from error


class PersistRequest(Struct, frozen=True):
    seq: int
    record: Record


@dataclass(slots=True)
class Ready:
    """Outputs since the previous one. `send` may leave at once: a message that depends on a write is output
    only after its `Persisted`. `write` replaces the record; writes are in order. `outcome` comes once."""

    send: list[tuple[str, FoundingMessage]] = field(default_factory=list)
    write: PersistRequest | None = None
    outcome: Outcome | None = None


def fingerprint(listed: Iterable[str]) -> str:
    return _digest(sorted(listed))


def cluster_id(founders: Iterable[Founder]) -> str:
    """Unique to the cluster, since a disk takes part in one founding only."""
    return _digest([(founder.name, founder.incarnation, founder.address) for founder in founders])


def _digest(parts: list[Any]) -> str:
    return blake2b(_encode(parts), digest_size=8).hexdigest()


def check_founders(listed: Sequence[str], address: str) -> None:
    """Check the addresses given as founders on the node at `address`.

    Raises:
        ConfigError: none or an even number of them, one empty or listed twice, or `address` missing.
    """
    twice = [name for name, count in Counter(listed).items() if count > 1]
    if not listed or not all(listed):
        raise ConfigError("founders: list at least one address, none of them empty")
    if twice:
        raise ConfigError(f"founders: {twice[0]!r} is listed twice", founders=", ".join(listed))
    if len(listed) % 2 == 0:
        raise ConfigError(
            f"founders: {len(listed)} tolerate no more failures than {len(listed) - 1}: list an odd number",
            founders=", ".join(listed),
        )
    if address not in listed:
        raise ConfigError(
            f"founders: this node's own address {address!r} is not among them: write it as they do, or join",
            founders=", ".join(listed),
        )


def restored(record: Record | None, me: Founder, listed: Sequence[str]) -> Record:
    """The record to start with. A promise holds for the disk, address and list with which it was given.

    A record of an earlier incarnation is of an older copy that was renewed (S83): what was decided holds. If
    nothing was, later promises may be lost; this address has had two disks then, and does not vote.

    Raises:
        ConfigError: an invalid list, or list, address or name changed after a promise.
    """
    if record is not None and record.me.incarnation != me.incarnation:
        record = replace(record, me=me, promised=NO_BALLOT, accepted=None)
    if record is not None and (record.decided or record.joined):
        return record
    check_founders(listed, me.address)
    fresh = Record(me, fingerprint(listed), ((me.address, me.incarnation),))
    if record is None:
        return fresh
    same = (record.list_id, record.me.address, record.me.name) == (fresh.list_id, me.address, me.name)
    if not same and record.promised == NO_BALLOT:
        return fresh
    if not same:
        raise ConfigError(
            "founders, address or name changed while the founding was under way: change them back, or stop"
            " all founders and empty their directories",
            node=me.name,
        )
    return replace(record, me=me, disks=tuple(sorted({*record.disks, *fresh.disks})))


def outcome_of(record: Record) -> Outcome | None:
    if not record.decided:
        return record.joined
    cluster = cluster_id(record.decided)
    me = (record.me.name, record.me.incarnation)
    if any((founder.name, founder.incarnation) == me for founder in record.decided):
        return Found(cluster, record.decided)
    return Join(cluster, tuple(founder.address for founder in record.decided))
