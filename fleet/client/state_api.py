"""Requests about the states of a group's members: where they differ, and repair."""

import time
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from fleet.actors.messages.operator import (
    Done,
    MemberStatus,
    OpValue,
    RepairMember,
    ShownPart,
    ShowState,
    StateShown,
)
from fleet.client.class_api import ASKED_S, ClassOperations, address_of
from fleet.client.group_api import GRACE_S, POLL_S
from fleet.cluster.state import NodeRecord
from fleet.errors import FleetError, OutcomeUnknown, Unavailable
from fleet.raft.comparing import OF_STATE
from fleet.raft.ids import Index, MemberId, NodeName, Revision, node_of

DIFFERENCES_MAX: Final = 100
DEPTH_MAX: Final = 12
TRIES: Final = 5
"""Members that execute commands meanwhile show their states after different entries; it is tried again."""


class FieldDifference(Struct, frozen=True):
    """A part of the state that is not the same on all members."""

    path: str
    """As in `self.path`: `balance`, `book['a'][3].name`."""
    values: dict[NodeName, str | None]
    """Shortened; None: the member has no such part."""


class StateDiff(Struct, frozen=True):
    """How the states of a group's members differ after one log entry."""

    group: str
    index: Index
    """The log entry after which they were compared."""
    revisions: dict[NodeName, Revision]
    """Of the compared states."""
    differences: tuple[FieldDifference, ...]
    is_complete: bool
    """False: there are more differences."""
    missing: dict[NodeName, str]
    """Members that could not be compared, and why."""
    halted: dict[NodeName, str]
    """Members that have halted since their states differ, and why."""


