"""The version of the fleet in a directory: builds that do not speak it refuse the directory."""

import pytest

from fleet.errors import OtherFormat
from fleet.interfaces import RaiseVersion
from fleet.storage.writer import carry_out
from fleet.versions import Build
from tests.storage.disks import Disk, append, create, entries

OLD, BOTH, NEW = Build("1.0", 1, 1), Build("1.1", 1, 2), Build("1.2", 2, 3)


def test_a_directory_begins_with_what_every_build_of_the_range_reads(disk: Disk) -> None:
    disk.build = BOTH
    assert disk.open().version == 1
    disk.build = OLD
    assert disk.open().version == 1


def test_a_build_goes_back_until_a_version_is_written_and_not_from_then_on(disk: Disk) -> None:
    disk.build = BOTH
    store = disk.open()
    group = create(store)
    store.write([append(group, 1, 3)])
    assert carry_out(store, RaiseVersion(2)).error is None
    store.raise_version(1)
    assert store.version == 2
    disk.build = OLD
    with pytest.raises(OtherFormat, match="it has version 2 of the fleet, and this build speaks version 1"):
        disk.open()
    disk.build = NEW
    assert disk.open().load(group).entries == entries(1, 3)


def test_a_build_that_is_too_new_says_so(disk: Disk) -> None:
    disk.build = OLD
    disk.open()
    disk.build = NEW
    with pytest.raises(OtherFormat, match="it has version 1 .* speaks versions 2 to 3"):
        disk.open()


def test_a_disk_that_becomes_another_one_keeps_its_version(disk: Disk) -> None:
    disk.build = BOTH
    store = disk.open()
    store.raise_version(2)
    store.renew("another")
    store = disk.open()
    assert (store.version, store.identity.incarnation) == (2, "another")
