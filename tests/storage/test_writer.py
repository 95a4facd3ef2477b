"""Group commit: nothing is lost, nothing is written on top of what failed, one sync for all that waits."""

import select
import threading
from collections.abc import Callable, Iterator, Sequence

import pytest

from fleet.errors import ConfigError, StorageFault, StoreFull
from fleet.interfaces import ChoreDone, Completion, DropGroup, PutMeta, Write
from fleet.storage import MemoryStore, Writer
from tests.storage.disks import MIB, Disk, append, create, indexes, snapshot


class Gated(MemoryStore):
    """Each write waits for a permit, and fails when told to."""

    def __init__(self) -> None:
        super().__init__("c1", "n1")
        self.permits = threading.Semaphore(0)
        self.arrived = threading.Semaphore(0)
        self.batches: list[list[int]] = []
        self.failures: dict[int, Exception] = {}

    def write(self, batch: Sequence[Write]) -> None:
        self.arrived.release()
        assert self.permits.acquire(timeout=10)
        self.batches.append([write.seq for write in batch])
        for write in batch:
            if write.seq in self.failures:
                raise self.failures[write.seq]
        super().write(batch)


@pytest.fixture
def gated() -> Iterator[tuple[Gated, Writer]]:
    store = Gated()
    writer = Writer(store)
    yield store, writer
    store.permits.release(100)
    writer.close()


def at(write: Write, seq: int) -> Write:
    return Write(write.group, seq, write.hard, write.entries, write.snapshot, write.keep_after, write.reset)


def completions(writer: Writer) -> list[Completion]:
    return [done for done in writer.completed() if isinstance(done, Completion)]


def wait(writer: Writer, is_enough: Callable[[list[Completion]], bool]) -> list[Completion]:
    poll = select.poll()
    poll.register(writer.fileno(), select.POLLIN)
    done: list[Completion] = []
    while not is_enough(done):
        assert poll.poll(10_000), f"nothing after {done}"
        done += completions(writer)
    return done


def wait_for(writer: Writer, writes: int) -> list[Completion]:
    return wait(writer, lambda done: sum(len(list(one.writes)) for one in done) >= writes)


def seqs(done: list[Completion]) -> list[tuple[list[int], str]]:
    return [([write.seq for write in one.writes], type(one.error).__name__) for one in done]


def test_what_is_submitted_is_durable_when_it_is_completed(disk: Disk) -> None:
    store = disk.open()
    groups = [create(store, str(n)) for n in range(5)]
    writer = Writer(store)
    for index in range(1, 101):
        for group in groups:
            writer.submit(append(group, index, index))
    done = wait_for(writer, 500)
    assert not [one for one in done if one.error]
    writer.close()
    store = disk.open()
    assert [indexes(store, group) for group in groups] == [list(range(1, 101))] * 5


def test_all_that_comes_during_a_commit_shares_the_next(gated: tuple[Gated, Writer]) -> None:
    store, writer = gated
    groups = [create(store, str(n)) for n in range(3)]
    writer.submit(at(append(groups[0], 1, 1), 1))
    assert store.arrived.acquire(timeout=10)
    for seq, group in enumerate(groups, 2):
        writer.submit(at(append(group, 2 if seq == 2 else 1, 2), seq))
    store.permits.release(2)
    assert seqs(wait_for(writer, 4)) == [([1], "NoneType"), ([2, 3, 4], "NoneType")]
    assert store.batches == [[1], [2, 3, 4]]
    assert writer.completed() == []


def test_s14_after_a_failure_the_groups_later_writes_fail_untried_until_it_was_told(
    gated: tuple[Gated, Writer],
) -> None:
    store, writer = gated
    group, other = create(store), create(store, "other")
    store.failures[1] = StoreFull("no space")
    writer.submit(at(append(group, 1, 1), 1))
    assert store.arrived.acquire(timeout=10)
    writer.submit(at(append(group, 2, 2), 2))
    writer.submit(at(append(other, 1, 1), 3))
    store.permits.release(2)
    assert store.arrived.acquire(timeout=10)
    writer.submit(at(append(group, 3, 3), 4))  # fails as well: the failure of 1 was not told yet
    assert seqs(wait_for(writer, 4)) == [
        ([1], "StoreFull"),
        ([2], "StoreFull"),
        ([3], "NoneType"),
        ([4], "StoreFull"),
    ]
    assert store.batches == [[1], [3]]
    store.permits.release()
    writer.submit(at(append(group, 1, 3), 5))
    assert seqs(wait_for(writer, 1)) == [([5], "NoneType")]
    assert (indexes(store, group), indexes(store, other)) == ([1, 2, 3], [1])


