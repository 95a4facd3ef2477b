"""Committed data that conflicts (S84): a member halts, and promises nothing more."""

from zlib import crc32

import pytest

from fleet.raft.core import Core
from fleet.raft.entries import SnapshotMeta
from fleet.raft.messages import (
    AppendReply,
    Diverged,
    InstallSnapshot,
)
from fleet.raft.ready import CommittedConflict
from fleet.raft.restart import start_core
from tests.raft.cores import (
    N1,
    N2,
    N3,
    accept,
    append,
    entries,
    follower,
    leader,
    said,
    settle,
    terms_of,
)
from tests.raft.host import Disk


def committed(*terms: int) -> Core:
    """A follower whose entries are all committed and durable."""
    core = follower(term=terms[-1], terms=terms)
    append(core, (len(terms), terms[-1]), commit=len(terms))
    settle(core)
    assert core.log.commit == len(terms)
    return core


@pytest.mark.parametrize(
    ("prev", "new", "at", "leader_term"),
    [
        ((1, 1), (4,), 2, 4),
        ((1, 1), (4, 4, 4), 3, 4),
        ((2, 4), (), 2, 4),
        ((3, 4), (4,), 3, 4),
    ],
)
def test_s84_a_leader_that_has_other_committed_entries_halts_the_follower(
    prev: tuple[int, int], new: tuple[int, ...], at: int, leader_term: int
) -> None:
    core = committed(1, 2, 3)
    append(core, prev, entries(*new, first=prev[0] + 1), term=4)
    (ready,) = settle(core)[-1:]
    assert ready.conflict == CommittedConflict(
        leader=N2, committed=3, committed_term=3, at=at, leader_term=leader_term
    )
    assert not ready.send_after and terms_of(core) == [1, 2, 3]
    append(core, (3, 3), term=4)
    assert settle(core) == [] and core.log.commit == 3


def test_s84_a_member_that_halts_promises_nothing_more() -> None:
    core = committed(1, 2, 3)
    append(core, (3, 3), entries(4, first=4), term=4)
    append(core, (1, 1), entries(4, first=2), term=4)
    readies = settle(core)
    assert readies[-1].conflict is not None and said(readies, AppendReply) == []


def test_s84_a_short_late_append_is_no_conflict() -> None:
    core = committed(1, 2, 3)
    append(core, (0, 0), entries(1, 2), term=4)
    (reply,) = said(settle(core), AppendReply)
    assert reply.ok and core.conflict is None


def restarted(core: Core) -> Core:
    """As of the last write, with what the store keeps of it."""
    disk = Disk()
    for ready in settle(core):
        if ready.write is not None:
            disk.carry_out(ready.write)
    return start_core(N1, 0, core.rng, disk.hard, core.snapshot, disk.log())


def test_s84_what_was_committed_is_known_as_such_after_a_restart() -> None:
    """Without it, the entries would be an uncommitted suffix, and any leader might overwrite them."""
    core = follower(term=1, terms=())
    append(core, (0, 0), entries(1, 1, 1))
    append(core, (3, 1), entries(1, first=4), commit=3)
    again = restarted(core)
    assert (again.committed, again.log.commit) == (3, 0)
    append(again, (1, 1), entries(2, first=2), term=2)
    (ready,) = settle(again)[-1:]
    assert ready.conflict is not None and terms_of(again) == [1, 1, 1, 1]


def test_s84_no_snapshot_replaces_what_was_committed_before_a_restart() -> None:
    core = follower(term=1, terms=())
    append(core, (0, 0), entries(1, 1, 1))
    append(core, (3, 1), entries(1, first=4), commit=3)
    again = restarted(core)
    meta = SnapshotMeta(
        index=2, term=2, members=core.membership.current, config=core.config, size=1, crc=crc32(b"x")
    )
    again.step(0, InstallSnapshot(2, N2, N1, meta=meta, offset=0, data=b"x", round=0, sent_at=0))
    assert settle(again)[-1].conflict == CommittedConflict(
        leader=N2, committed=3, committed_term=1, at=2, leader_term=2
    )
    assert terms_of(again) == [1, 1, 1, 1]


def test_s84_a_follower_that_confirms_what_its_leader_lost_is_told_and_the_leader_goes_on() -> None:
    """What the follower holds is compacted: only the leader can see that it has less."""
    core = leader(term=2)
    accept(core, N2)
    settle(core)
    accept(core, N3, index=core.log.last_index + 5)
    (told,) = said(settle(core), Diverged)
    assert told == Diverged(2, N1, N3, last_index=core.log.last_index, last_term=2)
    assert core.is_leader and core.conflict is None
    behind = committed(1, 2, 3)
    behind.step(behind.now, Diverged(3, N2, N1, last_index=2, last_term=2))
    assert settle(behind)[-1].conflict == CommittedConflict(
        leader=N2, committed=3, committed_term=3, at=2, leader_term=2
    )
