"""One suite for every store: what fleet.interfaces.Durable promises."""

import pytest

from fleet.errors import ConfigError, Damaged, StorageFault
from fleet.interfaces import Loaded, Write
from fleet.raft.entries import HardState
from fleet.raft.ids import GroupName, MemberId
from fleet.storage.keys import group_range
from tests.storage.disks import (
    MIB,
    Crash,
    Disk,
    append,
    crash_before,
    create,
    entries,
    hard,
    indexes,
    snapshot,
)


def test_groups_survive_a_restart_with_name_and_spec(disk: Disk) -> None:
    store = disk.open()
    made = [store.create_group(GroupName(name), name.encode()) for name in ("b", "a", "b")]
    assert disk.open().groups() == made
    assert [record.number for record in made] == [1, 2, 3]


def test_a_number_is_never_given_again(disk: Disk) -> None:
    store = disk.open()
    create(store)
    last = create(store)
    store.drop_group(last)
    assert create(store) == last + 1
    store.drop_group(last + 1)
    assert create(disk.open()) == last + 2


def test_the_incarnation_stays_with_the_disk(disk: Disk) -> None:
    identity = disk.open().identity
    assert (identity.cluster, identity.node, len(identity.incarnation)) == ("c1", "n1", 8)
    assert disk.open().identity == identity


def test_a_new_group_has_promised_nothing(disk: Disk) -> None:
    store = disk.open()
    assert store.load(create(store)) == Loaded(HardState(), None, ())


def test_what_was_written_is_loaded_after_a_restart(disk: Disk) -> None:
    store = disk.open()
    group = create(store)
    store.write([append(group, 1, 3, hard=hard(1, "me"))])
    assert disk.open().load(group) == Loaded(hard(1, "me"), None, entries(1, 3))


def test_entries_replace_everything_from_the_first_of_them_on(disk: Disk) -> None:
    store = disk.open()
    group = create(store)
    store.write([append(group, 1, 9)])
    store.write([append(group, 4, 5, term=2)])
    assert disk.open().load(group).entries == entries(1, 3) + entries(4, 5, term=2)


def test_a_write_without_hard_state_keeps_it(disk: Disk) -> None:
    store = disk.open()
    group = create(store)
    store.write([Write(group, 0, hard=hard(3, "me"))])
    store.write([append(group, 1, 1, term=3)])
    assert store.load(group).hard == hard(3, "me")


def test_writes_of_one_batch_are_done_in_order(disk: Disk) -> None:
    store = disk.open()
    group, other = create(store), create(store, "other")
    store.write(
        [
            append(group, 1, 9, hard=hard(1)),
            append(other, 1, 2),
            append(group, 4, 6, term=2, hard=hard(2)),
            Write(group, 0, snapshot=snapshot(6, b"six", term=2), keep_after=4),
            append(group, 7, 7, term=2),
        ]
    )
    store = disk.open()
    assert store.load(group).entries == entries(5, 7, term=2)
    assert store.load(group).hard == hard(2)
    assert store.load(other).entries == entries(1, 2)


def test_keep_after_leaves_the_tail(disk: Disk) -> None:
    store = disk.open()
    group = create(store)
    store.write([append(group, 1, 9)])
    store.write([Write(group, 0, snapshot=snapshot(7, b"state"), keep_after=5)])
    assert indexes(disk.open(), group) == [6, 7, 8, 9]


def test_keep_after_beyond_the_log_empties_it_and_the_log_goes_on_after_the_snapshot(disk: Disk) -> None:
    store = disk.open()
    group = create(store)
    store.write([append(group, 1, 3)])
    store.write([Write(group, 0, snapshot=snapshot(20, b"state", term=2), keep_after=20)])
    store.write([append(group, 21, 22, term=2)])
    assert indexes(disk.open(), group) == [21, 22]


def test_reset_drops_every_entry_also_newer_ones(disk: Disk) -> None:
    store = disk.open()
    group = create(store)
    store.write([append(group, 1, 30)])
    store.write([append(group, 11, 12, term=2, snapshot=snapshot(10, b"state", term=2), reset=True)])
    loaded = disk.open().load(group)
    assert loaded.entries == entries(11, 12, term=2)
    assert loaded.snapshot is not None and loaded.snapshot.index == 10


@pytest.mark.parametrize(
    "bad",
    [
        {"entries": entries(7, 8)},
        {"entries": entries(4, 4) + entries(6, 6)},
        {"snapshot": snapshot(9, b"ahead of the log")},
        {"keep_after": 2},
        {"reset": True, "entries": entries(5, 6)},
    ],
    ids=["gap", "hole", "snapshot ahead", "nothing stands for the first", "reset leaves a gap"],
)
def test_a_write_that_would_leave_a_hole_is_refused_whole(disk: Disk, bad: dict[str, object]) -> None:
    store = disk.open()
    group, other = create(store), create(store, "other")
    store.write([append(group, 1, 5)])
    with pytest.raises(AssertionError):
        store.write([append(other, 1, 1), Write(group, 0, **bad)])  # type: ignore[arg-type]
    assert (indexes(store, group), indexes(store, other)) == ([1, 2, 3, 4, 5], [])
    store.write([append(group, 6, 6), append(other, 1, 1)])
    assert indexes(disk.open(), group) == [1, 2, 3, 4, 5, 6]


