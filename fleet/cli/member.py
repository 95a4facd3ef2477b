"""`fleet leader` and `fleet member`: change a group's leader and members."""

import click

from fleet.cli.connection import Console, client


@click.group()
def leader() -> None:
    """Move leaderships."""


@leader.command()
@click.argument("name", metavar="GROUP")
@click.argument("node")
@client
def move(console: Console, name: str, node: str) -> None:
    """Transfer the leadership of GROUP to its member on NODE, and keep it there.

    While NODE is down another member leads. `fleet leader release` lets the placement choose again.
    """
    console.know_group(name)
    revision = console.fleet.transfer_leader(name, node)
    console.changed(
        revision,
        {"group": name, "leader": node},
        f"{name} is led from {node} and stays there; `fleet leader release {name}` ends that",
    )


@leader.command()
@click.argument("name", metavar="GROUP")
@client
def release(console: Console, name: str) -> None:
    """Let the placement choose the leader of GROUP again, or the first node that it is pinned to."""
    console.know_group(name)
    revision = console.fleet.release_leader(name)
    value = {"group": name, "released": True}
    console.changed(revision, value, f"{name} is led from where the placement wants it")


@click.group()
def member() -> None:
    """Change the members of a group."""


@member.command(name="remove")
@click.argument("name", metavar="GROUP")
@click.argument("node")
@client
def remove_member(console: Console, name: str, node: str) -> None:
    """Remove GROUP's member on NODE, whether it runs or not.

    A new member replaces it if the group belongs there. Refused if too few other members answer.
    """
    survey = console.know_group(name)
    revision = console.fleet.remove_member(name, node)
    again = node in survey.wanted().get(name, ())
    console.changed(
        revision,
        {"group": name, "node": node, "removed": True, "wanted_there": again},
        f"{name} has removed its member on {node}"
        + ("; as the group belongs there, a new one replaces it when the node answers" if again else ""),
    )
