"""`fleet demo`: a whole fleet on this host, of which a node is killed."""

import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NoReturn, TypeVar

import click

from fleet.cli.demo.many_groups import FleetStory, fleet_summary
from fleet.cli.demo.one_group import Story
from fleet.cli.demo.stage import DemoStage
from fleet.cli.demo.tables import PlainView, ScreenView, summary
from fleet.errors import FleetError

FAILED = 1
R = TypeVar("R")


class Interrupted(BaseException):
    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@click.command()
@click.option("--one", is_flag=True, help="One group on three nodes, its leader killed and brought back.")
@click.option(
    "--seconds",
    type=click.FloatRange(2, 20),
    help="How long to count, beside the time of the events.  [default: 2, with --one 9]",
)
@click.option("--clients", type=click.IntRange(1, 64), default=8, show_default=True, help="For --one.")
@click.option("--plain", is_flag=True, help="For --one: lines instead of a screen, as without a terminal.")
def demo(one: bool, seconds: float | None, clients: int, plain: bool) -> None:
    """A fleet on this host: 30 groups on four nodes in three zones, with a client on each.

    Its nodes are processes on loopback, in a temporary directory. One is killed with SIGKILL and purged, one
    is added, one is drained; a table shows the leaders and members of each node. In the end each group's
    counter must equal its acknowledged increments, or the demo fails.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        with tempfile.TemporaryDirectory(prefix="fleet-demo-", ignore_cleanup_errors=True) as directory:
            if one:
                lines = _one(Path(directory), seconds or 9, clients, plain)
            else:
                story = FleetStory(Path(directory), seconds or 2)
                lines = fleet_summary(_run(story, story.tell))
    except Interrupted as interrupted:
        click.echo("fleet demo: interrupted; its nodes are stopped, its files are deleted", err=True)
        sys.exit(128 + interrupted.number)
    except (FleetError, OSError) as error:
        _fail(error)
    click.echo()
    for line in lines:
        click.echo(line)


def _one(directory: Path, seconds: float, clients: int, plain: bool) -> list[str]:
    view = PlainView() if plain or not sys.stdout.isatty() else ScreenView()
    with view:
        story = Story(view, directory, seconds, clients)
        return summary(_run(story, story.tell))


def _run(story: DemoStage, tell: Callable[[], R]) -> R:
    try:
        return tell()
    except (FleetError, OSError) as error:
        error.add_note("\n".join(story.log_tails()))
        raise
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # cleaning up is short and must not be interrupted
        story.clean_up()


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise Interrupted(number)


def _fail(error: Exception) -> NoReturn:
    click.echo(f"fleet demo: {error}", err=True)
    notes = [note for note in getattr(error, "__notes__", []) if note]
    if notes:
        click.echo("The last lines of its nodes' logs:", err=True)
    for note in notes:
        click.echo(note, err=True)
    click.echo("Its nodes are stopped, its files are deleted.", err=True)
    sys.exit(FAILED)
