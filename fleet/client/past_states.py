"""A group's state at an earlier revision, made again for a backup, or from one."""

import tempfile
from collections.abc import Iterator
from contextlib import closing
from typing import Protocol
from zlib import crc32

import msgspec

from fleet.actors.messages.group_states import PART_BYTES
from fleet.client.backup_file import Backup, SavedGroup
from fleet.client.node_api import NodeOperations
from fleet.client.recordings import recorded
from fleet.cluster.state import GroupInfo
from fleet.errors import BadBackup, NotKept
from fleet.objects.applier import Applier
from fleet.objects.recording import Recording
from fleet.objects.replay import Replay
from fleet.objects.watchers import Until
from fleet.raft.entries import EffectsDone
from fleet.raft.ids import Revision


class StateSource(Protocol):
    def parts(self, group: SavedGroup, since: int = 0) -> Iterator[bytes]:
        """As `Backup.parts`."""


class MadeState:
    """A state that was made again, in place of one in a file."""

    def __init__(self, state: bytes) -> None:
        self.state = state

    def parts(self, group: SavedGroup, since: int = 0) -> Iterator[bytes]:
        for at in range(since, len(self.state), PART_BYTES):
            yield self.state[at : at + PART_BYTES]


def past_state(client: NodeOperations, info: GroupInfo, revision: Revision) -> tuple[SavedGroup, bytes]:
    """The group as it was after that revision, with its class, settings and keys of commands as they were
    then, and its placement as it is now. Its commands are executed again in this process.

    Raises: NotKept, CannotReplay, StateNotEncodable, NoSuchGroup, Unavailable.
    """
    try:
        with recorded(client, info.name, revision, revision) as recording:
            replay = _replayed(recording, revision)
        if replay.applier.events.pending:
            with recorded(client, info.name, revision) as recording:
                _acknowledge(recording, replay.applier)
    except NotKept as error:
        if info.config.keep_entries or info.config.keep_ms or "newest" in error.facts:
            raise
        what = f"group {info.name!r} keeps no past, since its setting `keep` is 0: {error.what}"
        raise NotKept(what, **error.facts) from error
    assert replay.revision == revision, f"stopped at revision {replay.revision}, not {revision}"
    placed = info.replicas, tuple(info.pinned), info.leader, info.is_in_memory
    return _saved(info.name, replay, placed)


def saved_past_state(backup: Backup, group: SavedGroup, revision: Revision) -> tuple[SavedGroup, bytes]:
    """As `past_state`, from the past in the file.

    Raises: NotKept, CannotReplay, StateNotEncodable, BadBackup.
    """
    if not group.past_size:
        what = f"{backup.path} has no past of group {group.name!r}: saved without --past, or nothing was kept"
        raise NotKept(what, group=group.name)
    with tempfile.NamedTemporaryFile() as file:
        for part in backup.past(group):
            file.write(part)
        file.flush()
        with closing(_loaded(backup, file.name)) as recording:
            oldest = recording.base.revision
            if revision < oldest:
                what = f"revision {revision} is not in {backup.path}, the oldest that is: {oldest}"
                raise NotKept(what, group=group.name)
            replay = _replayed(recording, revision)
            if replay.revision != revision:
                what = f"{backup.path} has the past of group {group.name!r} up to revision {replay.revision}"
                raise NotKept(f"{what}, and not {revision}", group=group.name)
            if replay.applier.events.pending:
                _acknowledge(recording, replay.applier)
    return _saved(group.name, replay, (group.replicas, group.pinned, group.leader, group.is_in_memory))


def save_past(client: NodeOperations, info: GroupInfo, path: str) -> None:
    """All that a member has kept of the group's past, into this file; nothing, where the group keeps none.

    Raises: NotKept, NoSuchGroup, Unavailable.
    """
    if info.config.keep_entries or info.config.keep_ms:
        with recorded(client, info.name, None) as recording:
            recording.save(path)


def _loaded(backup: Backup, path: str) -> Recording:
    try:
        return Recording.load(path)
    except (msgspec.MsgspecError, StopIteration, ValueError) as error:
        raise BadBackup(f"{backup.path} has a past that cannot be read: {error}") from error


def _replayed(recording: Recording, revision: Revision) -> Replay:
    replay = Replay(recording, Until(revision))
    replay.run()
    return replay


def _saved(
    name: str, replay: Replay, placed: tuple[int, tuple[str, ...], str, bool]
) -> tuple[SavedGroup, bytes]:
    applier = replay.applier
    state = applier.dump()
    about = replay.revision, applier.index, len(state), crc32(state), replay.data_class, applier.config
    return SavedGroup(name, *about, *placed), state


def _acknowledge(recording: Recording, applier: Applier) -> None:
    """Effects that were acknowledged after that revision: they need not be told again."""
    events = applier.events
    newest = events.events[-1].position
    for entry in recording.entries():
        if isinstance(entry.body, EffectsDone):
            events.acknowledge(min(newest, (entry.body.revision, entry.body.number)))
