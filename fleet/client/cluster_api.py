"""Requests about a cluster's groups."""

import sys
import time
from collections.abc import Sequence
from typing import Any, TypeVar, cast

from fleet.actors.messages.operator import (
    AwaitMembers,
    CheckClass,
    MemberStatus,
)
from fleet.client.group_api import GRACE_S, POLL_S, unwrapped
from fleet.client.secret_api import SecretOperations
from fleet.client.state_api import StateOperations
from fleet.cluster.state import GroupInfo
from fleet.errors import (
    BadArguments,
    CallsAtImport,
    FleetError,
    GroupExists,
    NoNode,
    OtherDataClass,
    Unavailable,
)
from fleet.objects.class_refs import class_name, encode_class
from fleet.objects.declare import check_data_class
from fleet.objects.group_handle import bind
from fleet.objects.type_arguments import class_of
from fleet.raft.config import GroupConfig

D = TypeVar("D")
GROUP_NAME_MAX = 1000
"""Characters. Names travel in every message about the group."""
JOINING_S = 2.0
"""How long a node that has just started may take to join."""
FIRST_S = 1.0
"""How long the node that should lead a new group may take before its leader is looked for elsewhere."""


class Operations(SecretOperations, StateOperations):
    """The part of `fleet.Fleet` about the groups of the cluster. All calls block. Calls that change something
    return its revision; see `MemberOperations`."""

    def group(self, name: str, data_class: type[D]) -> D:
        """The group as an object of its class. Sends nothing: a missing group fails its first call.

        Raises: BadArguments: an invalid name; ConfigError: not a data class.
        """
        check_group_name(name)
        check_data_class(class_of(data_class))
        return bind(data_class, name, cast(Any, self))

    def create_group(
        self,
        name: str,
        data_class: type[D],
        *,
        replicas: int = 3,
        nodes: Sequence[str] | None = None,
        config: GroupConfig | None = None,
        persist: bool = True,
        exist_ok: bool = False,
        timeout: float | None = None,
    ) -> D:
        """Add a group, wait until its members run, and return its handle.

        Args:
            replicas: the number of members, spread over zones. With fewer nodes the missing ones are added
                when nodes join.
            nodes: the nodes to place it on instead, the desired leader first. A node that does not answer
                gets its member later: the call returns when the others have theirs.
            config: the group's settings.
            persist: False: in memory only. Commands wait for no disk; a member whose node restarts is lost
                and replaced, and when a majority of the members is lost so is the group.
            exist_ok: accept an existing group of this name and class, unchanged; but none in memory only if
                `persist`.
            timeout: seconds to wait; by default the client's.

        Raises:
            GroupExists: the name is in use, and `exist_ok` is not set.
            OtherDataClass: the group of this name has another class.
            CleanupOngoing: members of a removed group of this name may still run.
            NoSuchNode, BadArguments, NotEncodable, DataClassUnavailable, CallsAtImport: nothing was done.
            Unavailable: no leader within `timeout` seconds; the group may come up later.
        """
        (handle,) = self.create_groups(
            [name],
            data_class,
            replicas=replicas,
            nodes=nodes,
            config=config,
            persist=persist,
            exist_ok=exist_ok,
            timeout=timeout,
        )
        return handle

    def create_groups(
        self,
        names: Sequence[str],
        data_class: type[D],
        *,
        replicas: int = 3,
        nodes: Sequence[str] | None = None,
        config: GroupConfig | None = None,
        persist: bool = True,
        exist_ok: bool = False,
        timeout: float | None = None,
    ) -> list[D]:
        """As `create_group`, for many groups of one class: they share commits and waiting.

        Returns their handles in the order of `names`, without duplicates. Each group is added independently:
        when some are refused, the first refusal is raised, and the other groups exist.
        """
        names = list(dict.fromkeys(names))
        for name in names:
            check_group_name(name)
        cls = class_of(data_class)
        check_data_class(cls)
        check_is_imported(cls)
        if nodes is not None and not nodes:
            raise BadArguments("a group lives on at least one node", groups=", ".join(names))
        pinned = tuple(dict.fromkeys(nodes or ()))
        encoded = encode_class(cls)
        deadline = time.monotonic() + (timeout or self.timeout)
        self._check_class(encoded, deadline)
        settings = config or GroupConfig()
        wanted = (len(pinned) or replicas, encoded, settings, pinned, (), not persist)
        added, present = self._add_groups(names, wanted, deadline, exist_ok)
        if present:
            self._check_present(present, encoded, persist)
        self._await_members(added, deadline)
        for name in present:
            self._await_leader(name, deadline, patience=0.0)
        return [self.group(name, data_class) for name in names]

    def _add_groups(
        self, names: list[str], wanted: tuple[Any, ...], deadline: float, exist_ok: bool
    ) -> tuple[list[GroupInfo], list[str]]:
        """The groups that were added, and the names of those that existed. Repeats for a moment: a cluster
        that was just founded has no node in its state yet."""
        add = self._cluster.add_group.options(timeout=max(deadline - time.monotonic(), 0.001))
        until = min(deadline, time.monotonic() + JOINING_S)
        added, present, refused = [], [], dict[str, FleetError]()
        left = names
        while left:
            replies = {name: add.submit(name, *wanted) for name in left}
            left = []
            for name, reply in replies.items():
                try:
                    with unwrapped():
                        added.append(reply.result(max(deadline - time.monotonic(), 0.0) + GRACE_S))
                        self._committed = max(self._committed, added[-1].uid)
                except FleetError as error:
                    if isinstance(error, GroupExists) and exist_ok:
                        present.append(name)
                    elif isinstance(error, Unavailable) and time.monotonic() < until:
                        left.append(name)
                    else:
                        refused[name] = error
            if left:
                time.sleep(POLL_S)
        if refused:
            raise next(iter(refused.values()))
        return added, present

    def _check_present(self, names: list[str], encoded: bytes, persist: bool) -> None:
        ours = class_name(encoded)
        groups = {group.name: group for group in self.groups() if group.name in names}
        for name, group in groups.items():
            theirs = class_name(group.data_class)
            if persist and group.is_in_memory:
                raise GroupExists(f"group {name!r} exists, and is in memory only", group=name)
            if theirs != ours:
                what = f"group {name!r} exists with the class {theirs}, not {ours}"
                raise OtherDataClass(what, group=name)

    def _await_members(self, groups: list[GroupInfo], deadline: float) -> None:
        """Wait until the first leader of each group hears all its members. Asks the desired leader's node,
        and looks for the leader elsewhere if that fails."""
        seconds = max(0.001, min(FIRST_S, deadline - time.monotonic()))
        asked = [
            self._ask_soon(AwaitMembers(group.name, group.uid), "", group.initial[0][1], True, seconds)
            for group in groups
        ]
        for group, future in zip(groups, asked, strict=True):
            try:
                status = future.result(seconds + GRACE_S)
                assert isinstance(status, MemberStatus)
            except FleetError:
                status = self._await_leader(group.name, deadline, (deadline - time.monotonic()) / 2)
            address = dict(group.initial).get(status.member)
            if address:
                self._note_leader(group.name, address)

    def _await_leader(self, name: str, deadline: float, patience: float) -> MemberStatus:
        """Wait for a leader that hears all other members; after `patience` seconds any leader will do."""
        until = time.monotonic() + patience
        while True:
            status = self._leader_or_none(name, deadline)
            if status is not None and (
                time.monotonic() >= until or all(peer.match >= 1 for peer in status.peers)
            ):
                return status
            if time.monotonic() > deadline:
                raise Unavailable("the group has no leader yet", group=name)
            time.sleep(POLL_S)

    def _check_class(self, encoded: bytes, deadline: float) -> None:
        """Check that a node can load it. Where the executor that tried ended for another reason, it is asked
        again."""
        seconds = max(deadline - time.monotonic(), 0.001)
        while True:
            try:
                self._first_node(CheckClass(encoded), answer_s=max(deadline - time.monotonic(), 0.001))
                return
            except NoNode as error:
                trouble = error
            if time.monotonic() + POLL_S > deadline:
                break
            time.sleep(POLL_S)
        what = f"no node said within {seconds:.0f} s whether it can load {class_name(encoded)}"
        hint = "does its import take that long on the nodes?"
        raise Unavailable(f"{what}; nothing was done: {hint}", **trouble.facts)

    def _leader_or_none(self, name: str, deadline: float) -> MemberStatus | None:
        try:
            status = self.status(name, timeout=max(0.1, min(1.0, deadline - time.monotonic())))
        except FleetError:
            return None
        return status if status.role == "leader" else None

    def remove_group(self, name: str) -> int:
        """Stop the group's members and delete its data, on every node. Committed when this returns.

        Returns the cluster's revision. Raises: NoSuchGroup.
        """
        return self._commit(self._cluster.remove_group, None, name)[1]

    def pin_group(self, name: str, nodes: Sequence[str], *, replicas: int | None = None) -> int:
        """Pin the group to `nodes`, the desired leader first; an empty sequence unpins it. Committed when
        this returns; then its members move, one by one.

        `replicas`: the number of replicas from now on; None leaves it. Returns the revision.

        Raises: NoSuchGroup, NoSuchNode; BadArguments: there are more or fewer nodes than replicas.
        """
        if replicas is not None and replicas < 1:
            raise BadArguments(f"replicas must be at least 1, not {replicas}", group=name)
        return self._commit(self._cluster.pin_group, None, name, tuple(nodes), replicas or 0)[1]

    def set_replicas(self, name: str, replicas: int) -> int:
        """Set the number of the group's members. Committed when this returns; then members are added or
        removed, one by one. Returns the revision.

        Raises: NoSuchGroup; BadArguments: less than one, or the group is pinned to nodes.
        """
        return self._commit(self._cluster.set_replicas, None, name, replicas)[1]

    def groups(self) -> list[GroupInfo]:
        """All groups, sorted by name, with their placement and current settings. Raises as `cluster`."""
        view = self.cluster().view
        assert view is not None
        return sorted(view.groups, key=lambda group: group.name)


def check_group_name(name: str) -> None:
    if not isinstance(name, str) or not name or any(character in "\r\n\t\x1b\0" for character in name):
        raise BadArguments("a group's name is a line of text that is not empty", name=repr(name))
    if len(name) > GROUP_NAME_MAX:
        what = f"a group's name has at most {GROUP_NAME_MAX} characters, not {len(name)}"
        raise BadArguments(what, name=repr(name[:40]))
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise BadArguments(f"a group's name is UTF-8 text: {error.reason}", name=repr(name)) from None


def check_is_imported(data_class: type) -> None:
    """Refuse a class from a module whose import is still under way: a node that imports it would run the
    same call."""
    module = sys.modules.get(data_class.__module__)
    if getattr(getattr(module, "__spec__", None), "_initializing", False):
        raise CallsAtImport(
            "create_group() at the top level of the module of its data class: a node that imports it "
            "would do the same, and wait for itself",
            data_class=data_class.__qualname__,
            module=data_class.__module__,
        )
