"""`fleet leader` and `fleet member`: who leads a group, and who belongs to it."""

import click

from fleet.cli.connection import Desk, client


@click.group()
def leader() -> None:
    """Move leaderships."""


@leader.command()
@click.argument("name", metavar="GROUP")
@click.argument("node")
@client
def move(desk: Desk, name: str, node: str) -> None:
    """Hand the leadership of GROUP to its member on NODE, where it stays.

    When NODE is away another member leads until it is back. `fleet leader release` lets the placement
    choose again.
    """
    desk.know_group(name)
    revision = desk.fleet.transfer_leader(name, node)
    desk.changed(
        revision,
        {"group": name, "leader": node},
        f"{name} is led from {node} and stays there; `fleet leader release {name}` ends that",
    )


@leader.command()
@click.argument("name", metavar="GROUP")
@client
def release(desk: Desk, name: str) -> None:
    """Let GROUP be led from where the placement says, or from the first node that it is pinned to."""
    desk.know_group(name)
    revision = desk.fleet.release_leader(name)
    value = {"group": name, "released": True}
    desk.changed(revision, value, f"{name} is led from where the placement wants it")


@click.group()
def member() -> None:
    """Change who is a member of a group."""


@member.command(name="remove")
@click.argument("name", metavar="GROUP")
@click.argument("node")
@client
def remove_member(desk: Desk, name: str, node: str) -> None:
    """Remove GROUP's member on NODE, dead or alive.

    If the group belongs there, a new member replaces it. Refused if too few of the others answer.
    """
    survey = desk.know_group(name)
    revision = desk.fleet.remove_member(name, node)
    again = node in survey.wanted().get(name, ())
    desk.changed(
        revision,
        {"group": name, "node": node, "removed": True, "wanted_there": again},
        f"{name} has removed its member on {node}"
        + ("; as the group belongs there, a new one replaces it when the node answers" if again else ""),
    )
