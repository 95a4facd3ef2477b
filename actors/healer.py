"""Brings the members of the groups that are led from here to where they are wanted, step by step."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fleet.actors.guard import log
from fleet.actors.mail import (
    AddMember,
    Done,
    GetStatus,
    GroupOp,
    GroupRequest,
    GroupSpec,
    Hosted,
    HostMember,
    MemberStatus,
    NodeRequest,
    OpReply,
    PromoteMember,
    RemoveMember,
    TransferLeader,
)
from fleet.errors import FleetError
from fleet.healing import Host, Promote, Remove, Seat, Seen, Transfer, Wanted, next_step
from fleet.raft.ids import Millis

if TYPE_CHECKING:
    from fleet.actors.node_manager import Hosting, NodeManager

GIVE_UP_MS: Millis = 5000
"""A step that was not answered by then is asked again by the next round."""


@dataclass(slots=True)
class Case:
    """A group under way: the token of the question that is open."""

    hosting: "Hosting"
    spec: GroupSpec
    token: int
    since: Millis


class Healer:
    """One open question a group. It goes on at once after a step that was done, and else by rounds."""

    def __init__(self, manager: "NodeManager") -> None:
        self.manager = manager
        self.cases: dict[int, Case] = {}
        self.by_group: dict[int, int] = {}
        """Group number to the token of its open question."""
        self.refused: dict[int, str] = {}
        """Group number to why its last step was refused for good, so that it is logged once."""

    def round(self) -> None:
        for hosting in self.manager.hostings.values():
            if hosting.address is not None:
                self.look_at(hosting)

    def look_at(self, hosting: "Hosting") -> None:
        """Ask the member how its group is, unless that is under way."""
        number = hosting.record.number
        token = self.by_group.get(number)
        if token is not None:
            if self.manager.now() - self.cases[token].since < GIVE_UP_MS:
                return
            self._close(token)
        self._ask_member(hosting, GetStatus())

    def _open(self, hosting: "Hosting") -> int:
        token = self.manager.next_token()
        self.cases[token] = Case(hosting, hosting.spec, token, self.manager.now())
        self.by_group[hosting.record.number] = token
        return token

    def _close(self, token: int) -> Case | None:
        case = self.cases.pop(token, None)
        if case is not None:
            self.by_group.pop(case.hosting.record.number, None)
        return case

    def _ask_member(self, hosting: "Hosting", op: GroupOp) -> None:
        if hosting.address is None:
            return
        token = self._open(hosting)
        request = GroupRequest(token, self.manager.myAddress, hosting.spec.name, op)
        self.manager.send(hosting.address, request)

    def on_reply(self, reply: OpReply) -> None:
        case = self._close(reply.token)
        if case is None:
            return
        value, hosting = reply.value, case.hosting
        if isinstance(value, MemberStatus):
            self._decide(hosting, value)
        elif isinstance(value, Hosted):
            node = self.manager.nodes.infos[self.manager.node_of(value.member)]
            self._ask_member(hosting, AddMember(value.member, node.address))
        elif isinstance(value, Done):
            self._ask_member(hosting, GetStatus())
        elif reply.error is not None:
            self._on_refusal(hosting, reply.error.to_error())

    def _on_refusal(self, hosting: "Hosting", error: FleetError) -> None:
        """Soon again if that may help, else with the next round: an operator has to act first."""
        if error.retry:
            self.manager.look_again(hosting)
            return
        number, why = hosting.record.number, str(error)
        if self.refused.get(number) != why:
            self.refused[number] = why
            log.error("group=%s cannot be brought where it is wanted: %s", hosting.spec.name, why)

    def _decide(self, hosting: "Hosting", status: MemberStatus) -> None:
        manager = self.manager
        if status.role != "leader":
            return
        step = next_step(Wanted(hosting.spec.nodes), seen_in(status), manager.world())
        match step:
            case Host(node):
                spec = manager.spec_for_others(hosting)
                token = self._open(hosting)
                request = NodeRequest(token, manager.myAddress, HostMember(spec))
                manager.send(manager.nodes.managers[node], request)
            case Promote(member):
                self._ask_member(hosting, PromoteMember(member))
            case Remove(member):
                self._ask_member(hosting, RemoveMember(member))
            case Transfer(member):
                self._ask_member(hosting, TransferLeader(member))
            case None:
                pass


def seen_in(status: MemberStatus) -> Seen:
    own = Seat(status.member, True, True, status.last_index)
    seats = [Seat(peer.member, peer.votes, peer.responsive, peer.match) for peer in status.peers]
    return Seen(status.member, status.commit, (own, *seats))
