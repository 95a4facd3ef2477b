"""Common to all commands that talk to a cluster: connecting, printing, exit codes."""

import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from typing import Any

import click

import fleet
from fleet.actors.messages.operator import MemberStatus
from fleet.cli.options import configured, setting_options
from fleet.cli.outcome import JSON, fail, to_json
from fleet.client.survey import Survey
from fleet.cluster.state import CLUSTER_GROUP, GroupInfo
from fleet.config.effective import Configuration, client_arguments
from fleet.config.settings import OF_A_COMMAND
from fleet.errors import BadArguments, FleetError, NoSuchGroup, WrongCluster, WrongSecret
from fleet.raft.ids import Millis
from fleet.secret import secret_source

ASKED_S = 1.0
"""How long members may take to report."""


class Console:
    """A command's connection to the cluster, and its output."""

    def __init__(self, connection: fleet.Fleet, as_json: bool) -> None:
        self.fleet = connection
        self.as_json = as_json

    def show(self, value: Any, *lines: str) -> None:
        """Print the value as JSON with --json, else the lines."""
        if self.as_json:
            click.echo(to_json(value))
        else:
            for line in lines:
                click.echo(line)

    def changed(self, revision: int, value: dict[str, Any], *lines: str) -> None:
        """As `show`, with the revision at which the change was committed."""
        *before, last = lines
        self.show({**value, "revision": revision}, *before, f"{last} (revision {revision})")

    def table(self, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print a table; nothing with --json."""
        if self.as_json:
            return
        if not sys.stdout.isatty():
            for line in columns([headings, *rows]):
                click.echo(line)
            return
        import rich.console
        from rich import box
        from rich.table import Table

        table = Table(*headings, box=box.SIMPLE_HEAD, pad_edge=False)
        for row in rows:
            table.add_row(*row)
        rich.console.Console(highlight=False, markup=False).print(table)

    def know_group(self, name: str) -> Survey:
        """A survey of the cluster.

        Raises:
            NoSuchGroup: it has no such group.
        """
        survey = self.fleet.survey()
        if name not in survey.group_names:
            raise NoSuchGroup(f"the cluster has no group {name!r}", group=name)
        return survey

    def know_data_group(self, name: str) -> GroupInfo:
        """A group that a user added.

        Raises:
            NoSuchGroup: there is no such group.
            BadArguments: it is the cluster group, which cannot be removed or placed.
        """
        if name == CLUSTER_GROUP:
            raise BadArguments(f"{name} is the cluster's own group: it cannot be removed or placed")
        for info in self.fleet.groups():
            if info.name == name:
                return info
        raise NoSuchGroup(f"the cluster has no group {name!r}", group=name)

    def statuses(self, groups: Sequence[str]) -> dict[str, dict[str, MemberStatus]]:
        """The statuses that the members of these groups report, of those that answer, by group and node."""

        def ask(group: str) -> dict[str, MemberStatus]:
            try:
                return self.fleet.statuses(group, ASKED_S)
            except FleetError:
                return {}

        with ThreadPoolExecutor(16) as pool:
            return dict(zip(groups, pool.map(ask, groups)))

    def note(self, text: str) -> None:
        """Print a remark on stderr; nothing with --json."""
        if not self.as_json:
            click.echo(text, err=True)


Prepare = Callable[[dict[str, Any], dict[str, Any]], None]


def client(function: Callable[..., int | None]) -> Callable[..., None]:
    """Make a command of a function that takes a `Console` first and returns the exit code, None for 0."""
    return prepared_client(lambda options, arguments: None)(function)


def prepared_client(prepare: Prepare) -> Callable[[Callable[..., int | None]], Callable[..., None]]:
    """As `client`. `prepare` is called before it connects, with the command's options and the arguments of
    `fleet.connect`, which it may change."""
    return lambda function: _client(function, prepare)


def _client(function: Callable[..., int | None], prepare: Prepare) -> Callable[..., None]:
    @wraps(function)
    def run(as_json: bool, **options: Any) -> None:
        path = click.get_current_context().command_path
        found = None
        try:
            found = configured(options, *OF_A_COMMAND)
            arguments = client_arguments(found)
            prepare(options, arguments)
            with fleet.connect(**arguments) as one:
                code = function(Console(one, as_json), **options)
        except WrongSecret as error:
            fail(path, error, as_json, _which_secret(found))
        except WrongCluster as error:
            fail(path, error, as_json, "" if "theirs" in error.facts else _which_cluster(found))
        except (FleetError, TimeoutError) as error:
            fail(path, error, as_json)
        except BrokenPipeError:
            _drop_output()
            code = None
        except OSError as error:
            _drop_output()
            fail(path, error, as_json)
        sys.exit(code or 0)

    return client_options(run)


def client_options(function: Callable[..., None]) -> Callable[..., None]:
    """With the options that `client` takes from the command line."""
    return setting_options(*OF_A_COMMAND)(JSON(function))  # type: ignore[no-any-return]


def _which_secret(found: Configuration | None) -> str:
    assert found is not None
    return (
        f"the one used here is from {secret_source(found.secret_file)}; copy the nodes' secret, from the "
        "file that they were started with or ~/.config/fleet/secret there, and name it with --secret-file"
    )


def _which_cluster(found: Configuration | None) -> str:
    assert found is not None
    return (
        f"--cluster is {found['cluster']!r} here, and the node was started with another one; "
        "or --connect is wrong"
    )


def _drop_output() -> None:
    os.dup2(
        os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
    )  # else the interpreter would report it again at exit


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]


def span(ms: Millis | float) -> str:
    """A duration in milliseconds as text: 2m11s."""
    seconds = int(ms // 1000)
    if seconds < 60:
        return f"{seconds}s"
    minutes, seconds = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes}m{seconds:02d}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if hours < 48 else f"{hours // 24}d{hours % 24:02d}h"


def count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
