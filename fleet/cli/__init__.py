"""The `fleet` command. Each command or family of commands has a module; this one collects them."""

import sys
from collections.abc import Sequence
from io import TextIOWrapper
from typing import Any

import click

from fleet import __version__
from fleet.cli import history
from fleet.cli.backup import backup, restore
from fleet.cli.call import call, query
from fleet.cli.contracts import contracts
from fleet.cli.demo.command import demo
from fleet.cli.doctor import doctor
from fleet.cli.group import group
from fleet.cli.member import leader, member
from fleet.cli.node import node
from fleet.cli.outcome import CODES, FAILED, INTERRUPTED, show_wrong_usage
from fleet.cli.recover import recover
from fleet.cli.secret import secret
from fleet.cli.settings import config
from fleet.cli.sim import sim
from fleet.cli.start import start
from fleet.cli.state import diff, repair
from fleet.cli.status import status, unreachable
from fleet.cli.upgrade import upgrade, versions
from fleet.cli.watch import watch

SETTINGS = {"help_option_names": ["-h", "--help"]}


WHAT = """Keep Python objects alive on several hosts at once.

Run nodes with `fleet start`; every other command asks a cluster, the one at --connect or $FLEET_CONNECT,
or works on the directory of a stopped node."""


class CommandGroup(click.Group):
    """Reports wrong usage like other errors: as JSON with --json."""

    def main(self, args: Sequence[str] | None = None, *rest: Any, **settings: Any) -> Any:
        words = sys.argv[1:] if args is None else list(args)
        try:
            code = super().main(words, *rest, **{**settings, "standalone_mode": False})
        except click.ClickException as error:
            show_wrong_usage(error, "--json" in words)
            code = error.exit_code
        except OSError as error:  # a file that cannot be read or written
            click.echo(f"fleet: {error.filename or 'the output'}: {error.strerror or error}", err=True)
            code = FAILED
        except click.Abort:
            click.echo("interrupted", err=True)
            code = INTERRUPTED
        sys.exit(code)


@click.group(
    cls=CommandGroup,
    context_settings=SETTINGS,
    help=f"{WHAT}\n\n{CODES}",
)
@click.version_option(__version__, prog_name="fleet")
@click.option("--json", "as_json", is_flag=True, help="The same as --json after the command.")
def main(as_json: bool) -> None:
    if "" not in sys.path and not sys.flags.safe_path:
        sys.path.append("")  # data classes are also found in the working directory, after installed modules
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(
                errors="backslashreplace"
            )  # a name may have characters that the terminal cannot show


COMMANDS = (
    start, status, node, group, leader, member, config, call, query, watch, unreachable, doctor, recover,
    backup, restore,
    demo, sim, contracts, secret,
)  # fmt: skip
for command in COMMANDS:
    main.add_command(command)
for command in (upgrade, versions, diff, repair, history.at, history.log, history.bisect, history.debug):
    group.add_command(command)
