"""Carries out the effects of the deciders in `fleet.cluster`, one function each."""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from fleet.actors.client.questions import Question
from fleet.actors.messages.local import LocalRead, NodeEnds, Whereabouts
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
    RehearseClass,
    RemoveMember,
    SwitchClass,
    TransferLeader,
)
from fleet.actors.messages.values import GroupSpec
from fleet.actors.node.parts import Node
from fleet.actors.node.timers import LookAtGroups
from fleet.actors.runtime.actor import log
from fleet.cluster import automatic_upgrades as upgrades
from fleet.cluster import membership_events, repairs, unjoined
from fleet.cluster import reconciliation_events as groups
from fleet.cluster.commands import Cluster
from fleet.cluster.healing import Demote, Promote, Remove, Transfer
from fleet.errors import FleetError, NotMember
from fleet.interfaces import ChoreDone, RaiseVersion
from fleet.raft.ids import Millis, NodeName, node_of

JOIN_MS: Millis = 2000
REMOVE_MS: Millis = 4000
UPGRADE_MS: Millis = 30_000
"""How long a member may take to try a class."""
LEVELS = {"info": log.info, "warning": log.warning, "error": log.error}
CHANGES: dict[type, Callable[[Any], GroupOp]] = {
    groups.Admit: lambda change: AddMember(change.member, change.address),
    Promote: lambda change: PromoteMember(change.member),
    Demote: lambda change: DemoteMember(change.member),
    Remove: lambda change: RemoveMember(change.member),
    Transfer: lambda change: TransferLeader(change.member),
}


def _ask_member(node: Node, token: int, number: int, op: GroupOp) -> None:
    hosted = node.hosted_members.by_number.get(number)
    if hosted is not None and hosted.address is not None:
        node.send(hosted.address, GroupRequest(token, node.myAddress, hosted.spec.name, op))


def _ask_node(node: Node, token: int, name: NodeName, op: NodeOp) -> None:
    manager = node.nodes.managers.get(name)
    if manager is not None:
        node.send(manager, NodeRequest(token, node.myAddress, op))


# -- reconciliation --------------------------------------------------------------------------------


def ask_status(node: Node, effect: groups.AskStatus) -> None:
    _ask_member(node, effect.token, effect.number, GetStatus())


def ask_change(node: Node, effect: groups.AskChange) -> None:
    _ask_member(node, effect.token, effect.number, CHANGES[type(effect.change)](effect.change))


def ask_to_host(node: Node, effect: groups.AskToHost) -> None:
    hosted = node.hosted_members.by_number.get(effect.number)
    if hosted is not None:
        spec = replace(hosted.spec, member="", founded=None, is_restored=False)
        _ask_node(node, effect.token, effect.node, HostMember(spec, effect.removed))


def ask_for_members(node: Node, effect: groups.AskForMembers) -> None:
    _ask_node(node, effect.token, effect.node, ListMembers())


def note_config(node: Node, effect: groups.NoteConfig) -> None:
    about = f"noting the configuration of {effect.group}"
    node.cluster.command(about, "note_config", effect.group, effect.uid, effect.config, effect.applied)


def note_class(node: Node, effect: groups.NoteClass) -> None:
    about = f"noting the class of {effect.group}"
    node.cluster.command(about, "note_class", effect.group, effect.uid, effect.data_class, effect.applied)


def look_in(node: Node, effect: groups.WakeIn) -> None:
    node.wake_in(effect.delay, LookAtGroups())


def log_line(node: Node, effect: groups.LogLine) -> None:
    about = {"fields": {"group": effect.group} if effect.group else {}}
    LEVELS[effect.level]("%s", effect.text, extra=about)


# -- members that no leader has added --------------------------------------------------------------


def ask_unjoined_status(node: Node, effect: unjoined.AskStatus) -> None:
    _ask_member(node, effect.token, effect.number, GetStatus())


def ask_to_join(node: Node, effect: unjoined.AskToJoin) -> None:
    hosted = node.hosted_members.by_number.get(effect.number)
    if hosted is None:
        return
    spec, member = hosted.spec, hosted.member
    log.info("group=%s member=%s hears from no leader and asks to be added", spec.name, member)

    def told(outcome: OpValue | FleetError) -> None:
        if isinstance(outcome, FleetError):
            log.info("group=%s member=%s is not added yet: %s", spec.name, member, outcome)

    op = AddMember(member, node.start.address, spec.uid)
    node.router.ask(Question(op, spec.name, "", node.now() + JOIN_MS, told, repeats=False))


# -- damaged and lost members -------------------------------------------------------------------------------


def ask_for_removal(node: Node, effect: repairs.AskForRemoval) -> None:
    hosted, number = node.hosted_members.by_number.get(effect.number), effect.number
    if hosted is None:
        return

    def told(outcome: OpValue | FleetError) -> None:
        is_there = isinstance(outcome, FleetError) and not isinstance(outcome, NotMember)
        node.repair(repairs.NotRemoved(number, str(outcome)) if is_there else repairs.Removed(number))

    deadline = node.now() + REMOVE_MS
    node.router.ask(Question(RemoveMember(hosted.member), hosted.spec.name, "", deadline, told))


def drop_damaged(node: Node, effect: repairs.DropDamaged) -> None:
    hosted = node.hosted_members.by_number.get(effect.number)
    if hosted is not None and not hosted.is_dropped:
        what = "group=%s member=%s was %s and is removed"
        log.warning(what, hosted.spec.name, hosted.member, hosted.ill)
        node.hosted_members.drop(hosted)


# -- groups that change to later code by themselves ------------------------------------------------


