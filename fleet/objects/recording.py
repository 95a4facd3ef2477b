"""A part of a group's past: a state, and the entries after it, from which later states can be made again.

What is recorded is what a member kept (`GroupConfig.keep`). It is plain data; `fleet.objects.replay` executes
it.
"""

import io
import shutil
from collections.abc import Iterable, Iterator
from typing import IO, Final, TypeAlias

import msgspec
from msgspec import Struct

from fleet.raft.entries import ClassSwitched, Entry, RemindersDue, Skipped
from fleet.raft.ids import Index, Millis, Place, Revision

HEAD_BYTES: Final = 32
"""Of a snapshot: enough for `place_in`."""
_LENGTH_BYTES: Final = 4
_INTEGERS: Final = {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8}
"""How msgpack writes an integer of more than 7 bits: the first byte, and how many follow."""
_encode = msgspec.msgpack.Encoder().encode
_decode_entry = msgspec.msgpack.Decoder(Entry).decode


class RecordedBase(Struct, frozen=True, array_like=True):
    """A state from which the entries after it are kept."""

    generation: int
    """Its name on that member."""
    index: Index
    """Of the last entry that it holds; 0: the beginning of the group, of which there are no bytes."""
    revision: Revision
    at_ms: Millis
    """The log time, in milliseconds since the epoch; 0: not known."""
    size: int
    """Of its bytes, as in a snapshot."""
    crc: int
    data_class: bytes
    """In force after it; b"": as the first entry says."""
    skipped: tuple[tuple[Index, Place], ...] = ()
    """As in `SnapshotMeta`."""


_Skipped: TypeAlias = list[tuple[tuple[Index, Place], str]]
_Head: TypeAlias = tuple[str, RecordedBase, bytes, bytes, _Skipped, Index, Index | None]
_decode_head = msgspec.msgpack.Decoder(_Head).decode


class Recording:
    """`entries` are those from behind `base` on, without a hole, all of them committed."""

    def __init__(self, group: str, base: RecordedBase, state: bytes, data_class: bytes) -> None:
        """`data_class`: with which the group was created. `state`: the bytes of `base`."""
        self.group, self.base, self.state = group, base, state
        self.data_class = base.data_class or data_class
        self.skipped: dict[tuple[Index, Place], str] = {}
        """Commands that failed without being executed, and why."""
        self.last = base.index
        self.has_switch = False
        """Whether the class changes in the midst of it."""
        self.has_reminders = False
        """Whether reminders were due."""
        self.until: Index | None = None
        """The last entry to execute: those behind it are only looked through. None: all."""
        self._file: IO[bytes] = io.BytesIO()
        self._begins_at = 0
        """Where in the file the entries begin."""

    def spool_to(self, file: IO[bytes]) -> None:
        """Keep the entries there, not in memory."""
        self._file = file

    def append(self, entries: Iterable[Entry]) -> None:
        self._file.seek(0, io.SEEK_END)
        for entry in entries:
            assert entry.index == self.last + 1, f"{entry.index} recorded after {self.last}"
            write_record(self._file, _encode(entry))
            self.last = entry.index
            self.has_switch |= isinstance(entry.body, ClassSwitched)
            self.has_reminders |= isinstance(entry.body, RemindersDue)
            if isinstance(entry.body, Skipped):
                self.skipped[entry.body.index, entry.body.place] = entry.body.cause

    def pass_over(self, places: Iterable[tuple[Index, Place]]) -> None:
        """These were skipped, too, by entries that are behind the recording."""
        for place in places:
            self.skipped.setdefault(place, "skipped")

    def entries(self) -> Iterator[Entry]:
        self._file.seek(self._begins_at)
        for entry in map(_decode_entry, records_in(self._file)):
            if self.until is not None and entry.index > self.until:
                return
            yield entry

    def save(self, path: str) -> None:
        """For another process, which opens it with `load`."""
        about = (self.group, self.base, self.state, self.data_class, [*self.skipped.items()])
        with open(path, "wb") as file:
            write_record(file, _encode((*about, self.last, self.until)))
            self._file.seek(0)
            shutil.copyfileobj(self._file, file)

    @classmethod
    def load(cls, path: str) -> "Recording":
        file = open(path, "rb")
        head = _decode_head(next(records_in(file)))
        group, base, state, data_class, skipped, last, until = head
        recording = cls(group, base, state, data_class)
        recording.data_class, recording.last, recording.until = data_class, last, until
        recording.skipped = dict(skipped)
        recording._file, recording._begins_at = file, file.tell()
        return recording

    def close(self) -> None:
        self._file.close()


def write_record(file: IO[bytes], data: bytes) -> None:
    """At its end; `records_in` reads it."""
    file.write(len(data).to_bytes(_LENGTH_BYTES) + data)


def records_in(file: IO[bytes]) -> Iterator[bytes]:
    """Those from its place on."""
    while length := file.read(_LENGTH_BYTES):
        yield file.read(int.from_bytes(length))


def place_in(head: bytes) -> tuple[Index, Revision]:
    """The index and the revision of a state, from the first `HEAD_BYTES` bytes of its snapshot: the second
    and the third item of an array. Zeros: it is none."""
    place, numbers = 1, [0, 0]
    for _ in range(3):
        if place >= len(head):
            return 0, 0
        length = _INTEGERS.get(head[place], 0)
        numbers.append(int.from_bytes(head[place + 1 : place + 1 + length]) if length else head[place])
        place += 1 + length
    return numbers[-2], numbers[-1]


def revision_in(head: bytes) -> Revision:
    """As `place_in`."""
    return place_in(head)[1]
