"""Restoring groups from backups."""

import os
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from fleet.actors.messages.group_states import PART_BYTES, GiveState, PartsHeld
from fleet.actors.messages.operator import Done, OpValue
from fleet.client.backup_file import SavedGroup, verified
from fleet.client.cluster_api import Operations, check_group_name
from fleet.client.group_api import GRACE_S, POLL_S
from fleet.client.past_states import MadeState, StateSource, saved_past_state
from fleet.cluster.state import GroupInfo, View
from fleet.errors import (
    BadArguments,
    FleetError,
    NoSuchCopy,
    NoSuchGroup,
    OutcomeUnknown,
    Overloaded,
    RestoreRefused,
    Unavailable,
    WrongVersion,
)
from fleet.raft.ids import NodeName, Revision, node_of

PATIENCE_S: Final = 120.0
"""How long a group may take, by default, to give its next part, or to be restored."""
ATTEMPT_S: Final = 5.0
"""How long one node is waited for, where asking another one may help."""
ARRIVAL_S: Final = 4.0
"""How long all members of a restored group are waited for where a node is down; the group serves without."""
WINDOW: Final = 2
"""Parts under way to a founder. Of a copy one is: with eight, what the node answers to others waited 80 ms
behind them, and a backup was no faster."""
PASSING = (Unavailable, OutcomeUnknown, NoSuchCopy, Overloaded)
"""After these the group, or its next leader, is asked again."""


class RestoredGroup(Struct, frozen=True):
    name: str
    source: str
    """Its name in the backup."""
    revision: int
    """Everything up to it is there, and nothing later."""
    state_bytes: int
    nodes: tuple[NodeName, ...]
    """Of its founding members."""
    left_out: tuple[str, ...] = ()
    """What the backup says of its placement and this cluster cannot follow, in words."""