def test_a_dropped_group_is_gone_with_all_its_records_and_others_stay(disk: Disk) -> None:
    store = disk.open()
    group, other = create(store), create(store, "other")
    store.write([append(group, 1, 9), append(other, 1, 2)])
    store.write([Write(group, 0, snapshot=snapshot(9, b"state"))])
    store.drop_group(group)
    store.drop_group(group)
    store.drop_group(99)
    with pytest.raises(StorageFault, match="no such group"):
        store.load(group)
    assert store.read_snapshot(group, 9, 0, 10) is None
    store = disk.open()
    assert [record.number for record in store.groups()] == [other]
    assert indexes(store, other) == [1, 2]
    start, end = group_range(group)
    assert not [key for key in disk.records() if start <= key < end]


def test_writes_to_a_dropped_group_are_passed_over(disk: Disk) -> None:
    store = disk.open()
    group, other = create(store), create(store, "other")
    store.drop_group(group)
    store.write([append(group, 5, 6), append(other, 1, 2)])
    assert indexes(store, other) == [1, 2]
    assert not [key for key in disk.records() if key.startswith(group.to_bytes(4, "big"))]


@pytest.mark.parametrize("nth", [1, 2, 3, 4])
def test_a_crash_while_dropping_leaves_all_of_the_group_or_none(
    disk: Disk, nth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleet.storage.steps.SWEEP_KEYS", 4)
    store = disk.open()
    group = create(store)
    store.write([append(group, 1, 9)])
    crash_before(store, nth)
    with pytest.raises(Crash):
        store.drop_group(group)
    store = disk.open()
    assert [record.number for record in store.groups()] == ([group] if nth == 1 else [])
    left = [key for key in disk.records() if key.startswith(group.to_bytes(4, "big"))]
    assert len(left) == (10 if nth == 1 else 0)


# -- snapshots ------------------------------------------------------------------------------


def test_a_snapshot_is_read_in_any_slice(disk: Disk) -> None:
    data = bytes(range(256)) * 4096 + b"end"
    store = disk.open()
    group = create(store)
    store.write([Write(group, 0, snapshot=snapshot(5, data), keep_after=5)])
    store = disk.open()
    chunk = 256 << 10
    for offset, count in [(0, 10), (chunk - 1, 2), (chunk, chunk), (5, 3 * chunk), (0, 1 << 30), (MIB, 9)]:
        assert store.read_snapshot(group, 5, offset, count) == data[offset : offset + count]
    assert store.read_snapshot(group, 5, len(data), 10) == b""
    assert store.read_snapshot(group, 4, 0, 10) is None


def test_an_empty_snapshot_is_a_snapshot(disk: Disk) -> None:
    store = disk.open()
    group = create(store)
    store.write([Write(group, 0, snapshot=snapshot(5, b""), keep_after=5)])
    store = disk.open()
    meta = store.load(group).snapshot
    assert meta is not None and meta.size == 0
    assert store.read_snapshot(group, 5, 0, 10) == b""


def test_a_newer_snapshot_takes_the_place_of_the_former_and_its_bytes(disk: Disk) -> None:
    store = disk.open()
    group = create(store)
    store.write([append(group, 1, 9)])
    for index, size in [(3, MIB), (4, 5 * MIB), (5, 300_000), (6, 6 * MIB), (7, 10)]:
        store.write([Write(group, 0, snapshot=snapshot(index, bytes(size)))])
    store = disk.open()
    assert store.read_snapshot(group, 6, 0, 1) is None
    assert store.read_snapshot(group, 7, 0, 100) == bytes(10)
    assert sum(map(len, disk.records().values())) < 4096


def test_a_snapshot_that_is_not_what_it_says_is_refused_before_anything_is_written(disk: Disk) -> None:
    store = disk.open()
    group = create(store)
    good = snapshot(5, b"state")
    bad = type(good)(good.meta, b"stale")
    with pytest.raises(Damaged, match="description") as caught:
        store.write([append(group, 6, 6, snapshot=bad)])
    assert caught.value.group == group
    assert store.load(group).snapshot is None


def test_two_big_snapshots_of_one_group_in_one_batch_leave_the_second(disk: Disk) -> None:
    store = disk.open()
    group = create(store)
    store.write([append(group, 1, 9)])
    first, second = snapshot(5, b"1" * 5 * MIB), snapshot(6, b"2" * 5 * MIB)
    store.write([Write(group, 0, snapshot=first), Write(group, 0, snapshot=second, keep_after=4)])
    store = disk.open()
    assert store.load(group).snapshot == second.meta
    assert store.read_snapshot(group, 6, 5 * MIB - 2, 9) == b"22"
    assert sum(map(len, disk.records().values())) < 5.5 * MIB


@pytest.mark.parametrize("nth", [1, 2, 7, 12, 13, 14])
def test_s33_s34_a_crash_at_any_step_of_a_big_snapshot_leaves_the_former_state(disk: Disk, nth: int) -> None:
    store = disk.open()
    group = create(store)
    store.write([append(group, 1, 9, snapshot=None, hard=hard(1))])
    store.write([Write(group, 0, snapshot=snapshot(3, b"old"), keep_after=2)])
    before, data = store.load(group), b"new" * (4 * MIB)
    before_records = set(disk.records())
    store = disk.open()
    calls = crash_before(store, nth)
    write = Write(group, 0, snapshot=snapshot(50, data, term=2), reset=True, hard=hard(2))
    if nth <= 13:
        with pytest.raises(Crash):
            store.write([write])
        store = disk.open()
        assert store.load(group) == before
        assert store.read_snapshot(group, 3, 0, 9) == b"old"
        assert set(disk.records()) == before_records
    else:
        store.write([write])
        assert calls() == 13
        assert disk.open().load(group) == Loaded(hard(2), write.snapshot.meta, ())  # type: ignore[union-attr]


def test_s39_what_a_failed_big_snapshot_left_is_cleared_by_the_next_write(disk: Disk) -> None:
    store = disk.open()
    group = create(store)
    store.write([append(group, 1, 9)])
    update = store._update
    crash_before(store, 3)
    with pytest.raises(Crash):
        store.write([Write(group, 0, snapshot=snapshot(5, bytes(20 * MIB)))])
    store._update = update  # type: ignore[method-assign]
    store.write([append(group, 10, 10)])
    assert sum(map(len, disk.records().values())) < 4096
    assert indexes(disk.open(), group) == list(range(1, 11))


def test_a_snapshot_staged_in_steps_lets_other_writes_between_and_shows_only_when_written(disk: Disk) -> None:
    store = disk.open()
    group, other = create(store), create(store, "other")
    store.write([append(group, 1, 9)])
    write = Write(group, 0, snapshot=snapshot(5, bytes(9 * MIB)), keep_after=5)
    for step, _ in enumerate(store.stage(write)):
        store.write([append(other, step + 1, step + 1)])
        assert store.load(group).snapshot is None
    store.write([write])
    store = disk.open()
    assert store.load(group).snapshot == write.snapshot.meta  # type: ignore[union-attr]
    assert (indexes(store, group), indexes(store, other)) == ([6, 7, 8, 9], [*range(1, 10)])


def test_a_group_dropped_while_its_snapshot_is_staged_leaves_nothing(disk: Disk) -> None:
    store = disk.open()
    group, other = create(store), create(store, "other")
    write = Write(group, 0, snapshot=snapshot(5, bytes(9 * MIB)), keep_after=5)
    staging = store.stage(write)
    next(staging)
    store.drop_group(group)
    assert list(staging) == []
    store.write([write])
    store.write([append(other, 1, 1)])
    assert sum(map(len, disk.records().values())) < 4096


# -- the node's own records -----------------------------------------------------------------


def test_a_nodes_facts_survive(disk: Disk) -> None:
    store = disk.open()
    assert store.get_meta("nodes") is None
    store.put_meta("nodes", b"a,b")
    store.put_meta("nodes", b"a,b,c")
    store.put_meta("empty", b"")
    store = disk.open()
    assert (store.get_meta("nodes"), store.get_meta("empty")) == (b"a,b,c", b"")
    with pytest.raises(ConfigError):
        store.put_meta("x" * 500, b"")


def test_a_closed_store_says_so(disk: Disk) -> None:
    store = disk.open()
    group = create(store)
    store.close()
    store.close()
    for call in (store.groups, lambda: store.load(group), lambda: store.write([append(group, 1, 1)])):
        with pytest.raises(StorageFault, match="closed"):
            call()


def test_s84_the_commit_index_is_kept_with_the_entries_of_its_write(disk: Disk) -> None:
    """A member that restarts knows what was committed, and no write costs a record more."""
    store = disk.open()
    group = create(store)
    store.write([Write(group, 1, hard=hard(2, "me"))])
    before = len(disk.records())
    store = disk.open()
    store.write([append(group, 1, 3, commit=1)])
    store.write([append(group, 4, 5, commit=4)])
    assert len(disk.records()) == before + 5
    store = disk.open()
    assert store.load(group) == (Loaded(HardState(2, MemberId("me"), 4), None, entries(1, 5)))
    store.write([append(group, 5, 5, term=2, commit=4)])
    assert disk.open().load(group).hard.commit == 4
    store = disk.open()
    store.write([append(group, 6, 6, term=2)])
    assert store.load(group).hard.commit == 4, "of an earlier write"
    store.write([Write(group, 2, hard=HardState(3, None, 5))])
    assert store.load(group).hard.commit == 5, "with a new promise"
