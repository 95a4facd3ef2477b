"""Planted in the membership of a group."""

from typing import Any
from unittest.mock import patch

from fleet.raft import follower, leader_requests, membership, state
from fleet.raft.entries import MEMBERSHIP_BODIES, MemberAdded, MemberPromoted, MemberRemoved, Members
from fleet.raft.events import Change, Tick
from fleet.raft.membership import Membership
from fleet.raft.state import CoreState, Leader
from fleet.sim.world.disk import SimDisk
from fleet.sim.world.host import NodeHost
from tests.sim.planted.patches import Handler, Patches


def change_before_own_commit() -> Patches:
    """W8, S22: a new leader changes the members before it has committed anything."""
    on_change = leader_requests.on_change

    def change(core: CoreState, role: Leader, m: Change) -> None:
        first, role.first_index = role.first_index, 0
        try:
            on_change(core, role, m)
        finally:
            role.first_index = first

    return [Handler(leader_requests.on_change, change)]


def two_changes_at_once() -> Patches:
    """The next change does not wait until the one before it is committed."""
    on_change = leader_requests.on_change

    def change(core: CoreState, role: Leader, m: Change) -> None:
        true_commit = core.log.commit
        if true_commit >= role.first_index:
            core.log.commit = max(true_commit, core.membership.changed_at)
            try:
                on_change(core, role, m)
            finally:
                core.log.commit = true_commit
        else:
            on_change(core, role, m)

    return [Handler(leader_requests.on_change, change)]


def change_is_not_rolled_back() -> Patches:
    """RV9, S23: a change whose entry is overwritten stays in force."""
    return [patch.object(Membership, "truncate", lambda self, index: None),
            patch.object(Membership, "append", _append_any)]  # fmt: skip


def _append_any(self: Membership, entries: Any) -> None:
    for entry in entries:
        if isinstance(entry.body, MEMBERSHIP_BODIES):
            changed = membership.after_change(self.current, entry.body)
            self.history.append((max(entry.index, self.changed_at), changed))


def change_in_force_when_committed() -> Patches:
    """S24: a follower believes a change only once it knows that it is committed."""
    at_once = Membership.append

    def append(self: Membership, entries: Any) -> None:
        if len(entries) == 1 and isinstance(entries[0].body, (MemberAdded, MemberPromoted)):
            at_once(self, entries)  # a leader's own
        else:
            at_once(self, [e for e in entries if not isinstance(e.body, (MemberPromoted, MemberRemoved))])

    return [patch.object(Membership, "append", append)]


def voter_at_once() -> Patches:
    """S28: a newcomer votes from the moment it is added, before it has the log."""
    after_change = membership.after_change

    def change(members: Members, body: Any) -> Members:
        after = after_change(members, body)
        return after_change(after, MemberPromoted(body.member)) if isinstance(body, MemberAdded) else after

    return [patch.object(membership, "after_change", change)]


def minority_purges() -> Patches:
    """W3, S31: whoever hears nobody for long takes the others for dead and goes on alone."""
    on_tick = follower.on_tick

    def tick(core: CoreState, role: Any, m: Tick) -> None:
        alone = core.now - core.heard_at > 6 * core.config.election_ms and core.heard_at > 0
        if alone and core.is_voter and len(core.membership.current.voters) > 1:
            survivor = Members((core.id,), (), {core.id: core.membership.current.addresses[core.id]})
            core.membership.history[-1] = (core.membership.changed_at, survivor)
        on_tick(core, role, m)

    return [Handler(follower.on_tick, tick)]


def demoted_voter_never_stands() -> Patches:
    """Seed 1269: a voter whose demotion is not known to be committed does not campaign any more."""
    return [patch.object(state.CoreState, "may_lead", property(lambda self: self.is_voter))]


def empty_disk_keeps_its_name() -> Patches:
    """S26, S27: a node whose disk was replaced is the member that it was."""

    def replace(self: Any) -> None:
        self.disks += 1
        self.disk = SimDisk(incarnation=f"{self.name}d1", sync_us=self.disk.sync_us)
        self.trouble = ""

    return [patch.object(NodeHost, "replace_disk", replace)]
