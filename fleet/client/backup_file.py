"""The file of a backup: written under another name, read back, and only then given its own.

| bytes | hold |
|---|---|
| 12 | `FLEETBAK`, and the format as a number of 4 bytes, big-endian |
| frame HEAD | which cluster, when, by which version of fleet |
| for each group: frame GROUP | what the group is, and which state of it follows |
| frames PART | its state, 256 KiB each, the last one less, each compressed by itself |
| frames PAST | in format 2: what its members have kept of its past, as PART (`Recording.save`) |
| frame INDEX | all groups again, each with the place of its frame |
| 48 | the place of INDEX, the SHA-256 of all bytes before it, and `FLEETEND` |

A frame is its kind (1 byte), the length of its body (4), a CRC-32 of kind and body (4), and the body.
Bodies are msgpack, those of PART zstd. A file that was cut off anywhere has no end, and is refused.
"""

import hashlib
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from struct import Struct as Packed
from typing import IO, Any, BinaryIO, Final, Self, TypeVar
from zlib import crc32

import msgspec
from msgspec import Struct

from fleet.actors.messages.group_states import PART_BYTES
from fleet.client.zstd import Zstd
from fleet.errors import BadBackup, ConfigError
from fleet.files import sync_name
from fleet.raft.config import GroupConfig
from fleet.raft.ids import Index, Millis, Revision
from fleet.system.disk import sync

FORMAT: Final = 2
"""Of a file with the past of groups; one without has 1, which earlier versions read, too. One of a higher
format is refused."""
MAGIC, END_MAGIC = b"FLEETBAK", b"FLEETEND"
HEAD, GROUP, PART, INDEX, PAST = range(1, 6)
BODY_BYTES_MAX: Final = 1 << 30
_START = Packed(">8sI")
_FRAME = Packed(">BII")
_END = Packed(">Q32s8s")
_READ_BYTES = 1 << 20

T = TypeVar("T")


class BackupHead(Struct, frozen=True, array_like=True):
    cluster: str
    uid: int
    taken_ms: Millis
    """By the clock of who took it."""
    version: str
    """Of fleet."""
    in_force: int = 1
    """The version of the fleet of which something may be in it."""


class SavedGroup(Struct, frozen=True, array_like=True):
    """A group in a backup, and which state of it is there."""

    name: str
    revision: Revision
    """Everything up to it is in the state, and nothing later."""
    index: Index
    """The newest entry of the group's log in it."""
    size: int
    crc: int
    """Of the state: bytes, and `zlib.crc32`."""
    data_class: bytes
    """In force, as `fleet.objects.class_refs.encode_class` wrote it."""
    config: GroupConfig
    replicas: int
    pinned: tuple[str, ...]
    leader: str
    """The node that an operator prefers as leader; "": none."""
    is_in_memory: bool = False
    past_size: int = 0
    """Bytes of its past; 0: there is none."""


class GroupPlace(Struct, frozen=True, array_like=True):
    group: SavedGroup
    offset: int
    """Of its GROUP frame."""


_decoders: dict[Any, msgspec.msgpack.Decoder[Any]] = {
    kind: msgspec.msgpack.Decoder(kind) for kind in (BackupHead, SavedGroup, list[GroupPlace])
}
_encode = msgspec.msgpack.Encoder().encode


