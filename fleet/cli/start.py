"""`fleet start`: one node in this process."""

import errno
import gc
import logging
import os
import signal
import sys
import threading
from typing import Any, NoReturn

import click
from setproctitle import setproctitle

from fleet.any_node import AnyNode
from fleet.cli.options import configured, setting_options
from fleet.cli.outcome import FAILED, USAGE
from fleet.config.effective import (
    FLAG,
    Configuration,
    check_contradictions,
    node_arguments,
    strange_variables,
)
from fleet.config.settings import BY_NAME, OF_A_NODE
from fleet.errors import ConfigError, FleetError
from fleet.logs import TEXT, begin_log, said
from fleet.node import node_class
from fleet.service_manager import ServiceManager

STOP_S_MAX = 5.0
GC_THRESHOLD = 20_000
"""New objects before those in circles are looked for. A turn with hundreds of groups makes thousands that
live until its end, and none of them is in a circle."""
RAISE_LIMITS = "raise the limits of this process, see ulimit -a"
PORT_TROUBLE = (errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES, errno.EPERM)
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

Each setting is taken from its option, else from its environment variable, else from the file, else it has
its default. `fleet config init` writes a file, `fleet config check` explains mistakes in it, and
`fleet config show` tells where each value comes from. The secret comes from --secret-file, else from
$FLEET_SECRET, else from the file named by $FLEET_SECRET_FILE, else from the one that fleet.toml names, else
from ~/.config/fleet/secret, which is created if missing.
"""


def node_options(function: Any) -> Any:
    verbose = click.option("-v", "--verbose", is_flag=True, help="The same as --log-level info.")
    return setting_options(*OF_A_NODE)(verbose(function))


@click.command(epilog=EPILOG)
@node_options
def start(**options: Any) -> None:
    """Run one node until SIGTERM or SIGINT.

    It prints one line with its address when it serves. Everything it has acknowledged is in its data
    directory: start it again with the same name and directory to continue.
    """
    run_node(**options)


def run_node(verbose: bool, **options: Any) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))  # until the node serves and handles them itself
    path = click.get_current_context().command_path
    form = options["log_format"] or os.environ.get(BY_NAME["log_format"].variable, TEXT)
    voice = Voice(options["name"] or "", form)  # until the settings are known
    try:
        found = configured(options, *OF_A_NODE)
        voice = Voice(found["name"] or "", found["log_format"])
        arguments = node_arguments(found)
        check_contradictions(found)
        _log(found, verbose)
        sys.setswitchinterval(0.0005)
        gc.set_threshold(GC_THRESHOLD)
        if found["until_eof"]:
            _begin_watching_stdin(found["drain_on_term"])
        _serve(node_class(found["base"])(**arguments), found["drain_on_term"], voice)
    except ConfigError as error:
        voice.fail(USAGE, f"{path}: {error} - see {path} --help")
    except (CannotStart, FleetError) as error:
        voice.fail(FAILED, f"{path}: {error}")


class CannotStart(Exception):
    """The operating system refuses something; the text says what, and what to do."""


class Voice:
    """Says what the process has to say, in the form of its log."""

    def __init__(self, node: str, form: str) -> None:
        self.node = node
        self.form = form

    def say(self, text: str) -> None:
        """All lines at once: who has read the first one may end this process."""
        click.echo("\n".join(said(line, self.form, self.node) for line in text.splitlines()))

    def fail(self, code: int, text: str) -> NoReturn:
        click.echo(said(text, self.form, self.node, logging.ERROR), err=True)
        sys.exit(code)


def _log(found: Configuration, verbose: bool) -> None:
    level = "info" if verbose and found.found["log_level"].origin != FLAG else found["log_level"]
    begin_log(level, found["log_format"], found["name"])
    for what in strange_variables():
        logging.getLogger("fleet").warning("%s", what)


def _serve(node: AnyNode, drain_s: float, voice: Voice) -> None:
    """Run the node until it is told to end."""
    setproctitle(f"fleet node {node.name} at {node.listen}, {os.path.abspath(node.data_dir)}")
    manager = ServiceManager()
    try:
        node.start()
    except OSError as error:
        why = error.strerror or str(error)
        if error.errno in PORT_TROUBLE:
            what = f"cannot listen at {node.listen}: {why} - choose another address, or stop what uses it"
            raise CannotStart(what) from None
        raise CannotStart(f"cannot start: {why} - {RAISE_LIMITS}") from None
    founded = f"\nnode {node.name} founded cluster {node.cluster_uid}" if node.found else ""
    voice.say(f"node {node.name} serves at {node.address}{founded}")
    if manager.is_there:
        manager.serves()
        node.watch_health(manager.every_s, manager.on_health)
    node.run_until_signal(drain_s, lambda: manager.stops(drain_s))
    manager.close()
    if node.has_left:
        voice.say(f"node {node.name} has left the cluster and ends")


def _begin_watching_stdin(drain_s: float) -> None:
    watcher = threading.Thread(target=_end_with_stdin, args=(drain_s,), daemon=True)
    try:
        watcher.start()
    except RuntimeError as error:
        raise CannotStart(f"cannot start: {error} - {RAISE_LIMITS}") from None


def _end_with_stdin(drain_s: float) -> None:
    """Stop this node when stdin is closed: the parent holds the other end, and has ended."""
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(STOP_S_MAX + drain_s)
    os._exit(FAILED)
