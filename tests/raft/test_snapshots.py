"""Snapshots: when they are taken, written and dropped."""

from zlib import crc32

from fleet.raft.config import GroupConfig
from fleet.raft.events import (
    Persisted,
    Propose,
    SnapshotFailed,
    SnapshotStored,
    SnapshotTaken,
    Tick,
)
from fleet.raft.messages import (
    AppendEntries,
    AppendReply,
    VoteReply,
    VoteRequest,
)
from fleet.raft.ready import Ready
from tests.raft.compacted import DATA, META, SMALL, chunk, compacted, grown
from tests.raft.cores import (
    N1,
    N2,
    N3,
    N4,
    accept,
    answered,
    append,
    command,
    each,
    entries,
    follower,
    settle,
    settled,
    snapshot_of,
    step,
    take,
    write_of,
    written,
)
from tests.raft.host import Host
from tests.raft.world import World


def test_a_snapshot_is_due_when_the_log_has_grown_enough() -> None:
    core, at = compacted()
    assert snapshot_of(core).index == at and snapshot_of(core).crc == crc32(DATA)
    assert core.log.base_index == at - SMALL.log_tail


def test_the_log_is_cut_only_when_the_snapshot_is_durable() -> None:
    core, at = grown()
    core.step(core.now, SnapshotTaken(at, DATA))
    take(core)
    assert core.log.base_index == 0 and snapshot_of(core).index == 0
    core.step(core.now, Persisted(core.seq))
    assert core.log.base_index == 0 and snapshot_of(core).index == 0
    core.step(core.now, SnapshotStored(at))
    assert core.log.base_index == at - SMALL.log_tail and snapshot_of(core).index == at


def test_s76_the_tail_behind_a_snapshot_is_bounded_in_bytes() -> None:
    """A thousand entries of up to 1 MiB each were kept, in memory and on disk."""
    config = GroupConfig(snapshot_floor_bytes=100_000, snapshot_factor=1, log_tail_bytes=50_000)
    core = settled(config=config)
    for number in range(300):
        core.step(core.now, Propose(number, (command(number + 1, payload=bytes(10_000)),)))
        accept(core, N2)
        for ready in settle(core):
            if ready.take_snapshot:
                core.step(core.now, SnapshotTaken(ready.take_snapshot, DATA))
                settle(core)
    assert core.log.bytes_after(core.log.base_index) < 200_000
    assert core.log.bytes_after(snapshot_of(core).index) + 50_000 >= core.log.bytes_after(core.log.base_index)
    assert core.log.base_index < snapshot_of(core).index


def test_s76_the_log_is_bounded_while_no_snapshot_can_be_taken() -> None:
    config = GroupConfig(
        snapshot_floor_bytes=10_000, snapshot_ceiling_bytes=10_000, uncommitted_bytes_max=20_000
    )
    core, refused = settled(config=config), 0
    for number in range(200):
        readies = step(core, Propose(number, (command(number + 1, payload=bytes(1000)),)))
        accept(core, N2)
        readies += settle(core)
        if any(ready.take_snapshot for ready in readies):
            step(core, SnapshotFailed())
        refused += number in answered(readies)
    assert refused > 80 and core.log.bytes_after(0) < 110_000
    core.step(
        core.now + 100_000,
        AppendReply(2, N2, N1, ok=True, index=core.log.last_index, hint=0, hint_term=0, round=0, sent_at=0),
    )
    (at,) = [ready.take_snapshot for ready in settle(core) if ready.take_snapshot]
    step(core, SnapshotTaken(at, DATA))
    assert answered(step(core, Propose(999, (command(1),)))) == {}


def test_s74_a_heartbeat_is_answered_while_a_write_is_under_way() -> None:
    """Its answer waited for whatever was being written: a slow disk cost the leader its majority."""
    core = follower(term=2, terms=(1, 2))
    append(core, (2, 2), entries(2, first=3))
    (held,) = take(core)
    assert [m.index for m in each(held.send_after, AppendReply)] == [3] and held.send_now == []
    append(core, (3, 2))
    (ready,) = take(core)
    assert [m.index for m in each(ready.send_now, AppendReply)] == [2], "only what is on the disk"
    assert ready.send_after == []
    core.step(
        core.now + core.config.storage_timeout_ms,
        AppendEntries(2, N2, N1, prev_index=3, prev_term=2, entries=(), commit=0, round=0, sent_at=core.now),
    )
    (late,) = take(core)
    assert late.send_now == [] and len(late.send_after) == 1, "a disk that hangs is not to be counted on"


