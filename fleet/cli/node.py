"""`fleet node`: the nodes of the cluster. With options and no command it is `fleet start`."""

from time import monotonic
from typing import Any

import click

from fleet.cli.connection import Desk, client, count
from fleet.cli.outcome import FAILED
from fleet.cli.start import DURATION, EPILOG, node_options, run_node
from fleet.cli.status import node_records, node_rows
from fleet.cluster.state import ACTIVE, LEAVING, NodeRecord
from fleet.errors import ConfigError, NoSuchNode, Unavailable


@click.group(invoke_without_command=True, epilog=EPILOG)
@node_options
@click.pass_context
def node(ctx: click.Context, /, **options: Any) -> None:
    """Look at the nodes and change them; without a command, run one, as `fleet start` does."""
    if ctx.invoked_subcommand is None:
        run_node(**options)


@node.command(name="list")
@client
def list_nodes(desk: Desk) -> None:
    """The nodes of the cluster, and how they are."""
    survey = desk.fleet.survey()
    desk.show(node_records(survey))
    desk.table(*node_rows(survey))


@node.command()
@click.argument("name")
@client
def activate(desk: Desk, name: str) -> None:
    """Let node NAME host members, also one that is leaving."""
    before = _find(desk, name)
    revision = desk.fleet.activate(name)
    was = "was active already" if before.state == ACTIVE else f"is active, it was {before.state}"
    desk.changed(revision, {"node": name, "state": ACTIVE, "was": before.state}, f"{name} {was}")


@node.command()
@click.argument("name")
@click.option("--wait", "waits", is_flag=True, help="Return when it has left the cluster.")
@click.option("--within", type=DURATION, default="10m", show_default=True, help="For --wait.")
@client
def drain(desk: Desk, name: str, waits: bool, within: float) -> int | None:
    """Move everything off node NAME, and let it leave the cluster.

    It hands over the leaderships, then its members move to other nodes. Nothing is lost if it is killed
    meanwhile. `fleet node activate` takes it back while it is still leaving.
    """
    before = _find(desk, name)
    already = before.state == LEAVING
    if not waits:
        revision = desk.fleet.drain(name)
        was = "is leaving already" if already else "is leaving; `fleet node list` shows how far it is"
        value = {"node": name, "state": LEAVING, "was": before.state, "left": False}
        desk.changed(revision, value, f"{name} {was}")
        return None
    progress = _Progress(desk, name)
    try:
        revision = desk.fleet.drain(name, wait_s=within, progress=progress)
    except Unavailable:
        if progress.members is None:
            raise
        members = progress.members
        desk.show(
            {"node": name, "state": LEAVING, "was": before.state, "left": False, "members": members},
            f"{name} still has {count(members, 'member')} after {within:g} s; it goes on leaving",
        )
        return FAILED
    done = {"node": name, "state": "left", "was": before.state, "left": True}
    desk.changed(revision, done, f"{name} has left the cluster")
    return None


class _Progress:
    """Says how many members are left, now and then."""

    def __init__(self, desk: Desk, name: str) -> None:
        self.desk = desk
        self.name = name
        self.members: int | None = None
        self.said_at = 0.0

    def __call__(self, members: int) -> None:
        if members != self.members and monotonic() - self.said_at >= 1.0:
            self.said_at = monotonic()
            self.desk.note(f"{self.name}: {count(members, 'member')} left")
        self.members = members


@node.command()
@click.argument("name")
@click.option("--force", is_flag=True, help="Also a node that answers.")
@client
def purge(desk: Desk, name: str, force: bool) -> None:
    """Declare that node NAME will not come back as it was: its members are replaced from the others.

    For a node whose disk is lost. One that still runs joins again, as new; let it drain instead.
    """
    survey = desk.fleet.survey()
    seen = next((one for one in survey.nodes.values() if one.record.name == name), None)
    if seen is None:
        raise NoSuchNode(f"the cluster has no node {name!r}", known=", ".join(survey.nodes))
    if seen.answers and not force:
        raise ConfigError(f"node {name} answers: `fleet node drain {name}` moves its members away, "
                          "`--force` purges it all the same")  # fmt: skip
    revision = desk.fleet.purge(name)
    what = f"{name} is purged: its members are replaced on other nodes"
    desk.changed(revision, {"node": name, "state": "purged"}, what)


def _find(desk: Desk, name: str) -> NodeRecord:
    nodes = {str(one.name): one for one in desk.fleet.nodes()}
    if name not in nodes:
        raise NoSuchNode(f"the cluster has no node {name!r}", known=", ".join(nodes))
    return nodes[name]
