"""Requests about a group's past: the object at an earlier revision, and who changed it how."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar, cast, overload
from zlib import crc32

import msgspec
from msgspec import Struct

from fleet.actors.messages.operator import GetHistory, GroupOp, History, HistoryPart, ReadBase, ReadLog
from fleet.client.group_api import GRACE_S
from fleet.client.node_api import NodeOperations
from fleet.errors import BadArguments, FleetError, NoSuchGroup, NotKept, Unavailable
from fleet.objects.declare import Data
from fleet.objects.recording import RecordedBase, Recording
from fleet.objects.replay import Replay
from fleet.objects.watchers import Call, FirstTime, FirstTrue, PastCalls, Until
from fleet.raft.entries import Entry
from fleet.raft.ids import Index, Revision, node_of

D = TypeVar("D", bound=Data)
ASKED_S: Final = 2.0
"""How long members may take to say what they have kept."""
ATTEMPTS: Final = 3
"""What is being read may be deleted meanwhile."""
MEMORY_BYTES_MAX: Final = 16 << 20
"""Of entries that are being read; more go to a temporary file."""
_read_entries = msgspec.msgpack.Decoder(tuple[Entry, ...]).decode


class Kept(Struct, frozen=True):
    """What one member has kept of the group's past."""

    address: str
    history: History

    @property
    def first(self) -> Revision:
        """The oldest state that can be seen."""
        return self.history.bases[0].revision

    def reaches(self, revision: Revision) -> bool:
        return self.first <= revision <= self.history.revision


