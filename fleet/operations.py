"""What is asked of a cluster besides calling its groups: about nodes, groups, members and leaders."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any, TypeVar, cast

from fleet.actors.mail import (
    CheckClass,
    ClusterSeen,
    GetCluster,
    ListMembers,
    ListNodes,
    MemberList,
    MemberStatus,
    NodeInfo,
    NodeOp,
    Nodes,
    OpValue,
)
from fleet.cluster import ACTIVE, CLUSTER_GROUP, LEAVING, GroupInfo, NodeRecord
from fleet.data import Data, bind
from fleet.errors import (
    BadArguments,
    ConfigError,
    FleetError,
    GroupExists,
    NoMajority,
    NoSuchGroup,
    Unavailable,
)
from fleet.member_operations import GRACE_S, POLL_S, MemberOperations, unwrapped
from fleet.payload import encode_class
from fleet.raft.config import GroupConfig
from fleet.raft.ids import NodeName, node_of
from fleet.survey import Survey, newest, survey_of

D = TypeVar("D")
JOINING_S = 2.0
"""A node that has just started takes no longer to join."""
NODE_S = 2.0
"""How long one node may take to answer before another is asked."""


class Operations(MemberOperations):
    """The part of `fleet.Fleet` that is about the cluster as a whole. All calls block."""

    # -- groups ------------------------------------------------------------------------------------

    def group(self, name: str, data_class: type[D]) -> D:
        """The group as an object of its class; whether it exists shows at the first call."""
        check_group_name(name)
        check_data_class(data_class)
        return bind(data_class, name, cast(Any, self))

    def create_group(
        self,
        name: str,
        data_class: type[D],
        *,
        replicas: int = 3,
        nodes: Sequence[str] | None = None,
        config: GroupConfig | None = None,
        exist_ok: bool = False,
        timeout: float | None = None,
    ) -> D:
        """Add a group and wait until its members are there.

        `replicas`: on so many nodes, spread over zones; with fewer nodes than that the others come when
        nodes do. `nodes` instead names the nodes, the one that should lead first. A node that does not
        answer gets its member when it does: the call returns when the others have theirs.

        Raises:
            GroupExists: and `exist_ok` is not set.
            CleanupOngoing: members of a removed group of this name may still live.
            NoSuchNode, BadArguments, NotEncodable, DataClassUnavailable: nothing was done.
            Unavailable: no leader within `timeout` seconds; the group may come up later.
        """
        check_group_name(name)
        check_data_class(data_class)
        if nodes is not None and not nodes:
            raise BadArguments("a group lives on at least one node", group=name)
        pinned = tuple(dict.fromkeys(nodes or ()))
        encoded = encode_class(data_class)
        deadline = time.monotonic() + (timeout or self.timeout)
        self._first_node(CheckClass(encoded))
        add = self._cluster.add_group.options(timeout=timeout)
        wanted = (name, len(pinned) or replicas, encoded, config or GroupConfig(), pinned)
        try:
            info = self._with_a_node(lambda: add(*wanted), deadline)
        except GroupExists:
            if not exist_ok:
                raise
            info = self._group_info(name)
        self._await_members(name, [node_of(member) for member, _ in info.initial], deadline)
        return self.group(name, data_class)

    def _with_a_node(self, act: Callable[[], GroupInfo], deadline: float) -> GroupInfo:
        """A cluster that was founded a moment ago has no node in its state yet, and then it has."""
        until = min(deadline, time.monotonic() + JOINING_S)
        while True:
            try:
                with unwrapped():
                    return act()
            except Unavailable:
                if time.monotonic() > until:
                    raise
            time.sleep(POLL_S)

    def _group_info(self, name: str) -> GroupInfo:
        for group in self.groups():
            if group.name == name:
                return group
        raise NoSuchGroup(f"the cluster has no group {name!r}", group=name)

    def _await_members(self, name: str, nodes: Sequence[NodeName], deadline: float) -> None:
        """Until the first leader says that everyone answers. A node that stays away is not waited for."""
        patience = time.monotonic() + (deadline - time.monotonic()) / 2
        while True:
            status = self._leader_or_none(name, deadline)
            if status is not None:
                answering = {node_of(peer.member) for peer in status.peers if peer.match >= 1}
                if answering | {node_of(status.member)} >= set(nodes) or time.monotonic() > patience:
                    return
            if time.monotonic() > deadline:
                raise Unavailable("the group has no leader yet", group=name, nodes=", ".join(nodes))
            time.sleep(POLL_S)

    def _leader_or_none(self, name: str, deadline: float) -> MemberStatus | None:
        try:
            status = self.status(name, timeout=max(0.1, min(1.0, deadline - time.monotonic())))
        except FleetError:
            return None
        return status if status.role == "leader" else None

    def remove_group(self, name: str) -> None:
        """Its members stop and its data is deleted, on every node. Committed when this returns.

        Raises: NoSuchGroup.
        """
        with unwrapped():
            self._cluster.remove_group(name)

    def pin_group(self, name: str, nodes: Sequence[str], *, replicas: int | None = None) -> None:
        """Let the group live on these nodes, the first one leading; on none of its own: placed like any
        other, on as many as now. Committed when this returns; then its members move, one by one.

        `replicas`: on so many from now on; None leaves it as it is.

        Raises: NoSuchGroup, NoSuchNode; BadArguments: there are more or fewer nodes than replicas.
        """
        if replicas is not None and replicas < 1:
            raise BadArguments(f"replicas must be at least 1, not {replicas}", group=name)
        with unwrapped():
            self._cluster.pin_group(name, tuple(nodes), replicas or 0)

    def set_replicas(self, name: str, replicas: int) -> None:
        """On so many nodes. Committed when this returns; then members come or go, one by one.

        Raises: NoSuchGroup; BadArguments: less than one, or the group is pinned to nodes.
        """
        with unwrapped():
            self._cluster.set_replicas(name, replicas)

    def groups(self) -> list[GroupInfo]:
        """All groups of the cluster, by name."""
        view = self.cluster().view
        assert view is not None
        return sorted(view.groups, key=lambda group: group.name)

    # -- nodes -------------------------------------------------------------------------------------

    def cluster(self, timeout: float | None = None) -> ClusterSeen:
        """The cluster as the first node sees it that answers and belongs to one. From then on this client
        knows all of its nodes.

        Raises: Unavailable: no node answers; NoMajority: none has found its cluster within `timeout`
            seconds, as long as too few of them run.
        """
        seen = self._first_node(GetCluster(), _knows_its_cluster, timeout or self.timeout)
        assert isinstance(seen, ClusterSeen) and seen.view is not None
        self._learn([node.address for node in seen.view.nodes])
        return seen

    def survey(self, timeout: float = 1.0) -> Survey:
        """Every node asked what it holds and whom it misses; who does not answer in `timeout` seconds is
        said so. A node that joined meanwhile is asked as well."""
        view = self.cluster().view
        assert view is not None
        lists: dict[NodeName, MemberList | None] = {}
        seen: dict[NodeName, ClusterSeen | None] = {}
        while unasked := [node for node in view.nodes if node.name not in lists]:
            held = {n.name: self._ask_soon(ListMembers(), "", n.address, True, timeout) for n in unasked}
            told = {n.name: self._ask_soon(GetCluster(), "", n.address, True, timeout) for n in unasked}
            wait([*held.values(), *told.values()], timeout + GRACE_S)
            lists |= {name: cast(MemberList | None, _value_or_none(one)) for name, one in held.items()}
            seen |= {name: cast(ClusterSeen | None, _value_or_none(one)) for name, one in told.items()}
            view = newest(view, seen)
        return survey_of(view, lists, seen)

    def known_nodes(self) -> tuple[NodeInfo, ...]:
        """Those that the first node knows that answers, itself among them, also without a majority. They
        may have left, or not have joined."""
        nodes = self._first_node(ListNodes())
        assert isinstance(nodes, Nodes)
        return tuple(sorted(nodes.nodes, key=lambda node: node.name))

    def nodes(self) -> list[NodeRecord]:
        """The cluster's nodes, by name."""
        view = self.cluster().view
        assert view is not None
        return sorted(view.nodes, key=lambda node: node.name)

    def _first_node(
        self, op: NodeOp, suits: Callable[[OpValue], bool] = lambda value: True, timeout: float = NODE_S
    ) -> OpValue:
        """The answer of some node. An error that is not about reaching it is the answer too; who says what
        does not suit is asked again, for `timeout` seconds."""
        until = time.monotonic() + timeout
        addresses = self._addresses()
        pending = {self._ask_soon(op, "", address, True, NODE_S): address for address in addresses}
        trouble: FleetError = Unavailable("no node of a cluster answers", addresses=", ".join(addresses))
        while pending:
            done, _ = wait(pending, NODE_S + GRACE_S, FIRST_COMPLETED)
            if not done:
                break
            early = []
            for future in done:
                address, error = pending.pop(future), future.exception()
                if error is None and suits(future.result()):
                    return future.result()
                if error is None:
                    early.append(address)
                    trouble = NoMajority("no node that answers has found its cluster yet", address=address)
                elif isinstance(error, FleetError) and not isinstance(error, Unavailable):
                    trouble = error
            if early and time.monotonic() < until:
                time.sleep(POLL_S)
                pending |= {self._ask_soon(op, "", address, True, NODE_S): address for address in early}
        raise trouble

    def activate(self, node: str) -> None:
        """Let the node host members, also one that was leaving."""
        with unwrapped():
            self._cluster.set_state(node, ACTIVE)

    def drain(
        self, node: str, *, wait_s: float | None = None, progress: Callable[[int], None] | None = None
    ) -> None:
        """Move everything off the node and let it leave the cluster.

        `wait_s`: so long at most until it is gone; None returns when the leaving has begun. `progress` is
        told now and then how many members are left on it.

        Raises: NoSuchNode; Unavailable: there is no other active node, or it takes longer.
        """
        with unwrapped():
            self._cluster.set_state(node, LEAVING)
        if wait_s is None:
            return
        until = time.monotonic() + wait_s
        while (left := self._members_left(node)) is not None:
            if progress is not None and left >= 0:
                progress(left)
            if time.monotonic() > until:
                raise Unavailable("the node has not left yet; it goes on leaving", node=node)
            time.sleep(0.1)

    def _members_left(self, node: str) -> int | None:
        """None: it is no node of the cluster any more. -1: not known now; nothing is lost by asking again."""
        try:
            (record,) = [record for record in self.nodes() if record.name == node] or (None,)
            if record is None:
                return None
            value = self._ask(ListMembers(), address=record.address, timeout=NODE_S)
        except Unavailable:
            return -1
        assert isinstance(value, MemberList)
        return sum(member.group != CLUSTER_GROUP for member in value.members)

    def purge(self, node: str) -> None:
        """Declare that the node will not come back as it was: its members are replaced.

        Raises: NoSuchNode; Unavailable: there is no other active node.
        """
        with unwrapped():
            self._cluster.purge(node)

    def set_purge_after(self, seconds: float) -> None:
        """How long a node may be unreachable before a majority declares it gone."""
        with unwrapped():
            self._cluster.set_purge_after(round(seconds * 1000))


def _knows_its_cluster(value: OpValue) -> bool:
    """Not a node that has just started and has not heard of a leader of the cluster's own group."""
    return isinstance(value, ClusterSeen) and value.view is not None


def _value_or_none(future: Future[OpValue]) -> OpValue | None:
    return future.result() if future.done() and future.exception() is None else None


def check_group_name(name: str) -> None:
    if not isinstance(name, str) or not name or any(character in "\r\n\t\x1b\0" for character in name):
        raise BadArguments("a group's name is a line of text that is not empty", name=repr(name))
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise BadArguments(f"a group's name is UTF-8 text: {error.reason}", name=repr(name)) from None


def check_data_class(data_class: Any) -> None:
    if not (isinstance(data_class, type) and issubclass(data_class, Data)):
        raise ConfigError(f"{data_class!r} is not a data class; derive it from fleet.Data")
