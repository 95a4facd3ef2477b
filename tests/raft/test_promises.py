"""What may leave while a write is under way: only what the disk keeps already."""

from typing import Any

import pytest

from fleet.raft.events import Propose
from fleet.raft.messages import AppendReply, PeerMessage, Removed, SnapshotReply, VoteReply
from fleet.raft.promises import is_kept_already
from tests.raft.cores import N1, N2, N3, command, follower, settled

DURABLE = 3
"""The last entry on the disk. The hard state there is of term 3, with a vote for n2."""


def append_reply(index: int, *, ok: bool = True, term: int = 3) -> AppendReply:
    return AppendReply(term, N1, N2, ok, index, 0, 0, 0, 0)


def snapshot_reply(index: int, *, installed: bool) -> SnapshotReply:
    return SnapshotReply(3, N1, N2, index=index, offset=9, installed=installed, round=0, sent_at=0)


@pytest.mark.parametrize(
    ("message", "is_kept"),
    [
        (append_reply(DURABLE), True),
        (append_reply(DURABLE + 1), False),
        (append_reply(DURABLE + 1, ok=False), True),
        (append_reply(DURABLE, term=2), True),
        (append_reply(DURABLE, term=4), False),
        (append_reply(DURABLE + 1, ok=False, term=4), False),
        (snapshot_reply(DURABLE, installed=True), True),
        (snapshot_reply(DURABLE + 1, installed=True), False),
        (snapshot_reply(DURABLE + 1, installed=False), True),
        (VoteReply(3, N1, N2, granted=True), True),
        (VoteReply(3, N1, N3, granted=True), False),
        (VoteReply(2, N1, N2, granted=True), False),
        (VoteReply(4, N1, N2, granted=True), False),
        (VoteReply(3, N1, N3, granted=False), True),
        (Removed(3, N1, N3), True),
        (Removed(4, N1, N3), False),
    ],
)
def test_a_message_leaves_before_a_write_only_if_the_disk_keeps_its_promise(
    message: PeerMessage, is_kept: bool
) -> None:
    core = follower(term=3, terms=(1, 2, 3), vote=N2)
    assert core.log.durable == DURABLE
    assert is_kept_already(core, message) is is_kept


def test_a_vote_in_a_term_that_is_durable_without_it_waits_for_it() -> None:
    """The term was written when it was heard of, and the vote is given only now."""
    core = follower(term=3, terms=(1, 2, 3))
    assert not is_kept_already(core, VoteReply(3, N1, N2, granted=True))


def test_a_member_whose_disk_hangs_says_nothing_that_its_disk_might_keep() -> None:
    core = settled()
    kept: Any = append_reply(1, term=2)
    core.step(core.now, Propose(1, (command(),)))
    core.take_ready()
    assert core.writes and is_kept_already(core, kept)
    core.now += core.config.storage_timeout_ms - 1
    assert is_kept_already(core, kept)
    core.now += 1
    assert not is_kept_already(core, kept)