class HistoryOperations(NodeOperations):
    """The part of `fleet.Fleet` about the past of groups that keep it (`GroupConfig.keep`). All calls block.

    Commands are executed again in this process, by the class that executed them then, which must be
    importable here unless it was sent by value. `timeout`: seconds for each question; by default the
    client's.
    """

    @overload
    def at(self, group: str, revision: Revision, *, timeout: float | None = None) -> Data: ...

    @overload
    def at(
        self, group: str, revision: Revision, data_class: type[D], *, timeout: float | None = None
    ) -> D: ...

    def at(
        self,
        group: str,
        revision: Revision,
        data_class: type[Any] = Data,
        *,
        timeout: float | None = None,
    ) -> Any:
        """The group's object as it was after the command with that revision: an instance of its own, which is
        no part of the group. `data_class` is for type checkers, and checked.

        Raises:
            NotKept: no member that answers has kept so much, or the group has not come so far.
            CannotReplay: the code that executed those commands is not here.
            NoSuchGroup, Unavailable.
        """
        with self.recorded(group, revision, revision, timeout) as recording:
            replay = Replay(recording, Until(revision))
            replay.run()
            found = replay.object
        if not isinstance(found, data_class):
            is_of = f"{type(found).__module__}.{type(found).__qualname__}"
            raise BadArguments(f"the object was of class {is_of} then, not {data_class.__qualname__}")
        return found

    def past_calls(
        self,
        group: str,
        start: Revision | None = None,
        until: Revision | None = None,
        *,
        timeout: float | None = None,
    ) -> Iterator[Call]:
        """The commands that took effect from revision `start` (default: the oldest that is kept) up to
        `until` (default: now), in order. Nothing is executed. Raises as `at`."""
        before = None if start is None else max(start - 1, 0)
        with self.recorded(group, before, until, timeout) as recording:
            calls = PastCalls(start or 0, until)
            yield from calls.run(Replay(recording, calls, executes=False))

    def bisect(
        self,
        group: str,
        is_so: Callable[[Any], bool],
        start: Revision | None = None,
        *,
        timeout: float | None = None,
    ) -> FirstTrue | None:
        """The first command after which `is_so(object)`, and was not before; from the oldest state that is
        kept on, or from that at revision `start`. What becomes so and later is no more is found, too: every
        state is looked at. None: it never became so. Raises as `at`, and what `is_so` raises."""
        with self.recorded(group, start, None, timeout) as recording:
            found = FirstTime(is_so, start or 0)
            Replay(recording, found).run()
            return found.found

    # -- reading -----------------------------------------------------------------------------------

    def kept(self, group: str, timeout: float | None = None) -> list[Kept]:
        """What each member that answers has kept, the longest first.

        Raises: NoSuchGroup; Unavailable: none answers.
        """
        seconds = timeout or min(ASKED_S, self.timeout)
        self.cluster(timeout)
        asked = {at: self._ask_soon(GetHistory(), group, at, True, seconds) for at in self._addresses()}
        found, unknown = [], 0
        for address, future in asked.items():
            try:
                found.append(Kept(address, cast(History, future.result(seconds + GRACE_S))))
            except NoSuchGroup:
                unknown += 1
            except FleetError:
                pass  # another one will do
        if not found:
            if unknown == len(asked):
                raise NoSuchGroup(f"no node knows a group {group!r}", group=group)
            raise Unavailable("no member of the group answers", group=group)
        return sorted(found, key=lambda one: (one.first, -one.history.revision))

    @contextmanager
    def recorded(
        self, group: str, revision: Revision | None, until: Revision | None, timeout: float | None = None
    ) -> Iterator[Recording]:
        """From the newest state that is not behind that revision (None: from the oldest) up to the first one
        that is not before `until` (None: up to now). Raises as `HistoryOperations.at`."""
        for attempt in range(ATTEMPTS):
            kept = self._chosen(group, revision, timeout)
            bases = kept.history.bases
            base = bases[0]
            if revision is not None:
                base = max((one for one in bases if one.revision <= revision), key=lambda one: one.revision)
            try:
                recording = self._read(group, kept, base, until, timeout)
            except NotKept:
                if attempt + 1 == ATTEMPTS:
                    raise
            else:
                break
        try:
            yield recording
        finally:
            recording.close()

    def _chosen(self, group: str, revision: Revision | None, timeout: float | None) -> Kept:
        """Raises NotKept."""
        found = self.kept(group, timeout)
        if revision is None:
            return found[0]
        for kept in found:
            if kept.reaches(revision):
                return kept
        oldest, newest = found[0].first, max(one.history.revision for one in found)
        if revision > newest:
            raise NotKept(f"the group has come to revision {newest}, not {revision} yet", group=group)
        what = f"revision {revision} is not kept any more, the oldest that is: {oldest}"
        raise NotKept(what, group=group, node=node_of(found[0].history.member))

    def _read(
        self, group: str, kept: Kept, base: RecordedBase, until: Revision | None, timeout: float | None
    ) -> Recording:
        """Raises NotKept: it was deleted meanwhile, or is damaged."""
        history, state = kept.history, bytearray()
        while len(state) < base.size:
            part = self._part(ReadBase(base.generation, len(state)), group, kept, timeout)
            if not part:
                raise NotKept("a state ends too early", group=group)
            state += part
        if base.size and crc32(state) != base.crc:
            raise NotKept("a state is not what was written", group=group)
        recording = Recording(group, base, bytes(state), history.data_class)
        recording.spool_to(tempfile.SpooledTemporaryFile(MEMORY_BYTES_MAX))
        behind = [one for one in history.bases if until is not None and one.revision >= until]
        last = min((one.index for one in behind), default=history.commit)
        try:
            self._read_log(group, kept, recording, last, timeout)
        except BaseException:
            recording.close()
            raise
        if behind:
            recording.pass_over(behind[0].skipped)
        else:
            recording.until = history.applied
        return recording

    def _read_log(
        self, group: str, kept: Kept, recording: Recording, last: Index, timeout: float | None
    ) -> None:
        while recording.last < last:
            data = self._part(ReadLog(recording.last + 1), group, kept, timeout)
            recording.append(entry for entry in _read_entries(data) if entry.index <= last)

    def _part(self, op: GroupOp, group: str, kept: Kept, timeout: float | None) -> bytes:
        value = self._ask(op, group, kept.address, timeout)
        assert isinstance(value, HistoryPart)
        return value.data
