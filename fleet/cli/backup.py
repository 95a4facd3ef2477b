"""`fleet backup` and `fleet restore`: groups' states into a file, and out of one."""

import logging
import time
from typing import Any

import click

from fleet.actors.client.cluster_pin import uid_text
from fleet.cli.connection import Console, client, client_options, columns, count
from fleet.cli.outcome import fail, to_json
from fleet.client.backup_file import Backup, SavedGroup, verified
from fleet.client.restore_api import PATIENCE_S, RestoredGroup
from fleet.errors import ConfigError, FleetError
from fleet.objects.class_refs import class_name, version_of

audit = logging.getLogger("fleet.audit")
SECONDS = click.FloatRange(min=0.1)


@click.command()
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("--group", "groups", multiple=True, help="Only this group; may be repeated.  [default: all]")
@click.option("--at", type=click.IntRange(0), metavar="REVISION",
              help="As the one group was after it.  [default: as it is]")  # fmt: skip
@click.option("--patience", type=SECONDS, default=PATIENCE_S, show_default=True,
              help="Seconds that a group may give nothing.")  # fmt: skip
@click.option("--past", is_flag=True, help="With what groups have kept of their past, for restore --at.")
@client
def backup(
    console: Console, file: str, groups: tuple[str, ...], at: int | None, past: bool, patience: float
) -> None:
    """Write the state of all groups into the new file FILE, while they go on working.

    Each group is as it was after one revision. FILE appears when it was read back and found whole. With --at,
    commands of the group are executed again, here: its class must be importable, as it was then.
    """
    if at is not None and (len(groups) != 1 or past):
        raise ConfigError("--at REVISION is for one --group, and without --past")
    note = _noting(console)
    made = console.fleet.backup(
        file, groups=groups or None, at=at, past=past, timeout=patience, progress=note
    )
    record = {
        "file": made.path,
        "cluster": made.cluster,
        "groups": [record_of(one) for one in made.groups],
        "gone": list(made.gone),
        "state_bytes": made.state_bytes,
        "file_bytes": made.file_bytes,
        "seconds": round(made.seconds, 3),
    }
    text = f"{made.path} has {count(len(made.groups), 'group')} of cluster {made.cluster}"
    sizes = f"{megabytes(made.state_bytes)} of state in {megabytes(made.file_bytes)}, {made.seconds:.1f} s"
    gone = [f"removed meanwhile, and not in it: {', '.join(made.gone)}"] if made.gone else []
    console.show(record, *gone, f"{text}: {sizes}")


def _noting(console: Console) -> Any:
    def note(saved: SavedGroup) -> None:
        console.note(f"{saved.name} at revision {saved.revision}, {megabytes(saved.size)}")

    return note


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, exists=True))
@click.option("--group", help="Restore this group.")
@click.option("--as", "name", metavar="OTHER", help="Under this name, with --group.")
@click.option("--at", type=click.IntRange(0), metavar="REVISION",
              help="As it was after it, with --group; FILE was made with --past.")  # fmt: skip
@click.option("--all", "is_all", is_flag=True, help="Restore all groups of the file.")
@click.option("--in-memory", "kept", flag_value="memory", help="As groups in memory only.")
@click.option("--persist", "kept", flag_value="disk", help="As groups on disks.  [default: each as it was]")
@click.option("--verify", "is_verify", is_flag=True, help="Only read all of FILE and show what is in it.")
@click.option("--patience", type=SECONDS, default=PATIENCE_S, show_default=True,
              help="Seconds that a group may take.")  # fmt: skip
@client_options
def restore(
    group: str | None,
    name: str | None,
    at: int | None,
    is_all: bool,
    is_verify: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Add groups of the backup FILE, with their state, to a running cluster: the same or another one.

    FILE is read and checked as a whole first; with --verify that is all, and no cluster is needed. A group
    that exists is never replaced: remove it first, or restore under another name. Classes and states in FILE
    are run on the nodes: trust FILE as you trust code.
    """
    path = click.get_current_context().command_path
    try:
        if is_verify:
            _show(verified(options["file"]), as_json)
            return
        if (group is not None) == is_all:
            raise ConfigError("say what to restore: --group NAME, or --all; --verify shows what is there")
        if is_all and (name is not None or at is not None):
            raise ConfigError("--as OTHER and --at REVISION are for one --group")
    except FleetError as error:
        fail(path, error, as_json)
    _restore(group=group, name=name, at=at, as_json=as_json, **options)


@client
def _restore(
    console: Console,
    file: str,
    group: str | None,
    name: str | None,
    at: int | None,
    kept: str | None,
    patience: float,
) -> None:
    def note(one: RestoredGroup) -> None:
        where = f"{file}, group {one.source} at revision {one.revision}"
        audit.warning("group=%s restored from %s", one.name, where)
        console.note(f"{one.name} is back at revision {one.revision}, on {', '.join(one.nodes)}")
        for what in one.left_out:
            console.note(f"  not kept: {what}")

    persist = None if kept is None else kept == "disk"
    done = console.fleet.restore(
        file, group=group, name=name, at=at, persist=persist, timeout=patience, progress=note
    )
    records = [
        {"group": one.name, "source": one.source, "revision": one.revision, "state_bytes": one.state_bytes,
         "nodes": list(one.nodes), "left_out": list(one.left_out)}
        for one in done
    ]  # fmt: skip
    console.show({"file": file, "groups": records}, f"{count(len(done), 'group')} restored from {file}")


def _show(found: Backup, as_json: bool) -> None:
    uid, taken_ms = uid_text(found.head.uid), found.head.taken_ms
    records = [record_of(one) for one in found.groups]
    if as_json:
        about = {"file": str(found.path), "cluster": uid, "name": found.head.cluster, "taken_ms": taken_ms}
        click.echo(to_json({**about, "fleet": found.head.version, "whole": True, "groups": records}))
        return
    when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(taken_ms / 1000))
    groups = count(len(found.groups), "group")
    click.echo(f"{found.path} is whole: {groups} of cluster {found.head.cluster} {uid}, taken {when}")
    rows = [
        (
            one.name,
            str(one.revision),
            megabytes(one.size),
            str(one.replicas),
            "memory" if one.is_in_memory else "disk",
            class_name(one.data_class),
        )
        for one in found.groups
    ]
    if rows:
        for line in columns([("GROUP", "REVISION", "STATE", "REPLICAS", "KEPT IN", "DATA CLASS"), *rows]):
            click.echo(line)


def record_of(one: SavedGroup) -> dict[str, Any]:
    version, fingerprint = version_of(one.data_class)
    return {
        "group": one.name,
        "revision": one.revision,
        "state_bytes": one.size,
        "replicas": one.replicas,
        "nodes": list(one.pinned),
        "leader": one.leader,
        "in_memory": one.is_in_memory,
        "past_bytes": one.past_size,
        "data_class": class_name(one.data_class),
        "version": version,
        "fingerprint": fingerprint,
    }


def megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{size} bytes"