def ask_leader(node: Node, effect: upgrades.AskLeader) -> None:
    def seen(status: Any) -> upgrades.Event:
        members = (*status.voters, *status.learners)
        return upgrades.GroupSeen(effect.attempt, status.version, status.fingerprint, members)

    _ask_for_upgrade(node, effect, "", GetStatus(), seen)


def ask_to_try(node: Node, effect: upgrades.AskToTry) -> None:
    record = node.view.nodes.get(node_of(effect.member))
    if record is None:
        why = f"the node of {effect.member} is not in the cluster"
        node.decide(node.upgrades, upgrades.Refused(effect.attempt, why))
        return

    def tried(value: Any) -> upgrades.Event:
        return upgrades.Tried(effect.attempt, effect.member, value.with_state)

    op = RehearseClass(effect.offer.data_class, effect.with_state)
    _ask_for_upgrade(node, effect, record.address, op, tried)


def ask_to_change(node: Node, effect: upgrades.AskToChange) -> None:
    op = SwitchClass(effect.offer.data_class, effect.former)
    _ask_for_upgrade(node, effect, "", op, lambda value: upgrades.Upgraded(effect.attempt))


def _ask_for_upgrade(
    node: Node, effect: Any, address: str, op: GroupOp, then: Callable[[Any], upgrades.Event]
) -> None:
    def told(outcome: OpValue | FleetError) -> None:
        is_refused = isinstance(outcome, FleetError)
        where = f"{node_of(effect.member)}: " if isinstance(effect, upgrades.AskToTry) else ""
        refused = upgrades.Refused(effect.attempt, f"{where}{outcome}")
        node.decide(node.upgrades, refused if is_refused else then(outcome))

    deadline = node.now() + UPGRADE_MS
    node.router.ask(Question(op, effect.offer.group, address, deadline, told))


# -- the cluster -----------------------------------------------------------------------------------


def command(node: Node, effect: membership_events.SendCommand) -> None:
    node.cluster.command(effect.about, effect.method, *effect.args)


def raise_disk_version(node: Node, effect: membership_events.RaiseDiskVersion) -> None:
    def done(m: ChoreDone) -> None:
        if m.error is not None:
            node.say("version", "its directory does not have version %d yet: %s", effect.version, m.error)
        else:
            log.info("node=%s its directory has version %d of the fleet", node.start.name, effect.version)
            node.cluster.on_change()

    node.carry_out(RaiseVersion(effect.version), done)


def read_view(node: Node, effect: membership_events.ReadView) -> None:
    own = node.cluster.own()
    if own is not None and own.address is not None:
        node.send(own.address, LocalRead(Cluster.__fleet_codec__.encode_call("view", (effect.rev,), {})))


def meet_nodes(node: Node, effect: membership_events.MeetNodes) -> None:
    node.greetings.on_cluster_nodes(effect.nodes)


def create_members(node: Node, effect: membership_events.CreateMembers) -> None:
    node.hosted_members.create(
        [
            GroupSpec(
                one.group,
                one.data_class,
                one.config,
                one.uid,
                one.member,
                one.founded,
                one.cluster,
                one.is_restored,
                one.is_in_memory,
            )
            for one in effect.members
        ]
    )


def drop_member(node: Node, effect: membership_events.DropMember) -> None:
    hosted = node.hosted_members.by_number.get(effect.number)
    if hosted is not None and not hosted.is_dropped:
        log.info("group=%s was removed", hosted.spec.name)
        node.hosted_members.drop(hosted)


def forget_left(node: Node, effect: membership_events.ForgetLeft) -> None:
    node.hosted_members.forget_left(set(effect.uids))


def look_for_arrivals(node: Node, effect: membership_events.LookForArrivals) -> None:
    node.arrivals.look()


def tell_whereabouts(node: Node, effect: membership_events.TellWhereabouts) -> None:
    node.send(node.registry, Whereabouts(dict(effect.addresses)))


def reconcile(node: Node, effect: membership_events.Reconcile) -> None:
    node.reconcile(effect.event)


def warn(node: Node, effect: membership_events.Warn) -> None:
    node.say(effect.about, "%s", effect.text)


def leave(node: Node, effect: membership_events.Left) -> None:
    log.warning("node=%s has left the cluster", node.start.name)
    if node.start.on_left is not None:
        node.start.on_left()
    node.tell_supervisor(NodeEnds(None))


EFFECTS: dict[type, Callable[[Any, Any], None]] = {
    groups.AskStatus: ask_status,
    groups.AskChange: ask_change,
    groups.AskToHost: ask_to_host,
    groups.AskForMembers: ask_for_members,
    groups.NoteConfig: note_config,
    groups.NoteClass: note_class,
    groups.WakeIn: look_in,
    groups.LogLine: log_line,
    unjoined.AskStatus: ask_unjoined_status,
    unjoined.AskToJoin: ask_to_join,
    repairs.AskForRemoval: ask_for_removal,
    repairs.DropDamaged: drop_damaged,
    upgrades.AskLeader: ask_leader,
    upgrades.AskToTry: ask_to_try,
    upgrades.AskToChange: ask_to_change,
    membership_events.SendCommand: command,
    membership_events.RaiseDiskVersion: raise_disk_version,
    membership_events.ReadView: read_view,
    membership_events.MeetNodes: meet_nodes,
    membership_events.CreateMembers: create_members,
    membership_events.DropMember: drop_member,
    membership_events.ForgetLeft: forget_left,
    membership_events.LookForArrivals: look_for_arrivals,
    membership_events.TellWhereabouts: tell_whereabouts,
    membership_events.Reconcile: reconcile,
    membership_events.Warn: warn,
    membership_events.Left: leave,
}
