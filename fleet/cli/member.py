"""`fleet leader` and `fleet member`: who leads a group, and who belongs to it."""

import click

from fleet.cli.desk import Desk, client


@click.group()
def leader() -> None:
    """Move leaderships."""


@leader.command()
@click.argument("name", metavar="GROUP")
@click.argument("node")
@client
def move(desk: Desk, name: str, node: str) -> None:
    """Hand the leadership of GROUP to its member on NODE.

    The cluster hands it back to the node where the placement wants it.
    """
    survey = desk.know_group(name)
    desk.fleet.transfer_leader(name, node)
    wanted = survey.wanted().get(name, ())[:1]
    elsewhere = bool(wanted) and wanted[0] != node
    back = f"; the placement wants it on {wanted[0]}, which gets it back" if elsewhere else ""
    desk.show({"group": name, "leader": node, "wanted": [*wanted]}, f"{name} is led from {node}{back}")


@click.group()
def member() -> None:
    """Change who is a member of a group."""


@member.command(name="remove")
@click.argument("name", metavar="GROUP")
@click.argument("node")
@client
def remove_member(desk: Desk, name: str, node: str) -> None:
    """Let go of GROUP's member on NODE, dead or alive.

    If one is wanted there, another is brought in. Refused where too few of the others answer.
    """
    survey = desk.know_group(name)
    desk.fleet.remove_member(name, node)
    again = node in survey.wanted().get(name, ())
    desk.show(
        {"group": name, "node": node, "removed": True, "wanted_there": again},
        f"{name} has let go of its member on {node}"
        + ("; as one is wanted there, another comes when the node answers" if again else ""),
    )
