"""`fleet start`: one node in this process."""

import errno
import logging
import os
import re
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any, NoReturn

import click

from fleet.cli.outcome import FAILED, USAGE
from fleet.errors import ConfigError, FleetError, OpenToNetwork
from fleet.node import Node

STOP_S_MAX = 5.0
PORT_TROUBLE = (errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES, errno.EPERM)
UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
EPILOG = """
Examples, three nodes on one host (each in its own terminal):

\b
  FOUNDERS="--founder 127.0.0.1:7401 --founder 127.0.0.1:7402 --founder 127.0.0.1:7403"
  fleet start --name n1 --listen 127.0.0.1:7401 $FOUNDERS
  fleet start --name n2 --listen 127.0.0.1:7402 $FOUNDERS
  fleet start --name n3 --listen 127.0.0.1:7403 $FOUNDERS

The founders of a cluster all get the same --founder addresses, an odd number, their own among them: they
found exactly one together, in whatever order they start. Every later node gets --join and an address or two
of the cluster. A cluster of one node is founded with --found, once; what starts that node again has no
--found.

SIGTERM stops the node at once; its members stay where they are, for a fast restart. With --drain-on-term it
leaves the cluster first; what is not done in time goes on when it is started again.

The secret is that of --secret-file, else of $FLEET_SECRET, else of the file that $FLEET_SECRET_FILE names,
else ~/.config/fleet/secret, which is made when it is missing. Every option may come from the environment:
FLEET_NODE_NAME, FLEET_NODE_DATA_DIR, FLEET_NODE_JOIN="host:port host:port" and so on.
"""


class Duration(click.ParamType[float]):
    """Seconds, of "10m", "30s", "1.5h", "250ms"; a number alone is of seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(\w*)", str(value).strip())
        if match is None or match[2] not in UNITS:
            self.fail(f"{value!r} is no duration; write it like 30s, 10m or 1h", param, ctx)
        return float(match[1]) * UNITS[match[2]]


DURATION = Duration()


def _option(name: str, **settings: Any) -> Callable[[Any], Any]:
    return click.option(name, envvar=f"FLEET_NODE_{name[2:].replace('-', '_').upper()}", **settings)


def node_options(function: Any) -> Any:
    for option in reversed((
        _option("--name", help="Unique in the cluster; always the same for one directory.  [required]"),
        _option("--listen", default="127.0.0.1:7400", show_default=True, help="host:port; port 0 picks one."),
        _option("--data-dir", type=click.Path(file_okay=False), help="Its own.  [default: fleet-NAME]"),
        _option("--advertise", help="host:port where others reach this node, if not --listen."),
        _option("--join", multiple=True, help="host:port of a node of the cluster; may be repeated."),
        _option("--found", is_flag=True, help="Found a cluster alone, in an empty directory; only once."),
        _option("--founder", multiple=True, help="host:port of a founder, the same list on all; repeat it."),
        _option("--zone", default="default", show_default=True, help="What fails together with this node."),
        _option("--weight", type=float, default=1.0, show_default=True, help="Its share; 0: nothing."),
        _option("--inactive", is_flag=True, help="Host no groups until `fleet node activate`."),
        _option("--purge-after", type=DURATION, default="10m", show_default=True,
                help="How long a node may be unreachable before a majority gives it up; set by founders."),
        _option("--drain-on-term", type=DURATION, default="0s", metavar="DURATION",
                help="On SIGTERM leave the cluster first, within this time.  [default: stop at once]"),
        _option("--cluster", default="fleet", show_default=True, help="Cluster id, the same on all."),
        _option("--secret-file", type=click.Path(dir_okay=False), help="Cluster secret, the same on all."),
        _option("--insecure", is_flag=True, help="Listen beyond loopback without encryption."),
        _option("--until-eof", is_flag=True, help="Stop when stdin ends, as it does when the parent dies."),
        click.option("-v", "--verbose", is_flag=True, help="Say on stderr what happens."),
    )):  # fmt: skip
        function = option(function)
    return function


@click.command(epilog=EPILOG)
@node_options
def start(**options: Any) -> None:
    """Run one node until SIGTERM or SIGINT.

    It says on stdout where it serves, in one line, when it does. Everything that it acknowledged is in its
    data directory: started again with the same name and directory, it goes on where it was.
    """
    run_node(**options)


def run_node(
    name: str | None,
    listen: str,
    data_dir: str | None,
    founder: tuple[str, ...],
    inactive: bool,
    drain_on_term: float,
    until_eof: bool,
    verbose: bool,
    **options: Any,
) -> None:
    if not name:
        raise click.UsageError("Missing option '--name'.", click.get_current_context())
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    sys.setswitchinterval(0.0005)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))  # until the node serves, and stops in order
    if until_eof:
        watcher = threading.Thread(target=_end_with_stdin, args=(drain_on_term,), daemon=True)
        try:
            watcher.start()
        except RuntimeError as error:
            _fail(FAILED, f"cannot start: {error} - raise the limits of this process, see ulimit -a")
    try:
        one = Node(name, listen, data_dir, founders=founder, active=not inactive, **options)
        try:
            one.start()
        except OSError as error:
            why = error.strerror or str(error)
            if error.errno in PORT_TROUBLE:
                _fail(FAILED, f"cannot listen at {listen}: {why} - choose another, or stop what is there")
            _fail(FAILED, f"cannot start: {why} - raise the limits of this process, see ulimit -a")
        founded = f"\nnode {name} founded cluster {one.cluster_uid}" if one.found else ""
        click.echo(f"node {name} serves at {one.address}{founded}")
        one.run_until_signal(drain_on_term)
        if one.has_left:
            click.echo(f"node {name} has left the cluster, and ends")
    except OpenToNetwork as error:
        what = f"{error.what}: listen on 127.0.0.1, or say --insecure if the network is trusted"
        _fail(USAGE, f"{what} - see {click.get_current_context().command_path} --help")
    except ConfigError as error:
        _fail(USAGE, f"{error} - see {click.get_current_context().command_path} --help")
    except FleetError as error:
        _fail(FAILED, str(error))


def _fail(code: int, what: str) -> NoReturn:
    click.echo(f"{click.get_current_context().command_path}: {what}", err=True)
    sys.exit(code)


def _end_with_stdin(drain_s: float) -> None:
    """The parent holds the other end of a pipe: when it is gone, however it went, so is this node."""
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(STOP_S_MAX + drain_s)
    os._exit(FAILED)
