"""What the data directory of a stopped node holds, for people and as JSON."""

import sys
from pathlib import Path

import click

from fleet.actors.node.stopped import read_report
from fleet.cli.connection import columns, count
from fleet.cli.outcome import DEGRADED, fail, to_json
from fleet.cluster.recovery_reports import MemberReport, NodeReport
from fleet.errors import FleetError, WrongDirectory
from fleet.raft.ids import node_of
from fleet.storage import StoppedStore

MEMBERS = "members"
"""Where the members of a node have their directories if each of them is a process."""
HEADINGS = ("GROUP", "MEMBER", "TERM", "LAST", "COMMIT", "SNAPSHOT", "VOTERS", "STATE")


def read_directory(where: str) -> NodeReport:
    """
    Raises:
        WrongDirectory, DirectoryInUse, Damaged: nothing can be read; see `StoppedStore`.
    """
    if any(Path(where, MEMBERS).glob("*/")):
        what = "its members have directories of their own, as on Thespian's bases: they cannot be read here"
        raise WrongDirectory(what, path=where)
    store = StoppedStore(where)
    try:
        return read_report(store)
    finally:
        store.close()


def examine_directory(where: str, as_json: bool) -> None:
    """Print the report, and exit."""
    try:
        report = read_directory(where)
    except FleetError as error:
        fail(click.get_current_context().command_path, error, as_json)
    damage = [*report.damage, *(f"{one.group}: {one.trouble}" for one in report.members if one.trouble)]
    if as_json:
        click.echo(to_json(report))
    else:
        groups = count(len(report.members), "member")
        cluster = f"cluster {report.cluster} {report.uid}" if report.uid else "no cluster yet"
        click.echo(f"node {report.node}, disk {report.incarnation}, of {cluster}: {groups}")
        for line in columns([HEADINGS, *map(_row, report.members)]):
            click.echo(line)
        for what in damage:
            click.echo(f"✗ {what}")
        if not damage:
            click.echo("✓ all checksums are right")
    sys.exit(DEGRADED if damage else 0)


def _row(one: MemberReport) -> tuple[str, ...]:
    numbers = (one.term, one.last_index, one.commit, one.snapshot_index)
    voters = ",".join(map(node_of, one.voters))
    return (
        one.group,
        one.member,
        *map(str, numbers),
        voters or "-",
        "does not run" if one.trouble else "in memory only: lost" if one.is_in_memory else "sound",
    )
