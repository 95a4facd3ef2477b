"""Planted in the order of what reaches the disk, and of what is told of it."""

from collections.abc import Mapping
from typing import Any
from unittest.mock import patch

from fleet.actors.member import actor
from fleet.actors.member.actor import Member
from fleet.raft import follower, restart
from fleet.raft.entries import SnapshotMeta
from fleet.raft.events import SnapshotFailed
from fleet.raft.log import Log
from fleet.raft.state import CoreState
from fleet.storage.store import NO_META, Store
from tests.sim.planted.patches import InHandlers, Patches, in_modules


def stale_completion_counts() -> Patches:
    """The completion of a write counts for entries that have replaced what it wrote (ABA)."""

    def mark_durable(self: Log, index: int, term: int) -> None:
        self.durable = max(self.durable, min(index, self.last_index))

    return [patch.object(Log, "mark_durable", mark_durable)]


def left_is_noted_after_the_drop() -> Patches:
    """A founding member's data is deleted in one transaction, and that it left is written in the next."""
    drop = Store.drop_group

    def twice(self: Store, number: int, meta: Mapping[str, bytes] = NO_META) -> None:
        drop(self, number)
        for key, value in meta.items():
            self.put_meta(key, value)

    return [patch.object(Store, "drop_group", twice)]


def member_before_its_record() -> Patches:
    """A node's first member of a cluster is durable before the record that its disk is of that cluster."""
    create = Store.create_groups

    def twice(self: Store, groups: Any, meta: Mapping[str, bytes] = NO_META) -> Any:
        records = create(self, groups)
        for key, value in meta.items():
            self.put_meta(key, value)
        return records

    return [patch.object(Store, "create_groups", twice)]


def failed_snapshot_is_not_tried_again() -> Patches:
    """A snapshot that could not be stored is taken for one that is still on its way."""

    def ignore(self: Member, m: SnapshotFailed, sender: Any) -> None:
        pass

    return [InHandlers(Member, SnapshotFailed, ignore)]


def settings_not_in_snapshots() -> Patches:
    """Whoever installs a snapshot goes on with the settings that it had."""
    install = follower.install

    def keep(core: CoreState, meta: SnapshotMeta, data: bytes) -> None:
        config = core.config
        install(core, meta, data)
        core.config = config

    return in_modules("install", keep, follower)


def settings_forgotten_by_restart() -> Patches:
    """A member that is restarted from a snapshot has the settings that every group begins with."""
    start = restart.start_core

    def forget(member: Any, now: Any, rng: Any, hard: Any, snapshot: Any, entries: Any) -> Any:
        core = start(member, now, rng, hard, snapshot, entries)
        if snapshot is not None:
            core.config = type(core.config)()
        return core

    return in_modules("start_core", forget, restart, actor)
