"""Requests about one group's members: status, leadership, membership, settings."""

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
    SkipCommand,
    TransferLeader,
)
from fleet.cluster.commands import Cluster
from fleet.cluster.state import CLUSTER_GROUP
from fleet.errors import (
    ChangeInProgress,
    FleetError,
    NoSuchGroup,
    NoSuchNode,
    NotDone,
    Rejected,
    TargetUnresponsive,
    Unavailable,
)
from fleet.objects.group_handle import bind
from fleet.objects.handles import CallOptions, CommandCall
from fleet.objects.payload import decode_result
from fleet.objects.replies import Reply
from fleet.raft.config import GroupConfig
from fleet.raft.ids import Index, MemberId, node_of

P = ParamSpec("P")
R = TypeVar("R")

POLL_S = 0.02
HAND_OVER_S = 2.0
"""How long a handover is retried while the target does not take over."""
NOTE_S = 2.0
"""How long the cluster group may take to note a group's new settings."""
CHANGE_PAUSE_S = 0.1
"""Between attempts while another change of the members is under way."""
GRACE_S = 5.0
"""How much longer than the timeout a blocking caller waits for the client's loop."""


@contextmanager
def unwrapped() -> Iterator[None]:
    """The cluster group refuses with an error as the value of `Reject`: raise that error."""
    try:
        yield
    except Rejected as rejected:
        if isinstance(rejected.value, FleetError):
            raise rejected.value from None
        raise


class MemberOperations:
    """The part of `fleet.Fleet` about the members of groups. All calls block; `timeout` is in seconds, by
    default the client's.

    Calls that change something return the revision at which it took effect: the group's for `remove_member`
    and `change_config`, and the cluster's for everything else.
    """

    name: str
    """The cluster's id."""
    timeout: float
    _committed: Index = 0
    """The revision of this client's latest change of the cluster; what it shows is no older."""

    # -- provided by the client ---------------------------------------------------------------------

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
        """Execute a command of the cluster group; its result and revision."""
        options = CallOptions(timeout)
        reply = cast(Reply[R], call.options(timeout=timeout).submit(*args, **kwargs))
        with unwrapped():
            value = decode_result(self.wait(reply, options))
        self._committed = max(self._committed, reply.revision)
        return value, reply.revision

    # -- members -----------------------------------------------------------------------------------

    def members(self, address: str) -> MemberList:
        """The members on the node at this address. Raises: Unavailable, WrongCluster."""
        value = self._ask(ListMembers(), address=address)
        assert isinstance(value, MemberList)
        return value

    def status(self, group: str, timeout: float | None = None) -> MemberStatus:
        """The group as its leader sees it, or, without a leader, as its most recent member does.

        Raises: Unavailable: none of its members answers; NoSuchGroup: no node knows the group.
        """
        seconds = timeout or min(2.0, self.timeout)
        best = self._best_status(group, seconds)
        if best is None or best.role != "leader":
            known = len(self._addresses())
            with suppress(Unavailable):
                self.cluster(seconds)
            if len(self._addresses()) > known:  # a node that joined later may lead
                best = self._best_status(group, seconds) or best
        if best is None:
            raise Unavailable("no member of the group answers", group=group)
        return best

    def whereis(self, group: str, timeout: float | None = None) -> str | None:
        """The name of the node whose member leads the group; None while none does that answers. It may be
        another one a moment later: calls find the leader by themselves.

        Raises: NoSuchGroup: no node knows the group.
        """
        try:
            status = self.status(group, timeout)
        except Unavailable:
            return None
        return str(node_of(status.member)) if status.role == "leader" else None

    def _best_status(self, group: str, seconds: float) -> MemberStatus | None:
        best: MemberStatus | None = None
        for status in self._each_status(group, seconds):
            if status.role == "leader" and (best is None or status.term >= best.term):
                return status
            if best is None or status.term > best.term:
                best = status
        return best

    def _each_status(self, group: str, seconds: float) -> Iterator[MemberStatus]:
        """Statuses as they arrive. Raises NoSuchGroup when every node says so."""
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
        """Each member's own status by node name; members that do not answer in time are left out.

        Raises: NoSuchGroup: no node knows the group.
        """
        return {str(node_of(status.member)): status for status in self._each_status(group, timeout)}

    def transfer_leader(self, group: str, node: str, timeout: float | None = None) -> int:
        """Hand the group's leadership to its member on `node`, and prefer that node from now on.

        If another member has to lead meanwhile, leadership returns to `node`. The preference ends with
        `release_leader`, another transfer, or a change that places no member there. On error, leadership
        is unchanged.

        Returns the cluster's revision at which the preference took effect.

        Raises:
            TargetUnresponsive, NoSuchGroup, Unavailable.
            NoSuchNode: the group has no member there.
            BadArguments: the placement has no member there; the one that is there will be removed.
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
        """End the preference for a leader: the placement chooses, or the first node of a pinned group leads.

        Returns the cluster's revision.

        Raises: NoSuchGroup.
        """
        return self._commit(self._cluster.prefer_leader, None, group, "")[1]

    def _hand_over(self, group: str, member: MemberId, timeout: float | None) -> None:
        """Repeats on TargetUnresponsive: the leader's own node may ask for the same transfer, and the later
        of two requests cancels the earlier one; and a new leader has not heard any member yet."""
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
        """Remove the group's member on `node`. If the placement has one there, a new member replaces it.

        Returns the revision of the group at which the removal was in force. A change that is under way, or a
        leader that was just elected, is waited for, up to `timeout`.

        Raises: WouldBreakQuorum, CannotRemoveLeader, ChangeInProgress, NoSuchNode, Unavailable.
        """
        until = time.monotonic() + (timeout or self.timeout)
        removal = RemoveMember(self._member_on(group, node, timeout))
        while True:
            try:
                value = self._ask(removal, group, timeout=until - time.monotonic())
            except ChangeInProgress:
                if time.monotonic() + CHANGE_PAUSE_S >= until:
                    raise
                time.sleep(CHANGE_PAUSE_S)
            else:
                assert isinstance(value, Done)
                return value.revision

    def skip(self, group: str, index: Index, timeout: float | None = None) -> int:
        """Record the command at which the group has halted as failed, on all members, and go on behind it.

        A group does that by itself once all its voters report that they cannot execute the command. Skip it
        only if a voter is lost: one that did execute the command, and answered its caller, has to undo that.

        Args:
            index: the log index of the command's entry, as `status(group).halt` has it.

        Returns the revision of the group when it was committed.

        Raises: NotHalted, ChangeInProgress, NoSuchGroup, Unavailable, OutcomeUnknown.
        """
        value = self._ask(SkipCommand(index), group, timeout=timeout)
        assert isinstance(value, Done)
        return value.revision

    def change_config(self, group: str, config: GroupConfig, timeout: float | None = None) -> int:
        """Replace the group's settings, on all of its members. Committed when this returns.

        Returns the revision of the group at which they were in force.

        Raises: NoSuchGroup, Unavailable, OutcomeUnknown.
        """
        value = self._ask(ChangeConfig(config), group, timeout=timeout)
        assert isinstance(value, Done)
        with suppress(FleetError):  # the leader's node notes it some seconds later
            view = self.cluster(NOTE_S).view
            for info in view.groups if view is not None else ():
                if info.name == group:
                    note = self._cluster.note_config
                    self._commit(note, NOTE_S, group, info.uid, config, value.index)
        return value.revision
