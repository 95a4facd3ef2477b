"""Backups of a running cluster's groups."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from importlib import import_module
from typing import TypeVar, cast

from msgspec import Struct

from fleet.actors.client.cluster_pin import uid_text
from fleet.actors.messages.group_states import PART_BYTES, CopyTaken
from fleet.actors.messages.operator import OpValue
from fleet.client.backup_file import BackupWriter, SavedGroup, new_head
from fleet.client.cluster_api import Operations
from fleet.client.copies import ask_for_copy, in_turn, parts_of
from fleet.client.group_api import GRACE_S, POLL_S
from fleet.client.past_states import past_state, save_past
from fleet.client.restore_api import PASSING, PATIENCE_S, RestoreOperations
from fleet.cluster.state import GroupInfo, NodeRecord
from fleet.cluster.wanted import wanted_nodes
from fleet.errors import (
    BadArguments,
    FleetError,
    NoSuchGroup,
    Unavailable,
)
from fleet.raft.ids import Revision

T = TypeVar("T")


class BackupReport(Struct, frozen=True):
    path: str
    cluster: str
    """The uid, as `fleet status` shows it."""
    groups: tuple[SavedGroup, ...]
    gone: tuple[str, ...]
    """Groups that were removed meanwhile."""
    state_bytes: int
    file_bytes: int
    seconds: float


class BackupOperations(RestoreOperations):
    """The part of `fleet.Fleet` about backups. All calls block."""

    def backup(
        self,
        path: str | os.PathLike[str],
        *,
        groups: Sequence[str] | None = None,
        at: Revision | None = None,
        past: bool = False,
        timeout: float = PATIENCE_S,
        progress: Callable[[SavedGroup], None] | None = None,
    ) -> BackupReport:
        """Write the state of `groups`, by default of all, into a new file, while they go on working.

        Of each group the file has one state, after some revision: everything that was acknowledged before
        this call, and nothing half. Groups are copied one after the other, so that two of them may show
        different moments. The file has its name only when it was read back and found whole.

        Args:
            at: the one group is saved as it was after this revision, as `Fleet.at` shows it: its commands are
                executed again in this process, by the class that executed them then.
            past: with all that groups have kept of their past, for `restore(at=)`.
            timeout: seconds that a group may give nothing, say because its leader died, before this fails.
            progress: called with each group that is in the file.

        Raises:
            ConfigError: the file exists. OSError: it cannot be written. BadBackup: the disk does not return
                what was written.
            NoSuchGroup: one of `groups`.
            BadArguments: `at` is for one group.
            NotKept, CannotReplay: the state at `at` cannot be made again, as with `Fleet.at`.
            Unavailable, GroupHalted, StateNotEncodable: a group has no state to give; says which one.
        """
        began = time.monotonic()
        view = self.cluster().view
        assert view is not None
        chosen = _chosen(sorted(view.groups, key=lambda one: one.name), groups, at)
        gone: list[str] = []
        release = import_module("fleet").__version__
        head = new_head(self.name, self._uid(), release, max(view.version, view.finalizing))
        with BackupWriter(path, head, past) as writer:
            for info, saved in self._save_each(writer, chosen, view.nodes, at, past, timeout):
                if saved is None:
                    gone.append(info.name)
                elif progress is not None:
                    progress(saved)
            made = writer.finish()
        size = sum(one.size for one in made.groups)
        seconds = time.monotonic() - began
        return BackupReport(
            str(made.path), uid_text(made.head.uid), made.groups, tuple(gone), size, made.size, seconds
        )

    def _uid(self) -> int:
        raise NotImplementedError

    def _save_each(
        self,
        writer: BackupWriter,
        groups: Sequence[GroupInfo],
        nodes: Sequence[NodeRecord],
        at: Revision | None,
        past: bool,
        timeout: float,
    ) -> Iterator[tuple[GroupInfo, SavedGroup | None]]:
        """None: the group was removed meanwhile."""
        if at is not None:
            (info,) = groups
            yield info, _save_past(self, writer, info, at, timeout)
            return
        if past:
            for info in groups:
                yield info, self._save_with_past(writer, info, timeout)
            return
        for info, asked in self._copies(groups, nodes, timeout):
            yield info, self._save(writer, info, asked, timeout)

    def _save_with_past(self, writer: BackupWriter, info: GroupInfo, timeout: float) -> SavedGroup | None:
        try:
            with tempfile.NamedTemporaryFile() as file:
                _patiently(timeout, lambda: save_past(self, info, file.name))
                size = os.fstat(file.fileno()).st_size
                saved = self._save(writer, info, ask_for_copy(self, info.name, timeout), timeout, size)
                if saved is not None:
                    writer.add_past(file)
                return saved
        except NoSuchGroup:
            if self._is_removed(info):
                return None
            raise

    def _copies(
        self, groups: Sequence[GroupInfo], nodes: Sequence[NodeRecord], timeout: float
    ) -> Iterator[tuple[GroupInfo, Future[OpValue]]]:
        """Each is asked for where the group's leader should be."""
        addresses = {node.name: node.address for node in nodes}

        def ask(info: GroupInfo) -> Future[OpValue]:
            wanted = [info.leader, *wanted_nodes(info, nodes)]
            address = next((addresses[node] for node in wanted if node in addresses), "")
            return ask_for_copy(self, info.name, timeout, address)

        return in_turn(groups, ask)

    def _save(
        self,
        writer: BackupWriter,
        info: GroupInfo,
        asked: Future[OpValue],
        timeout: float,
        past_size: int = 0,
    ) -> SavedGroup | None:
        """None: the group was removed meanwhile."""
        until = time.monotonic() + timeout
        while True:
            saved: SavedGroup | None = None
            try:
                copy = cast(CopyTaken, asked.result(timeout + GRACE_S))
                saved = _saved(info, copy, past_size)
                writer.begin(saved)
                for part in parts_of(self, info.name, copy):
                    writer.add(part)
                    until = time.monotonic() + timeout
                if writer.end():
                    return saved
                saved, error = None, Unavailable("its state arrived damaged", group=info.name)
                trouble: FleetError = error
            except PASSING as passing:
                trouble = passing
            except NoSuchGroup as missing:
                if self._is_removed(info):
                    return None
                trouble = missing
            if saved is not None:
                writer.drop()
            left = until - time.monotonic()
            if left <= 0:
                raise Unavailable(
                    f"group {info.name!r} gave no state within {timeout:.0f} s, and no backup was written: "
                    f"{trouble.what}", group=info.name,
                ) from trouble  # fmt: skip
            time.sleep(POLL_S)
            asked = ask_for_copy(self, info.name, left)


