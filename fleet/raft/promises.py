"""What a message promises about its sender's disk, and whether that is durable already."""

from fleet.raft.entries import HardState
from fleet.raft.messages import AppendReply, PeerMessage, SnapshotReply, VoteReply
from fleet.raft.state import CoreState


def is_kept_already(core: CoreState, message: PeerMessage) -> bool:
    """Whether the message may leave while a write is under way, because its promise does not depend on that
    write. A member whose disk hangs holds everything back: no one should rely on it."""
    hard = core.durable_hard
    if message.term > hard.term or core.storage_hangs():
        return False
    if type(message) is AppendReply:
        return not message.ok or message.index <= core.log.durable
    if type(message) is SnapshotReply:
        return not message.installed or message.index <= core.log.durable
    if type(message) is VoteReply and message.granted:
        return hard == HardState(message.term, message.dst)
    return True
