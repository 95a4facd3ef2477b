"""The `fleet` command. One module a command or family; this one gathers them."""

import sys
from io import TextIOWrapper

import click

from fleet import __version__
from fleet.cli.call import call, query
from fleet.cli.demo import demo
from fleet.cli.doctor import doctor
from fleet.cli.group import group
from fleet.cli.member import leader, member
from fleet.cli.node import node
from fleet.cli.outcome import CODES
from fleet.cli.settings import config
from fleet.cli.sim import sim
from fleet.cli.start import start
from fleet.cli.status import status, unreachable

SETTINGS = {
    "help_option_names": ["-h", "--help"],
    "auto_envvar_prefix": "FLEET",
}


@click.group(
    context_settings=SETTINGS,
    help=f"""Keep Python objects alive on several hosts at once.

    Run nodes with `fleet start`; every other command asks a cluster, the one at --connect or $FLEET_CONNECT.

    {CODES}
    """,
)
@click.version_option(__version__, prog_name="fleet")
def main() -> None:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name may be more than a terminal shows


COMMANDS = (
    start, status, node, group, leader, member, config, call, query, unreachable, doctor, demo, sim,
)  # fmt: skip
for command in COMMANDS:
    main.add_command(command)
