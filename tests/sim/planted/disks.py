"""Planted in the order of what reaches the disk, and of what is told of it."""

from collections.abc import Mapping
from typing import Any
from unittest.mock import patch

from fleet.actors.member.actor import Member
from fleet.raft import follower, restart
from fleet.raft.log import Log
from fleet.raft.state import CoreState
from fleet.storage.store import NO_META, Store
from fleet.storage.writer import Writer, _Submitted
from tests.sim.planted.patches import Patches, in_modules


def stale_completion_counts() -> Patches:
    """The completion of a write counts for entries that have replaced what it wrote (ABA)."""

    def mark_durable(self: Log, index: int, term: int) -> None:
        self.durable = max(self.durable, min(index, self.last_index))

    return [patch.object(Log, "mark_durable", mark_durable)]


def snapshot_before_its_entries() -> Patches:
    """A member stores its own snapshot while entries that it stands for are not durable."""
    finish = CoreState.finish_save

    def at_once(self: CoreState) -> None:
        durable = self.log.durable
        if self.saving is not None:
            self.log.durable = max(durable, self.saving[0].index)
        finish(self)
        self.log.durable = durable

    return [patch.object(CoreState, "finish_save", at_once)]


def overtaken_snapshot_is_stored() -> Patches:
    """S35: the member's own snapshot, on its way to the disk, replaces the newer one of its leader."""
    return [patch.object(Writer, "_overtake", lambda self, group: None)]


def writes_pass_a_staged_snapshot() -> Patches:
    """While a group's snapshot is staged, its later writes go ahead of it."""
    serve = Writer._serve

    def pass_by(self: Writer, taken: Any) -> None:
        held, self._held = self._held, _Passed()
        try:
            serve(self, taken)
        finally:
            held.update(self._held)
            self._held = held
        if held:
            self._stage_on()

    return [patch.object(Writer, "_serve", pass_by)]


class _Passed(dict[int, list[_Submitted]]):
    """New ones are held; nobody is told of them yet."""

    def __contains__(self, key: object) -> bool:
        return False

    def __bool__(self) -> bool:
        return False


def left_is_noted_after_the_drop() -> Patches:
    """A founding member's data is deleted in one transaction, and that it left is written in the next."""
    drop = Store.drop_group

    def twice(self: Store, number: int, meta: Mapping[str, bytes] = NO_META) -> None:
        drop(self, number)
        for key, value in meta.items():
            self.put_meta(key, value)

    return [patch.object(Store, "drop_group", twice)]


def member_before_its_cluster() -> Patches:
    """A node's first member of a cluster is durable before the record that its disk is of that cluster."""
    create = Store.create_groups

    def twice(self: Store, groups: Any, meta: Mapping[str, bytes] = NO_META) -> Any:
        records = create(self, groups)
        for key, value in meta.items():
            self.put_meta(key, value)
        return records

    return [patch.object(Store, "create_groups", twice)]


def settings_not_in_snapshots() -> Patches:
    """Whoever installs a snapshot goes on with the settings that it had."""
    install = follower.install

    def keep(core: CoreState, m: Any, data: bytes) -> None:
        config = core.config
        install(core, m, data)
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

    from fleet.actors.member import actor

    return in_modules("start_core", forget, restart, actor)


def failed_snapshot_is_not_tried_again() -> Patches:
    """A snapshot that could not be stored is taken for one that is still on its way."""
    return [patch.object(Member, "on_snapshot_event", _ignore_failures(Member.on_snapshot_event))]


def _ignore_failures(true: Any) -> Any:
    def on_event(self: Member, m: Any, sender: Any) -> None:
        if type(m).__name__ != "SnapshotFailed":
            true(self, m, sender)

    return on_event