class BackupWriter:
    """Use it with `with`: without `finish` nothing is left of the file.

    Raises:
        ConfigError: the file exists.
        OSError: it cannot be written; the disk is full.
    """

    def __init__(self, path: str | os.PathLike[str], head: BackupHead, has_past: bool = False) -> None:
        self.path = Path(path).absolute()
        if os.path.lexists(self.path):
            raise self._exists()
        self.partial = self.path.with_name(f".{self.path.name}.{secrets.token_hex(4)}.partial")
        self._zstd = Zstd()
        self._digest = hashlib.sha256()
        self._places: list[GroupPlace] = []
        self._crc = self._size = 0
        fd = os.open(self.partial, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._file = os.fdopen(fd, "w+b")
        self._at = 0
        self._put(_START.pack(MAGIC, FORMAT if has_past else 1))
        self._frame(HEAD, _encode(head))

    def begin(self, group: SavedGroup) -> None:
        """Its state follows, by `add`. What was added of a group that was not ended is dropped."""
        self._mark = self._at, self._digest.copy(), len(self._places)
        self._places.append(GroupPlace(group, self._at))
        self._crc = self._size = 0
        self._frame(GROUP, _encode(group))

    def add(self, part: bytes) -> None:
        """`PART_BYTES` of the state, or its last part."""
        group = self._places[-1].group
        assert self._size % PART_BYTES == 0 and len(part) <= PART_BYTES
        self._crc, self._size = crc32(part, self._crc), self._size + len(part)
        assert self._size <= group.size
        self._frame(PART, self._zstd.compress(part))

    def end(self) -> bool:
        """Whether the group's state is whole, and what its member sent; else the group is dropped."""
        group = self._places[-1].group
        if (self._size, self._crc) == (group.size, group.crc):
            return True
        self.drop()
        return False

    def add_past(self, past: IO[bytes]) -> None:
        """Of the group that was ended last: all that is in this file."""
        while part := past.read(PART_BYTES):
            self._frame(PAST, self._zstd.compress(part))

    def drop(self) -> None:
        """The group that was begun last, as if it had not been."""
        self._at, self._digest, count = self._mark
        del self._places[count:]
        self._file.seek(self._at)
        self._file.truncate()

    def finish(self) -> "Backup":
        """Write the end, read the whole file back, and give it its name.

        Raises:
            BadBackup: the disk does not return what was written.
            ConfigError: a file of that name has appeared meanwhile; it is left as it is.
        """
        index = self._at
        self._frame(INDEX, _encode(self._places))
        self._file.write(_END.pack(index, self._digest.digest(), END_MAGIC))
        self._file.flush()
        sync(self._file.fileno())
        verified(self.partial)
        self._take_name()
        sync_name(self.path)
        return Backup(self.path)

    def _take_name(self) -> None:
        try:
            os.link(self.partial, self.path)
        except FileExistsError:
            raise self._exists() from None
        except OSError:  # a file system without hard links
            if os.path.lexists(self.path):
                raise self._exists() from None
            os.rename(self.partial, self.path)
        else:
            self.partial.unlink()

    def _exists(self) -> ConfigError:
        return ConfigError(f"{self.path} exists: choose another name for the backup")

    def _frame(self, kind: int, body: bytes) -> None:
        self._put(_FRAME.pack(kind, len(body), crc32(body, crc32(bytes((kind,))))))
        self._put(body)

    def _put(self, data: bytes) -> None:
        self._file.write(data)
        self._digest.update(data)
        self._at += len(data)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # on a full disk the rest of what was written has no room
            self._file.close()
        self.partial.unlink(missing_ok=True)


class Backup:
    """What is in the file, by its end. `verified` reads all of it.

    Raises:
        BadBackup: it is no backup, is not whole, or has a newer format.
        OSError: it cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._zstd = Zstd()
        with self.path.open("rb") as file:
            self.size = os.fstat(file.fileno()).st_size
            self._check_start(file)
            self.head = self._decode(self._frame(file, HEAD), BackupHead)
            self.first_group = file.tell()
            index, self.digest = self._end(file)
            file.seek(index)
            places = self._decode(self._frame(file, INDEX), list[GroupPlace])
            if file.tell() != self.size - _END.size:
                raise self._bad("its index is not where it ends")
        self.index_at = index
        self._offsets = {place.group.name: place.offset for place in places}
        self.groups: tuple[SavedGroup, ...] = tuple(place.group for place in places)
        """In the order of the file."""
        if len(self._offsets) != len(places):
            raise self._bad("a group is in it twice")

    def group(self, name: str) -> SavedGroup:
        for group in self.groups:
            if group.name == name:
                return group
        names = ", ".join(group.name for group in self.groups) or "none"
        raise ConfigError(f"{self.path} has no group {name!r}; it has {names}")

    def parts(self, group: SavedGroup, since: int = 0) -> Iterator[bytes]:
        """The group's state from the byte `since` on, a multiple of `PART_BYTES`. Raises BadBackup."""
        with self._frames_of(group) as file:
            yield from self._parts(file, PART, group.size, since)

    def past(self, group: SavedGroup) -> Iterator[bytes]:
        """The bytes of the group's past. Raises BadBackup."""
        with self._frames_of(group) as file:
            for _ in range(0, group.size, PART_BYTES):
                self._frame(file, PART)
            yield from self._parts(file, PAST, group.past_size)

    def _frames_of(self, group: SavedGroup) -> BinaryIO:
        file = self.path.open("rb")
        file.seek(self._offsets[group.name])
        self._frame(file, GROUP)
        return file

    def _parts(self, file: BinaryIO, kind: int, size: int, since: int = 0) -> Iterator[bytes]:
        for at in range(0, size, PART_BYTES):
            body = self._frame(file, kind)
            if at >= since:
                yield self._part(body, min(PART_BYTES, size - at))

    # -- reading -----------------------------------------------------------------------------------

    def _check_start(self, file: BinaryIO) -> None:
        start = file.read(_START.size)
        if len(start) < _START.size or start[:8] != MAGIC:
            raise self._bad("it is no backup of a fleet")
        _, form = _START.unpack(start)
        if not 1 <= form <= FORMAT:
            what = f"it has format {form}, and this version of fleet reads formats 1 to {FORMAT}"
            raise self._bad(f"{what}: restore it with the version that wrote it, or a newer one")

    def _end(self, file: BinaryIO) -> tuple[int, bytes]:
        file.seek(max(0, self.size - _END.size))
        end = file.read(_END.size)
        if len(end) < _END.size or end[-8:] != END_MAGIC:
            raise self._bad("it has no end: it was cut off")
        index, digest, _ = _END.unpack(end)
        if not _START.size <= index < self.size:
            raise self._bad("its end is damaged")
        return index, digest

    def _frame(self, file: BinaryIO, wanted: int) -> bytes:
        at = file.tell()
        header = file.read(_FRAME.size)
        if len(header) < _FRAME.size:
            raise self._bad("it was cut off", at)
        kind, length, crc = _FRAME.unpack(header)
        if kind != wanted or length > min(BODY_BYTES_MAX, self.size - at):
            raise self._bad("a frame is damaged", at)
        body = file.read(length)
        if len(body) < length or crc32(body, crc32(header[:1])) != crc:
            raise self._bad("a frame does not match its checksum", at)
        return body

    def _part(self, body: bytes, expected: int) -> bytes:
        try:
            part = self._zstd.decompress(body, PART_BYTES)
        except ValueError as error:
            raise self._bad(f"a part of a state is damaged: {error}") from error
        if len(part) != expected:
            raise self._bad(f"a part of a state has {len(part)} bytes, not {expected}")
        return part

    def _decode(self, body: bytes, kind: type[T]) -> T:
        try:
            value: T = _decoders[kind].decode(body)
        except (msgspec.MsgspecError, RecursionError, ValueError) as error:
            raise self._bad(f"it cannot be read: {error}") from error
        return value

    def _bad(self, what: str, at: int | None = None) -> BadBackup:
        return BadBackup(f"{self.path} cannot be used: {what}", path=str(self.path), at=at)

    def verify(self) -> None:
        """Read the whole file: every frame, each state, and the digest. Raises BadBackup."""
        digest = hashlib.sha256()
        with self.path.open("rb") as file:
            left = self.size - _END.size
            while left and (data := file.read(min(_READ_BYTES, left))):
                digest.update(data)
                left -= len(data)
            if left or digest.digest() != self.digest:
                raise self._bad("it does not match its digest")
            file.seek(self.first_group)
            for group in self.groups:
                self._verify_group(file, group)
            if file.tell() != self.index_at:
                raise self._bad("it holds more than its index says", file.tell())

    def _verify_group(self, file: BinaryIO, group: SavedGroup) -> None:
        at = file.tell()
        found = self._decode(self._frame(file, GROUP), SavedGroup)
        if at != self._offsets[group.name] or found != group:
            raise self._bad(f"group {group.name!r} is not what the index says", file.tell())
        crc = 0
        for part in self._parts(file, PART, group.size):
            crc = crc32(part, crc)
        for _ in self._parts(file, PAST, group.past_size):
            pass
        if crc != group.crc:
            raise self._bad(f"the state of group {group.name!r} does not match its checksum")


def verified(path: str | os.PathLike[str]) -> Backup:
    """The backup, all of which was read. Raises as `Backup`."""
    backup = Backup(path)
    backup.verify()
    return backup


def new_head(cluster: str, uid: int, version: str, in_force: int) -> BackupHead:
    return BackupHead(cluster, uid, round(time.time() * 1000), version, in_force)
