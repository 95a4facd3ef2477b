"""`fleet call` and `fleet query`: call methods of a group by name, without its class."""

import ast
import json
import sys
from time import monotonic
from typing import Any

import click

from fleet.cli.connection import Console, client
from fleet.cli.outcome import safe_repr
from fleet.client.cluster_api import check_group_name
from fleet.cluster.codec import encoder_for
from fleet.errors import NotDecodable
from fleet.objects.handles import CallOptions, Kind
from fleet.objects.keyed import EncodeCall, keyed_encoder
from fleet.objects.payload import decode_result

EPILOG = """
Arguments are read as JSON or Python literals: 5, -1, true, '[1, 2]', '{"a": 1}'. Any other argument is a
string. After `--` nothing is read as an option.
"""
TOO_MANY_DIGITS = "for integer string conversion"
"""In the error with which Python refuses to read such a number."""
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
def call(
    console: Console,
    group: str,
    method: str,
    args: tuple[str, ...],
    kwargs: tuple[str, ...],
    key: str | None,
    keep: float | None,
) -> None:
    """Execute the command METHOD of GROUP, and print its result.

    It is executed at most once. Exits with 3 if it is unknown whether it was. With --key one command is
    executed under that key, whoever calls it: call it again to learn what came of the first.
    """
    _ask(console, "command", group, method, args, kwargs, CallOptions(key=key, keep=keep))


call.params += [
    click.Option(("--key",), metavar="TEXT", help="Execute it once under this key, whoever calls."),
    click.Option(
        ("--keep",),
        type=float,
        metavar="SECONDS",
        help="How long the group keeps the key; else as the class says, a day.",
    ),
]


@_command
def query(
    console: Console,
    group: str,
    method: str,
    args: tuple[str, ...],
    kwargs: tuple[str, ...],
    stale: float | None,
) -> None:
    """Execute the query METHOD of GROUP, and print its result. It sees all commands acknowledged before.

    With --stale it sees those acknowledged so many seconds before.
    """
    options = CallOptions(max_age_ms=None if stale is None else int(stale * 1000))
    _ask(console, "query", group, method, args, kwargs, options)


query.params.append(
    click.Option(
        ("--stale",),
        type=click.FloatRange(0, 1e6),
        metavar="SECONDS",
        help="Ask any member, whose state is so old at most.",
    )
)


def _ask(
    console: Console,
    kind: Kind,
    group: str,
    method: str,
    args: tuple[str, ...],
    kwargs: tuple[str, ...],
    options: CallOptions = CallOptions(),
) -> None:
    check_group_name(group)
    named = {}
    for pair in kwargs:
        name, equals, text = pair.partition("=")
        if not equals or not name.isidentifier():
            raise click.BadParameter(f"{pair!r} is not NAME=VALUE", param_hint="--kwarg")
        named[name] = value_of(text)
    encode_call: EncodeCall = encoder_for(group, console.fleet.groups())
    if options.key is not None:
        encode_call = keyed_encoder(encode_call, options.key, options.keep)
    payload = encode_call(method, tuple(map(value_of, args)), named)
    began_at = monotonic()
    reply = console.fleet.submit(group, kind, method, payload, options)
    data = console.fleet.wait(reply, options)
    taken_ms = (monotonic() - began_at) * 1000
    record: dict[str, Any] = {"value": None, "revision": reply.revision, "ms": round(taken_ms, 1)}
    try:
        record["value"] = decode_result(data)
    except NotDecodable as error:
        if kind == "query":
            raise
        console.note(f"executed; {error.what}")
        record["undecodable"] = error.what
    revision = f"revision {reply.revision}, " if kind == "command" else ""
    console.show({"group": group, "method": method, **record}, safe_repr(record["value"]))
    if sys.stdout.isatty():
        console.note(f"({revision}{taken_ms:.1f} ms)")


def value_of(text: str) -> Any:
    """JSON, else a Python literal, else the text itself. Raises click.BadParameter: a number in it has more
    digits than Python reads, and it is not meant as a text."""
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
            if TOO_MANY_DIGITS in str(error):
                limit = sys.get_int_max_str_digits()
                what = f"a number in {text[:20]}... has more than {limit} digits"
                raise click.BadParameter(f"{what}: write 0x..., or a text in quotes") from None
    return text
