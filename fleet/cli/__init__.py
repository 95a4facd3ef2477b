"""The `fleet` command. One module a command; this one gathers them."""

import click

from fleet import __version__
from fleet.cli.demo import demo
from fleet.cli.node import node


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="fleet")
def main() -> None:
    """Keep Python objects alive on several hosts at once."""


main.add_command(node)
main.add_command(demo)
