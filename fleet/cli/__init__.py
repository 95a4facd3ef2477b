"""The `fleet` command. One module a command; this one gathers them."""

import click

from fleet import __version__
from fleet.cli.demo import demo
from fleet.cli.node import node

SETTINGS = {
    "help_option_names": ["-h", "--help"],
    "auto_envvar_prefix": "FLEET",
}


@click.group(context_settings=SETTINGS)
@click.version_option(__version__, prog_name="fleet")
def main() -> None:
    """Keep Python objects alive on several hosts at once.

    Every option may come from the environment: --data-dir of `fleet node` from FLEET_NODE_DATA_DIR.

    Exit codes: 0 well done, 1 it did not work (stderr says why), 2 it was asked for wrongly.
    """


main.add_command(node)
main.add_command(demo)
