"""A group's state at an earlier revision, made again for a backup from what its members have kept."""

from zlib import crc32

from fleet.client.backup_file import SavedGroup
from fleet.client.node_api import NodeOperations
from fleet.client.recordings import recorded
from fleet.cluster.state import GroupInfo
from fleet.errors import NotKept
from fleet.objects.applier import Applier
from fleet.objects.replay import Replay
from fleet.objects.watchers import Until
from fleet.raft.entries import EffectsDone
from fleet.raft.ids import Revision


def past_state(client: NodeOperations, info: GroupInfo, revision: Revision) -> tuple[SavedGroup, bytes]:
    """The group as it was after that revision, with its class, settings and keys of commands as they were
    then, and its placement as it is now. Its commands are executed again in this process.

    Raises: NotKept, CannotReplay, StateNotEncodable, NoSuchGroup, Unavailable.
    """
    try:
        with recorded(client, info.name, revision, revision) as recording:
            replay = Replay(recording, Until(revision))
            replay.run()
        applier = replay.applier
        if applier.events.pending:
            _acknowledge(client, info.name, applier)
    except NotKept as error:
        if info.config.keep_entries or info.config.keep_ms:
            raise
        what = f"group {info.name!r} keeps no past, since its setting `keep` is 0: {error.what}"
        raise NotKept(what, **error.facts) from error
    assert applier.revision == revision, f"stopped at revision {applier.revision}, not {revision}"
    state = applier.dump()
    about = revision, applier.index, len(state), crc32(state), replay.data_class, applier.config
    placed = info.replicas, tuple(info.pinned), info.leader, info.is_in_memory
    return SavedGroup(info.name, *about, *placed), state


def _acknowledge(client: NodeOperations, group: str, applier: Applier) -> None:
    """Effects that were acknowledged after that revision: they need not be told again."""
    events = applier.events
    newest = events.events[-1].position
    with recorded(client, group, applier.revision) as recording:
        for entry in recording.entries():
            if isinstance(entry.body, EffectsDone):
                events.acknowledge(min(newest, (entry.body.revision, entry.body.number)))
