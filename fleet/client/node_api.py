"""Requests about a cluster's nodes."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from functools import partial
from typing import Any, cast

from msgspec.structs import replace

from fleet.actors.messages.operator import (
    ClusterSeen,
    GetCluster,
    ListMembers,
    ListNodes,
    MemberList,
    NodeOp,
    Nodes,
    OpValue,
)
from fleet.actors.messages.values import NodeInfo
from fleet.client.group_api import GRACE_S, POLL_S, MemberOperations
from fleet.client.survey import Survey, newest, outsiders, survey_of
from fleet.cluster.fleet_version import newest_of_any, unwritten
from fleet.cluster.state import ACTIVE, CLUSTER_GROUP, LEAVING, NodeRecord
from fleet.errors import (
    FleetError,
    NoMajority,
    NoNode,
    Unavailable,
    WrongCluster,
)
from fleet.raft.ids import Index, NodeName

NODE_S = 2.0
"""How long one node may take to answer before another is asked."""


class NodeOperations(MemberOperations):
    """The part of `fleet.Fleet` about the nodes of the cluster. All calls block. Calls that change something
    return its revision; see `MemberOperations`."""

    def cluster(self, timeout: float | None = None) -> ClusterSeen:
        """The cluster as seen by the first member of it that answers. From then on this client knows all of
        its nodes. `timeout`: seconds; by default the client's.

        Raises: Unavailable: no node answers; NoMajority: no node has found its cluster in time, because too
            few of its voters run.
        """
        knows = partial(_knows_as_much, self._committed)
        seen = self._first_node(GetCluster(), knows, timeout or self.timeout)
        assert isinstance(seen, ClusterSeen) and seen.view is not None
        self._learn([node.address for node in seen.view.nodes])
        return seen

    def survey(self, timeout: float = 1.0) -> Survey:
        """Ask every node which members it holds and which nodes it does not hear; nodes that do not answer
        within `timeout` seconds are marked. Includes nodes that join meanwhile, and nodes that answer at
        other addresses this client was given, such as a purged one. Raises as `cluster`."""
        view = self.cluster().view
        assert view is not None
        named = {node.address for node in view.nodes}
        others = {
            address: [self._ask_soon(op, "", address, True, timeout) for op in (ListMembers(), GetCluster())]
            for address in self._addresses()
            if address not in named
        }
        lists: dict[NodeName, MemberList | None] = {}
        seen: dict[NodeName, ClusterSeen | None] = {}
        troubles: dict[NodeName, str] = {}
        while unasked := [node for node in view.nodes if node.name not in lists]:
            held = {n.name: self._ask_soon(ListMembers(), "", n.address, True, timeout) for n in unasked}
            told = {n.name: self._ask_soon(GetCluster(), "", n.address, True, timeout) for n in unasked}
            wait([*held.values(), *told.values()], timeout + GRACE_S)
            lists |= {name: cast(MemberList | None, _value_or_none(one)) for name, one in held.items()}
            seen |= {name: cast(ClusterSeen | None, _value_or_none(one)) for name, one in told.items()}
            troubles |= {name: what for name, one in held.items() if (what := _foreign(one))}
            view = newest(view, seen)
        wait([future for pair in others.values() for future in pair], timeout + GRACE_S)
        found = {_foreign(held) for held, _ in others.values()} | set(self._foreign())
        answers = [(_value_or_none(held), _value_or_none(told)) for held, told in others.values()]
        whole = [cast(tuple[MemberList, ClusterSeen], pair) for pair in answers if None not in pair]
        survey = survey_of(view, lists, seen, outsiders(view, whole), troubles, self.name)
        return replace(survey, foreign=tuple(sorted(found - {""})))

    def known_nodes(self) -> tuple[NodeInfo, ...]:
        """The nodes known to the first node that answers, itself included. Needs no majority; some may have
        left, or not have joined. Raises: Unavailable: no node answers."""
        nodes = self._first_node(ListNodes())
        assert isinstance(nodes, Nodes)
        return tuple(sorted(nodes.nodes, key=lambda node: node.name))

    def answering(self, nodes: Sequence[NodeInfo | NodeRecord], timeout: float = NODE_S) -> set[NodeName]:
        """The names of those nodes that answer at their known address within `timeout` seconds."""
        asked = {one.name: self._ask_soon(ListNodes(), "", one.address, True, timeout) for one in nodes}
        wait(asked.values(), timeout + GRACE_S)
        told = {name: _value_or_none(future) for name, future in asked.items()}
        return {name for name, one in told.items() if isinstance(one, Nodes) and one.nodes[0].name == name}

    def nodes(self) -> list[NodeRecord]:
        """The cluster's nodes, sorted by name. Raises as `cluster`."""
        view = self.cluster().view
        assert view is not None
        return sorted(view.nodes, key=lambda node: node.name)

    def _first_node(
        self,
        op: NodeOp,
        suits: Callable[[OpValue], bool] = lambda value: True,
        timeout: float = NODE_S,
        answer_s: float = NODE_S,
    ) -> OpValue:
        """The first suitable answer of any node, each given `answer_s` seconds. A node whose answer does not
        suit is asked again, for `timeout` seconds. Raises the error that says most."""
        until = time.monotonic() + timeout
        addresses = self._addresses()
        pending = {self._ask_soon(op, "", address, True, answer_s): address for address in addresses}
        trouble: FleetError = NoNode("no node of a cluster answers", addresses=", ".join(addresses))
        while pending:
            done, _ = wait(pending, answer_s + GRACE_S, FIRST_COMPLETED)
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
                pending |= {self._ask_soon(op, "", address, True, answer_s): address for address in early}
        raise trouble

    def activate(self, node: str) -> int:
        """Let the node host members; one that is leaving stays. Returns the revision. Raises: NoSuchNode."""
        return self._commit(self._cluster.set_state, None, node, ACTIVE)[1]

    def drain(
        self, node: str, *, wait_s: float | None = None, progress: Callable[[int], None] | None = None
    ) -> int:
        """Move all members off the node and let it leave the cluster.

        `wait_s`: how many seconds to wait until it has left; None: return when it begins to leave. `progress`
        is called with the number of members still on it. Returns the revision at which it began to leave.

        Raises: NoSuchNode; Unavailable: there is no other active node, or `wait_s` has passed.
        """
        _, revision = self._commit(self._cluster.set_state, None, node, LEAVING)
        if wait_s is None:
            return revision
        until = time.monotonic() + wait_s
        while (left := self._members_left(node)) is not None:
            if progress is not None and left >= 0:
                progress(left)
            if time.monotonic() > until:
                raise Unavailable("the node has not left yet; it goes on leaving", node=node)
            time.sleep(0.1)
        return revision

    def _members_left(self, node: str) -> int | None:
        """None: the node has left the cluster. -1: unknown for now; ask again."""
        try:
            (record,) = [record for record in self.nodes() if record.name == node] or (None,)
            if record is None:
                return None
            value = self._ask(ListMembers(), address=record.address, timeout=NODE_S)
        except Unavailable:
            return -1
        assert isinstance(value, MemberList)
        return sum(member.group != CLUSTER_GROUP for member in value.members)

    def purge(self, node: str) -> int:
        """Declare that the node's disk is gone for good: its members are replaced. Returns the revision.

        Raises: NoSuchNode; Unavailable: there is no other active node.
        """
        return self._commit(self._cluster.purge, None, node)[1]

    def set_purge_after(self, seconds: float) -> int:
        """Set how long a node may be unreachable before a majority declares it gone. Returns the revision."""
        return self._commit(self._cluster.set_purge_after, None, round(seconds * 1000))[1]

    def finalize(self, version: int | None = None, *, timeout: float | None = None) -> int:
        """Put a version of the fleet in force, with what it brought, and wait until it is. From then on no
        node can go back to a build that does not speak it.

        `version`: by default the newest that a node speaks. `timeout`: seconds; by default the client's.
        Returns the revision.

        Raises: WrongVersion: another node does not speak it, and nothing was done; Unavailable: it is not in
            force yet, since a node has not written it to its directory; it will be once they all have.
        """
        until = time.monotonic() + (timeout or self.timeout)
        wanted = newest_of_any(self.nodes()) if version is None else version
        _, revision = self._commit(self._cluster.finalize, timeout, wanted)
        while (view := self.cluster().view) is not None and view.version < wanted:
            if time.monotonic() > until:
                nodes = ", ".join(unwritten(view.nodes, wanted))
                raise Unavailable(f"version {wanted} is not in force yet: it waits for {nodes}", nodes=nodes)
            time.sleep(POLL_S)
        return revision


def _knows_as_much(rev: Index, value: OpValue) -> bool:
    """Whether the node has heard of its cluster, and has seen this client's last change."""
    return isinstance(value, ClusterSeen) and value.view is not None and value.view.rev >= rev


def _value_or_none(future: Future[OpValue]) -> OpValue | None:
    return future.result() if future.done() and future.exception() is None else None


def _foreign(future: Future[Any]) -> str:
    """The error text where another cluster answers, else ""."""
    error = future.exception() if future.done() else None
    return error.what if isinstance(error, WrongCluster) else ""
