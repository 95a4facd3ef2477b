"""Turns replies of other actors, and what is on the node, into events of the deciders in `fleet.cluster`."""

from collections.abc import Callable
from typing import Any, Final

from fleet.actors.messages.operator import DAMAGED, LOST, Done, Hosted, MemberList, MemberStatus, OpReply
from fleet.actors.node.parts import Node
from fleet.cluster import automatic_upgrades, repairs, unjoined
from fleet.cluster import reconciliation_events as groups
from fleet.cluster.healing import Seat, Seen
from fleet.errors import OutcomeUnknown
from fleet.objects.class_refs import version_of
from fleet.raft.ids import node_of

TOKENS: Final = 32
"""The low bits of a token count a requester's requests; the bits above name the requester: 0, 1 or 2."""
CLIENT: Final = 0
RECONCILIATION: Final = 1
UNJOINED_MEMBERS: Final = 2


def first_token(requester: int) -> int:
    return (requester << TOKENS) + 1


def requester_of(token: int) -> int:
    return token >> TOKENS


def to_reconciliation(node: Node, reply: OpReply) -> groups.Answer:
    if reply.error is not None:
        error = reply.error.to_error()
        may_repeat = error.retry or isinstance(error, OutcomeUnknown)  # after a look at the status
        return groups.StepRefused(reply.token, str(error), may_repeat)
    to_event = ANSWERS.get(type(reply.value))
    return to_event(node, reply.token, reply.value) if to_event else groups.AnswerUseless(reply.token)


def to_unjoined_members(node: Node, reply: OpReply) -> unjoined.StatusReceived | None:
    """None for an error: the next round asks again."""
    if isinstance(reply.value, MemberStatus):
        return unjoined.StatusReceived(reply.token, reply.value.last_index, reply.value.leader is not None)
    return None


def _status(node: Node, token: int, status: MemberStatus) -> groups.Answer:
    known = (node.nodes.me.name, *node.nodes.managers)
    reachable = frozenset(name for name in known if node.is_reachable(name))
    hosted = node.hosted_members.by_member.get(status.member)
    return groups.StatusReceived(
        token=token,
        leads=status.role == "leader",
        seen=seen_in(status),
        voters=status.voters,
        removed=status.removed,
        changed_at=status.changed_at,
        config=status.config,
        applied=status.applied,
        view=node.view,
        reachable=reachable,
        data_class=hosted.spec.data_class if hosted is not None else b"",
    )


def seen_in(status: MemberStatus) -> Seen:
    own = Seat(status.member, True, True, status.last_index)
    seats = [Seat(peer.member, peer.votes, peer.responsive, peer.match) for peer in status.peers]
    return Seen(status.member, status.commit, (own, *seats))


def _hosted(node: Node, token: int, hosted: Hosted) -> groups.Answer:
    info = node.nodes.infos.get(node_of(hosted.member))
    return groups.MemberHosted(token, hosted.member, info.address if info is not None else None)


def _members(node: Node, token: int, there: MemberList) -> groups.Answer:
    members = tuple(one.member for one in there.members)
    return groups.MembersReceived(token, there.node.incarnation, members)


def _done(node: Node, token: int, done: Done) -> groups.Answer:
    return groups.StepDone(token)


ANSWERS: dict[type, Callable[[Node, int, Any], groups.Answer]] = {
    MemberStatus: _status,
    Hosted: _hosted,
    MemberList: _members,
    Done: _done,
}


# -- members of this node --------------------------------------------------------------------------


def damaged_members(node: Node) -> repairs.Round:
    return repairs.Round(
        tuple(
            repairs.DamagedMember(number, one.spec.name, one.member, one.ill)
            for number, one in node.hosted_members.by_number.items()
            if one.ill in (DAMAGED, LOST) and one.address is None and not one.is_dropped
        )
    )


def waiting_members(node: Node) -> unjoined.Round:
    """Founders, too: all members that they know may have been replaced while they were away."""
    by_number = node.hosted_members.by_number
    running = tuple(
        unjoined.Waiting(number, one.started_at)
        for number, one in by_number.items()
        if one.address is not None and not one.is_dropped
    )
    return unjoined.Round(frozenset(by_number), running)


def offering_members(node: Node) -> automatic_upgrades.Round:
    return automatic_upgrades.Round(
        tuple(
            automatic_upgrades.Offer(number, one.spec.name, one.member, one.offer, *version_of(one.offer))
            for number, one in node.hosted_members.by_number.items()
            if one.offer and not one.is_dropped
        )
    )
