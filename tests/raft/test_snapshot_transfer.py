"""A snapshot on its way from a leader to a follower that lags behind the log (Raft 7)."""

import msgspec
import pytest

from fleet.raft.config import GroupConfig
from fleet.raft.core import Core
from fleet.raft.entries import Members
from fleet.raft.events import (
    Propose,
    SnapshotLost,
    Tick,
)
from fleet.raft.messages import (
    AppendEntries,
    InstallSnapshot,
    SnapshotReply,
)
from fleet.raft.progress import PROBE, REPLICATE, SNAPSHOT
from fleet.raft.ready import Ready
from tests.raft.compacted import DATA, META, chunk, compacted
from tests.raft.cores import (
    CONFIG,
    N1,
    N2,
    N3,
    accept,
    append,
    command,
    each,
    entries,
    follower,
    leading,
    said,
    settle,
    step,
    take,
    terms_of,
    write_of,
    written,
)

SILENT_MS = 2 * CONFIG.election_ms
"""After so long without an answer a chunk is sent again."""


def replies(readies: list[Ready]) -> list[tuple[int, bool]]:
    return [(reply.offset, reply.installed) for reply in said(readies, SnapshotReply)]


def test_a_follower_that_needs_what_is_gone_is_sent_the_snapshot() -> None:
    core, at = compacted()
    leading(core).progress[N3].become_probe(leading(core).progress[N3].match + 1)
    (first,) = said(settle(core), InstallSnapshot)
    assert (first.dst, first.meta.index, first.offset) == (N3, at, 0)
    (second,) = said(
        step(
            core,
            SnapshotReply(2, N3, N1, index=at, offset=40, installed=False, round=0, sent_at=first.sent_at),
        ),
        InstallSnapshot,
    )
    assert second.offset == 40
    readies = step(
        core, SnapshotReply(2, N3, N1, index=at, offset=len(DATA), installed=True, round=0, sent_at=core.now)
    )
    (rest,) = [m for m in said(readies, AppendEntries) if m.dst == N3]
    assert rest.prev_index == at and leading(core).progress[N3].state == PROBE
    accept(core, N3)
    assert leading(core).progress[N3].state == REPLICATE


def sending() -> tuple[Core, int, InstallSnapshot]:
    core, at = compacted()
    leading(core).progress[N3].become_probe(leading(core).progress[N3].match + 1)
    (first,) = said(settle(core), InstallSnapshot)
    return core, at, first


def test_a_repeated_reply_asks_for_no_second_chunk() -> None:
    """Else every duplicate on the network would double the stream until the end of the snapshot."""
    core, at, first = sending()
    reply = SnapshotReply(2, N3, N1, index=at, offset=40, installed=False, round=0, sent_at=first.sent_at)
    sent = step(core, reply, later=1) + step(core, reply, later=1)
    assert len(said(sent, InstallSnapshot)) == 1


def test_a_receiver_that_starts_over_is_followed_back() -> None:
    core, at, first = sending()
    reply = SnapshotReply(2, N3, N1, index=at, offset=40, installed=False, round=0, sent_at=first.sent_at)
    (second,) = said(step(core, reply, later=1), InstallSnapshot)
    again = SnapshotReply(2, N3, N1, index=at, offset=0, installed=False, round=0, sent_at=second.sent_at)
    (third,) = said(step(core, again, later=1), InstallSnapshot)
    assert third.offset == 0


def test_a_lost_chunk_is_sent_again_and_heartbeats_go_on_meanwhile() -> None:
    core, _, first = sending()
    sent: list[Ready] = []
    while not (chunks := said(sent, InstallSnapshot)) and core.now < first.sent_at + 60_000:
        core.step(core.deadline, Tick())
        accept(core, N2)
        sent += settle(core)
    assert chunks[0].offset == 0 and core.now - first.sent_at <= SILENT_MS + CONFIG.heartbeat_ms
    assert len([m for m in said(sent, AppendEntries) if m.dst == N3]) >= SILENT_MS // CONFIG.heartbeat_ms - 1


def test_a_snapshot_that_the_store_lost_is_asked_for_with_the_next_heartbeat() -> None:
    """Not at once: store and core would spin."""
    core, at, _ = sending()
    assert said(step(core, SnapshotLost(N3)), InstallSnapshot) == []
    core.step(core.deadline, Tick())
    assert [m.meta.index for m in said(settle(core), InstallSnapshot)] == [at]


