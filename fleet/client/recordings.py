"""Reads what members have kept of a group's past, part by part."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, cast
from zlib import crc32

import msgspec
from msgspec import Struct

from fleet.actors.messages.group_states import GetHistory, History, HistoryPart, ReadBase, ReadLog
from fleet.actors.messages.operator import GroupOp
from fleet.client.group_api import GRACE_S
from fleet.client.node_api import NodeOperations
from fleet.errors import FleetError, NoSuchGroup, NotKept, Unavailable
from fleet.objects.recording import RecordedBase, Recording
from fleet.objects.replay import Replay
from fleet.objects.watchers import Call, PastCalls
from fleet.raft.entries import Entry
from fleet.raft.ids import Index, Revision, node_of

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


def kept_by_members(client: NodeOperations, group: str, timeout: float | None = None) -> list[Kept]:
    """What each member that answers has kept, the longest first.

    Raises: NoSuchGroup; Unavailable: none answers.
    """
    seconds = timeout or min(ASKED_S, client.timeout)
    view = client.cluster(timeout).view
    assert view is not None
    asked = [(one, client._ask_soon(GetHistory(), group, one.address, True, seconds)) for one in view.nodes]
    found, unknown = [], 0
    for node, future in asked:
        try:
            history = cast(History, future.result(seconds + GRACE_S))
        except NoSuchGroup:
            unknown += 1
        except FleetError:
            pass  # another one will do
        else:
            if node_of(history.member) == node.name:  # else a node without a member has sent this on
                found.append(Kept(node.address, history))
    if not found:
        if unknown == len(asked):
            raise NoSuchGroup(f"no node knows a group {group!r}", group=group)
        raise Unavailable("no member of the group answers", group=group)
    return sorted(found, key=lambda one: (one.first, -one.history.revision))


@contextmanager
def recorded(
    client: NodeOperations,
    group: str,
    revision: Revision | None,
    until: Revision | None = None,
    timeout: float | None = None,
) -> Iterator[Recording]:
    """From the newest state that is not behind that revision (None: from the oldest) up to the first one that
    is not before `until` (None: up to now).

    Raises: NotKept, NoSuchGroup, Unavailable.
    """
    for attempt in range(ATTEMPTS):
        kept = _chosen(client, group, revision, timeout)
        bases = kept.history.bases
        base = bases[0]
        if revision is not None:
            base = max((one for one in bases if one.revision <= revision), key=lambda one: one.revision)
        try:
            recording = read(client, group, kept, base, until, timeout)
        except NotKept:
            if attempt + 1 == ATTEMPTS:
                raise
        else:
            break
    try:
        yield recording
    finally:
        recording.close()


def each_past_call(
    client: NodeOperations,
    group: str,
    start: Revision | None = None,
    until: Revision | None = None,
    timeout: float | None = None,
) -> Iterator[Call]:
    """As `Fleet.past_calls`, one after the other."""
    before = None if start is None else max(start - 1, 0)
    with recorded(client, group, before, until, timeout) as recording:
        calls = PastCalls(start or 0, until)
        yield from calls.run(Replay(recording, calls, executes=recording.has_reminders))


def _chosen(client: NodeOperations, group: str, revision: Revision | None, timeout: float | None) -> Kept:
    """Raises NotKept."""
    found = kept_by_members(client, group, timeout)
    if revision is None:
        return found[0]
    for kept in found:
        if kept.reaches(revision):
            return kept
    oldest, newest = found[0].first, max(one.history.revision for one in found)
    if revision > newest:
        what = f"the group has come to revision {newest}, not {revision} yet"
        raise NotKept(what, group=group, newest=newest)
    what = f"revision {revision} is not kept any more, the oldest that is: {oldest}"
    raise NotKept(what, group=group, node=node_of(found[0].history.member))


def read(
    client: NodeOperations,
    group: str,
    kept: Kept,
    base: RecordedBase,
    until: Revision | None,
    timeout: float | None,
) -> Recording:
    """Raises NotKept: it was deleted meanwhile, or is damaged."""
    history = kept.history
    recording = Recording(group, base, read_state(client, group, kept, base, timeout), history.data_class)
    recording.spool_to(tempfile.SpooledTemporaryFile(MEMORY_BYTES_MAX))
    behind = [one for one in history.bases if one.index and until is not None and one.revision >= until]
    last = min((one.index for one in behind), default=history.commit)
    try:
        _read_log(client, group, kept, recording, last, timeout)
    except BaseException:
        recording.close()
        raise
    if behind:
        recording.pass_over(behind[0].skipped)
    else:
        recording.until = history.applied
    return recording


def read_state(
    client: NodeOperations, group: str, kept: Kept, base: RecordedBase, timeout: float | None
) -> bytes:
    """The bytes of a state that a member has kept. Raises NotKept."""
    state = bytearray()
    while len(state) < base.size:
        part = _part(client, ReadBase(base.generation, len(state)), group, kept, timeout)
        if not part:
            raise NotKept("a state ends too early", group=group)
        state += part
    if base.size and crc32(state) != base.crc:
        raise NotKept("a state is not what was written", group=group)
    return bytes(state)


def _read_log(
    client: NodeOperations,
    group: str,
    kept: Kept,
    recording: Recording,
    last: Index,
    timeout: float | None,
) -> None:
    while recording.last < last:
        first = recording.last + 1
        entries = _read_entries(_part(client, ReadLog(first), group, kept, timeout))
        if not entries or any(one.index != index for index, one in enumerate(entries, first)):
            raise NotKept(f"entries from {first} on are not in what a member sent", group=group)
        recording.append(entry for entry in entries if entry.index <= last)


def _part(client: NodeOperations, op: GroupOp, group: str, kept: Kept, timeout: float | None) -> bytes:
    value = client._ask(op, group, kept.address, timeout)
    assert isinstance(value, HistoryPart)
    return value.data
