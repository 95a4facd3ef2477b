"""The `fleet` command. Each command or family of commands has a module; this one finds them."""

import sys
from collections.abc import Sequence
from importlib import import_module
from io import TextIOWrapper
from typing import Any

import click

from fleet import __version__
from fleet.cli.outcome import CODES, FAILED, INTERRUPTED, show_wrong_usage

SETTINGS = {"help_option_names": ["-h", "--help"]}


WHAT = """Keep Python objects alive on several hosts at once.

Run nodes with `fleet start`; every other command asks a cluster, the one at --connect or $FLEET_CONNECT,
or works on the directory of a stopped node."""


MODULES = {
    "start": "start", "status": "status", "node": "node", "group": "group_commands", "leader": "member",
    "member": "member", "config": "settings", "call": "call", "query": "call", "watch": "watch",
    "unreachable": "status", "doctor": "doctor", "finalize": "finalize", "recover": "recover",
    "backup": "backup", "restore": "backup", "demo": "demo.command", "sim": "sim", "contracts": "contracts",
    "secret": "secret",
}  # fmt: skip
"""Where each command is, in the order of the help. One is imported when it is wanted: nodes and the simulator
take as long to import as a client does."""


class CommandGroup(click.Group):
    """Reports wrong usage like other errors: as JSON with --json."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(MODULES)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in MODULES:
            return None
        found: click.Command = getattr(import_module(f"fleet.cli.{MODULES[name]}"), name)
        return found

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
