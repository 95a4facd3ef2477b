"""`fleet node`: the nodes of the cluster. Without a subcommand it is `fleet start`."""

from time import monotonic
from typing import Any

import click

from fleet.cli.connection import Console, client, count
from fleet.cli.options import DURATION
from fleet.cli.outcome import FAILED
from fleet.cli.start import EPILOG, node_options, run_node
from fleet.cli.status import node_records, node_rows
from fleet.cluster.state import ACTIVE, LEAVING, NodeRecord
from fleet.errors import ConfigError, NoSuchNode, Unavailable


@click.group(invoke_without_command=True, epilog=EPILOG)
@node_options
@click.pass_context
def node(ctx: click.Context, /, **options: Any) -> None:
    """List and change nodes. Without a command, run one, as `fleet start` does."""
    if ctx.invoked_subcommand is None:
        run_node(**options)


@node.command(name="list")
@client
def list_nodes(console: Console) -> None:
    """List the nodes of the cluster with their states."""
    survey = console.fleet.survey()
    console.show(node_records(survey))
    console.table(*node_rows(survey))


@node.command()
@click.argument("name")
@client
def activate(console: Console, name: str) -> None:
    """Let node NAME host members, even if it is leaving."""
    before = _find(console, name)
    revision = console.fleet.activate(name)
    was = "was active already" if before.state == ACTIVE else f"is active, it was {before.state}"
    console.changed(revision, {"node": name, "state": ACTIVE, "was": before.state}, f"{name} {was}")


@node.command()
@click.argument("name")
@click.option("--wait", "waits", is_flag=True, help="Return when it has left the cluster.")
@click.option("--within", type=DURATION, default="10m", show_default=True, help="For --wait.")
@client
def drain(console: Console, name: str, waits: bool, within: float) -> int | None:
    """Move all members off node NAME, and let it leave the cluster.

    It transfers its leaderships, then its members move to other nodes. Nothing is lost if it is killed
    meanwhile. `fleet node activate` stops this while the node is still leaving.
    """
    before = _find(console, name)
    already = before.state == LEAVING
    if not waits:
        revision = console.fleet.drain(name)
        was = "is leaving already" if already else "is leaving; `fleet node list` shows how far it is"
        value = {"node": name, "state": LEAVING, "was": before.state, "left": False}
        console.changed(revision, value, f"{name} {was}")
        return None
    progress = _Progress(console, name)
    try:
        revision = console.fleet.drain(name, wait_s=within, progress=progress)
    except Unavailable:
        if progress.members is None:
            raise
        members = progress.members
        console.show(
            {"node": name, "state": LEAVING, "was": before.state, "left": False, "members": members},
            f"{name} still has {count(members, 'member')} after {within:g} s and continues to leave",
        )
        return FAILED
    done = {"node": name, "state": "left", "was": before.state, "left": True}
    console.changed(revision, done, f"{name} has left the cluster")
    return None


class _Progress:
    """Prints how many members are left, at most once a second."""

    def __init__(self, console: Console, name: str) -> None:
        self.console = console
        self.name = name
        self.members: int | None = None
        self.said_at = 0.0

    def __call__(self, members: int) -> None:
        if members != self.members and monotonic() - self.said_at >= 1.0:
            self.said_at = monotonic()
            self.console.note(f"{self.name}: {count(members, 'member')} left")
        self.members = members


@node.command()
@click.argument("name")
@click.option("--force", is_flag=True, help="Even if the node answers.")
@client
def purge(console: Console, name: str, force: bool) -> None:
    """Declare the disk of node NAME lost: its members are replaced from the others.

    A node that still runs joins again as a new one; drain it instead.
    """
    survey = console.fleet.survey()
    seen = next((one for one in survey.nodes.values() if one.record.name == name), None)
    if seen is None:
        raise NoSuchNode(f"the cluster has no node {name!r}", known=", ".join(survey.nodes))
    if seen.answers and not force:
        raise ConfigError(f"node {name} answers: `fleet node drain {name}` moves its members away, "
                          "`--force` purges it nevertheless")  # fmt: skip
    revision = console.fleet.purge(name)
    what = f"{name} is purged: its members are replaced on other nodes"
    console.changed(revision, {"node": name, "state": "purged"}, what)


def _find(console: Console, name: str) -> NodeRecord:
    nodes = {str(one.name): one for one in console.fleet.nodes()}
    if name not in nodes:
        raise NoSuchNode(f"the cluster has no node {name!r}", known=", ".join(nodes))
    return nodes[name]
