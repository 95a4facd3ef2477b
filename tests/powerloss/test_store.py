"""The store loses power at every point of its writes: what it said is durable is there, and each write is
whole. S33, with a disk that loses what no sync covered."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.errors import FleetError
from fleet.storage import LmdbStore
from tests.storage.disks import indexes

from .bench import Bench
from .disk import Chance
from .journal import Kind, Record

ROUNDS = 9
WRITER = f"""
import os
from fleet.storage import LmdbStore
from fleet.interfaces import Write
from fleet.raft.entries import HardState
from tests.storage.disks import append, snapshot

store = LmdbStore("new/data", "c1", "n1", map_bytes_start=1 << 18)
said = os.open("said", os.O_WRONLY | os.O_CREAT)
os.pwrite(said, b"founded ", 0)
groups = [store.create_group(name, b"").number for name in "abc"]
last = 0
for round in range(1, {ROUNDS} + 1):
    batch = [append(group, last + 1, last + 7, hard=HardState(round, "v")) for group in groups]
    if round % 4 == 0:  # overwrites, compacts, installs a snapshot of several transactions, grows the map
        new = snapshot(last + 4, round.to_bytes(4, "big") * (5 << 16))
        batch += [Write(group, 0, snapshot=new, keep_after=last) for group in groups[:1]]
    store.write(batch)
    last += 7
    os.pwrite(said, b"%8d" % round, 0)
store.close()
"""
MADE_BY_OTHERS = """
import os
os.mkdir("new")
"""
FOUNDED_BY_OTHERS = """
import os
from pathlib import Path
from fleet.files import sync_directory
from fleet.storage import LmdbStore
LmdbStore("new/data", "c1", "n1", map_bytes_start=1 << 18).close()
os.rename("new/data/env", "new/data/env.new")
sync_directory(Path("new/data"))
os.rename("new/data/env.new", "new/data/env")
"""
SYNC_FALSE = """
import lmdb
opened = lmdb.open
lmdb.open = lambda *args, **how: opened(*args, **{**how, "sync": False})
"""


def said(record: Record) -> bool:
    return record.kind is Kind.WRITE and record.path.endswith("/said")


class Fault(AssertionError):
    """What must not happen."""


def check(root: Path, round: int) -> None:
    """`round`: the last one that the store had called durable; 0 after the founding, -1 before."""
    if round >= 0 and not (root / "new/data/env/data.mdb").exists():
        raise Fault("the database is gone")
    try:
        store = LmdbStore(root / "new/data", "c1", "n1", map_bytes_start=1 << 18)
    except FleetError as error:
        raise Fault(f"it does not open: {error}") from error
    try:
        groups = [record.number for record in store.groups()]
        if round > 0 and len(groups) != 3:
            raise Fault(f"groups are gone: {groups}")
        loaded = [store.load(group) for group in groups]
        terms = {one.hard.term for one in loaded}
        if len(terms) > 1 or any(term not in (max(0, round), round + 1) for term in terms):
            raise Fault(f"after round {round} the groups have {terms}")
        for group, one in zip(groups, loaded, strict=True):
            known, snapshot = indexes(store, group), one.snapshot
            last = max([*known, snapshot.index if snapshot else 0])
            if last != one.hard.term * 7:
                raise Fault(f"group {group} has {last} entries in round {one.hard.term}")
            if snapshot is not None:
                written = store.read_snapshot(group, snapshot.index, snapshot.size - 4, 4)
                if written != (one.hard.term // 4 * 4).to_bytes(4, "big"):
                    raise Fault("the snapshot is another one")
    except FleetError as error:
        raise Fault(f"it cannot be read: {error}") from error
    finally:
        store.close()


def losses(bench: Bench, records: list[Record], chances: list[Chance], every: int = 1) -> Iterator[str]:
    """What is wrong after a loss at each place, with each chance; "" if nothing is."""
    round = -1
    for place, record in enumerate(records):
        bench.disk.replay([record])
        if said(record):
            round = 0 if record.data == b"founded " else int(record.data)
        if place % every:
            continue
        for chance in chances:
            bench.disk.lose_power(chance)
            try:
                check(bench.root, round)
                yield ""
            except Fault as fault:
                yield f"after call {place} ({record.kind.name} {record.path}), kept {chance.kept}: {fault}"


@pytest.fixture
def bench(tmp_path: Path, library: Path) -> Bench:
    return Bench(tmp_path, library)


def test_s33_the_store_loses_power_after_each_of_its_calls(bench: Bench) -> None:
    rng = random.Random(33)
    chances = [Chance.nothing(), *(Chance(rng, 0.5, unit, bool(unit > 512)) for unit in (512, 4096))]
    results = list(losses(bench, bench.run(WRITER), chances))
    assert len(results) > 300
    assert [result for result in results if result] == []


@pytest.mark.parametrize("former", [MADE_BY_OTHERS, FOUNDED_BY_OTHERS], ids=["directory", "database"])
def test_what_a_former_process_made_and_did_not_sync_stays(bench: Bench, former: str) -> None:
    """It ended in between: the store that goes on with it syncs it."""
    chances = [Chance.nothing(), Chance(random.Random(7), 0.5, 4096)]
    results = list(losses(bench, bench.run(former + WRITER), chances, every=4))
    assert len(results) > 50
    assert [result for result in results if result] == []


@pytest.mark.parametrize(
    ("plant", "deaf"), [(SYNC_FALSE, ""), ("", "fdatasync"), ("", "fsync")], ids=["sync off", "data", "names"]
)
def test_a_store_that_does_not_sync_is_found_out(bench: Bench, plant: str, deaf: str) -> None:
    records = bench.run(plant + WRITER, deaf)
    chances = [Chance.nothing(), Chance(random.Random(1), 0.5, 4096)]
    assert any(losses(bench, records, chances, every=5))