def test_s74_a_vote_does_not_leave_before_it_is_written() -> None:
    core = follower(term=2, terms=(1, 2))
    append(core, (2, 2), entries(2, first=3))
    take(core)
    core.step(core.now + 5000, VoteRequest(3, N3, N1, last_index=9, last_term=2, transfer=False))
    readies = take(core)
    assert [type(m) for ready in readies for m in ready.send_after] == [VoteReply]
    assert not any(ready.send_now for ready in readies)


def test_s74_entries_are_written_while_a_snapshot_is() -> None:
    core, at = grown()
    core.step(core.now, SnapshotTaken(at, DATA))
    (ready,) = take(core)
    assert ready.save is not None and ready.write is None
    core.step(core.now, Propose(99, (command(99),)))
    (ready,) = take(core)
    core.step(core.now, Persisted(write_of(ready).seq))
    assert core.log.durable == core.log.last_index and snapshot_of(core).index == 0
    assert not core.storage_hangs()
    core.step(core.now, SnapshotStored(at))
    assert snapshot_of(core).index == at


def test_a_snapshot_is_not_stored_before_the_entries_that_it_stands_for() -> None:
    """Seed 300098: it reached the disk, the entry 3 that replaced another one did not, and the member began
    again with the snapshot of the one and the entries that had followed the other."""
    core = follower(term=3, terms=[1, 1, 2, 2, 2], config=GroupConfig(snapshot_floor_bytes=1, log_tail=0))
    settle(core)
    append(core, (2, 1), entries(3, first=3), commit=3)
    (index,) = [ready.take_snapshot for ready in take(core) if ready.take_snapshot]
    assert index == 3
    core.step(core.now, SnapshotTaken(index, DATA))
    assert [ready.save for ready in take(core) if ready.save] == []
    core.step(core.now, Persisted(core.seq))
    (save,) = [ready.save for ready in take(core) if ready.save]
    assert save.meta.index == index and save.meta.term == 3


def test_s74_members_do_not_take_their_snapshots_at_the_same_moment() -> None:
    took = set()
    config = GroupConfig(snapshot_floor_bytes=3000, snapshot_factor=1)
    for me in (N1, N2, N3):
        core = follower(term=2, terms=(1,), me=me, voters=(N4, N1, N2, N3), config=config)
        for index in range(2, 200):
            append(core, (index - 1, core.log.last_term), entries(2, first=index), index, src=N4)
            at = [ready.take_snapshot for ready in settle(core) if ready.take_snapshot]
            if at:
                took.add(at[0])
                break
    assert len(took) == 3


def test_an_own_snapshot_that_was_overtaken_is_dropped() -> None:
    core = follower(term=2, config=GroupConfig(snapshot_floor_bytes=1))
    append(core, (1, 1), commit=1)
    assert [ready.take_snapshot for ready in settle(core)] != []
    step(core, chunk())
    assert written(step(core, SnapshotTaken(1, b"old"))) == []
    assert core.snapshot == META


def test_a_snapshot_that_failed_is_tried_again_later_each_time() -> None:
    """It was forgotten until as much again had been logged."""
    core, _ = grown()
    asked = []
    core.step(core.now, SnapshotFailed())
    settle(core)
    for _ in range(5):
        failed_at = core.now
        while not any(ready.take_snapshot for ready in settle(core)):
            core.step(core.now + 100, Tick())
            accept(core, N2)
        asked.append(core.now - failed_at)
        core.step(core.now, SnapshotFailed())
    assert asked == [1000, 2000, 4000, 8000, 16000]


class SlowSnapshots(World):
    """Writing a snapshot takes 3 s, which is longer than any patience; any other write takes 1 ms."""

    def carry_out(self, host: Host, ready: Ready) -> None:
        save, ready.save = ready.save, None
        super().carry_out(host, ready)
        if save is not None:
            self.later(max(self.now, host.disk_busy_until) - self.now + 3000, "save", host, save)


def test_s74_snapshots_that_take_long_to_write_cost_no_leadership() -> None:
    """Entries and heartbeats' answers queued behind them on all members at once: 6 leaders in 40 s."""
    config = GroupConfig(snapshot_floor_bytes=100_000, snapshot_ceiling_bytes=100_000, snapshot_factor=1)
    world = SlowSnapshots.of(3, 1, config)
    world.weather.disk_ms = (1, 1)
    world.witness.settled = lambda host: None  # type: ignore[method-assign]  # it prints whole logs
    leader, asked = world.elect(), 0
    first, slowest = leader.core.log.last_index, 0
    while world.now < 20_000:
        asked += 1
        world.ask(leader.id, lambda token: Propose(token, (command(1, 0, bytes(4000)),)))
        began = world.now
        assert world.run(2000, lambda: leader.core.log.commit == first + asked)
        slowest = max(slowest, world.now - began)
        world.run(150)
    assert world.leader is leader and slowest < 50
    assert all(host.core.snapshot is not None for host in world.hosts.values())
