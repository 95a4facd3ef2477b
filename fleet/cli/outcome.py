"""How commands end: exit codes, and errors in words or as JSON on stderr."""

import json
import sys
from typing import Any, NoReturn

import click

from fleet.errors import BadArguments, ConfigError, FleetError, OutcomeUnknown, Rejected

DONE, FAILED, USAGE, UNKNOWN, DEGRADED = range(5)
CODES = """Exit codes: 0 done, 1 a definite error, 2 asked for wrongly, 3 the outcome is unknown (look before
you repeat it), 4 done, and what it shows is not well. Errors go to stderr."""
HINTS = {
    "NoSuchGroup": "`fleet group list` names those there are",
    "GroupExists": "choose another name, or say --exist-ok",
    "NoSuchNode": "`fleet node list` names those there are",
    "OutcomeUnknown": "it may have been done: look at the state before you repeat it",
    "SessionExpired": "it may have been done: look at the state before you repeat it",
    "DataClassUnavailable": "install the module on the nodes, or say --by-value",
    "CannotRemoveLeader": "`fleet leader move` it first",
    "NoNode": "check --connect, and that the nodes run",
    "NoMajority": "too few of its nodes run: `fleet doctor` names those to start",
    "Unavailable": "`fleet doctor` says what is missing",
}
"""What to do next at a shell, where the errors' own hints speak to programs."""


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
        "facts": {key: str(value) for key, value in error.facts.items()},
        "hint": hint_of(error),
        "retry": error.retry,
        **({"value": error.value} if isinstance(error, Rejected) else {}),
    }


def fail(command: str, error: Exception, as_json: bool) -> NoReturn:
    code, record = code_of(error), record_of(error)
    if as_json:
        click.echo(json.dumps({**record, "exit_code": code}, default=repr), err=True)
    else:
        click.echo(f"{command}: {sentence(record)}", err=True)
    sys.exit(code)


def sentence(record: dict[str, Any]) -> str:
    what = f"refused: {record['value']!r}" if "value" in record else record["message"] or record["error"]
    facts = ", ".join(f"{key}={value}" for key, value in record["facts"].items() if value not in what)
    return what + (f" ({facts})" if facts else "") + (f" - {record['hint']}" if record["hint"] else "")