def test_no_snapshot_is_taken_while_one_is_sent() -> None:
    core, _, _ = sending()
    for number in range(30):
        step(core, Propose(number, (command(number + 1),)), later=1)
        accept(core, N2)
        core.step(core.now, SnapshotReply(2, N3, N1, index=1, offset=0, installed=False, round=0, sent_at=0))
        assert not any(ready.take_snapshot for ready in settle(core))
    assert leading(core).progress[N3].state == SNAPSHOT


def test_chunks_are_joined_and_installed_in_one_write() -> None:
    """S34: no crash leaves the old log beside the new snapshot."""
    core = follower(term=2)
    assert replies(step(core, chunk(0, 60))) == [(60, False)]
    core.step(core.now, chunk(60))
    (ready,) = take(core)
    write = write_of(ready)
    assert write.reset and write.snapshot == META and write.snapshot_data == DATA
    assert ready.restore == (META, DATA) and ready.send_now == []
    assert [m.installed for m in each(ready.send_after, SnapshotReply)] == [True]
    assert (core.log.base_index, core.log.commit, core.log.applied) == (9, 9, 9)


@pytest.mark.parametrize("offset", [0, 30, 70])
def test_a_chunk_that_does_not_fit_is_answered_with_what_is_there(offset: int) -> None:
    core = follower(term=2)
    step(core, chunk(0, 50))
    assert replies(step(core, chunk(offset, 20))) == [(50, False)]


def test_another_leader_goes_on_with_the_same_snapshot() -> None:
    core = follower(term=2)
    step(core, chunk(0, 60))
    assert replies(step(core, chunk(60, src=N3, term=3))) == [(len(DATA), True)]


def test_a_damaged_snapshot_is_not_installed() -> None:
    core = follower(term=2)
    bad = msgspec.structs.replace(META, crc=1)
    assert replies(step(core, chunk(meta=bad))) == [(0, False)]
    assert core.log.base_index == 0 and core.incoming is None


def test_s35_an_old_snapshot_moves_nothing_back() -> None:
    core = follower(term=2, terms=(1, *[2] * 11))
    append(core, (12, 2), commit=10)
    settle(core)
    readies = step(core, chunk())
    assert replies(readies) == [(len(DATA), True)]
    assert not any(ready.restore or ready.write for ready in readies)
    assert (core.log.commit, core.log.last_index) == (10, 12)


def test_s35_a_snapshot_older_than_the_log_itself_moves_nothing_back() -> None:
    """What it ends with is compacted here: there is no term to compare."""
    core = follower(term=2)
    step(core, chunk())
    readies = step(core, chunk(meta=msgspec.structs.replace(META, index=5)))
    assert replies(readies) == [(len(DATA), True)]
    assert not any(ready.restore or ready.write for ready in readies) and core.log.commit == 9


def test_s35_entries_that_match_are_kept() -> None:
    core = follower(term=2, terms=(1, *[2] * 11))
    readies = step(core, chunk())
    assert not any(ready.restore for ready in readies) and core.log.commit == 9
    assert len(terms_of(core)) == 12


def test_s35_entries_that_conflict_go() -> None:
    core = follower(term=3, terms=[1] * 12)
    readies = step(core, chunk(term=3))
    assert written(readies)[0].reset and terms_of(core) == [] and core.log.last_index == 9
    append(core, (9, 2), entries(3, first=10))
    assert core.log.last_index == 10


def test_a_snapshot_brings_members_and_configuration() -> None:
    slow = GroupConfig(election_ms=5000)
    meta = msgspec.structs.replace(META, config=slow, members=Members((N1, N2)))
    core = follower(term=2)
    step(core, chunk(meta=meta))
    assert core.config == slow and core.membership.current.voters == (N1, N2)
    assert core.deadline >= core.now + 5000


def test_a_lease_is_not_prolonged_by_a_member_that_is_still_being_sent_the_snapshot() -> None:
    """It may not know how patient the configuration inside asks it to be."""
    core, at, _ = sending()
    role = leading(core)
    role.lease_index = 3
    before = role.progress[N3].lease_from
    step(
        core,
        SnapshotReply(2, N3, N1, index=at, offset=40, installed=False, round=0, sent_at=core.now),
        later=1,
    )
    assert role.progress[N3].lease_from == before
