"""The messages, events, durable records and outputs of the founding, which is in `founding`."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from fleet.errors import ConfigError, Damaged, WrongDirectory
from fleet.raft.ids import NodeName

FORMAT: Final = 1

Disk: TypeAlias = tuple[str, str]
"""A seed's address and the incarnation of the disk that was seen there."""


class Founder(Struct, frozen=True, array_like=True):
    """A node as it introduces itself; of the decided ones, as it did while it took part."""

    name: NodeName
    incarnation: str
    address: str
    zone: str
    weight: float


class Ballot(Struct, frozen=True, array_like=True, order=True):
    """Names its proposer's disk, so that a wiped proposer cannot use a ballot for a second value."""

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


class SeedMessage(Struct, frozen=True, array_like=True):
    src: Founder
    seeds: str
    """The fingerprint of the sender's list: majorities of different lists do not meet."""
    disks: tuple[Disk, ...]


class SeedHello(SeedMessage, frozen=True, array_like=True, tag=60):
    """I am here and know of no cluster. Answered with Decided by whoever knows better."""


class Prepare(SeedMessage, frozen=True, array_like=True, tag=61):
    ballot: Ballot


class Promise(SeedMessage, frozen=True, array_like=True, tag=62):
    """Nothing below `ballot` is accepted here any more; `accepted` is the highest that was."""

    ballot: Ballot
    accepted: Vote | None


class Refused(SeedMessage, frozen=True, array_like=True, tag=63):
    """`ballot` came too late: `promised` is higher."""

    ballot: Ballot
    promised: Ballot


class Accept(SeedMessage, frozen=True, array_like=True, tag=64):
    ballot: Ballot
    founders: tuple[Founder, ...]


class Accepted(SeedMessage, frozen=True, array_like=True, tag=65):
    ballot: Ballot


class Decided(SeedMessage, frozen=True, array_like=True, tag=66):
    founders: tuple[Founder, ...]


class Exists(Struct, frozen=True, array_like=True, tag=67):
    """The sender belongs to this cluster. What a node says that has no part in the founding."""

    cluster: str
    addresses: tuple[str, ...]


FoundingMessage: TypeAlias = SeedHello | Prepare | Promise | Refused | Accept | Accepted | Decided | Exists


class Tick(Struct, frozen=True):
    """`deadline` may have passed. Harmless at any other time."""


class Persisted(Struct, frozen=True):
    """Every write up to `seq` is durable."""

    seq: int


# -- what is durable -------------------------------------------------------------------------------


class Record(Struct, frozen=True, array_like=True):
    """A seed's promises, and how the founding ended for it. Kept for the life of the node: it is how
    late seeds learn from it, and why it never founds again."""

    me: Founder
    seeds: str
    disks: tuple[Disk, ...]
    promised: Ballot = NO_BALLOT
    accepted: Vote | None = None
    decided: tuple[Founder, ...] = ()
    joined: Join | None = None
    """Told of by a node that does not know the founders."""


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
    """The outputs since the last one. `send` may leave at once: what depends on a write comes only after
    its `Persisted` was stepped. `write` replaces the record, in order. `outcome` comes once in a life."""

    send: list[tuple[str, FoundingMessage]] = field(default_factory=list)
    write: PersistRequest | None = None
    outcome: Outcome | None = None


def fingerprint(seeds: Iterable[str]) -> str:
    return _digest(sorted(seeds))


def cluster_id(founders: Iterable[Founder]) -> str:
    """Of no other cluster, since a disk takes part in one founding."""
    return _digest([(founder.name, founder.incarnation, founder.address) for founder in founders])


def _digest(parts: list[Any]) -> str:
    return blake2b(_encode(parts), digest_size=8).hexdigest()


def check_seeds(seeds: Sequence[str], address: str) -> None:
    twice = [seed for seed, count in Counter(seeds).items() if count > 1]
    if not seeds or not all(seeds):
        raise ConfigError("founders: list at least one address, none of them empty")
    if twice:
        raise ConfigError(f"founders: {twice[0]!r} is listed twice", founders=", ".join(seeds))
    if len(seeds) % 2 == 0:
        raise ConfigError(
            f"founders: {len(seeds)} of them bear no more failures than {len(seeds) - 1}: list an odd number",
            founders=", ".join(seeds),
        )
    if address not in seeds:
        raise ConfigError(
            f"founders: this node's own address {address!r} is not among them: write it as they do, or join",
            founders=", ".join(seeds),
        )


def restored(record: Record | None, me: Founder, seeds: Sequence[str]) -> Record:
    """A promise binds the disk to the address and to the list under which it was given."""
    if record is not None and record.me.incarnation != me.incarnation:
        raise WrongDirectory("the founding record is of another disk", node=me.name, record=record.me.name)
    if record is not None and (record.decided or record.joined):
        return record
    check_seeds(seeds, me.address)
    fresh = Record(me, fingerprint(seeds), ((me.address, me.incarnation),))
    if record is None:
        return fresh
    same = (record.seeds, record.me.address, record.me.name) == (fresh.seeds, me.address, me.name)
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
