"""`fleet group at`, `log`, `bisect` and `debug`: the past of a group that keeps it."""

import pdb
from datetime import UTC, datetime
from typing import Any

import click
from msgspec.structs import asdict

from fleet.cli.connection import Console, client
from fleet.cli.outcome import safe_repr
from fleet.client.recordings import each_past_call, recorded
from fleet.errors import BadArguments, ConfigError, Reject
from fleet.objects.context import executing
from fleet.objects.declare import shape_of
from fleet.objects.replay import PastCommand, Replay, call_of
from fleet.objects.watchers import Before, Call, fields_of

REVISION = click.IntRange(0)
FROM = click.option("--from", "start", type=REVISION, help="From this revision on.  [default: the oldest]")


@click.command()
@click.argument("name")
@click.argument("revision", type=REVISION)
@client
def at(console: Console, name: str, revision: int) -> None:
    """Show the object of group NAME as it was after REVISION.

    Its commands are executed again, here: its class must be importable, as it was then. The group must have
    kept its past (`fleet config change NAME keep=7d`).
    """
    console.know_group(name)
    found = console.fleet.at(name, revision)
    cls, fields = type(found), fields_of(found)
    of = f"{cls.__module__}.{cls.__qualname__}"
    value = {"group": name, "revision": revision, "data_class": of, "state": fields}
    lines = [f"  {field} = {safe_repr(value)}" for field, value in fields.items()]
    console.show(value, f"{name} at revision {revision}: {of}", *lines)


@click.command()
@click.argument("name")
@FROM
@click.option("--until", type=REVISION, help="Up to this revision.  [default: the newest]")
@client
def log(console: Console, name: str, start: int | None, until: int | None) -> None:
    """List the commands of group NAME: revision, time (UTC), client, method and arguments. Reminders that
    were due are among them; nobody called these."""
    console.know_group(name)
    calls = each_past_call(console.fleet, name, start, until)
    if console.as_json:
        console.show([record_of(call) for call in calls])
        return
    for call in calls:
        click.echo(words_on(call))


@click.command()
@click.argument("name")
@click.option("--where", required=True, metavar="EXPRESSION", help="Of the object's fields, in Python.")
@FROM
@client
def bisect(console: Console, name: str, where: str, start: int | None) -> None:
    """Find the first command of group NAME after which EXPRESSION is true: --where 'balance < 0'.

    Every state is looked at, so that what was true for a moment is found, too. `self` is the object.
    """
    console.know_group(name)
    condition = Condition(where)
    found = console.fleet.bisect(name, condition, start)
    if found is None:
        condition.check()
        console.show({"group": name, "where": where, "revision": None}, f"{name}: never, of what is kept")
        return
    value = {"group": name, "where": where, "revision": found.revision, "was_so": found.was_so}
    if found.call is not None:
        line = words_on(found.call)
    elif found.was_so:
        line = f"{found.revision}  was so before: it is the oldest state that was looked at"
    else:
        line = f"{found.revision}  a change of the class"
    console.show(value | {"call": record_of(found.call) if found.call is not None else None}, line)


@click.command()
@click.argument("name")
@click.argument("revision", type=click.IntRange(1))
@client
def debug(console: Console, name: str, revision: int) -> None:
    """Step through the command of group NAME with that REVISION, in Python's debugger.

    It is executed here, on the object as it was then. Nothing changes in the group. `q` leaves it.
    """
    if console.as_json:
        raise ConfigError("a debugger has no JSON: leave out --json")
    console.know_group(name)
    with recorded(console.fleet, name, revision - 1, revision) as recording:
        before = Before(revision)
        replay = Replay(recording, before)
        replay.run()
        if before.command is None:
            what = f"revision {revision} is no command that was executed"
            raise BadArguments(
                f"{what}: a change of members, settings or class, or a command that was skipped"
            )
        step_through(replay, before.command)


def step_through(replay: Replay, command: PastCommand) -> None:
    method, args, kwargs = call_of(replay, command)
    found = replay.object
    shape = shape_of(type(found))
    kind, functions = ("reminder", shape.reminders) if command.is_due else ("command", shape.commands)
    function = functions.get(method)
    if function is None:
        raise BadArguments(f"{type(found).__qualname__} has no {kind} {method!r}: it was refused")
    debugger = Debugger()
    with executing(command.context):
        try:
            told = f"it returns {safe_repr(debugger.runcall(function, found, *args, **kwargs))}"
        except Reject as refusal:
            told = f"it rejects: {safe_repr(refusal.value)}"
        except Exception as error:  # it is the user's code
            told = f"it raises {type(error).__name__}: {error}"
    if not debugger.was_left:
        click.echo(told)


class Debugger(pdb.Pdb):
    was_left = False
    """By `q`, or the end of input: nothing came of the command, then."""

    def set_quit(self) -> None:
        self.was_left = True
        super().set_quit()


class Condition:
    """An expression of an object's fields. What raises is not true."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.error: Exception | None = None
        self.was_evaluated = False
        try:
            self.code = compile(text, "--where", "eval")
        except (SyntaxError, ValueError) as error:
            raise ConfigError(f"--where {text!r} is no expression of Python: {error}") from error

    def __call__(self, found: Any) -> bool:
        try:
            is_so = bool(eval(self.code, {**fields_of(found), "self": found}))
        except Exception as error:  # a field may have come later
            self.error = error
            return False
        self.was_evaluated = True
        return is_so

    def check(self) -> None:
        """Raises ConfigError: it could never be told."""
        if self.error is not None and not self.was_evaluated:
            name = type(self.error).__name__
            raise ConfigError(f"--where {self.text!r} raises {name}: {self.error}") from self.error


def words_on(call: Call) -> str:
    when = datetime.fromtimestamp(call.at, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    skipped = "  (skipped)" if call.is_skipped else ""
    who = "(reminder)" if call.is_reminder else call.client
    return f"{call.revision}  {when}  {who}  {call}{skipped}"


def record_of(call: Call) -> dict[str, Any]:
    return asdict(call)