class StateOperations(ClassOperations):
    """The part of `fleet.Fleet` about the states of members. All calls block."""

    def diff(self, group: str, *, timeout: float | None = None) -> StateDiff:
        """Compare the states of a group's members, field by field.

        After the entry where a difference was found, if there is one; else after one that several members
        keep; else as they are now. `timeout`: seconds for each step, by default 2.

        Raises: NoSuchGroup; Unavailable: fewer than two members can be compared, or they execute too much to
        be compared.
        """
        status = self.status(group, timeout)
        statuses = self.statuses(group, timeout or ASKED_S)
        differ = {node: one for node, one in statuses.items() if is_diverged(one)}
        halted = {NodeName(node): one.halt.cause for node, one in differ.items() if one.halt is not None}
        addresses = self._addresses_of(status)
        seconds = timeout or ASKED_S
        for attempt in range(TRIES):
            time.sleep(POLL_S * attempt)
            shown, missing = self._roots(group, addresses, seconds, statuses)
            if len(shown) > 1:
                break
        else:
            why = "; ".join(f"{node}: {what}" for node, what in sorted(missing.items()))
            what = "fewer than two members can show their states after the same entry"
            raise Unavailable(f"{what}{': ' if why else ''}{why}", group=group)
        differences, is_complete = self._descend(group, addresses, shown, seconds)
        (index,) = {one.index for one in shown.values()}
        revisions = {node_of(member): one.revision for member, one in shown.items()}
        return StateDiff(group, index, revisions, differences, is_complete, missing, halted)

    def repair(self, group: str, node: str, *, timeout: float | None = None) -> None:
        """Give the group's member on `node`, which has halted since its state differs from that of a
        majority, the state of its leader. What it had is lost: look at it first, by `diff`.

        Returns once the member executes again, also after a restart.

        Raises:
            NotHalted: its state was not found to differ.
            NoSuchNode: the group has no member there. NoSuchGroup, Unavailable.
            OutcomeUnknown: it is not repaired in time; it may be later.
        """
        seconds = timeout or self.timeout
        until = time.monotonic() + seconds
        member = self._member_on(group, node, timeout)
        address = self._addresses_of(self.status(group, timeout))[member]
        done = self._ask_soon(RepairMember(member), group, address, True, seconds).result(seconds + GRACE_S)
        assert isinstance(done, Done)
        while time.monotonic() < until:
            status = self.statuses(group, ASKED_S).get(node)
            if status is not None and is_repaired(status, done.index):
                return
            time.sleep(POLL_S)
        raise OutcomeUnknown("its leader's state has not arrived in time", group=group, node=node)

    # -- what members show ---------------------------------------------------------------------------

    def _addresses_of(self, status: MemberStatus) -> dict[MemberId, str]:
        view = self.cluster().view
        assert view is not None
        records: Mapping[NodeName, NodeRecord] = {record.name: record for record in view.nodes}
        members = (*status.voters, *status.learners)
        return {member: address_of(member, records) for member in members}

    def _shown(
        self,
        group: str,
        addresses: Mapping[MemberId, str],
        index: Index,
        path: tuple[str, ...],
        seconds: float,
    ) -> dict[MemberId, StateShown | FleetError]:
        asked = {
            member: self._ask_soon(ShowState(member, index, path), group, address, True, seconds)
            for member, address in addresses.items()
        }
        found: dict[MemberId, StateShown | FleetError] = {}
        for member, future in asked.items():
            try:
                value: OpValue = future.result(seconds + GRACE_S)
                assert isinstance(value, StateShown)
                found[member] = value
            except FleetError as error:
                found[member] = error
        return found

    def _roots(
        self,
        group: str,
        addresses: Mapping[MemberId, str],
        seconds: float,
        statuses: Mapping[str, MemberStatus],
    ) -> tuple[dict[MemberId, StateShown], dict[NodeName, str]]:
        """The fields of the members' states after one entry, and why some have none. There are none at all
        where no two members show them after the same one."""
        now = self._shown(group, addresses, 0, (), seconds)
        able = {member: one for member, one in now.items() if isinstance(one, StateShown)}
        halts = {one.halt.index for one in statuses.values() if is_diverged(one) and one.halt is not None}
        common = [set(one.kept) for one in able.values()]
        places = [
            *sorted(halts, reverse=True),
            *sorted(set.intersection(*common) if common else set(), reverse=True)[:1],
        ]
        if len({one.index for one in able.values()}) == 1 and not halts:
            places.insert(0, 0)
        why: dict[NodeName, str] = {}
        for index in places or [0]:
            there = self._shown(group, addresses, index, (), seconds) if index else dict(now)
            shown = {member: one for member, one in there.items() if isinstance(one, StateShown)}
            why = {node_of(m): one.what for m, one in there.items() if isinstance(one, FleetError)}
            if len(shown) > 1 and len({one.index for one in shown.values()}) == 1:
                return shown, why
        return {}, why

    def _descend(
        self,
        group: str,
        addresses: Mapping[MemberId, str],
        roots: Mapping[MemberId, StateShown],
        seconds: float,
    ) -> tuple[tuple[FieldDifference, ...], bool]:
        """The innermost parts that differ."""
        found: list[FieldDifference] = []
        waiting: list[tuple[tuple[str, ...], Mapping[MemberId, StateShown]]] = [((), roots)]
        members = {member: addresses[member] for member in roots}
        (index,) = {one.index for one in roots.values()}
        while waiting:
            path, shown = waiting.pop()
            for label, parts in unequal(shown).items():
                if len(found) >= DIFFERENCES_MAX:
                    return tuple(found), False
                here = (*path, label)
                deeper = None
                if len(parts) == len(roots) and all(one.has_parts for one in parts.values()):
                    deeper = self._inner(group, members, index, here, seconds, len(roots))
                if deeper is not None and len(here) < DEPTH_MAX and unequal(deeper):
                    waiting.append((here, deeper))
                    continue
                texts = {node_of(m): parts[m].text if m in parts else None for m in roots}
                found.append(FieldDifference("".join(here), texts))
        return tuple(sorted(found, key=lambda one: one.path)), True

    def _inner(
        self,
        group: str,
        members: Mapping[MemberId, str],
        index: Index,
        path: tuple[str, ...],
        seconds: float,
        count: int,
    ) -> dict[MemberId, StateShown] | None:
        told = self._shown(group, members, index, path, seconds)
        shown = {member: one for member, one in told.items() if isinstance(one, StateShown)}
        return shown if len(shown) == count else None


def is_repaired(status: MemberStatus, index: Index) -> bool:
    """It executes with its leader's state, which is on its disk, too."""
    return not is_diverged(status) and not status.other_code and status.snapshot_index >= index


def is_diverged(status: MemberStatus) -> bool:
    return status.halt is not None and status.halt.place in OF_STATE


def unequal(shown: Mapping[MemberId, StateShown]) -> dict[str, dict[MemberId, ShownPart]]:
    """The parts that are not the same on all of these, by their labels."""
    by_label: dict[str, dict[MemberId, ShownPart]] = {}
    for member, one in shown.items():
        for part in one.parts:
            by_label.setdefault(part.label, {})[member] = part
    return {
        label: parts
        for label, parts in by_label.items()
        if len(parts) < len(shown) or len({part.digest for part in parts.values()}) > 1
    }
