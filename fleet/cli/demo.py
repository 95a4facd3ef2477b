"""`fleet demo`: the whole job on this host, with the leader's node killed in the middle of it."""

import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click

from fleet.cli.demo_run import Result, Story
from fleet.cli.demo_view import PlainView, ScreenView, summary
from fleet.errors import FleetError

FAILED = 1


class Interrupted(BaseException):
    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@click.command()
@click.option(
    "--seconds",
    type=click.FloatRange(2, 20),
    default=9,
    show_default=True,
    help="How long to count, apart from the time that failing over and catching up take.",
)
@click.option("--clients", type=click.IntRange(1, 64), default=8, show_default=True, help="How many count.")
@click.option("--plain", is_flag=True, help="Lines instead of a screen, as without a terminal.")
def demo(seconds: float, clients: int, plain: bool) -> None:
    """Count on three nodes while one of them is killed.

    Starts three node processes on loopback, in a temporary directory, and one group with three durable
    replicas. Clients increment it and read it. The leader's node is killed with SIGKILL and later started
    again. In the end the counter must equal the acknowledged increments, or the demo fails.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    view = PlainView() if plain or not sys.stdout.isatty() else ScreenView()
    try:
        with tempfile.TemporaryDirectory(prefix="fleet-demo-", ignore_cleanup_errors=True) as directory:
            with view:
                result = _run(Story(view, Path(directory), seconds, clients))
    except Interrupted as interrupted:
        click.echo("fleet demo: interrupted; its nodes are stopped, its files are gone", err=True)
        sys.exit(128 + interrupted.number)
    except (FleetError, OSError) as error:
        _fail(error)
    click.echo()
    for line in summary(result):
        click.echo(line)


def _run(story: Story) -> Result:
    try:
        return story.tell()
    except (FleetError, OSError) as error:
        error.add_note("\n".join(story.log_tails()))
        raise
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # cleaning up is short, and not to be cut short
        story.clean_up()


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise Interrupted(number)


def _fail(error: Exception) -> NoReturn:
    click.echo(f"fleet demo: {error}", err=True)
    notes = [note for note in getattr(error, "__notes__", []) if note]
    if notes:
        click.echo("What its nodes said last:", err=True)
    for note in notes:
        click.echo(note, err=True)
    click.echo("Its nodes are stopped, its files are gone.", err=True)
    sys.exit(FAILED)