def test_one_groups_own_error_does_not_fail_the_others(gated: tuple[Gated, Writer]) -> None:
    store, writer = gated
    groups = [create(store, str(n)) for n in range(3)]
    writer.submit(at(append(groups[0], 1, 1), 1))
    assert store.arrived.acquire(timeout=10)
    writer.submit(at(append(groups[1], 7, 7), 2))  # a hole
    writer.submit(at(append(groups[2], 1, 1), 3))
    writer.submit(at(append(groups[1], 8, 8), 4))
    store.permits.release(4)
    done = seqs(wait_for(writer, 4))
    assert done == [([1], "NoneType"), ([2, 4], "AssertionError"), ([3], "NoneType")]
    assert [indexes(store, group) for group in groups] == [[1], [], [1]]


def test_s41_a_big_snapshot_keeps_only_its_own_group_waiting(disk: Disk) -> None:
    store = disk.open()
    group, other = create(store), create(store, "other")
    store.write([append(group, 1, 9)])
    writer = Writer(store)
    writer.submit(Write(group, 1, snapshot=snapshot(9, bytes(64 * MIB)), keep_after=9))
    writer.submit(at(append(group, 10, 10), 2))
    writer.submit(at(append(other, 1, 1), 3))
    assert seqs(wait_for(writer, 3)) == [([3], "NoneType"), ([1, 2], "NoneType")]
    writer.close()
    store = disk.open()
    assert (indexes(store, group), indexes(store, other)) == ([10], [1])


def test_a_big_snapshot_that_fails_takes_its_groups_writes_with_it(disk: Disk) -> None:
    store = disk.open()
    group = create(store)
    store.write([append(group, 1, 9)])
    good = snapshot(9, bytes(9 * MIB))
    writer = Writer(store)
    writer.submit(Write(group, 1, snapshot=type(good)(good.meta, bytes(8 * MIB)), keep_after=9))
    writer.submit(at(append(group, 10, 10), 2))
    assert {name for _, name in seqs(wait_for(writer, 2))} == {"Damaged"}
    writer.submit(at(append(group, 10, 10), 3))
    assert seqs(wait_for(writer, 1)) == [([3], "NoneType")]
    writer.close()


def test_close_finishes_what_was_submitted(disk: Disk) -> None:
    store = disk.open()
    group = create(store)
    writer = Writer(store)
    for index in range(1, 51):
        writer.submit(append(group, index, index))
    writer.submit(Write(group, 0, snapshot=snapshot(50, bytes(9 * MIB)), keep_after=40))
    writer.close()
    writer.close()
    assert sum(len(list(one.writes)) for one in completions(writer)) == 51
    with pytest.raises(StorageFault, match="closed"):
        writer.submit(append(group, 51, 51))
    assert indexes(disk.open(), group) == list(range(41, 51))


def aside(group: int, index: int, data: bytes, seq: int = 0) -> Write:
    return Write(group, seq, snapshot=snapshot(index, data), keep_after=index, is_aside=True)


def test_s74_entries_of_the_group_pass_its_snapshot_that_is_written_aside(disk: Disk) -> None:
    """They queued behind it, and with them the answers that a leader waits for."""
    store = disk.open()
    group = create(store)
    store.write([append(group, 1, 9)])
    writer = Writer(store)
    writer.submit(aside(group, 5, bytes(20 * MIB), seq=1000))
    done: list[int] = []
    for index in range(10, 15):
        writer.submit(at(append(group, index, index), index))
        done += [write.seq for one in wait_for(writer, 1) for write in one.writes]
    assert done[:3] == [10, 11, 12]
    if 1000 not in done:
        wait_for(writer, 1)
    writer.close()
    store = disk.open()
    loaded = store.load(group)
    assert loaded.snapshot is not None and loaded.snapshot.index == 5
    assert indexes(store, group) == [*range(6, 15)]


