"""Data directories that earlier versions of fleet have written are opened by this one.

`directory-N.mdb.gz` is the database of a node, format N. A version that writes another format adds one, and
opens those before it, or refuses them by name. FLEET_REWRITE=1 writes that of this version if it was deleted.
"""

import gzip
import os
from pathlib import Path

import pytest

import fleet
from fleet.actors.node.stopped import read_report
from fleet.recipes import Counters
from fleet.storage.records import FORMAT
from fleet.storage.stopped_store import StoppedStore
from tests.support.nodes_here import SECRET
from tests.support.waiting import eventually

HERE = Path(__file__).parent
OPENED = [1]
"""Formats that this version opens."""
SNAPSHOTS = fleet.GroupConfig(snapshot_floor_bytes=2000, log_tail=4)


def write_anew(where: Path) -> None:
    """A snapshot, entries behind it, a key, and a session."""
    with node(where) as one, fleet.connect(one.address, secret=SECRET) as client:
        counters = client.create_group("visits", Counters, config=SNAPSHOTS)
        for number in range(60):
            counters.add(f"n{number % 7}")
        counters.add.options(key="once")("n0", 100)
        eventually(lambda: client.status("visits").snapshot_index > 0, 10)
        counters.add("tail", 5)
    data = (where / "env" / "data.mdb").read_bytes()
    (HERE / f"directory-{FORMAT}.mdb.gz").write_bytes(gzip.compress(data, 9, mtime=0))


def node(where: Path) -> fleet.Node:
    return fleet.Node("n1", "127.0.0.1:0", where, secret=SECRET)


@pytest.fixture(params=OPENED)
def directory(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    packed = HERE / f"directory-{request.param}.mdb.gz"
    if os.environ.get("FLEET_REWRITE") and request.param == FORMAT and not packed.exists():
        write_anew(tmp_path / "new")
    env = tmp_path / "n1" / "env"
    env.mkdir(parents=True)
    (env / "data.mdb").write_bytes(gzip.decompress(packed.read_bytes()))
    return tmp_path / "n1"


def test_what_an_earlier_version_wrote_is_there_and_goes_on(directory: Path) -> None:
    with node(directory) as one, fleet.connect(one.address, secret=SECRET) as client:
        counters = client.group("visits", Counters)
        assert (counters.get("n0"), counters.get("n6"), counters.get("tail")) == (109, 8, 5)
        assert counters.add.options(key="once")("n0", 100) == 109
        assert counters.add("tail") == 6
        assert client.status("visits").snapshot_index > 0
    with node(directory) as one, fleet.connect(one.address, secret=SECRET) as client:
        assert client.group("visits", Counters).get("tail") == 6


def test_a_stopped_one_is_read_and_sound(directory: Path) -> None:
    store = StoppedStore(directory)
    try:
        report = read_report(store)
    finally:
        store.close()
    assert {member.group for member in report.members} == {"fleet:cluster", "visits"}
    assert not any(member.trouble for member in report.members)


def test_the_newest_format_is_among_those_that_are_opened() -> None:
    assert FORMAT in OPENED and (HERE / f"directory-{FORMAT}.mdb.gz").stat().st_size < 20_000
