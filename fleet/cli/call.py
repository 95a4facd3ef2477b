"""`fleet call` and `fleet query`: methods of a group by name. The class need not be here."""

import ast
import json
import sys
from time import monotonic
from typing import Any

import click

from fleet.cli.connection import Desk, client
from fleet.cli.outcome import safe_repr
from fleet.client.cluster_api import check_group_name
from fleet.cluster.codec import codec_of
from fleet.errors import NotDecodable
from fleet.objects.handles import CallOptions, Kind
from fleet.objects.payload import decode_result

EPILOG = """
An argument that is JSON or a Python literal is that: 5, -1, true, '[1, 2]', '{"a": 1}'. Any other is
a string. After `--` nothing is taken for an option.
"""
METHOD = (
    click.argument("group"),
    click.argument("method"),
    click.argument("args", nargs=-1),
    click.option("--kwarg", "kwargs", multiple=True, metavar="NAME=VALUE", help="By name; may be repeated."),
    client,
)


def _command(function: Any) -> click.Command:
    for part in reversed(METHOD):
        function = part(function)
    settings = {"ignore_unknown_options": True}
    return click.command(epilog=EPILOG, context_settings=settings)(function)


@_command
def call(desk: Desk, group: str, method: str, args: tuple[str, ...], kwargs: tuple[str, ...]) -> None:
    """Execute the command METHOD of GROUP, and print what it returns.

    It is executed at most once. Ends with 3 when it is not known whether it was.
    """
    _ask(desk, "command", group, method, args, kwargs)


@_command
def query(desk: Desk, group: str, method: str, args: tuple[str, ...], kwargs: tuple[str, ...]) -> None:
    """Ask GROUP the query METHOD, and print the answer. It sees every command acknowledged before."""
    _ask(desk, "query", group, method, args, kwargs)


def _ask(
    desk: Desk, kind: Kind, group: str, method: str, args: tuple[str, ...], kwargs: tuple[str, ...]
) -> None:
    check_group_name(group)
    named = {}
    for pair in kwargs:
        name, equals, text = pair.partition("=")
        if not equals or not name.isidentifier():
            raise click.BadParameter(f"{pair!r} is not NAME=VALUE", param_hint="--kwarg")
        named[name] = value_of(text)
    payload = codec_of(group).encode_call(method, tuple(map(value_of, args)), named)
    options = CallOptions()
    began_at = monotonic()
    reply = desk.fleet.submit(group, kind, method, payload, options)
    data = desk.fleet.wait(reply, options)
    taken_ms = (monotonic() - began_at) * 1000
    record: dict[str, Any] = {"value": None, "revision": reply.revision, "ms": round(taken_ms, 1)}
    try:
        record["value"] = decode_result(data)
    except NotDecodable as error:
        if kind == "query":
            raise
        desk.note(f"executed; {error.what}")
        record["undecodable"] = error.what
    revision = f"revision {reply.revision}, " if kind == "command" else ""
    desk.show({"group": group, "method": method, **record}, safe_repr(record["value"]))
    if sys.stdout.isatty():
        desk.note(f"({revision}{taken_ms:.1f} ms)")


def value_of(text: str) -> Any:
    """JSON, else a Python literal, else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