def test_s74_small_snapshots_aside_share_no_more_than_a_budget_of_a_commit(
    gated: tuple[Gated, Writer],
) -> None:
    store, writer = gated
    groups = [create(store, str(n)) for n in range(6)]
    store.permits.release(1)
    store.write([append(group, 1, 9) for group in groups])
    store.arrived.acquire()
    store.batches.clear()
    writer.submit(at(append(groups[0], 10, 10), 1))
    assert store.arrived.acquire(timeout=10)
    for n, group in enumerate(groups):
        writer.submit(aside(group, 5, bytes(MIB * 2 // 5), seq=100 + n))
    writer.submit(at(append(groups[1], 10, 10), 2))
    store.permits.release(100)
    wait_for(writer, 8)
    assert store.batches == [[1], [2, 100, 101], [102, 103], [104, 105]]


def test_s74_a_snapshot_from_the_leader_overtakes_one_that_is_written_aside(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = disk.open()
    group = create(store)
    store.write([append(group, 1, 9)])
    stage = store.stage

    def stage_without_end(write: Write) -> Iterator[None]:
        """Else a busy machine had staged it before the leader's came, and there was nothing to overtake."""
        steps = stage(write)
        try:
            for _ in range(3):
                yield next(steps)
            while True:
                yield
        finally:
            steps.close()  # type: ignore[attr-defined]

    monkeypatch.setattr(store, "stage", stage_without_end)
    writer = Writer(store)
    writer.submit(aside(group, 5, bytes(30 * MIB)))
    writer.submit(at(append(group, 10, 10), 2))
    wait_for(writer, 1)
    new = Write(group, 3, snapshot=snapshot(50, b"leader's"), reset=True)
    writer.submit(new)
    wait_for(writer, 2)
    writer.submit(append(group, 51, 51))
    wait_for(writer, 1)
    writer.close()
    store = disk.open()
    assert store.load(group).snapshot == new.snapshot.meta  # type: ignore[union-attr]
    assert store.read_snapshot(group, 50, 0, 99) == b"leader's"
    assert sum(map(len, disk.records().values())) < 4096, "nothing of the other one is left"


def test_chores_are_done_in_their_turn_and_tell_of_themselves(disk: Disk) -> None:
    store = disk.open()
    group, other = create(store), create(store, "other")
    writer = Writer(store)
    writer.submit(append(group, 1, 9))
    writer.do(DropGroup(group))
    writer.do(PutMeta("key", b"value"))
    writer.do(PutMeta("x" * 500, b"too long"))
    writer.submit(append(other, 1, 1))
    writer.close()
    done = [one for one in writer.completed() if isinstance(one, ChoreDone)]
    assert [type(one.chore) for one in done] == [DropGroup, PutMeta, PutMeta]
    assert [type(one.error) for one in done] == [type(None), type(None), ConfigError]
    store = disk.open()
    assert [record.number for record in store.groups()] == [other] and store.get_meta("key") == b"value"


def test_a_snapshot_aside_that_fails_takes_nothing_with_it(gated: tuple[Gated, Writer]) -> None:
    store, writer = gated
    group = create(store)
    store.permits.release(100)
    store.write([append(group, 1, 9)])
    store.failures[7] = StoreFull("full")
    writer.submit(aside(group, 5, b"state", seq=7))
    (failed,) = wait_for(writer, 1)
    assert isinstance(failed.error, StoreFull)
    writer.submit(at(append(group, 10, 10), 8))
    writer.submit(at(append(group, 11, 11), 9))
    assert not any(one.error for one in wait_for(writer, 2))


def test_the_thread_is_woken_at_the_end_of_the_submitters_turn(disk: Disk) -> None:
    store = disk.open()
    group = create(store)
    turn: list[Callable[[], None]] = []
    writer = Writer(store, turn.append)
    writer.submit(at(append(group, 1, 1), 1))
    writer.submit(at(append(group, 2, 2), 2))
    assert len(turn) == 1 and writer._queue.empty()
    turn.pop()()
    wait_for(writer, 2)
    writer.submit(at(append(group, 3, 3), 3))
    writer.do(PutMeta("fact", b"value"))  # after what was submitted before it
    writer.submit(at(append(group, 4, 4), 4))
    writer.close()
    kinds = [type(one) for one in writer.completed()]
    assert kinds.index(ChoreDone) > 0, "the third write is not after the chore"
    store = disk.open()
    assert indexes(store, group) == [1, 2, 3, 4]
