"""What the deciders of `fleet.cluster` want done, carried out: one function an effect."""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from fleet.actors.client.router import Question
from fleet.actors.messages.operator import (
    AddMember,
    DemoteMember,
    GetStatus,
    GroupOp,
    GroupRequest,
    HostMember,
    ListMembers,
    NodeOp,
    NodeRequest,
    OpValue,
    PromoteMember,
    RemoveMember,
    TransferLeader,
)
from fleet.actors.node.surroundings import Node
from fleet.actors.runtime.actor import log
from fleet.cluster import reconciliation as groups
from fleet.cluster import unjoined
from fleet.cluster.healing import Demote, Promote, Remove, Transfer
from fleet.errors import FleetError
from fleet.raft.ids import Millis, NodeName

JOIN_MS: Millis = 2000
CHANGES: dict[type, Callable[[Any], GroupOp]] = {
    groups.Admit: lambda change: AddMember(change.member, change.address),
    Promote: lambda change: PromoteMember(change.member),
    Demote: lambda change: DemoteMember(change.member),
    Remove: lambda change: RemoveMember(change.member),
    Transfer: lambda change: TransferLeader(change.member),
}


def _ask_member(node: Node, token: int, number: int, op: GroupOp) -> None:
    hosting = node.hosted(number)
    if hosting is not None and hosting.address is not None:
        node.send(hosting.address, GroupRequest(token, node.myAddress, hosting.spec.name, op))


def _ask_node(node: Node, token: int, name: NodeName, op: NodeOp) -> None:
    manager = node.nodes.managers.get(name)
    if manager is not None:
        node.send(manager, NodeRequest(token, node.myAddress, op))


# -- reconciliation --------------------------------------------------------------------------------


def ask_status(node: Node, effect: groups.AskStatus) -> None:
    _ask_member(node, effect.token, effect.number, GetStatus())


def ask_change(node: Node, effect: groups.AskChange) -> None:
    _ask_member(node, effect.token, effect.number, CHANGES[type(effect.change)](effect.change))


def ask_for_room(node: Node, effect: groups.AskForRoom) -> None:
    hosting = node.hosted(effect.number)
    if hosting is not None:
        spec = replace(hosting.spec, member="", founded=None)
        _ask_node(node, effect.token, effect.node, HostMember(spec, effect.removed))


def ask_for_members(node: Node, effect: groups.AskForMembers) -> None:
    _ask_node(node, effect.token, effect.node, ListMembers())


def note_config(node: Node, effect: groups.NoteConfig) -> None:
    about = f"noting the configuration of {effect.group}"
    node.command(about, "note_config", effect.group, effect.uid, effect.config, effect.applied)


def look_in(node: Node, effect: groups.WakeIn) -> None:
    node.wake_in(effect.delay, "look at groups")


def tell(node: Node, effect: groups.Tell) -> None:
    (log.error if effect.is_error else log.info)("%s", effect.text)


# -- members that no leader has added --------------------------------------------------------------


def ask_last(node: Node, effect: unjoined.AskLast) -> None:
    _ask_member(node, effect.token, effect.number, GetStatus())


def ask_to_join(node: Node, effect: unjoined.AskToJoin) -> None:
    hosting = node.hosted(effect.number)
    if hosting is None:
        return
    spec, member = hosting.spec, hosting.member
    log.info("group=%s %s was never added: it asks to be", spec.name, member)

    def finish(value: OpValue | None, error: FleetError | None) -> None:
        if error is not None:
            log.info("group=%s %s is not added yet: %s", spec.name, member, error)

    op = AddMember(member, node.start.address, spec.uid)
    node.requests.ask(Question(op, spec.name, "", node.now() + JOIN_MS, finish, repeats=False))


EFFECTS: dict[type, Callable[[Any, Any], None]] = {
    groups.AskStatus: ask_status,
    groups.AskChange: ask_change,
    groups.AskForRoom: ask_for_room,
    groups.AskForMembers: ask_for_members,
    groups.NoteConfig: note_config,
    groups.WakeIn: look_in,
    groups.Tell: tell,
    unjoined.AskLast: ask_last,
    unjoined.AskToJoin: ask_to_join,
}
