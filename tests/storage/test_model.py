"""Any sequence of calls, on every store, against a model of a few lines; restarts anywhere between."""

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from fleet.interfaces import Loaded, Write
from fleet.raft.entries import Entry, HardState, Noop
from fleet.raft.ids import GroupName
from fleet.raft.ready import Retain
from fleet.storage import Store
from tests.storage.disks import Disk, LmdbDisk, MemoryDisk, hard, snapshot


class StoreMachine(RuleBasedStateMachine):
    """The model is what `load` must give, per group."""

    disk: Disk

    def __init__(self) -> None:
        super().__init__()
        self.model: dict[int, Loaded] = {}
        self.data: dict[int, bytes] = {}
        self.batch: list[Write] = []
        self.names: dict[int, str] = {}
        self.last_number = 0

    def make_disk(self) -> Disk:
        raise NotImplementedError

    @initialize()
    def begin(self) -> None:
        self.disk = self.make_disk()
        self.store: Store = self.disk.open()
        self.store.inline_bytes_max = 300_000

    @rule(name=st.sampled_from("abc"))
    def create(self, name: str) -> None:
        record = self.store.create_group(GroupName(name), name.encode())
        assert record.number > self.last_number
        self.last_number = record.number
        self.model[record.number] = Loaded(HardState(), None, ())
        self.names[record.number] = name

    @rule(pick=st.randoms(use_true_random=False))
    def drop(self, pick: object) -> None:
        self.write_batch()
        if self.model:
            number = pick.choice(sorted(self.model))  # type: ignore[attr-defined]
            self.store.drop_group(number)
            for kept in (self.model, self.data, self.names):
                kept.pop(number, None)

    @rule(data=st.data())
    def add_write(self, data: st.DataObject) -> None:
        if not self.model:
            return
        group = data.draw(st.sampled_from(sorted(self.model)))
        hard_now, meta, log = self.model[group].hard, self.model[group].snapshot, self.model[group].entries
        base = meta.index if meta else 0
        first, last = (log[0].index, log[-1].index) if log else (base + 1, base)
        term = hard_now.term + data.draw(st.integers(0, 1))
        new, cut, reset = None, 0, False
        if data.draw(st.booleans()):
            index = data.draw(st.integers(max(base, 1), last + 3))
            at = [entry.term for entry in log if entry.index == index]
            if meta is not None and index == meta.index:
                at = [meta.term]
            size = data.draw(st.sampled_from([0, 9, 299_000, 700_000]))
            new = snapshot(index, bytes(size), at[0] if at else term)
            reset = index > last or data.draw(st.booleans())
            base, meta = index, new.meta
            self.data[group] = new.data
        if data.draw(st.booleans()):
            cut = data.draw(st.integers(0, base))
        log = () if reset else tuple(entry for entry in log if entry.index > cut)
        first, last = (log[0].index, log[-1].index) if log else (base + 1, base)
        start = data.draw(st.integers(max(first, base + 1), last + 1))
        added = tuple(Entry(term, start + i, Noop()) for i in range(data.draw(st.integers(0, 4))))
        if added:
            log = tuple(entry for entry in log if entry.index < start) + added
        vote = data.draw(st.sampled_from([None, "a", "b"]))
        retain = data.draw(st.sampled_from([None, Retain(), Retain(2), Retain(99), Retain(ms=5, at_ms=last)]))
        self.batch.append(Write(group, 0, hard(term, vote), added, new, cut, reset, retain=retain))
        self.model[group] = Loaded(hard(term, vote), meta, log)

    @rule()
    def write_batch(self) -> None:
        self.store.write(self.batch)
        self.batch = []

    @rule()
    def restart(self) -> None:
        self.write_batch()
        self.store = self.disk.open()
        self.store.inline_bytes_max = 300_000

    @invariant()
    def stored_is_what_the_model_says(self) -> None:
        if self.batch or not hasattr(self, "store"):
            return
        assert {record.number: record.name for record in self.store.groups()} == self.names
        for number, expected in self.model.items():
            assert self.store.load(number) == expected
            meta = expected.snapshot
            if meta is not None:
                assert self.store.read_snapshot(number, meta.index, 0, 1 << 30) == self.data[number]
            self.history_is_whole(number, expected)

    def history_is_whole(self, number: int, expected: Loaded) -> None:
        """Whatever is kept, every base has its bytes, and all entries follow it."""
        *bases, newest = self.store.history(number)
        assert newest.meta == expected.snapshot
        for base in bases:
            assert base.index < newest.index
            kept = self.store.read_base(number, base.generation, 0, 1 << 30)
            assert kept is None if base.meta is None else kept is not None and len(kept) == base.meta.size
        if bases:
            last = expected.entries[-1].index if expected.entries else newest.index
            kept_entries = self.store.read_entries(number, bases[0].index + 1, 1 << 30)
            assert [one.index for one in kept_entries] == list(range(bases[0].index + 1, last + 1))

    def teardown(self) -> None:
        if hasattr(self, "disk"):
            self.disk.close()


class MemoryMachine(StoreMachine):
    def make_disk(self) -> Disk:
        return MemoryDisk()


class LmdbMachine(StoreMachine):
    def make_disk(self) -> Disk:
        self.path = Path(tempfile.mkdtemp())
        return LmdbDisk(self.path)

    def teardown(self) -> None:
        super().teardown()
        if hasattr(self, "path"):
            shutil.rmtree(self.path)


QUIET = list(HealthCheck)


@pytest.mark.parametrize(("machine", "examples"), [(MemoryMachine, 60), (LmdbMachine, 20)])
def test_a_store_does_what_its_model_does(machine: type[StoreMachine], examples: int) -> None:
    limits = settings(
        max_examples=examples,
        stateful_step_count=30,
        deadline=None,
        database=None,
        suppress_health_check=QUIET,
    )
    run_state_machine_as_test(machine, settings=limits)