def _patiently(timeout: float, act: Callable[[], T]) -> T:
    """What comes of it, tried again while members do not answer."""
    until = time.monotonic() + timeout
    while True:
        try:
            return act()
        except PASSING:
            if time.monotonic() > until:
                raise
            time.sleep(POLL_S)


def _save_past(
    client: Operations, writer: BackupWriter, info: GroupInfo, revision: Revision, timeout: float
) -> SavedGroup:
    saved, state = _patiently(timeout, lambda: past_state(client, info, revision))
    writer.begin(saved)
    for at in range(0, len(state), PART_BYTES):
        writer.add(state[at : at + PART_BYTES])
    assert writer.end()
    return saved


def _saved(info: GroupInfo, copy: CopyTaken, past_size: int) -> SavedGroup:
    return SavedGroup(
        info.name, copy.revision, copy.index, copy.size, copy.crc, copy.data_class, copy.config,
        info.replicas, tuple(info.pinned), info.leader, info.is_in_memory, past_size,
    )  # fmt: skip


def _chosen(groups: list[GroupInfo], names: Sequence[str] | None, at: Revision | None) -> list[GroupInfo]:
    if at is not None and (names is None or len(set(names)) != 1):
        raise BadArguments("an earlier revision is that of one group: say which")
    if names is None:
        return groups
    known = {one.name: one for one in groups}
    missing = [name for name in names if name not in known]
    if missing:
        raise NoSuchGroup(f"the cluster has no group {missing[0]!r}", group=missing[0])
    return [known[name] for name in dict.fromkeys(names)]
