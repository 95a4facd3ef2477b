"""`fleet node`: one node in this process."""

import logging
import os
import signal
import sys
import threading
from typing import Any, NoReturn

import click

from fleet.errors import ConfigError, FleetError
from fleet.node import Node

FAILED, USAGE = 1, 2
STOP_S_MAX = 5.0
EPILOG = """
Examples, three nodes on one host (each in its own terminal):

\b
  fleet node --name n1 --listen 127.0.0.1:7401 --join 127.0.0.1:7402
  fleet node --name n2 --listen 127.0.0.1:7402 --join 127.0.0.1:7401
  fleet node --name n3 --listen 127.0.0.1:7403 --join 127.0.0.1:7401

The secret is that of --secret-file, else of $FLEET_SECRET, else of the file that $FLEET_SECRET_FILE names,
else ~/.config/fleet/secret, which is made when it is missing. Every option may come from the environment:
FLEET_NODE_NAME, FLEET_NODE_DATA_DIR, FLEET_NODE_JOIN="host:port host:port" and so on.
"""


@click.command(epilog=EPILOG)
@click.option("--name", required=True, help="Unique in the cluster; always the same for one directory.")
@click.option("--listen", default="127.0.0.1:7400", show_default=True, help="host:port; port 0 picks one.")
@click.option("--data-dir", type=click.Path(file_okay=False), help="This node's own.  [default: fleet-NAME]")
@click.option("--advertise", help="host:port where others reach this node, if not --listen.")
@click.option("--join", multiple=True, help="host:port of a node of the cluster; may be given several times.")
@click.option("--zone", default="default", show_default=True, help="What fails together with this node.")
@click.option("--cluster", default="fleet", show_default=True, help="Cluster id, the same on all.")
@click.option("--secret-file", type=click.Path(dir_okay=False), help="Cluster secret, the same on all.")
@click.option("--insecure", is_flag=True, help="Listen beyond loopback without encryption.")
@click.option("--until-eof", is_flag=True, help="Stop when stdin ends, as it does when the parent dies.")
@click.option("-v", "--verbose", is_flag=True, help="Say on stderr what happens.")
def node(
    name: str, listen: str, data_dir: str | None, until_eof: bool, verbose: bool, **options: Any
) -> None:
    """Run one node until SIGTERM or SIGINT.

    It says on stdout where it serves, in one line, when it does. Everything that it acknowledged is in its
    data directory: started again with the same name and directory, it goes on where it was.
    """
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    sys.setswitchinterval(0.0005)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))  # until the node serves, and stops in order
    if until_eof:
        threading.Thread(target=_end_with_stdin, name="until-eof", daemon=True).start()
    try:
        one = Node(name, listen, data_dir, **options)
        try:
            one.start()
        except OSError as error:
            why = error.strerror or str(error)
            _fail(FAILED, f"cannot listen at {listen}: {why} - choose another, or stop what is there")
        click.echo(f"node {name} serves at {one.address}")
        one.run_until_signal()
    except ConfigError as error:
        _fail(USAGE, f"{error} - see fleet node --help")
    except FleetError as error:
        _fail(FAILED, str(error))


def _fail(code: int, what: str) -> NoReturn:
    click.echo(f"fleet node: {what}", err=True)
    sys.exit(code)


def _end_with_stdin() -> None:
    """The parent holds the other end of a pipe: when it is gone, however it went, so is this node."""
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(STOP_S_MAX)
    os._exit(FAILED)
