from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.storage.disks import Disk, LmdbDisk, MemoryDisk


@pytest.fixture(params=["lmdb", "memory"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    one: Disk = LmdbDisk(tmp_path / "data") if request.param == "lmdb" else MemoryDisk()
    yield one
    one.close()
