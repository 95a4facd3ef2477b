"""S33 on real processes: kill -9 anywhere; what was acknowledged is there, and each write is whole."""

import os
import random
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE, Popen

import pytest

from fleet.storage import LmdbStore
from tests.storage.disks import indexes

WRITER = """
import sys, zlib
from fleet.storage import LmdbStore
from fleet.interfaces import Write
from fleet.raft.entries import HardState
from tests.storage.disks import append, snapshot

store = LmdbStore(sys.argv[1], "c1", "n1", map_bytes_start=1 << 20)
groups = [record.number for record in store.groups()] or [store.create_group(n, b"").number for n in "abc"]
last = max([entry.index for entry in store.load(groups[0]).entries], default=0)
state = store.load(groups[0]).snapshot
last = max(last, state.index if state else 0)
round = store.load(groups[0]).hard.term
print("ready", flush=True)
while True:
    round += 1
    batch = [append(group, last + 1, last + 7, hard=HardState(round, "v")) for group in groups]
    if round % 3 == 0:  # a batch that overwrites, compacts and installs a snapshot of several transactions
        new = snapshot(last + 4, round.to_bytes(4, "big") * (1 << 21))
        batch += [Write(group, 0, snapshot=new, keep_after=last) for group in groups]
    store.write(batch)
    last += 7
    print(round, last, flush=True)
"""


def run_and_kill(path: Path, acknowledgements: int, pause: float) -> tuple[int, int] | None:
    """The last round that was acknowledged, and its last index."""
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": root}
    with Popen([sys.executable, "-c", WRITER, str(path)], stdout=PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        lines = [process.stdout.readline() for _ in range(acknowledgements)]
        signal.setitimer(signal.ITIMER_REAL, pause)
        signal.sigwait([signal.SIGALRM])
        process.kill()
        lines += process.stdout.readlines()
    whole = [line for line in lines if line.endswith("\n")]
    if not whole:
        return None
    round, last = whole[-1].split()
    return int(round), int(last)


@pytest.fixture
def alarm_blocked() -> Iterator[None]:
    old = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
    yield
    signal.pthread_sigmask(signal.SIG_SETMASK, old)


@pytest.mark.usefixtures("alarm_blocked")
def test_s33_after_kill_9_everything_acknowledged_is_there_and_each_write_is_whole(tmp_path: Path) -> None:
    choose = random.Random(33)
    for _ in range(12):
        acknowledged = run_and_kill(tmp_path, choose.randrange(6), choose.uniform(0.0001, 0.06))
        store = LmdbStore(tmp_path, "c1", "n1")
        groups = [record.number for record in store.groups()]
        loaded = [store.load(group) for group in groups]
        assert all(one == loaded[0] for one in loaded), "a batch is in force in part"
        hard, meta = loaded[0].hard, loaded[0].snapshot
        last = max([*indexes(store, groups[0]), meta.index if meta else 0])
        if acknowledged is not None:
            round, index = acknowledged
            assert (hard.term, last) in ((round, index), (round + 1, index + 7))
        assert last == hard.term * 7
        if meta is not None:
            assert meta.index == hard.term // 3 * 21 - 3
            assert store.read_snapshot(groups[0], meta.index, 0, 4) == (hard.term // 3 * 3).to_bytes(4, "big")
        assert not store._litter
        store.close()
