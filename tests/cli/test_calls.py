"""`fleet call` and `fleet query`: arguments, answers and errors, as text and as JSON."""

import json
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest

from fleet.cli.call import value_of
from fleet.cli.outcome import to_json

from .fleets import Fleet
from .processes import environment, script

# -- calling -------------------------------------------------------------------------------------------


def test_methods_are_called_by_name(three: Fleet, name: str) -> None:
    first = three.ask("call", name, "deposit", "500")
    assert (first["value"], first["group"], first["method"]) == (500, name, "deposit")
    assert first["revision"] > 0
    assert three.say("call", name, "deposit", "20", "--kwarg", "note=hm").out == "520\n"
    assert three.say("query", name, "available").out == "520\n"
    seen = three.ask("query", name, "available", "--stale", "0")
    assert (seen["value"], seen["revision"]) == (520, first["revision"] + 1)
    assert three.ask("query", name, "available", "--stale", "60")["value"] in (0, 500, 520)


def test_a_command_with_a_key_is_executed_once(three: Fleet, name: str) -> None:
    calls = [
        three.ask("call", name, "deposit", "500", "--key", "invoice 7781", "--keep", "60") for _ in range(3)
    ]
    assert {(one["value"], one["revision"]) for one in calls} == {(500, calls[0]["revision"])}
    reused = three.say("call", name, "deposit", "5", "--key", "invoice 7781", "--json")
    assert (reused.code, reused.error["error"]) == (1, "KeyReused")
    assert three.say("query", name, "available").out == "500\n"
    for wrong in (("--keep", "1"), ("--key", ""), ("--key", "a", "--keep", "0")):
        assert three.say("call", name, "deposit", "5", *wrong).code == 2, wrong


def test_arguments_are_json_or_python_or_text(three: Fleet, name: str) -> None:
    given = ("5", "-1", "1.5", "true", '{"a": [1]}', "(1, 2)", "text", "--kwarg", "k=x")
    said = three.ask("call", name, "echo", *given)
    assert said["value"] == [[5, -1, 1.5, True, {"a": [1]}, [1, 2], "text"], {"k": "x"}]
    assert [value_of(text) for text in ("null", "None", "'5'", "07", "a b", "[")] == [
        None, None, "5", "07", "a b", "["
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["9" * 5000, "-" + "9" * 5000, f"[1, {'9' * 5000}]", f"(1, {'9' * 5000})"])
def test_a_number_of_too_many_digits_is_refused_and_no_text(text: str) -> None:
    with pytest.raises(click.BadParameter, match="more than 4300 digits: write 0x"):
        value_of(text)
    assert value_of(f'"{"9" * 5000}"') == "9" * 5000 and value_of("0x" + "f" * 5000) == 16**5000 - 1


def test_what_is_nested_too_deeply_is_a_text() -> None:
    assert value_of("[" * 100_000) == "[" * 100_000


@pytest.mark.parametrize(
    "arguments, code, kind",
    [
        (("call", "deposit", "0"), 1, "Rejected"),
        (("call", "fail"), 1, "CommandFailed"),
        (("call", "nothing"), 2, "BadArguments"),
        (("call", "available"), 2, "BadArguments"),
        (("query", "available", "1"), 2, "BadArguments"),
        (("query", "deposit", "1"), 2, "BadArguments"),
    ],
)
def test_calls_that_are_refused(
    three: Fleet, name: str, arguments: tuple[str, ...], code: int, kind: str
) -> None:
    command, *rest = arguments
    said = three.say(command, name, *rest, "--json")
    assert (said.code, said.out, said.error["error"]) == (code, "", kind)
    assert three.say("query", name, "available").out == "0\n"


def test_what_a_query_answers_is_shown_also_if_its_class_is_of_the_working_directory(
    three: Fleet, name: str
) -> None:
    """The CLI could not decode what was defined in a module beside it."""
    command = script(three.directory)

    def ask(directory: Path, *before: str) -> subprocess.CompletedProcess[str]:
        arguments = [str(command), *before, "query", name, "history"]
        environ = environment(three.directory, **three.environ)
        return subprocess.run(arguments, cwd=directory, env=environ, capture_output=True, text=True)

    said = ask(three.directory)
    assert said.stdout == "[Entry(amount=7, kind=<Kind.GIFT: 'gift'>), {1: {2}}, nan, b'ab']\n", said
    value = json.loads(ask(three.directory, "--json").stdout)["value"]
    assert value == [{"amount": 7, "kind": "gift"}, {"1": [2]}, None, "YWI="]
    elsewhere = three.directory / "none"
    elsewhere.mkdir(exist_ok=True)
    lost = ask(elsewhere)
    assert lost.returncode == 1 and "No module named 'shop'" in lost.stderr
    assert "for example in its directory" in lost.stderr


def test_json_is_json_whatever_the_users_class_does() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise ZeroDivisionError

    circle: list[Any] = []
    circle.append(circle)
    itself: dict[str, Any] = {"n": 1}
    itself["self"] = itself
    values = [itself, {1: Broken()}, {"a": "\ud800", "b": [2**80, float("inf")]}, circle, 1j, {(1, 2): None}]
    assert [json.loads(to_json(value)) for value in values] == [
        {"n": 1, "self": "{'n': 1, 'self': {...}}"},
        {"1": "<Broken, whose __repr__ raised ZeroDivisionError>"},
        {"a": "'\\ud800'", "b": [2**80, None]},
        "[[...]]",
        "1j",
        {"(1, 2)": None},
    ]


def test_a_refusal_shows_the_users_value(three: Fleet, name: str) -> None:
    assert three.say("call", name, "deposit", "0", "--json").error["value"] == "nothing to deposit"
    assert three.say("call", name, "deposit", "0").err == "fleet call: refused: 'nothing to deposit'\n"
