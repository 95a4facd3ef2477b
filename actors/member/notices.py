"""What a member does when its core tells of a change: of leadership, of the group's members or settings."""

from typing import Any, Protocol

from fleet.actors.member.client_requests import ClientRequests
from fleet.actors.member.member_object import MemberObject
from fleet.actors.member.operator_requests import OperatorRequests
from fleet.actors.messages.local import (
    Applied,
    ClassInForce,
    Leading,
    MemberVotes,
    PeerAddresses,
    StartMember,
)
from fleet.actors.messages.values import GroupSpec
from fleet.actors.runtime.actor import log
from fleet.raft.core import Core
from fleet.raft.ids import Index, NodeName, Revision, node_of
from fleet.raft.ready import (
    BecameLeader,
    CommittedConflict,
    ConfigAdopted,
    Hook,
    MembersChanged,
    PeerSilent,
    Restored,
    StateDiffered,
    StatesUndecided,
    SteppedDown,
    TailLost,
)


class NotingMember(Protocol):
    spec: GroupSpec
    start: StartMember
    core: Core
    object: MemberObject
    clients: ClientRequests
    operators: OperatorRequests

    def send(self, target: Any, message: Any) -> None: ...


def note(member: NotingMember, hook: Hook) -> None:
    core, name = member.core, member.spec.name
    if isinstance(hook, BecameLeader):
        member.object.lead(hook.term)
        log.info("group=%s term=%d member=%s leads", name, hook.term, core.id)
        member.send(member.start.manager, Leading(core.id, True))
    elif isinstance(hook, SteppedDown):
        log.info("group=%s term=%d member=%s steps down", name, hook.term, core.id)
        member.object.lead(0)
        member.clients.lose_all(core.leader)
        member.operators.comparisons.on_undecided(StatesUndecided(0))
        member.send(member.start.manager, Leading(core.id, False))
    elif isinstance(hook, TailLost):
        log.error(
            "group=%s member=%s had acknowledged up to %d and has only %d: its disk lost what it had synced",
            name, hook.member, hook.acknowledged, hook.has,
        )  # fmt: skip
    elif isinstance(hook, StateDiffered):
        member.operators.comparisons.on_differed(hook)
    elif isinstance(hook, StatesUndecided):
        member.operators.comparisons.on_undecided(hook)
    elif isinstance(hook, Restored):
        tell_members(member)
    elif isinstance(hook, MembersChanged | ConfigAdopted | PeerSilent):
        if isinstance(hook, MembersChanged):
            tell_members(member)
        elif isinstance(hook, ConfigAdopted):
            member.object.limit(core.config.command_limit_ms)
        if core.is_leader:
            member.send(member.start.manager, Leading(core.id, True))


def tell_members(member: NotingMember) -> None:
    """Peers are reached at the addresses in the log until their nodes announce newer ones. A founder votes
    before anything is committed."""
    addresses = member.core.membership.current.addresses
    known: dict[NodeName, str] = {node_of(peer): address for peer, address in addresses.items()}
    member.send(member.start.registry, PeerAddresses(known))
    log, membership = member.core.log, member.core.membership
    voters = membership.at(log.commit or log.last_index).voters
    member.send(member.start.manager, MemberVotes(member.core.id, member.core.id in voters))


class ClassTold(Protocol):
    start: StartMember
    core: Core
    object: MemberObject

    def send(self, target: Any, message: Any) -> None: ...


def tell_class(member: ClassTold) -> None:
    """New members are hosted with the class in force."""
    member.send(member.start.manager, ClassInForce(member.core.id, member.object.data_class))
    if member.core.is_leader:
        member.send(member.start.manager, Leading(member.core.id, True))


def tell_applied(member: ClassTold, durable: Revision) -> Index:
    """Of the cluster group, which its node looks at. Returns up to where that is now told."""
    told = Applied(member.object.index, member.object.revision, durable)
    member.send(member.start.manager, told)
    return told.index


def words_on(conflict: CommittedConflict) -> str:
    return (
        f"committed data conflicts: log entries up to {conflict.committed} (term {conflict.committed_term}) "
        f"are committed here, and the group's leader {conflict.leader} has another entry {conflict.at} "
        f"(term {conflict.leader_term}), or none above it; nothing here was changed"
    )
