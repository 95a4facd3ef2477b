"""Exit codes of commands, and errors on stderr, as text or JSON."""

import json
import sys
from typing import Any, NoReturn

import click
import msgspec

from fleet.errors import BadArguments, ConfigError, FleetError, OutcomeUnknown, Rejected

DONE, FAILED, USAGE, UNKNOWN, DEGRADED = range(5)
INTERRUPTED = 130
CODES = """Exit codes: 0 done, 1 a definite error, 2 wrong usage, 3 the outcome is unknown (look before
you repeat it), 4 done, but what it shows is not healthy, 130 interrupted. Errors go to stderr."""
HINTS = {
    "NoSuchGroup": "`fleet group list` lists the groups",
    "RestoreRefused": "remove it first with `fleet group remove`, or use --group NAME --as OTHER",
    "GroupExists": "choose another name, or use --exist-ok",
    "NoSuchNode": "`fleet node list` lists the nodes",
    "Compacted": "use a later --since: `oldest` is the first revision of which all events are kept",
    "KeysFull": "use a shorter --keep, or raise keys_max with `fleet config change`",
    "RemindersFull": "raise reminders_max with `fleet config change`",
    "EffectsFull": "the leader's log says why `on_effect` is slow or fails",
    "OutcomeUnknown": "it may have been done: look at the state before you repeat it",
    "SessionExpired": "it may have been done: look at the state before you repeat it",
    "DataClassUnavailable": "install the module on the nodes, or use --by-value",
    "CannotRemoveLeader": "`fleet leader move` it first",
    "NotDecodable": "run it where the module can be imported, for example in its directory",
    "NoNode": "check --connect, and that the nodes run",
    "NoMajority": "too few of its nodes run: `fleet doctor` lists those to start",
    "Unavailable": "`fleet doctor` says what is missing",
}
"""What to do next at a shell; the hints of the error classes are for programs."""


def code_of(error: Exception) -> int:
    if isinstance(error, OutcomeUnknown | TimeoutError):
        return UNKNOWN
    return USAGE if isinstance(error, ConfigError | BadArguments) else FAILED


def hint_of(error: FleetError) -> str:
    kinds = (kind.__name__ for kind in type(error).__mro__)
    return next((HINTS[kind] for kind in kinds if kind in HINTS), error.hint)


def record_of(error: Exception) -> dict[str, Any]:
    if not isinstance(error, FleetError):
        kind = "OutcomeUnknown" if isinstance(error, TimeoutError) else type(error).__name__
        return {"error": kind, "message": str(error), "facts": {}, "hint": "", "retry": False}
    return {
        "error": type(error).__name__,
        "message": "refused" if isinstance(error, Rejected) else error.what or type(error).__name__,
        "facts": {key: str(value) for key, value in error.facts.items() if key != "remote_traceback"},
        "hint": hint_of(error),
        "retry": error.retry,
        **({"value": error.value} if isinstance(error, Rejected) else {}),
    }


def fail(command: str, error: Exception, as_json: bool, hint: str = "") -> NoReturn:
    """Print the error and exit. `hint`: what to do next, if the command knows better than the error."""
    code, record = code_of(error), record_of(error)
    record["hint"] = hint or record["hint"]
    if as_json:
        click.echo(to_json({**record, "exit_code": code}), err=True)
    else:
        click.echo(f"{command}: {sentence(record)}", err=True)
    sys.exit(code)


def show_wrong_usage(error: click.ClickException, as_json: bool) -> None:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return
    path = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "fleet"
    hint = f"see {path} --help"
    record = {"error": "UsageError", "message": error.format_message().rstrip("."), "facts": {}, "hint": hint}
    if as_json:
        click.echo(to_json({**record, "retry": False, "exit_code": error.exit_code}), err=True)
    else:
        click.echo(f"{path}: {sentence(record)}", err=True)


def _wants_json(ctx: click.Context, option: click.Parameter, is_said: bool) -> bool:
    """--json may stand before or after the command."""
    return is_said or bool(ctx.find_root().params.get("as_json"))


JSON = click.option(
    "--json", "as_json", is_flag=True, callback=_wants_json, help="JSON on stdout, and errors as JSON."
)


def to_json(value: Any) -> str:
    """JSON in one line. Dataclasses and structs become objects, enums their values, bytes base64, NaN null,
    and anything else that JSON lacks its repr. In a dict that cannot be encoded, this applies to each
    value."""
    encoded = _encoded(value)
    if encoded is None and isinstance(value, dict):
        names = [json.dumps(key if isinstance(key, str) else safe_repr(key)) for key in value]
        texts = [_encoded(one) or json.dumps(safe_repr(one)) for one in value.values()]
        return "{" + ",".join(f"{name}:{text}" for name, text in zip(names, texts)) + "}"
    return encoded or json.dumps(safe_repr(value))


def _encoded(value: Any) -> str | None:
    try:
        return msgspec.json.encode(value, enc_hook=_plain).decode()
    except Exception:  # a lone surrogate, a cycle: the value is the user's and may raise anything
        return None


def _plain(value: Any) -> Any:
    return str.__str__(value) if isinstance(value, str) else safe_repr(value)


def safe_repr(value: Any) -> str:
    try:
        return repr(value)
    except Exception as error:  # the class is the user's and may raise anything
        return f"<{type(value).__name__}, whose __repr__ raised {type(error).__name__}>"


def sentence(record: dict[str, Any]) -> str:
    what: str = record["message"] or record["error"]
    if "value" in record:
        what = f"refused: {safe_repr(record['value'])}"
    shown = {key: value if value.isprintable() else repr(value) for key, value in record["facts"].items()}
    facts = ", ".join(f"{key}={value}" for key, value in shown.items() if value not in what)
    return what + (f" ({facts})" if facts else "") + (f" - {record['hint']}" if record["hint"] else "")
