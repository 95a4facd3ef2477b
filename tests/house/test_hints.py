"""What errors tell a caller to do can be done: the commands, options, calls and settings in it exist."""

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import cloudpickle
import pytest

import fleet
import fleet.aio
import fleet.errors
import fleet.testing
from fleet.cli import main
from fleet.cli.outcome import HINTS
from fleet.errors import FleetError, OutcomeUnknown
from fleet.objects.handles import CommandCall

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [
    path for folder in ("fleet", "actors", "storage") for path in sorted((ROOT / folder).rglob("*.py"))
]
OWNERS = (fleet, fleet.aio, fleet.testing, fleet.Fleet, fleet.Node, OutcomeUnknown, CommandCall, cloudpickle)
CALLED = (
    fleet.connect,
    fleet.Fleet.create_group,
    fleet.Fleet.watch,
    fleet.Data.__init_subclass__,
    fleet.Node,
)
SETTINGS = {name for call in CALLED for name in inspect.signature(call).parameters}
SETTINGS |= {*fleet.GroupConfig.__struct_fields__}


def commands(command: click.Command, path: str = "fleet") -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from commands(below, f"{path} {name}")


COMMANDS = dict(commands(main))


def options(command: click.Command) -> set[str]:
    return {name for option in command.params for name in option.opts} | {"--help"}


EVERY_OPTION = {option for command in COMMANDS.values() for option in options(command)}


def texts(path: Path) -> Iterator[str]:
    """Its strings, without docstrings; whatever is put into one is X."""
    tree = ast.parse(path.read_text())
    nodes = list(ast.walk(tree))
    passed = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    for node in nodes:
        if isinstance(node, ast.JoinedStr):
            passed |= {id(part) for part in ast.walk(node)}
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values)
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in passed:
            yield node.value


def is_there(name: str) -> bool:
    """A dotted name of ours, or one that an object which a caller holds has."""
    first, _, rest = name.partition(".")
    if first in ("fleet", "cloudpickle") and rest:
        found: Any = importlib.import_module(first)
        return all((found := getattr(found, part, None)) is not None for part in rest.split("."))
    return any(hasattr(owner, name.rpartition(".")[2]) for owner in OWNERS)


def errors(kind: type[FleetError] = FleetError) -> Iterator[type[FleetError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from errors(below)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_option_and_call_that_a_text_names_exists(path: Path) -> None:
    for text in texts(path):
        called = re.findall(r"\b(?:fleet|cloudpickle)\.[\w.]+(?=\()", text)
        assert [name for name in called if not is_there(name)] == [], text
        for shown in re.findall(r"`(fleet [^`]+)`", text):
            words = shown.split()
            named = max(place for place in range(1, len(words) + 1) if " ".join(words[:place]) in COMMANDS)
            command = COMMANDS[" ".join(words[:named])]
            assert named > 1 and (not isinstance(command, click.Group) or named == len(words)), shown
            assert {word for word in words if word.startswith("--")} <= options(command), shown
        if " " in text:
            assert {*re.findall(r"(?<![\w-])--[a-z][\w-]+", text)} <= EVERY_OPTION, text


@pytest.mark.parametrize("kind", list(errors()), ids=lambda kind: kind.__name__)
def test_whatever_a_hint_names_exists(kind: type[FleetError]) -> None:
    """Some named a `FleetClient` and an `executing` of nowhere."""
    for hint in (kind.hint, HINTS.get(kind.__name__, "")):
        text = re.sub(r"`[^`]*`", "", hint)
        assert {*re.findall(r"(\w+)=", text)} <= SETTINGS, hint
        text = re.sub(r"\([^)]*\)", "()", text)
        called = re.findall(r"[\w.]*\w(?=\()", text)
        words = re.findall(r"\b[a-z]+_[a-z_]+\b|\b[A-Z][a-z]+[A-Z]\w+\b", text)
        assert [name for name in (*called, *words) if not is_there(name) and name not in SETTINGS] == [], hint


def test_hints_for_a_shell_are_of_errors_that_exist() -> None:
    assert HINTS.keys() <= {kind.__name__ for kind in errors()}
