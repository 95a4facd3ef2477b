"""`fleet node`: one node in this process."""

import logging
import sys

import click

from fleet.errors import FleetError
from fleet.node import Node


@click.command()
@click.option("--name", required=True, help="Unique in the cluster; always the same for one directory.")
@click.option("--listen", default="127.0.0.1:7400", show_default=True, help="host:port; port 0 picks one.")
@click.option("--data-dir", type=click.Path(file_okay=False), help="This node's own.  [default: fleet-NAME]")
@click.option("--advertise", help="host:port where others reach this node, if not --listen.")
@click.option("--join", multiple=True, help="host:port of a node of the cluster; may be given several times.")
@click.option("--zone", default="default", show_default=True, help="What fails together with this node.")
@click.option("--cluster", default="fleet", show_default=True, help="Cluster id, the same on all.")
@click.option("--secret-file", type=click.Path(dir_okay=False), help="Cluster secret, the same on all.")
@click.option("--insecure", is_flag=True, help="Listen beyond loopback without encryption.")
@click.option("-v", "--verbose", is_flag=True, help="Say what happens.")
def node(
    name: str,
    listen: str,
    data_dir: str | None,
    advertise: str | None,
    join: tuple[str, ...],
    zone: str,
    cluster: str,
    secret_file: str | None,
    insecure: bool,
    verbose: bool,
) -> None:
    """Run one node until SIGTERM or SIGINT."""
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    sys.setswitchinterval(0.0005)
    try:
        one = Node(
            name,
            listen,
            data_dir,
            advertise=advertise,
            join=join,
            zone=zone,
            cluster=cluster,
            secret_file=secret_file,
            insecure=insecure,
        )
        one.start()
        click.echo(f"node {name} serves at {one.address}")
        one.run_until_signal()
    except (FleetError, OSError) as error:
        click.echo(f"fleet node: {error}", err=True)
        sys.exit(1)
