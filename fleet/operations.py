"""What is asked of a cluster besides calling its groups: about nodes, groups, members and leaders."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager, suppress
from typing import Any, TypeVar, cast

from fleet.actors.mail import (
    ChangeConfig,
    CheckClass,
    ClusterSeen,
    GetCluster,
    GetStatus,
    GroupOp,
    ListMembers,
    MemberList,
    MemberStatus,
    NodeOp,
    OpValue,
    RemoveMember,
    TransferLeader,
)
from fleet.cluster import ACTIVE, CLUSTER_GROUP, LEAVING, Cluster, GroupInfo, NodeRecord
from fleet.data import Data, bind
from fleet.errors import (
    BadArguments,
    ConfigError,
    FleetError,
    GroupExists,
    NoSuchGroup,
    NoSuchNode,
    Rejected,
    Unavailable,
)
from fleet.payload import encode_class
from fleet.raft.config import GroupConfig
from fleet.raft.ids import NodeName, node_of
from fleet.survey import Survey, survey_of

D = TypeVar("D")
POLL_S = 0.02
NODE_S = 2.0
"""How long one node may take to answer before another is asked."""
GRACE_S = 5.0
"""A blocking caller waits this much longer than the loop should need to tell it."""


class Operations:
    """The part of `fleet.Fleet` that is about the cluster as a whole. All calls block."""

    timeout: float

    # -- what the client lends ---------------------------------------------------------------------

    def _ask_soon(
        self, op: NodeOp | GroupOp, group: str, address: str, repeats: bool, timeout: float | None
    ) -> Future[OpValue]:
        raise NotImplementedError

    def _addresses(self) -> list[str]:
        raise NotImplementedError

    def _learn(self, addresses: Sequence[str]) -> None:
        raise NotImplementedError

    def _ask(
        self, op: NodeOp | GroupOp, group: str = "", address: str = "", timeout: float | None = None
    ) -> OpValue:
        future = self._ask_soon(op, group, address, True, timeout)
        return future.result((timeout or self.timeout) + GRACE_S)

    @property
    def _cluster(self) -> Cluster:
        return bind(Cluster, CLUSTER_GROUP, cast(Any, self))

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
        with unwrapped():
            try:
                add = self._cluster.add_group.options(timeout=timeout)
                info = add(name, len(pinned) or replicas, encoded, config or GroupConfig(), pinned)
            except Rejected as rejected:
                if not (exist_ok and isinstance(rejected.value, GroupExists)):
                    raise
                info = self._group_info(name)
        self._await_members(name, [node_of(member) for member, _ in info.initial], deadline)
        return self.group(name, data_class)

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

    def groups(self) -> list[GroupInfo]:
        """All groups of the cluster, by name."""
        view = self.cluster().view
        assert view is not None
        return sorted(view.groups, key=lambda group: group.name)

    # -- nodes -------------------------------------------------------------------------------------

    def cluster(self) -> ClusterSeen:
        """The cluster as the first node sees it that answers and belongs to one. From then on this client
        knows all of its nodes."""
        seen = self._first_node(GetCluster(), lambda value: cast(ClusterSeen, value).view is not None)
        assert isinstance(seen, ClusterSeen) and seen.view is not None
        self._learn([node.address for node in seen.view.nodes])
        return seen

    def survey(self, timeout: float = 1.0) -> Survey:
        """Every node asked what it holds and whom it misses; who does not answer in time is said so."""
        view = self.cluster().view
        assert view is not None
        at = {node.name: node.address for node in view.nodes}
        held = {name: self._ask_soon(ListMembers(), "", at[name], True, timeout) for name in at}
        seen = {name: self._ask_soon(GetCluster(), "", at[name], True, timeout) for name in at}
        wait([*held.values(), *seen.values()], timeout + GRACE_S)
        lists = {name: cast(MemberList | None, _value_or_none(future)) for name, future in held.items()}
        views = {name: cast(ClusterSeen | None, _value_or_none(future)) for name, future in seen.items()}
        return survey_of(view, lists, views)

    def nodes(self) -> list[NodeRecord]:
        """The cluster's nodes, by name."""
        view = self.cluster().view
        assert view is not None
        return sorted(view.nodes, key=lambda node: node.name)

    def _first_node(
        self, op: NodeOp, suits: Callable[[OpValue], bool] = lambda value: True
    ) -> OpValue:
        """The answer of some node. An error that is not about reaching it is the answer too."""
        addresses = self._addresses()
        pending = {self._ask_soon(op, "", address, True, NODE_S) for address in addresses}
        trouble: FleetError = Unavailable("no node of a cluster answers", addresses=", ".join(addresses))
        while pending:
            done, pending = wait(pending, NODE_S + GRACE_S, FIRST_COMPLETED)
            for future in done:
                error = future.exception()
                if error is None and suits(future.result()):
                    return future.result()
                if isinstance(error, FleetError) and not isinstance(error, Unavailable):
                    trouble = error
            if not done:
                break
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

    # -- members -----------------------------------------------------------------------------------

    def members(self, address: str) -> MemberList:
        """What lives on the node at this address."""
        value = self._ask(ListMembers(), address=address)
        assert isinstance(value, MemberList)
        return value

    def status(self, group: str, timeout: float | None = None) -> MemberStatus:
        """The group as its leader sees it, or as some member does when there is no leader.

        Raises: Unavailable: no member of it answers; NoSuchGroup: no node knows it.
        """
        seconds = timeout or min(2.0, self.timeout)
        best = self._best_status(group, seconds)
        if best is None or best.role != "leader":
            known = len(self._addresses())
            with suppress(Unavailable):
                self.cluster()
            if len(self._addresses()) > known:  # a node that came later may lead
                best = self._best_status(group, seconds) or best
        if best is None:
            raise Unavailable("no member of the group answers", group=group)
        return best

    def _best_status(self, group: str, seconds: float) -> MemberStatus | None:
        best: MemberStatus | None = None
        for status in self._each_status(group, seconds):
            if status.role == "leader" and (best is None or status.term >= best.term):
                return status
            if best is None or status.term > best.term:
                best = status
        return best

    def _each_status(self, group: str, seconds: float) -> Iterator[MemberStatus]:
        """As they come in; raises NoSuchGroup when every node says so."""
        addresses = self._addresses()
        pending = {self._ask_soon(GetStatus(), group, at, True, seconds) for at in addresses}
        unknown = 0
        until = time.monotonic() + seconds + GRACE_S
        while pending and time.monotonic() < until:
            done, pending = wait(pending, until - time.monotonic(), FIRST_COMPLETED)
            for future in done:
                error = future.exception()
                unknown += isinstance(error, NoSuchGroup)
                if error is None:
                    yield cast(MemberStatus, future.result())
        if unknown == len(addresses):
            raise NoSuchGroup(f"no node knows a group {group!r}", group=group)

    def statuses(self, group: str, timeout: float = 1.0) -> dict[str, MemberStatus]:
        """Each member as it sees itself, by its node; who does not answer in time is left out."""
        return {str(node_of(status.member)): status for status in self._each_status(group, timeout)}

    def transfer_leader(self, group: str, node: str, timeout: float | None = None) -> None:
        """Hand the group's leadership to its member on `node`.

        The cluster hands it back to where the placement wants it, sooner or later.

        Raises: TargetUnresponsive, NotMember, NoSuchNode, Unavailable.
        """
        status = self.status(group, timeout)
        for member in (*status.voters, *status.learners):
            if node_of(member) == node:
                self._ask(TransferLeader(member), group, timeout=timeout)
                return
        raise NoSuchNode(f"group {group!r} has no member on {node!r}", group=group, node=node)

    def remove_member(self, group: str, node: str, timeout: float | None = None) -> None:
        """Let go of the group's member on `node`. If it is wanted there, another one is brought in.

        Raises: WouldBreakQuorum, CannotRemoveLeader, ChangeInProgress, NoSuchNode, Unavailable.
        """
        status = self.status(group, timeout)
        for member in (*status.voters, *status.learners):
            if node_of(member) == node:
                self._ask(RemoveMember(member), group, timeout=timeout)
                return
        raise NoSuchNode(f"group {group!r} has no member on {node!r}", group=group, node=node)

    def change_config(self, group: str, config: GroupConfig, timeout: float | None = None) -> None:
        """Returns when the change is committed."""
        self._ask(ChangeConfig(config), group, timeout=timeout)


def _value_or_none(future: Future[OpValue]) -> OpValue | None:
    return future.result() if future.done() and future.exception() is None else None


@contextmanager
def unwrapped() -> Iterator[None]:
    """The cluster group refuses with an error as the value: that is the error."""
    try:
        yield
    except Rejected as rejected:
        if isinstance(rejected.value, FleetError):
            raise rejected.value from None
        raise


def check_group_name(name: str) -> None:
    if not isinstance(name, str) or not name:
        raise BadArguments("a group's name is a string that is not empty", name=repr(name))
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise BadArguments(f"a group's name is UTF-8 text: {error.reason}", name=repr(name)) from None


def check_data_class(data_class: Any) -> None:
    if not (isinstance(data_class, type) and issubclass(data_class, Data)):
        raise ConfigError(f"{data_class!r} is not a data class; derive it from fleet.Data")
