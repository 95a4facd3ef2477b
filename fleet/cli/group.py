"""`fleet group`: which groups there are, and how they are."""

import importlib
import shlex
import sys
from typing import Any

import click
import cloudpickle
from msgspec.structs import asdict

from fleet.actors.messages.operator import MemberStatus
from fleet.cli.connection import Desk, client, count
from fleet.cli.outcome import DEGRADED
from fleet.cli.settings import changed
from fleet.client.survey import Survey
from fleet.cluster.state import CLUSTER_GROUP
from fleet.cluster.wanted import cluster_voters
from fleet.errors import ConfigError, NoSuchGroup
from fleet.objects.declare import Data
from fleet.objects.payload import class_name
from fleet.raft.config import GroupConfig
from fleet.raft.ids import node_of

ASKED_S = 1.0
REPLICAS = 3
NUMBER = click.IntRange(1, 99)
"""Of replicas; more than a handful is a slip of the hand."""


@click.group()
def group() -> None:
    """Add, remove, list, show and place groups."""


@group.command()
@click.argument("name")
@click.argument("data_class", metavar="MODULE:CLASS")
@click.option("--replicas", type=NUMBER, help="How many.  [default: 3, or a --node each]")
@click.option("--node", "nodes", multiple=True, help="On this node, the first one leading; may be repeated.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="A setting; see `fleet config`.")
@click.option("--by-value", is_flag=True, help="Send the class itself: the nodes need not have its module.")
@click.option("--exist-ok", is_flag=True, help="It may be there already.")
@client
def add(
    desk: Desk,
    name: str,
    data_class: str,
    replicas: int | None,
    nodes: tuple[str, ...],
    settings: tuple[str, ...],
    by_value: bool,
    exist_ok: bool,
) -> None:
    """Add group NAME, whose data is a MODULE:CLASS, found here and on the nodes.

    With fewer nodes than replicas the others come when nodes do.
    """
    named = len(set(nodes))
    if nodes and replicas not in (None, named):
        raise ConfigError(f"--replicas {replicas} and {count(named, 'node')}: name as many, or leave it out")
    cls = load_class(data_class, by_value)
    config = changed(GroupConfig(), settings) if settings else None
    where = nodes or None
    number = replicas or named or REPLICAS
    desk.fleet.create_group(name, cls, replicas=number, nodes=where, config=config, exist_ok=exist_ok)
    survey = desk.fleet.survey()
    record = group_record(survey, name)
    members = ", ".join(record["members"])
    (revision,) = (info.uid for info in survey.view.groups if info.name == name)
    desk.changed(
        revision,
        record,
        f"{name} has {count(len(record['members']), 'member')}: {members}; "
        f"{record['leader'] or 'nobody'} leads" + _missing(record),
    )


@group.command()
@click.argument("name")
@click.option("--yes", "is_sure", is_flag=True, help="Do not ask.")
@client
def remove(desk: Desk, name: str, is_sure: bool) -> None:
    """Remove group NAME and its data, on every node, for good. Asks for its name first."""
    desk.know_data_group(name)
    if not is_sure:
        ask_for_the_name(desk, name)
    revision = desk.fleet.remove_group(name)
    what = f"{name} is removed; its data is being deleted on every node"
    desk.changed(revision, {"group": name, "removed": True}, what)


def ask_for_the_name(desk: Desk, name: str) -> None:
    """Raises ConfigError where nobody can be asked, or another name is typed."""
    again = f"`fleet group remove {shlex.quote(name)} --yes`"
    if desk.as_json or not sys.stdin.isatty():
        raise ConfigError(f"group {name!r} and its data would be gone for good; if that is wanted: {again}")
    typed = click.prompt(f"The group and its data will be gone for good. Type its name, {name}", err=True)
    if typed != name:
        raise ConfigError(f"{typed!r} is not {name!r}: nothing was removed")


@group.command()
@click.argument("name")
@click.argument("nodes", metavar="NODE...", nargs=-1, required=True)
@click.option("--replicas", type=NUMBER, help="So many from now on.")
@client
def pin(desk: Desk, name: str, nodes: tuple[str, ...], replicas: int | None) -> None:
    """Let group NAME live on these nodes, as many as it has replicas, the first one leading.

    Its members move there one by one.
    """
    info = desk.know_data_group(name)
    named = list(dict.fromkeys(nodes))
    if len(named) != (replicas or info.replicas):
        how = f"--replicas {len(named)} makes it so many"
        if replicas is None:
            has = f"{name} has {count(info.replicas, 'replica')}: name as many nodes, or {how}"
        else:
            has = f"{count(replicas, 'replica')} need as many nodes: name them, or {how}"
        raise ConfigError(f"{count(len(named), 'node')} named, and {has}")
    _show_places(desk, name, desk.fleet.pin_group(name, named, replicas=replicas))


@group.command()
@click.argument("name")
@client
def unpin(desk: Desk, name: str) -> None:
    """Let group NAME be placed like any other, with as many replicas as now."""
    desk.know_data_group(name)
    _show_places(desk, name, desk.fleet.pin_group(name, ()))


@group.command()
@click.argument("name")
@click.argument("number", type=NUMBER)
@client
def replicas(desk: Desk, name: str, number: int) -> None:
    """Keep group NAME on NUMBER nodes. A pinned group is on the nodes that it is pinned to."""
    info = desk.know_data_group(name)
    if info.pinned and number != info.replicas:
        where = ", ".join(info.pinned)
        raise ConfigError(
            f"{name} is pinned to {where}: `fleet group pin {name} NODE... --replicas {number}` pins it to "
            f"{number}, `fleet group unpin {name}` lets it be placed"
        )
    if info.pinned:
        return _show_places(desk, name, info.rev)
    _show_places(desk, name, desk.fleet.set_replicas(name, number))


def _show_places(desk: Desk, name: str, revision: int) -> None:
    record = group_record(desk.fleet.survey(), name)
    how = "is pinned to" if record["pinned"] else "belongs on"
    where = ", ".join(record["wanted"])
    line = f"{name} {how} {where}; `fleet group show {name}` tells who is there"
    desk.changed(revision, record, line + _missing(record))


def _missing(record: dict[str, Any]) -> str:
    few = record["replicas"] - len(record["wanted"])
    return f"; {count(few, 'replica')} more when there are nodes for it" if few > 0 else ""


@group.command(name="list")
@client
def list_groups(desk: Desk) -> None:
    """All groups: class, replicas, leader, and where the members are."""
    survey = desk.fleet.survey()
    records = group_records(survey)
    desk.show(records)
    rows = [
        (
            one["group"],
            one["data_class"],
            f"{len(one['members'])}/{one['replicas']}",
            one["leader"] or "-",
            ", ".join(one["members"]),
        )
        for one in records
    ]
    desk.table(("GROUP", "CLASS", "REPLICAS", "LEADER", "MEMBERS"), rows)


@group.command()
@click.argument("name")
@client
def show(desk: Desk, name: str) -> int | None:
    """Group NAME as its leader sees it. Ends with 4 when there is no leader."""
    survey = desk.fleet.survey()
    record = group_record(survey, name)
    status = desk.fleet.status(name, timeout=ASKED_S)
    has_leader = status.role == "leader"
    seats = seats_of(status)
    desk.show(
        {
            **record,
            "leader": node_of(status.member) if has_leader else None,
            "term": status.term,
            "commit": status.commit,
            "snapshot_index": status.snapshot_index,
            "seats": seats,
            "config": asdict(status.config),
        },
        f"{name}  {status.data_class}   replicas {record['replicas']}   "
        + (f"leader {node_of(status.member)}" if has_leader else "no leader")
        + f" (term {status.term})   revision {status.commit}   snapshot @{status.snapshot_index}",
    )
    rows = [
        (
            seat["node"],
            seat["role"],
            _or_dash(seat["match"]),
            _or_dash(seat["lag"]),
            {True: "yes", False: "no", None: "-"}[seat["answers"]],
        )
        for seat in seats
    ]
    desk.table(("NODE", "ROLE", "MATCH", "LAG", "ANSWERS"), rows)
    return None if has_leader else DEGRADED


def _or_dash(number: int | None) -> str:
    return "-" if number is None else str(number)


def seats_of(status: MemberStatus) -> list[dict[str, Any]]:
    """The members, the one that says this first; what only a leader knows is None of another."""
    known = {peer.member: peer for peer in status.peers}
    seats = []
    for member in sorted((*status.voters, *status.learners), key=lambda one: (one != status.member, one)):
        peer = known.get(member)
        is_own = member == status.member
        match = status.last_index if is_own else peer.match if peer is not None else None
        role = "voter" if member in status.voters else "learner"
        seats.append({
            "node": node_of(member),
            "member": member,
            "role": status.role if is_own else role,
            "match": match,
            "lag": None if match is None else max(0, status.last_index - match),
            "answers": True if is_own else peer.responsive if peer is not None else None,
        })  # fmt: skip
    return seats


def group_records(survey: Survey) -> list[dict[str, Any]]:
    leaders, wanted = survey.leaders, survey.wanted()
    held: dict[str, list[str]] = {}
    for node, seen in survey.nodes.items():
        for member in seen.members or ():
            held.setdefault(member.group, []).append(node)
    return [
        {
            "group": one.name,
            "data_class": class_name(one.data_class),
            "replicas": one.replicas,
            "leader": leaders.get(one.name),
            "members": held.get(one.name, []),
            "wanted": list(wanted[one.name]),
            "pinned": list(one.pinned),
            "preferred_leader": one.leader or None,
        }
        for one in sorted(survey.view.groups, key=lambda group: group.name)
    ]


def _cluster_record(survey: Survey) -> dict[str, Any]:
    wanted = list(cluster_voters(survey.view.nodes))
    held = [
        node
        for node, seen in survey.nodes.items()
        if any(member.group == CLUSTER_GROUP for member in seen.members or ())
    ]
    return {
        "group": CLUSTER_GROUP,
        "data_class": CLUSTER_GROUP,
        "replicas": len(wanted),
        "leader": survey.leaders.get(CLUSTER_GROUP),
        "members": held,
        "wanted": wanted,
        "pinned": [],
        "preferred_leader": survey.view.cluster_leader or None,
    }


def group_record(survey: Survey, name: str) -> dict[str, Any]:
    if name == CLUSTER_GROUP:
        return _cluster_record(survey)
    for record in group_records(survey):
        if record["group"] == name:
            return record
    raise NoSuchGroup(f"the cluster has no group {name!r}", group=name)


def load_class(where: str, by_value: bool) -> type[Data]:
    module_name, _, class_path = where.partition(":")
    names = [*module_name.split("."), *class_path.split(".")]
    if not all(name.isidentifier() for name in names):
        raise ConfigError(f"{where!r} is not module:Class, like shop.state:Account")
    try:
        module = importlib.import_module(module_name)
        found: Any = module
        for part in class_path.split("."):
            found = getattr(found, part)
    except Exception as error:  # the module is the user's: anything may come of it
        raise ConfigError(f"{where} cannot be loaded here: {type(error).__name__}: {error}") from error
    if by_value:
        cloudpickle.register_pickle_by_value(module)
    return found  # type: ignore[no-any-return]
