"""`fleet group`: list, show, add, remove and place groups."""

import importlib
import shlex
import sys
from typing import Any

import click
import cloudpickle
from msgspec.structs import asdict

from fleet.actors.messages.operator import MemberStatus
from fleet.cli.connection import ASKED_S, Console, client, count
from fleet.cli.execution_findings import words_on
from fleet.cli.outcome import DEGRADED
from fleet.cli.restore_findings import restore_findings, waits_for_state
from fleet.cli.settings import changed
from fleet.client.survey import Survey
from fleet.cluster.state import CLUSTER_GROUP
from fleet.cluster.wanted import cluster_voters
from fleet.errors import ConfigError, NoSuchGroup
from fleet.objects.class_refs import class_name
from fleet.objects.declare import Data
from fleet.raft.config import GroupConfig
from fleet.raft.ids import node_of

REPLICAS = 3
NUMBER = click.IntRange(1, 99)
"""Of replicas; a larger number is a typing error."""


@click.group()
def group() -> None:
    """Add, remove, list, show and place groups."""


@group.command()
@click.argument("name")
@click.argument("data_class", metavar="MODULE:CLASS")
@click.option("--replicas", type=NUMBER, help="How many.  [default: 3, or one per --node]")
@click.option("--node", "nodes", multiple=True, help="On this node, the first one leading; may be repeated.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="A setting; see `fleet config`.")
@click.option(
    "--by-value", is_flag=True, help="Send the class itself; the nodes then do not need its module."
)
@click.option(
    "--in-memory",
    "is_in_memory",
    is_flag=True,
    help="Keep nothing on disk: it is lost when a majority of its nodes restart.",
)
@click.option("--exist-ok", is_flag=True, help="Succeed if it exists already.")
@client
def add(
    console: Console,
    name: str,
    data_class: str,
    replicas: int | None,
    nodes: tuple[str, ...],
    settings: tuple[str, ...],
    by_value: bool,
    is_in_memory: bool,
    exist_ok: bool,
) -> None:
    """Add group NAME with data class MODULE:CLASS, which is imported here and on the nodes.

    With fewer nodes than replicas, the others are added when nodes join.
    """
    named = len(set(nodes))
    if nodes and replicas not in (None, named):
        raise ConfigError(
            f"--replicas {replicas} with {count(named, 'node')}: name as many nodes, or omit --replicas"
        )
    cls = load_class(data_class, by_value)
    config = changed(GroupConfig(), settings) if settings else None
    where = nodes or None
    number, persist = replicas or named or REPLICAS, not is_in_memory
    console.fleet.create_group(
        name, cls, replicas=number, nodes=where, config=config, persist=persist, exist_ok=exist_ok
    )
    survey = console.fleet.survey()
    record = group_record(survey, name)
    members = ", ".join(record["members"])
    (revision,) = (info.uid for info in survey.view.groups if info.name == name)
    console.changed(
        revision,
        record,
        f"{name} has {count(len(record['members']), 'member')}: {members}; "
        f"{record['leader'] or 'nobody'} leads" + _missing(record),
    )


@group.command()
@click.argument("name")
@click.option("--yes", "is_sure", is_flag=True, help="Do not ask.")
@client
def remove(console: Console, name: str, is_sure: bool) -> None:
    """Remove group NAME and its data permanently, on all nodes. Asks for its name first."""
    console.know_data_group(name)
    if not is_sure:
        does = f"deletes group {name!r} and its data permanently"
        again = f"`fleet group remove {shlex.quote(name)} --yes`"
        ask_for_the_name(console, name, does, again, "nothing was removed")
    revision = console.fleet.remove_group(name)
    what = f"{name} is removed; its data is being deleted on every node"
    console.changed(revision, {"group": name, "removed": True}, what)


def ask_for_the_name(console: Console, name: str, does: str, again: str, undone: str) -> None:
    """Raises ConfigError if there is no terminal to ask at, or another name is typed."""
    if console.as_json or not sys.stdin.isatty():
        raise ConfigError(f"this {does}; to do so: {again}")
    typed = click.prompt(f"This {does}. Type the group's name, {name}", err=True)
    if typed != name:
        raise ConfigError(f"{typed!r} is not {name!r}: {undone}")


@group.command()
@click.argument("name")
@click.argument("index", type=click.IntRange(1))
@click.option("--yes", "is_sure", is_flag=True, help="Do not ask.")
@client
def skip(console: Console, name: str, index: int, is_sure: bool) -> None:
    """Record the command at which group NAME has halted, in log entry INDEX, as failed on all members.

    The group does so by itself once all its voters halt there. For when one of them is lost: if it did
    execute the command, that is undone. Asks for the group's name first.
    """
    console.know_group(name)
    if not is_sure:
        halt = console.fleet.status(name, timeout=ASKED_S).halt
        which = f"{words_on(halt)} ({halt.cause})" if halt is not None else f"a command of log entry {index}"
        does = f"records {which} of group {name!r} as failed on all members, even if one has executed it"
        again = f"`fleet group skip {shlex.quote(name)} {index} --yes`"
        ask_for_the_name(console, name, does, again, "nothing was skipped")
    revision = console.fleet.skip(name, index)
    value = {"group": name, "index": index, "skipped": True}
    console.changed(revision, value, f"{name}: the command of log entry {index} is recorded as failed")


@group.command()
@click.argument("name")
@click.argument("nodes", metavar="NODE...", nargs=-1, required=True)
@click.option("--replicas", type=NUMBER, help="Change the number of replicas, too.")
@client
def pin(console: Console, name: str, nodes: tuple[str, ...], replicas: int | None) -> None:
    """Pin group NAME to these nodes, as many as it has replicas; the first one leads.

    Its members move there one at a time.
    """
    info = console.know_data_group(name)
    named = list(dict.fromkeys(nodes))
    if len(named) != (replicas or info.replicas):
        how = f"--replicas {len(named)} changes that"
        if replicas is None:
            has = f"{name} has {count(info.replicas, 'replica')}: name as many nodes, or {how}"
        else:
            has = f"{count(replicas, 'replica')} need as many nodes: name them, or {how}"
        raise ConfigError(f"{count(len(named), 'node')} named, and {has}")
    _show_places(console, name, console.fleet.pin_group(name, named, replicas=replicas))


@group.command()
@click.argument("name")
@client
def unpin(console: Console, name: str) -> None:
    """Let the placement choose nodes for group NAME again, for as many replicas as now."""
    console.know_data_group(name)
    _show_places(console, name, console.fleet.pin_group(name, ()))


@group.command()
@click.argument("name")
@click.argument("number", type=NUMBER)
@client
def replicas(console: Console, name: str, number: int) -> None:
    """Keep group NAME on NUMBER nodes. The nodes of a pinned group are changed with `fleet group pin`."""
    info = console.know_data_group(name)
    if info.pinned and number != info.replicas:
        where = ", ".join(info.pinned)
        raise ConfigError(
            f"{name} is pinned to {where}: `fleet group pin {name} NODE... --replicas {number}` pins it to "
            f"{number}, `fleet group unpin {name}` ends that"
        )
    if info.pinned:
        return _show_places(console, name, info.rev)
    _show_places(console, name, console.fleet.set_replicas(name, number))


def _show_places(console: Console, name: str, revision: int) -> None:
    record = group_record(console.fleet.survey(), name)
    how = "is pinned to" if record["pinned"] else "belongs on"
    where = ", ".join(record["wanted"])
    line = f"{name} {how} {where}; `fleet group show {name}` lists its members"
    console.changed(revision, record, line + _missing(record))


def _missing(record: dict[str, Any]) -> str:
    few = record["replicas"] - len(record["wanted"])
    return f"; {count(few, 'replica')} more as soon as there are nodes" if few > 0 else ""


@group.command(name="list")
@client
def list_groups(console: Console) -> None:
    """List all groups: class, replicas, where their data is, leader, and the nodes of the members."""
    survey = console.fleet.survey()
    records = group_records(survey)
    console.show(records)
    rows = [
        (
            one["group"],
            one["data_class"],
            f"{len(one['members'])}/{one['replicas']}",
            "memory" if one["in_memory"] else "disk",
            one["leader"] or "-",
            ", ".join(one["members"]),
        )
        for one in records
    ]
    console.table(("GROUP", "CLASS", "REPLICAS", "KEPT IN", "LEADER", "MEMBERS"), rows)
    restored = {one.name for one in survey.view.groups if one.is_restored}
    for found in restore_findings(survey, console.statuses(sorted(restored.intersection(survey.leaderless)))):
        console.note(f"{found.what} `fleet doctor` says what to do")


@group.command()
@click.argument("name")
@client
def show(console: Console, name: str) -> int | None:
    """Show group NAME as its leader sees it. Exits with 4 if there is no leader, or it has halted."""
    survey = console.fleet.survey()
    record = group_record(survey, name)
    status = console.fleet.status(name, timeout=ASKED_S)
    has_leader, halt = status.role == "leader", status.halt
    seats = seats_of(status)
    told = {} if has_leader else console.statuses([name])[name]
    waits = any(waits_for_state(one, told) for one in survey.view.groups if one.name == name)
    console.show(
        {
            **record,
            "leader": node_of(status.member) if has_leader else None,
            "term": status.term,
            "commit": status.commit,
            "snapshot_index": status.snapshot_index,
            "seats": seats,
            "config": asdict(status.config),
            "halt": asdict(halt) if halt is not None else None,
        },
        f"{name}  {status.data_class}   replicas {record['replicas']}   "
        + ("in memory only   " if record["in_memory"] else "")
        + (f"leader {node_of(status.member)}" if has_leader else "no leader")
        + f" (term {status.term})   revision {status.commit}   snapshot @{status.snapshot_index}",
        *([f"halted at {words_on(halt)}: {halt.cause}; `fleet doctor` says what to do"] if halt else []),
        *(["it has not got the state of a backup yet; `fleet doctor` says what to do"] if waits else []),
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
    console.table(("NODE", "ROLE", "MATCH", "LAG", "ANSWERS"), rows)
    return None if has_leader and halt is None else DEGRADED


def _or_dash(number: int | None) -> str:
    return "-" if number is None else str(number)


def seats_of(status: MemberStatus) -> list[dict[str, Any]]:
    """The members, the reporting one first. What only a leader knows is None if another reports."""
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
            "in_memory": one.is_in_memory,
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
        "in_memory": False,
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
    except Exception as error:  # the module is the user's and may raise anything
        raise ConfigError(f"{where} cannot be loaded here: {type(error).__name__}: {error}") from error
    if by_value:
        cloudpickle.register_pickle_by_value(module)
    return found  # type: ignore[no-any-return]