class RestoreOperations(Operations):
    """The part of `fleet.Fleet` about restoring groups. All calls block."""

    def _is_removed(self, info: GroupInfo) -> bool:
        """False also where no node can say so."""
        try:
            return all(one.uid != info.uid for one in self.groups())
        except Unavailable:
            return False

    def restore(
        self,
        path: str | os.PathLike[str],
        *,
        group: str | None = None,
        name: str | None = None,
        at: Revision | None = None,
        persist: bool | None = None,
        timeout: float = PATIENCE_S,
        progress: Callable[[RestoredGroup], None] | None = None,
    ) -> tuple[RestoredGroup, ...]:
        """Add groups with the state that they have in a backup: all of them, or one `group`, perhaps under
        another `name`.

        Each comes back with its data class, settings, number of replicas, revision and the keys of commands,
        and where the cluster has those nodes, with its pins and preferred leader. Clients' sessions are not
        kept. The backup may be of another cluster. Trust it as you trust code: states and classes in it are
        unpickled on the nodes.

        Args:
            at: the one group comes back as it was after this revision, from the past that is in the file: its
                commands are executed again in this process.
            persist: whether they are on disks, or in memory only; None: each as it was.
            timeout: seconds that a group may take. progress: called with each group that is restored.

        Raises:
            BadBackup: the file is not whole; it is read before anything else. OSError: it cannot be read.
            RestoreRefused: a group of that name exists; none was restored. Remove it first, or use `name`.
            DataClassUnavailable, OtherCode: a node has not the class of one of them; none was restored.
            WrongVersion: the version of the fleet that it is of is not in force here; none was restored.
            ConfigError: the backup has no such group. BadArguments: an invalid name.
            NotKept, CannotReplay: the state at `at` cannot be made again from the file.
            GroupExists, CleanupOngoing, Unavailable: this group was not restored, those before it in the file
                were. NoSuchGroup: nor was it, since it was removed meanwhile.
        """
        source, wanted = _wanted(self.cluster().view, path, group, name, at, persist)
        for target, _ in wanted:
            check_group_name(target)
        self._check_free([target for target, _ in wanted])
        for data_class in dict.fromkeys(one.data_class for _, one in wanted):
            self._check_class(data_class, time.monotonic() + timeout)
        nodes = self.nodes()
        answering = self.answering(nodes)
        here = {one.name: one.name in answering for one in nodes}
        done: list[RestoredGroup] = []
        for target, saved in wanted:
            done.append(self._restore(source, saved, target, here, timeout))
            if progress is not None:
                progress(done[-1])
        return tuple(done)

    def _check_free(self, names: Sequence[str]) -> None:
        here = {one.name for one in self.groups()} & set(names)
        if here:
            which = ", ".join(sorted(here))
            what = f"nothing was restored, since these groups exist: {which}"
            raise RestoreRefused(what, groups=which)

    def _restore(
        self,
        source: StateSource,
        saved: SavedGroup,
        name: str,
        nodes: Mapping[NodeName, bool],
        timeout: float,
    ) -> RestoredGroup:
        """`nodes`: all of the cluster, and whether each answers."""
        deadline = time.monotonic() + timeout
        left_out = []
        pinned = saved.pinned
        if not nodes.keys() >= set(pinned):
            left_out.append(f"it was pinned to {', '.join(pinned)}, which are not all nodes of this cluster")
            pinned = ()
        answering = [node for node, answers in nodes.items() if answers]
        last = tuple(answering), saved.is_in_memory
        wanted = saved.replicas, saved.data_class, saved.config, pinned, *last
        (info,), _ = self._add_groups([name], wanted, deadline, exist_ok=False)
        try:
            self._give_state(source, saved, info, deadline)
        except BaseException as error:
            with suppress(FleetError):
                self._commit(self._cluster.remove_group, None, name, info.uid)
            if isinstance(error, PASSING):
                what = f"group {name!r} was not restored, and is removed again: {error.what}"
                raise Unavailable(what, **error.facts) from error
            raise
        patience = self.timeout if all(nodes.values()) else ARRIVAL_S
        try:
            self._await_members([info], min(deadline, time.monotonic() + patience))
        except PASSING as error:
            left_out.append(f"its other members have not arrived yet: {error.what}")
        if saved.leader:
            try:
                self._commit(self._cluster.prefer_leader, None, name, saved.leader)
            except FleetError:
                left_out.append(f"node {saved.leader}, which should lead it, has no member of it")
        members = tuple(node_of(member) for member, _ in info.initial)
        return RestoredGroup(name, saved.name, saved.revision, saved.size, members, tuple(left_out))

    def _give_state(self, source: StateSource, saved: SavedGroup, info: GroupInfo, deadline: float) -> None:
        """To its first founder. Returns when it is committed. Raises NoSuchGroup: it was removed meanwhile;
        one of `PASSING` when it is too late."""
        held = 0
        while True:
            trouble: FleetError | None = None
            try:
                found = self._give_parts(source, saved, info, held)
                if found is None:
                    return
                held = found
            except PASSING as error:
                trouble, held = error, 0
            except NoSuchGroup as missing:  # a node that has just started may not know it yet
                if self._is_removed(info):
                    raise
                trouble, held = missing, 0
            if time.monotonic() > deadline:
                raise trouble or Unavailable("its first founder took no state in time", group=info.name)
            time.sleep(POLL_S)

    def _give_parts(self, source: StateSource, saved: SavedGroup, info: GroupInfo, since: int) -> int | None:
        """None: all is committed; else how much of it the founder has."""
        waiting = deque[tuple[int, Future[OpValue]]]()
        size = since
        for part in source.parts(saved, since):
            question = GiveState(info.uid, saved.index, saved.size, saved.crc, size, part)
            size += len(part)
            asked = self._ask_soon(question, info.name, info.initial[0][1], True, ATTEMPT_S)
            waiting.append((size, asked))
            while len(waiting) >= (WINDOW if size > since + PART_BYTES else 1):
                if (held := _held(*waiting.popleft())) != HELD:
                    return held
        while waiting:
            if (held := _held(*waiting.popleft())) != HELD:
                return held
        return 0


HELD: Final = -1
"""A part is where it should be."""


def _held(expected: int, asked: Future[OpValue]) -> int | None:
    value = asked.result(ATTEMPT_S + GRACE_S)
    if isinstance(value, Done):
        return None
    assert isinstance(value, PartsHeld)
    return HELD if value.size == expected else value.size


def _wanted(
    view: View | None,
    path: str | os.PathLike[str],
    group: str | None,
    name: str | None,
    at: Revision | None,
    persist: bool | None,
) -> tuple[StateSource, list[tuple[str, SavedGroup]]]:
    """Where the states are, and the groups by their names to be."""
    if group is None and (name is not None or at is not None):
        raise BadArguments("another name, and an earlier revision, is for one group: say which")
    backup = verified(path)
    version, here = backup.head.in_force, view.version if view is not None else 0
    if here < version:
        what = f"the backup is of a fleet with version {version} in force, and here it is {here}"
        raise WrongVersion(f"{what}; nothing was restored: `fleet finalize {version}` here first")
    chosen = backup.groups if group is None else (backup.group(group),)
    source: StateSource = backup
    if at is not None and at != chosen[0].revision:
        saved, state = saved_past_state(backup, chosen[0], at)
        chosen, source = (saved,), MadeState(state)
    return source, [(name or one.name, _of_kind(one, persist)) for one in chosen]


def _of_kind(saved: SavedGroup, persist: bool | None) -> SavedGroup:
    return saved if persist is None else replace(saved, is_in_memory=not persist)
