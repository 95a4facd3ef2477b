"""Brings the members of the groups that are led from here to where they are wanted, step by step."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from msgspec.structs import replace

from fleet.actors.messages.operator import (
    AddMember,
    DemoteMember,
    Done,
    GetStatus,
    GroupOp,
    GroupRequest,
    Hosted,
    HostMember,
    ListMembers,
    MemberList,
    MemberStatus,
    NodeRequest,
    OpReply,
    PromoteMember,
    RemoveMember,
    TransferLeader,
)
from fleet.actors.node.hosted_members import Hosting
from fleet.actors.runtime.actor import log
from fleet.cluster.healing import (
    Demote,
    Host,
    Promote,
    Remove,
    Seat,
    Seen,
    Transfer,
    Wanted,
    World,
    living_members,
    next_step,
)
from fleet.cluster.state import CLUSTER_GROUP
from fleet.errors import FleetError
from fleet.raft.ids import MemberId, Millis, disk_of, node_of

if TYPE_CHECKING:
    from fleet.actors.node.manager import NodeManager

GIVE_UP_MS: Millis = 5000
"""A step that was not answered by then is asked again."""
AGAIN_MS: Millis = 20
"""A step that could not be done yet (a learner that still lags) is tried again after this."""
MOVES_MAX = 8
"""Groups that bring somebody in at a time: catching up costs disk and network."""
EVERY_ROUNDS = 10
"""So often every group is looked at even if nothing seems to have changed."""
SILENT_ROUNDS = 3
"""A learner that says nothing for so long is looked for; one that was just added has had no time."""
FOUNDERS_MS: Millis = 10_000
"""A founder of the cluster may take so long to say that it is there before it is taken for a stranger."""


@dataclass(slots=True)
class Case:
    """A group under way: the question that is open."""

    hosting: Hosting
    since: Millis
    moves: bool
    about: MemberId
    """Whom its node is asked for, "" where that is not the question."""


class Healer:
    """One open question a group. It goes on at once after a step that was done, and else by rounds."""

    def __init__(self, manager: "NodeManager") -> None:
        self.manager = manager
        self.cases: dict[int, Case] = {}
        self.by_group: dict[int, int] = {}
        """Group number to the token of its open question."""
        self.unsettled: dict[int, Hosting] = {}
        """Groups that may need a step, by number, the longest waiting first."""
        self.rounds = 0
        self.again_is_due = False
        self.silent: dict[int, dict[MemberId, int]] = {}
        """Group number to the learners that say nothing, each with the round since when, or in which its node
        was asked."""
        self.refused: dict[int, str] = {}
        """Group number to why its last step was refused for good, so that it is logged once."""

    # -- when --------------------------------------------------------------------------------------

    def notice(self, hosting: Hosting) -> None:
        """Something about the group changed."""
        if hosting.leads:
            self.unsettled[hosting.record.number] = hosting

    def notice_all(self) -> None:
        for hosting in self.manager.hostings.by_number.values():
            self.notice(hosting)

    def round(self) -> None:
        self.rounds += 1
        if self.rounds % EVERY_ROUNDS == 0:
            self.notice_all()
        now = self.manager.now()
        for token in [token for token, case in self.cases.items() if now - case.since > GIVE_UP_MS]:
            self.notice(self._close(token).hosting)
        self.go_on()

    def go_on(self) -> None:
        """Look at every group that may need a step and is not asked about already."""
        self.again_is_due = False
        for number, hosting in list(self.unsettled.items()):
            if number not in self.by_group:
                del self.unsettled[number]
                if hosting.leads:
                    self._ask_member(hosting, GetStatus())

    def _again(self, hosting: Hosting) -> None:
        """Soon, once for all that wait for it."""
        self.notice(hosting)
        if not self.again_is_due:
            self.again_is_due = True
            self.manager.wake_in(AGAIN_MS, "heal")

    # -- questions ---------------------------------------------------------------------------------

    def _open(self, hosting: Hosting, moves: bool = False, about: MemberId = MemberId("")) -> int:
        token = self.manager.next_token()
        self.cases[token] = Case(hosting, self.manager.now(), moves, about)
        self.by_group[hosting.record.number] = token
        return token

    def _close(self, token: int) -> Case:
        case = self.cases.pop(token)
        self.by_group.pop(case.hosting.record.number, None)
        return case

    def _ask_member(self, hosting: Hosting, op: GroupOp) -> None:
        if hosting.address is None:
            return
        moves = isinstance(op, AddMember | PromoteMember)
        request = GroupRequest(self._open(hosting, moves), self.manager.myAddress, hosting.spec.name, op)
        self.manager.send(hosting.address, request)

    def on_reply(self, reply: OpReply) -> bool:
        """False: it answers no question of this."""
        if reply.token not in self.cases:
            return False
        case, value = self._close(reply.token), reply.value
        hosting = case.hosting
        if isinstance(value, MemberStatus):
            self._decide(hosting, value)
        elif isinstance(value, Hosted):
            info = self.manager.nodes.infos.get(node_of(value.member))
            if info is not None:
                self._ask_member(hosting, AddMember(value.member, info.address))
        elif isinstance(value, MemberList):
            self._on_members(hosting, case.about, value)
        elif isinstance(value, Done):
            self._ask_member(hosting, GetStatus())
        elif reply.error is not None:
            self._on_refusal(hosting, reply.error.to_error())
        return True

    def _on_refusal(self, hosting: "Hosting", error: FleetError) -> None:
        """Soon again if that may help, else with the next round: an operator has to act first."""
        if error.retry:
            self._again(hosting)
            return
        number, why = hosting.record.number, str(error)
        if self.refused.get(number) != why:
            self.refused[number] = why
            log.error("group=%s cannot be brought where it is wanted: %s", hosting.spec.name, why)

    # -- steps -------------------------------------------------------------------------------------

    def wanted(self, hosting: Hosting) -> Wanted | None:
        """None: not known, so nothing is changed."""
        view = self.manager.view
        if hosting.spec.name == CLUSTER_GROUP:
            return view.cluster_wanted() if view.nodes else None
        group = view.groups.get(hosting.spec.name)
        if group is None or group.uid != hosting.spec.uid:
            return None
        return Wanted(view.wanted(group))

    def world(self, hosting: Hosting, seen: Seen) -> World:
        view, manager = self.manager.view, self.manager
        reachable = frozenset(node for node in view.nodes if manager.is_reachable(node))
        members = [seat.member for seat in seen.seats]
        return World(living_members(members, view.disks()), reachable, view.staying())

    def _tell_config(self, hosting: Hosting, status: MemberStatus) -> None:
        """The cluster's state shows each group's configuration as its leader has it."""
        group = self.manager.view.groups.get(hosting.spec.name)
        if group is None or group.uid != hosting.spec.uid or group.config == status.config:
            return
        about = f"noting the configuration of {group.name}"
        self.manager.citizen.command(
            about, "note_config", group.name, group.uid, status.config, status.applied
        )

    def _decide(self, hosting: Hosting, status: MemberStatus) -> None:
        if status.role == "leader":
            self._tell_config(hosting, status)
        wanted = self.wanted(hosting)
        if status.role != "leader" or wanted is None or self._is_founding(hosting, status):
            return
        seen = seen_in(status)
        step = next_step(wanted, seen, self.world(hosting, seen))
        if isinstance(step, Host):
            self._host(hosting, status, step)
        elif isinstance(step, Promote):
            self._ask_member(hosting, PromoteMember(step.member))
        elif isinstance(step, Demote):
            self._ask_member(hosting, DemoteMember(step.member))
        elif isinstance(step, Remove):
            log.info("group=%s lets go of %s", hosting.spec.name, step.member)
            self._ask_member(hosting, RemoveMember(step.member))
        elif isinstance(step, Transfer):
            self._ask_member(hosting, TransferLeader(step.member))
        elif not self._look_for(hosting, seen):
            if any(not seat.votes and node_of(seat.member) in wanted.voters for seat in seen.seats):
                self._again(hosting)

    def _look_for(self, hosting: Hosting, seen: Seen) -> bool:
        """A learner that goes on saying nothing, on a node that answers, may have been told to go by a leader
        that knew nothing of it: its node knows. True: that is asked."""
        manager, number = self.manager, hosting.record.number
        learners = [seat.member for seat in seen.seats if not seat.votes and not seat.responsive]
        before = self.silent.pop(number, {})
        silent = {
            member: before.get(member, self.rounds)
            for member in learners
            if manager.is_reachable(node_of(member))
        }
        if silent:
            self.silent[number] = silent
        for member, since in silent.items():
            address = manager.nodes.managers.get(node_of(member))
            if address is not None and self.rounds - since >= SILENT_ROUNDS:
                silent[member] = self.rounds
                token = self._open(hosting, about=member)
                manager.send(address, NodeRequest(token, manager.myAddress, ListMembers()))
                return True
        return False

    def _on_members(self, hosting: Hosting, member: MemberId, there: MemberList) -> None:
        """The disk that it lives on does not hold it, and never gives its name again: it is gone for good."""
        is_there = any(one.member == member for one in there.members)
        if there.node.incarnation == disk_of(member) and not is_there:
            log.info("group=%s lets go of %s, which its node does not hold", hosting.spec.name, member)
            self._ask_member(hosting, RemoveMember(member))
        else:
            self._again(hosting)

    def _is_founding(self, hosting: Hosting, status: MemberStatus) -> bool:
        """The members of the cluster's own group are the founders still, and one has not joined yet."""
        if hosting.spec.name != CLUSTER_GROUP or status.changed_at > 1:
            return False
        has_time = self.manager.now() - hosting.started_at < FOUNDERS_MS
        return has_time and any(node_of(member) not in self.manager.view.nodes for member in status.voters)

    def _host(self, hosting: Hosting, status: MemberStatus, step: Host) -> None:
        manager = self.manager
        address = manager.nodes.managers.get(step.node)
        is_own = hosting.spec.name == CLUSTER_GROUP
        if not is_own and sum(case.moves for case in self.cases.values()) >= MOVES_MAX:
            self._again(hosting)
        elif address is not None:
            spec = replace(hosting.spec, member="", founded=None)
            request = HostMember(spec, status.removed)
            manager.send(address, NodeRequest(self._open(hosting, True), manager.myAddress, request))


def seen_in(status: MemberStatus) -> Seen:
    own = Seat(status.member, True, True, status.last_index)
    seats = [Seat(peer.member, peer.votes, peer.responsive, peer.match) for peer in status.peers]
    return Seen(status.member, status.commit, (own, *seats))
