"""Requests about the code of groups' data classes: which is in force, who has what, and changing it."""

import time
from collections.abc import Mapping
from typing import cast

from msgspec import Struct

from fleet.actors.messages.operator import Done, MemberStatus, OpValue, RehearseClass, SwitchClass
from fleet.client.group_api import CHANGE_PAUSE_S, GRACE_S, POLL_S
from fleet.client.history_api import HistoryOperations
from fleet.client.rehearsals import check_former, rehearsed
from fleet.cluster.state import NodeRecord
from fleet.errors import CannotUpgrade, ChangeInProgress, FleetError, NotMember, OutcomeUnknown
from fleet.objects.class_refs import encode_class, version_of
from fleet.objects.declare import Data, check_data_class
from fleet.objects.rehearsed import Rehearsal
from fleet.raft.ids import MemberId, NodeName, node_of

ASKED_S = 2.0
"""How long members may take to say what they have."""


class ClassVersions(Struct, frozen=True):
    """The code of a group's data class: what is in force, and which members execute it."""

    group: str
    data_class: str
    """Module and qualified name."""
    version: int
    fingerprint: str
    """Of the code under which the group's commands are proposed now."""
    nodes: dict[NodeName, str | None]
    """By the nodes of its members that answer: "" executes it; else why that node has other code. None: the
    node does not answer."""


class ClassOperations(HistoryOperations):
    """The part of `fleet.Fleet` about the code of data classes. All calls block."""

    def versions(self, group: str) -> ClassVersions:
        """Which code of its data class is in force in the group, and who has it.

        Raises: NoSuchGroup; Unavailable: none of its members answers.
        """
        leader = self.status(group)
        statuses = self.statuses(group, ASKED_S)
        nodes = {node_of(member): None for member in (*leader.voters, *leader.learners)}
        told: dict[NodeName, str | None] = {
            node: statuses[node].other_code if node in statuses else None for node in nodes
        }
        return ClassVersions(group, leader.data_class, leader.version, leader.fingerprint, told)

    def rehearse(
        self,
        group: str,
        data_class: type[Data],
        *,
        former: str | None = None,
        timeout: float | None = None,
    ) -> Rehearsal:
        """Execute what the group has kept of its past (`GroupConfig.keep`) by the class in force and by
        `data_class`, and compare, in processes of their own on this host. Nothing changes.

        `former`: a directory with the code of the class in force, where nodes import it and that code was
        replaced. Without it, results cannot be compared, and states only where the group has kept them.

        Raises: CannotUpgrade: a class cannot be executed here, or its code is not in `former`. ConfigError:
            `former` is no directory. NotKept, NoSuchGroup, Unavailable.
        """
        check_data_class(data_class)
        check_former(former)
        status = self.status(group, timeout)
        return rehearsed(self, group, status.config.keep != 0, data_class, former, timeout)

    def upgrade(
        self,
        group: str,
        data_class: type[Data],
        *,
        force: bool = False,
        former: str | None = None,
        timeout: float | None = None,
    ) -> int:
        """Change the group to this class, or to this code of its class, on all members.

        Every member tries it first: it loads the class, and migrates the state as it is now by the class's
        `migrate`. If that fails on one of them, nothing changes. Commands that were proposed before the
        change are executed by the former code, later ones by the new one, on every member. A group that keeps
        its past (`GroupConfig.keep`) rehearses, too: where a result or a state of the past would differ,
        nothing changes, unless `force`. `former`: as in `rehearse`.

        A class that nodes import is imported by new processes, so that the code must be on the nodes' disks
        before; one of a script is sent by value. `timeout`: seconds for each step, by default the client's.

        Returns the revision of the group at which the change was in force, once the members that answer have
        loaded the class; repeated, it changes nothing.

        Raises:
            CannotUpgrade: a member cannot go on with the class; says which, and why. Or the first command of
                the past whose result or state would differ.
            ChangeInProgress: another change of the class is under way.
            ConfigError: not a data class, or `former` is no directory.
            NotEncodable: it cannot be sent by value.
            NoSuchGroup, Unavailable, OutcomeUnknown.
        """
        check_data_class(data_class)
        check_former(former)
        encoded = encode_class(data_class)
        status = self.status(group, timeout)
        self._rehearse(status, encoded, timeout)
        if not force and status.config.keep and version_of(encoded)[1] != status.fingerprint:
            difference = rehearsed(self, group, True, data_class, former, timeout).difference
            if difference is not None:
                raise CannotUpgrade(str(difference), group=group)
        value = self._switch(status, encoded, timeout or self.timeout)
        self._await_code(group, version_of(encoded)[1], timeout or self.timeout)
        return cast(Done, value).revision

    def _switch(self, status: MemberStatus, data_class: bytes, seconds: float) -> OpValue:
        """Again while a leader is new, or was lost: a switch that is in force already is answered as done."""
        until, switch = time.monotonic() + seconds, SwitchClass(data_class, status.fingerprint)
        while True:
            try:
                return self._ask(switch, status.group, timeout=until - time.monotonic())
            except (ChangeInProgress, OutcomeUnknown):
                if time.monotonic() + CHANGE_PAUSE_S >= until:
                    raise
                time.sleep(CHANGE_PAUSE_S)

    def _await_code(self, group: str, fingerprint: str, seconds: float) -> None:
        """Until the members that answer execute that code, so that files may be replaced again."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            statuses = self.statuses(group, ASKED_S).values()
            if all(one.fingerprint == fingerprint and not one.other_code for one in statuses):
                return
            time.sleep(POLL_S)

    def _rehearse(self, status: MemberStatus, data_class: bytes, timeout: float | None) -> None:
        """Raises CannotUpgrade."""
        view = self.cluster(timeout).view
        assert view is not None
        records = {record.name: record for record in view.nodes}
        members = (*status.voters, *status.learners)
        asked = {
            member: self._ask_soon(
                RehearseClass(data_class), status.group, address_of(member, records), True, timeout
            )
            for member in members
        }
        why: dict[str, str] = {}
        for member, future in asked.items():
            try:
                future.result((timeout or self.timeout) + GRACE_S)
            except FleetError as error:
                why[str(node_of(member))] = f"{type(error).__name__}: {error.what}"
        if why:
            told = "; ".join(f"{node}: {what}" for node, what in sorted(why.items()))
            raise CannotUpgrade(f"not every member can go on with that class: {told}", group=status.group)


def address_of(member: MemberId, records: Mapping[NodeName, NodeRecord]) -> str:
    """Raises NotMember: its node is not in the cluster."""
    record = records.get(node_of(member))
    if record is None:
        raise NotMember(f"the node of {member} is not in the cluster", member=member)
    return record.address
