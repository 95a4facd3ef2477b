"""What is asked of one group's members besides its calls: status, leadership, membership, settings."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager, suppress
from typing import Any, ParamSpec, TypeVar, cast

from fleet.actors.messages.operator import (
    ChangeConfig,
    ClusterSeen,
    Done,
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
from fleet.cluster.state import CLUSTER_GROUP, Cluster
from fleet.errors import (
    FleetError,
    NoSuchGroup,
    NoSuchNode,
    NotDone,
    Rejected,
    TargetUnresponsive,
    Unavailable,
)
from fleet.objects.declare import bind
from fleet.objects.handles import CallOptions, CommandCall, Reply
from fleet.objects.payload import decode_result
from fleet.raft.config import GroupConfig
from fleet.raft.ids import Index, MemberId, node_of

P = ParamSpec("P")
R = TypeVar("R")

POLL_S = 0.02
HAND_OVER_S = 2.0
"""A member that cannot lead by then is not going to."""
NOTE_S = 2.0
"""How long the cluster's own group may take to note what another group has committed."""
GRACE_S = 5.0
"""A blocking caller waits this much longer than the loop should need to tell it."""


@contextmanager
def unwrapped() -> Iterator[None]:
    """The cluster group refuses with an error as the value: that is the error."""
    try:
        yield
    except Rejected as rejected:
        if isinstance(rejected.value, FleetError):
            raise rejected.value from None
        raise


class MemberOperations:
    """The part of `fleet.Fleet` that is about the members of groups. All calls block.

    Calls that change something return its revision: the index in a log at which it took effect. That log is
    the group's own for `remove_member` and `change_config`, and the cluster's for everything else.
    """

    name: str
    """The cluster's id."""
    timeout: float
    _committed: Index = 0
    """The latest change of the cluster by this client: what it shows of the cluster is no older."""

    # -- what the client lends ---------------------------------------------------------------------

    def _ask_soon(
        self, op: NodeOp | GroupOp, group: str, address: str, repeats: bool, timeout: float | None
    ) -> Future[OpValue]:
        raise NotImplementedError

    def _addresses(self) -> list[str]:
        raise NotImplementedError

    def _foreign(self) -> list[str]:
        """Of each address that turned out to be of another cluster, what was found there."""
        raise NotImplementedError

    def _learn(self, addresses: Sequence[str]) -> None:
        raise NotImplementedError

    def _note_leader(self, group: str, address: str) -> None:
        raise NotImplementedError

    def wait(self, reply: Reply[Any], options: CallOptions) -> bytes:
        raise NotImplementedError

    def cluster(self, timeout: float | None = None) -> ClusterSeen:
        raise NotImplementedError

    def _ask(
        self, op: NodeOp | GroupOp, group: str = "", address: str = "", timeout: float | None = None
    ) -> OpValue:
        future = self._ask_soon(op, group, address, True, timeout)
        return future.result((timeout or self.timeout) + GRACE_S)

    @property
    def _cluster(self) -> Cluster:
        return bind(Cluster, CLUSTER_GROUP, cast(Any, self))

    def _commit(
        self, call: CommandCall[P, R], timeout: float | None, *args: P.args, **kwargs: P.kwargs
    ) -> tuple[R, int]:
        """What a command of the cluster's own group answers, and its revision."""
        options = CallOptions(timeout)
        reply = cast(Reply[R], call.options(timeout=timeout).submit(*args, **kwargs))
        with unwrapped():
            value = decode_result(self.wait(reply, options))
        self._committed = max(self._committed, reply.revision)
        return value, reply.revision

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
                self.cluster(seconds)
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

    def transfer_leader(self, group: str, node: str, timeout: float | None = None) -> int:
        """Hand the group's leadership to its member on `node`, where it stays.

        Should another member have to lead meanwhile, it is handed back to `node`, until `release_leader`,
        another call of this, or a change after which no member is wanted there. On error, leadership is
        unchanged.

        Returns the revision of the cluster's log at which the choice of `node` was committed.

        Raises:
            TargetUnresponsive, NoSuchGroup, Unavailable.
            NoSuchNode: the group has no member there; BadArguments: and one that is there is about to go.
        """
        member = self._member_on(group, node, timeout)
        before, revision = self._commit(self._cluster.prefer_leader, None, group, node)
        try:
            self._hand_over(group, member, timeout)
        except NotDone:
            self._commit(self._cluster.prefer_leader, None, group, before)
            raise
        return revision

    def release_leader(self, group: str) -> int:
        """Let the group be led from where the placement says, or from the first node that it is pinned to.

        Returns the revision of the cluster's log.

        Raises: NoSuchGroup.
        """
        return self._commit(self._cluster.prefer_leader, None, group, "")[1]

    def _hand_over(self, group: str, member: MemberId, timeout: float | None) -> None:
        """The leader's own node has heard of the wish, too, and may ask for it at the same time: of two
        requests the later one counts, and the earlier one is refused. A leader that has just been elected
        has not heard of anybody yet."""
        until = time.monotonic() + min(HAND_OVER_S, timeout or self.timeout)
        while True:
            try:
                self._ask(TransferLeader(member), group, timeout=timeout)
                return
            except TargetUnresponsive:
                status = self.status(group, timeout)
                if status.member == member and status.role == "leader":
                    return
                if time.monotonic() > until:
                    raise
            time.sleep(POLL_S)

    def _member_on(self, group: str, node: str, timeout: float | None) -> MemberId:
        status = self.status(group, timeout)
        for member in (*status.voters, *status.learners):
            if node_of(member) == node:
                return member
        raise NoSuchNode(f"group {group!r} has no member on {node!r}", group=group, node=node)

    def remove_member(self, group: str, node: str, timeout: float | None = None) -> int:
        """Let go of the group's member on `node`. If it is wanted there, another one is brought in.

        Returns the revision of the group's log at which the removal was committed.

        Raises: WouldBreakQuorum, CannotRemoveLeader, ChangeInProgress, NoSuchNode, Unavailable.
        """
        value = self._ask(RemoveMember(self._member_on(group, node, timeout)), group, timeout=timeout)
        assert isinstance(value, Done)
        return value.revision

    def change_config(self, group: str, config: GroupConfig, timeout: float | None = None) -> int:
        """Replace the group's settings, on all of its members. Committed when this returns.

        Returns the revision of the group's log from which on they are in force.
        """
        value = self._ask(ChangeConfig(config), group, timeout=timeout)
        assert isinstance(value, Done)
        with suppress(FleetError):  # else the node of the group's leader does it, some seconds later
            view = self.cluster(NOTE_S).view
            for info in view.groups if view is not None else ():
                if info.name == group:
                    note = self._cluster.note_config
                    self._commit(note, NOTE_S, group, info.uid, config, value.revision)
        return value.revision
