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

Give all founders of a cluster the same --founder addresses, an odd number, their own included: they found
exactly one cluster together, in whatever order they start. Give every later node --join with an address or
two of the cluster. To found a cluster of one node use --found, once; start that node again without it.

SIGTERM stops the node at once; its members stay on it, for a fast restart. With --drain-on-term it leaves
the cluster first; what is not finished in time continues when the node is started again.

The secret comes from --secret-file, else from $FLEET_SECRET, else from the file named by $FLEET_SECRET_FILE,
else from ~/.config/fleet/secret, which is created if missing. Every option can be set in the environment:
FLEET_NODE_NAME, FLEET_NODE_DATA_DIR, FLEET_NODE_JOIN="host:port host:port" and so on.
"""


class Duration(click.ParamType[float]):
    """A duration such as "10m", "30s", "1.5h" or "250ms", in seconds; a plain number is seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(\w*)", str(value).strip())
        if match is None or match[2] not in UNITS:
            self.fail(f"{value!r} is not a duration; write it like 30s, 10m or 1h", param, ctx)
        return float(match[1]) * UNITS[match[2]]


class Size(click.ParamType[int]):
    """A number of bytes such as "500M" or "2GiB", in powers of 1024; a plain number is bytes."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", str(value).strip(), re.IGNORECASE)
        if match is None:
            self.fail(f"{value!r} is not a number of bytes; write it like 500M or 2G", param, ctx)
        return int(float(match[1]) * 1024.0 ** " KMGT".index(match[2].upper() or " "))


DURATION = Duration()
SIZE = Size()


def _option(name: str, **settings: Any) -> Callable[[Any], Any]:
    return click.option(name, envvar=f"FLEET_NODE_{name[2:].replace('-', '_').upper()}", **settings)


def node_options(function: Any) -> Any:
    for option in reversed((
        _option("--name", help="Unique in the cluster; always the same for one directory.  [required]"),
        _option("--listen", default="127.0.0.1:7400", show_default=True, help="host:port; port 0 picks one."),
        _option("--data-dir", type=click.Path(file_okay=False), help="Its directory.  [default: fleet-NAME]"),
        _option("--advertise", help="host:port where others reach this node, if not --listen."),
        _option("--join", multiple=True, help="host:port of a node of the cluster; may be repeated."),
        _option("--found", is_flag=True, help="Found a cluster alone, in an empty directory; only once."),
        _option("--founder", multiple=True, help="host:port of a founder, the same list on all; repeat it."),
        _option("--zone", default="default", show_default=True, help="Its failure domain, such as a rack."),
        _option("--weight", type=float, default=1.0, show_default=True, help="Its share; 0: none."),
        _option("--inactive", is_flag=True, help="Host no groups until `fleet node activate`."),
        _option("--executors", type=int, default=1, show_default=True,
                help="Processes for users' objects and code; 0: in the node's own, for trusted, fast code."),
        _option("--executor-memory-max", type=SIZE, default="0", metavar="BYTES",
                help="What one of them may use, such as 2G.  [default: 3/4 of the host's memory, shared]"),
        _option("--purge-after", type=DURATION, default="10m", show_default=True,
                help="How long a node may be unreachable before a majority purges it; set by founders."),
        _option("--drain-on-term", type=DURATION, default="0s", metavar="DURATION",
                help="On SIGTERM leave the cluster first, within this time.  [default: stop at once]"),
        _option("--cluster", default="fleet", show_default=True, help="Cluster id, the same on all."),
        _option("--secret-file", type=click.Path(dir_okay=False), help="Cluster secret, the same on all."),
        _option("--insecure", is_flag=True, help="Listen beyond loopback without encryption."),
        _option("--until-eof", is_flag=True, help="Stop when stdin is closed, as when the parent dies."),
        click.option("-v", "--verbose", is_flag=True, help="Log what happens to stderr."),
    )):  # fmt: skip
        function = option(function)
    return function


@click.command(epilog=EPILOG)
@node_options
def start(**options: Any) -> None:
    """Run one node until SIGTERM or SIGINT.

    It prints one line with its address when it serves. Everything it has acknowledged is in its data
    directory: start it again with the same name and directory to continue.
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
        signal.signal(number, lambda *_: sys.exit(0))  # until the node serves and handles them itself
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
                _fail(
                    FAILED, f"cannot listen at {listen}: {why} - choose another address, or stop what uses it"
                )
            _fail(FAILED, f"cannot start: {why} - raise the limits of this process, see ulimit -a")
        founded = f"\nnode {name} founded cluster {one.cluster_uid}" if one.found else ""
        click.echo(f"node {name} serves at {one.address}{founded}")
        one.run_until_signal(drain_on_term)
        if one.has_left:
            click.echo(f"node {name} has left the cluster and ends")
    except OpenToNetwork as error:
        what = f"{error.what}: listen on 127.0.0.1, or use --insecure if the network is trusted"
        _fail(USAGE, f"{what} - see {click.get_current_context().command_path} --help")
    except ConfigError as error:
        _fail(USAGE, f"{error} - see {click.get_current_context().command_path} --help")
    except FleetError as error:
        _fail(FAILED, str(error))


def _fail(code: int, what: str) -> NoReturn:
    click.echo(f"{click.get_current_context().command_path}: {what}", err=True)
    sys.exit(code)


def _end_with_stdin(drain_s: float) -> None:
    """Stop this node when stdin is closed: the parent holds the other end, and has ended."""
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(STOP_S_MAX + drain_s)
    os._exit(FAILED)
