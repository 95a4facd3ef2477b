"""Every command of an operator against three nodes that are well, and what each refuses."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import uuid4

import pytest
from click.testing import CliRunner

from fleet.cli import main
from fleet.cli.call import value_of
from fleet.cli.connection import columns, count, span
from fleet.cli.outcome import to_json
from fleet.cli.start import DURATION

from .fleets import Fleet, Said, fleet_of, inside
from .processes import FLEET, PATIENCE_S, environment, script

NOWHERE = "127.0.0.1:1"


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    directory = tmp_path_factory.mktemp("three")
    with fleet_of(directory, "n1", "n2", "n3") as one, inside(directory):
        yield one


@pytest.fixture
def name(three: Fleet) -> Iterator[str]:
    """A group of its own for each test."""
    name = f"acct/{uuid4().hex[:6]}"
    assert three.say("group", "add", name, "shop:Account").code == 0
    yield name
    three.say("group", "remove", name, "--yes")


# -- looking -------------------------------------------------------------------------------------------


def test_status_is_a_line_and_a_table(three: Fleet, name: str) -> None:
    said = three.say("status")
    assert said.code == 0, said
    line, headings, *rows = said.out.splitlines()
    assert line.startswith("CLUSTER fleet   healthy    3 nodes · 3 zones · ") and "0 without leader" in line
    assert headings.split() == ["NODE", "ZONE", "STATE", "LEADS", "MEMBERS", "LAST", "SEEN"]
    assert [row.split()[:3] for row in rows] == [[f"n{n}", f"zone-n{n}", "active"] for n in (1, 2, 3)]
    assert all(row.split()[-1] == "now" for row in rows)


def test_status_as_json_counts_leaders_and_members(three: Fleet, name: str) -> None:
    status = three.ask("status")
    assert {"cluster", "health", "zones", "groups", "leaderless", "findings", "nodes"} <= set(status)
    groups = status["groups"]
    assert sum(node["leads"] for node in status["nodes"]) == groups
    assert sum(node["members"] for node in status["nodes"]) == 3 * groups
    assert all(node["silent_ms"] == {} and node["answers"] for node in status["nodes"])


def test_one_node_is_enough_to_ask(three: Fleet, name: str) -> None:
    for address in three.addresses.values():
        assert three.say("call", name, "deposit", "1", connect=address).code == 0
        assert len(three.say("node", "list", connect=f"{NOWHERE},{address}").out.splitlines()) == 4


def test_all_is_well(three: Fleet, name: str) -> None:
    assert three.ask("doctor") == {"healthy": True, "findings": [], "notes": []}
    assert three.say("doctor").out.startswith("✓ ")
    assert three.ask("unreachable") == []
    assert "all nodes answer" in three.say("unreachable").out


# -- groups --------------------------------------------------------------------------------------------


def test_a_group_comes_is_shown_and_goes(three: Fleet) -> None:
    said = three.say("group", "add", "g", "shop:Account", "--set", "heartbeat_ms=50")
    assert said.code == 0 and said.out.startswith("g has 3 members: n1, n2, n3; n")
    shown = three.ask("group", "show", "g")
    assert (shown["group"], shown["data_class"], shown["replicas"]) == ("g", "shop.Account", 3)
    assert shown["config"]["heartbeat_ms"] == 50
    assert [seat["role"] for seat in shown["seats"]] == ["leader", "voter", "voter"]
    assert shown["leader"] == shown["seats"][0]["node"]
    assert "g" in [group["group"] for group in three.ask("group", "list")]
    assert three.say("group", "show", "g").out.splitlines()[1].split() == [
        "NODE", "ROLE", "MATCH", "LAG", "ANSWERS"
    ]  # fmt: skip
    removed = three.ask("group", "remove", "g", "--yes")
    assert (removed["group"], removed["removed"]) == ("g", True)
    assert "g" not in [group["group"] for group in three.ask("group", "list")]


def test_the_clusters_own_group_is_shown_like_any_other(three: Fleet) -> None:
    shown = three.ask("group", "show", "fleet:cluster")
    assert (shown["replicas"], shown["members"]) == (3, ["n1", "n2", "n3"])
    assert sorted(seat["role"] for seat in shown["seats"]) == ["leader", "voter", "voter"]
    assert "fleet:cluster" not in [group["group"] for group in three.ask("group", "list")]


def test_a_group_lives_where_it_is_told_to(three: Fleet) -> None:
    added = three.ask("group", "add", "pinned", "shop:Account", "--node", "n3", "--node", "n1")
    assert (added["pinned"], added["members"]) == (["n3", "n1"], ["n1", "n3"])
    three.until_json("group", "show", "pinned", holds=lambda shown: shown["leader"] == "n3")
    assert three.say("group", "remove", "pinned", "--yes").code == 0


def test_a_group_is_pinned_elsewhere_and_placed_again(three: Fleet, name: str) -> None:
    few = three.say("group", "pin", name, "n2", "n1")
    assert (few.code, few.out) == (2, "") and "2 nodes named" in few.err
    assert f"{name} has 3 replicas: name as many nodes, or --replicas 2 changes that" in few.err
    assert three.ask("group", "show", name)["pinned"] == []
    said = three.say("group", "pin", name, "n2", "n1", "--replicas", "2")
    assert said.code == 0 and said.out.startswith(f"{name} is pinned to n2, n1; ")
    three.until_json(
        "group", "show", name, holds=lambda shown: (shown["leader"], shown["members"]) == ("n2", ["n1", "n2"])
    )
    refused = three.say("group", "replicas", name, "3")
    assert refused.code == 2 and f"fleet group unpin {name}" in refused.err
    assert three.say("group", "unpin", name).out.startswith(f"{name} belongs on ")
    assert three.ask("group", "show", name)["replicas"] == 2
    assert len(three.ask("group", "replicas", name, "3")["wanted"]) == 3
    three.until_json("group", "show", name, holds=lambda shown: len(shown["members"]) == 3)


def test_more_replicas_than_nodes_are_allowed_and_the_doctor_says_so(three: Fleet) -> None:
    said = three.say("group", "add", "five", "shop:Account", "--replicas", "5")
    assert said.code == 0 and "2 replicas more as soon as there are nodes" in said.out
    (finding,) = three.ask("doctor", code=4)["findings"]
    assert (finding["kind"], finding["subjects"]) == ("few-replicas", ["five"])
    assert "5 replicas are wanted, and only 3 can be placed" in finding["why"]
    assert "fleet start" in finding["next"]
    wrong = "✗ 1 group has fewer members than wanted: five."
    assert three.say("doctor").out.startswith(wrong)
    status = three.say("status")
    assert status.code == 4 and "degraded" in status.out and status.out.splitlines()[-1] == wrong
    assert three.say("group", "remove", "five", "--yes").code == 0


def test_a_class_goes_by_value_to_nodes_that_do_not_have_it(three: Fleet) -> None:
    elsewhere = three.directory / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine.py").write_text((three.directory / "shop.py").read_text())
    with inside(elsewhere):
        refused = three.say("group", "add", "mine", "mine:Account")
        assert refused.code == 1 and "mine" in refused.err and "--by-value" in refused.err
        assert "mine" not in [group["group"] for group in three.ask("group", "list")]
        assert three.say("group", "add", "mine", "mine:Account", "--by-value").code == 0
    assert three.ask("call", "mine", "deposit", "5")["value"] == 5
    assert three.say("group", "remove", "mine", "--yes").code == 0


@pytest.mark.parametrize(
    "arguments, code, says",
    [
        (("other", "shop:Account", "--replicas", "0"), 2, "replicas"),
        (("other", "shop:Account", "--replicas", "-1"), 2, "replicas"),
        (("other", "shop:Account", "--node", "n9"), 1, "'n9'"),
        (("other", "shop:Account", "--set", "speed=9"), 2, "'speed=9'"),
        (("other", "shop:Account", "--node", "n1", "--replicas", "2"), 2, "--replicas 2 with 1 node"),
        (("", "shop:Account"), 2, "not empty"),
        (("two\nlines", "shop:Account"), 2, "a line of text"),
        (("other", "shop:Locked"), 1, "field=gate"),
        (("fleet:cluster", "shop:Account"), 2, "no group may be called 'fleet:cluster'"),
        (("other", "shop"), 2, "not module:Class"),
        (("other", "shop:Nothing"), 2, "shop:Nothing cannot be loaded here"),
        (("other", "nowhere:Account"), 2, "nowhere:Account cannot be loaded here"),
        (("other", "os:path"), 2, "is not a data class"),
        (("other", "../shop:Account"), 2, "not module:Class"),
        (("other", "shop:Account", "--replicas", "100"), 2, "100 is not in the range 1<=x<=99"),
        (("other", "shop:Account", "--set", "election_ms=nan"), 2, "election_ms=nan: Expected `int`"),
    ],
)
def test_groups_that_cannot_be(three: Fleet, arguments: tuple[str, ...], code: int, says: str) -> None:
    said = three.say("group", "add", *arguments)
    assert (said.code, said.out) == (code, ""), said
    assert says in said.err
    assert "other" not in [group["group"] for group in three.ask("group", "list")]


def test_a_group_is_removed_only_by_who_is_sure(three: Fleet, name: str) -> None:
    for options in ((), ("--json",)):
        said = three.say("group", "remove", name, *options)
        assert (said.code, said.out) == (2, "") and f"`fleet group remove {name} --yes`" in said.err
    for typed, code, says in (("other", 2, "nothing was removed"), (name, 0, f"{name} is removed")):
        assert name in [group["group"] for group in three.ask("group", "list")]
        said = at_a_terminal(three, f"{typed}\n", "group", "remove", name)
        assert said.code == code and f"Type its name, {name}" in said.out and says in said.out, said
    assert name not in [group["group"] for group in three.ask("group", "list")]


def at_a_terminal(three: Fleet, typed: str, *arguments: str) -> Said:
    """Input and output are one terminal."""
    keyboard, terminal = os.openpty()
    environ = environment(three.directory, **three.environ)
    os.write(keyboard, typed.encode())
    said = subprocess.run(
        [*FLEET, *arguments],
        env=environ,
        text=True,
        timeout=PATIENCE_S,
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    os.close(keyboard)
    os.close(terminal)
    return Said(said.returncode, said.stdout, "")


@pytest.mark.parametrize(
    "arguments", [("remove", "--yes"), ("pin", "n1", "n2", "n3"), ("unpin",), ("replicas", "3")], ids=" ".join
)
def test_the_clusters_own_group_is_not_for_operators(three: Fleet, arguments: tuple[str, ...]) -> None:
    command, *rest = arguments
    said = three.say("group", command, "fleet:cluster", *rest, "--json")
    assert (said.code, said.error["error"]) == (2, "BadArguments")
    assert "the cluster's own group" in said.error["message"]


def test_a_name_twice_is_refused_unless_it_may_be(three: Fleet, name: str) -> None:
    said = three.say("group", "add", name, "shop:Account")
    assert (said.code, said.out) == (1, "") and f"group '{name}' exists" in said.err
    assert "--exist-ok" in said.err
    assert three.say("group", "add", name, "shop:Account", "--exist-ok").code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("group", "show", "none"),
        ("group", "remove", "none", "--yes"),
        ("group", "remove", "none"),
        ("call", "none", "deposit", "1"),
        ("query", "none", "available"),
        ("leader", "move", "none", "n1"),
        ("leader", "release", "none"),
        ("group", "pin", "none", "n1"),
        ("group", "unpin", "none"),
        ("group", "replicas", "none", "2"),
        ("member", "remove", "none", "n1"),
        ("config", "change", "none", "heartbeat_ms=50"),
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_a_group_that_is_none(three: Fleet, arguments: tuple[str, ...]) -> None:
    said = three.say(*arguments, "--json")
    assert (said.code, said.out) == (1, "")
    assert set(said.error) == {"error", "message", "facts", "hint", "retry", "exit_code"}
    assert (said.error["error"], said.error["exit_code"]) == ("NoSuchGroup", 1)
    assert "'none'" in said.error["message"] and "fleet group list" in said.error["hint"]


# -- calling -------------------------------------------------------------------------------------------


def test_methods_are_called_by_name(three: Fleet, name: str) -> None:
    first = three.ask("call", name, "deposit", "500")
    assert (first["value"], first["group"], first["method"]) == (500, name, "deposit")
    assert first["revision"] > 0
    assert three.say("call", name, "deposit", "20", "--kwarg", "note=hm").out == "520\n"
    assert three.say("query", name, "available").out == "520\n"


def test_arguments_are_json_or_python_or_text(three: Fleet, name: str) -> None:
    given = ("5", "-1", "1.5", "true", '{"a": [1]}', "(1, 2)", "text", "--kwarg", "k=x")
    said = three.ask("call", name, "echo", *given)
    assert said["value"] == [[5, -1, 1.5, True, {"a": [1]}, [1, 2], "text"], {"k": "x"}]
    assert [value_of(text) for text in ("null", "None", "'5'", "07", "a b", "[")] == [
        None, None, "5", "07", "a b", "["
    ]  # fmt: skip


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


# -- leaders, members, settings --------------------------------------------------------------------------


def test_a_leadership_is_moved(three: Fleet, name: str) -> None:
    leader = three.ask("group", "show", name)["leader"]
    other = min({"n1", "n2", "n3"} - {leader})
    moved = three.ask("leader", "move", name, other)
    assert (moved["group"], moved["leader"]) == (name, other)
    shown = three.ask("group", "show", name)
    assert (shown["leader"], shown["preferred_leader"]) == (other, other)
    released = three.ask("leader", "release", name)
    assert released == {"group": name, "released": True, "revision": released["revision"]}
    three.until_json("group", "show", name, holds=lambda shown: shown["leader"] == leader)
    said = three.say("leader", "move", name, "n9")
    assert said.code == 1 and "no member on 'n9'" in said.err


def test_settings_are_changed_on_all_members(three: Fleet, name: str) -> None:
    said = three.say("config", "change", name, "heartbeat_ms=50", "lease_reads=true", "snapshot_factor=5")
    assert said.code == 0, said
    assert f"{name}: heartbeat_ms 100 -> 50" in said.out.splitlines()
    config = three.ask("group", "show", name)["config"]
    assert (config["heartbeat_ms"], config["lease_reads"], config["snapshot_factor"]) == (50, True, 5.0)
    assert three.ask("config", "change", name, "heartbeat_ms=50")["changed"] == {}


@pytest.mark.parametrize(
    "setting, says",
    [
        ("speed=9", "'speed=9' is not KEY=VALUE"),
        ("heartbeat_ms", "is not KEY=VALUE"),
        ("heartbeat_ms=fast", "heartbeat_ms"),
        ("heartbeat_ms=900", "at least 3 x heartbeat_ms"),
    ],
)
def test_settings_that_cannot_be(three: Fleet, name: str, setting: str, says: str) -> None:
    said = three.say("config", "change", name, setting)
    assert (said.code, said.out) == (2, "") and says in said.err
    assert three.ask("group", "show", name)["config"]["heartbeat_ms"] == 100


def test_changes_show_their_revision(three: Fleet, name: str) -> None:
    """Of the cluster's log, or of the group's for its own members and settings: later ones are higher."""
    of_the_cluster = (
        ("group", "add", f"{name}+", "shop:Account", "--exist-ok"), ("group", "pin", name, "n1", "n2", "n3"),
        ("group", "unpin", name), ("group", "replicas", name, "3"), ("leader", "release", name),
        ("node", "activate", "n1"), ("group", "remove", f"{name}+", "--yes"),
    )  # fmt: skip
    settings = ("config", "change", name)
    of_the_group = ((*settings, "heartbeat_ms=90"), (*settings, "heartbeat_ms=80", "election_ms=900"))
    for changes in (of_the_cluster, of_the_group):
        told = [three.ask(*change)["revision"] for change in changes]
        assert told == sorted(set(told)) and told[0] > 0, told
        assert re.search(r" \(revision \d+\)$", three.say(*changes[1]).out)


def test_a_member_is_let_go_and_another_comes(three: Fleet, name: str) -> None:
    shown = three.ask("group", "show", name)
    victim = shown["seats"][1]
    gone = three.ask("member", "remove", name, victim["node"])
    own = {"group": name, "node": victim["node"], "removed": True, "wanted_there": True}
    assert gone == own | {"revision": gone["revision"]} and gone["revision"] > 0

    def is_replaced(now: dict[str, list[dict[str, str]]]) -> bool:
        there = {seat["node"]: seat["member"] for seat in now["seats"]}
        return len(there) == 3 and there[victim["node"]] != victim["member"]

    three.until_json("group", "show", name, holds=is_replaced)
    said = three.say("member", "remove", name, "n9")
    assert said.code == 1 and "no member on 'n9'" in said.err


# -- nodes ---------------------------------------------------------------------------------------------


def test_activating_twice_is_harmless(three: Fleet) -> None:
    assert three.say("node", "activate", "n1").out.startswith("n1 was active already (revision ")
    again = three.ask("node", "activate", "n1")
    assert again == {"node": "n1", "state": "active", "was": "active", "revision": again["revision"]}


@pytest.mark.parametrize("command", ["activate", "drain", "purge"])
def test_a_node_that_is_none(three: Fleet, command: str) -> None:
    said = three.say("node", command, "n9", "--json")
    assert (said.code, said.out, said.error["error"]) == (1, "", "NoSuchNode")
    assert said.error["facts"]["known"] == "n1, n2, n3"
    assert "n9" in three.say("node", command, "n9").err


def test_a_node_that_answers_is_not_purged_by_mistake(three: Fleet) -> None:
    said = three.say("node", "purge", "n1")
    assert said.code == 2 and "fleet node drain n1" in said.err
    assert len(three.ask("node", "list")) == 3


# -- asking wrongly ------------------------------------------------------------------------------------


def test_nobody_is_there(three: Fleet) -> None:
    """Told at once, and of each address."""
    began = monotonic()
    said = three.say("status", connect=f"{NOWHERE},127.0.0.1:2")
    assert (said.code, said.out) == (1, "")
    assert said.err == (
        "fleet status: no node answers: 127.0.0.1:1: refused, 127.0.0.1:2: refused"
        " - check --connect, and that the nodes run\n"
    )
    assert monotonic() - began < 2
    assert three.say("status", "--json", connect=NOWHERE).error["error"] == "NoNode"


def test_a_stranger_is_refused(three: Fleet, tmp_path: Path) -> None:
    (tmp_path / "other").write_text("o" * 64)
    (tmp_path / "other").chmod(0o600)
    said = three.say("status", "--cluster", "other", "--json")
    assert (said.code, said.error["error"]) == (1, "WrongCluster")
    assert three.say("status", "--connect", "here").code == 2
    assert three.say("status", "--secret-file", str(tmp_path / "none")).code == 2
    here = three.say("status", "--cluster", "other")
    assert "--cluster is 'other' here" in here.err
    for option, environ in (
        (("--secret-file", str(tmp_path / "other")), {}),
        ((), {"FLEET_SECRET": "o" * 64}),
        ((), {"FLEET_SECRET": None, "FLEET_SECRET_FILE": str(tmp_path / "other")}),
    ):
        wrong = CliRunner().invoke(main, ["status", *option], env=three.environ | environ, prog_name="fleet")
        source = next(iter(option[1:]), "$FLEET_SECRET")
        assert wrong.exit_code == 1 and "wrong secret" in wrong.stderr
        assert f"the one used here is from {source}" in wrong.stderr
        assert "copy the nodes' secret" in wrong.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("group", "add"), ("group", "show"), ("node", "drain"), ("leader", "move", "g"), ("nothing",),
        ("call", "g"), ("config", "change", "g"), ("status", "--timeout", "0"), ("status", "--speed", "9"),
        ("call", "g", "m", "--kwarg", "novalue"), ("call", "", "m"), ("query", "a\nb", "m"),
        ("status", "--connect", " , "), ("group", "replicas", "g", "0"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_what_is_asked_for_wrongly_ends_with_2(three: Fleet, arguments: tuple[str, ...]) -> None:
    said = three.say(*arguments)
    assert (said.code, said.out) == (2, "") and said.err.startswith("fleet") and said.err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments, says",
    [
        (("--json", "status", "--speed", "9"), "No such option '--speed'"),
        (("status", "--speed", "9", "--json"), "No such option '--speed'"),
        (("--json", "nothing"), "No such command 'nothing'"),
        (("group", "add", "g", "--json"), "Missing argument 'MODULE:CLASS'"),
        (("status", "--json", "--timeout", "soon"), "'soon' is not a valid float"),
        (("--json", "config", "change", "g", "x"), "'x' is not KEY=VALUE"),
    ],
)
def test_what_is_asked_for_wrongly_is_told_as_json(
    three: Fleet, name: str, arguments: tuple[str, ...], says: str
) -> None:
    said = three.say(*(name if word == "g" else word for word in arguments))
    assert (said.code, said.out) == (2, "")
    assert set(said.error) == {"error", "message", "facts", "hint", "retry", "exit_code"}
    assert says in said.error["message"] and said.error["exit_code"] == 2


@pytest.mark.parametrize(
    "arguments, code, says",
    [
        (("sim", "run", "--seed", "0", "--save", "/proc/none/plan"), 1, "/proc/none/plan: No such file"),
        (("sim", "explore", "--seeds", "0-0", "--report", "/proc/none/report"), 1, "/proc/none/report"),
        (("sim", "explore", "--seeds", "5-1"), 2, "'5-1' has no seed"),
        (("sim", "run", "--plan", "/proc/none/plan"), 2, "does not exist - see fleet sim run --help"),
    ],
)
def test_simulating_what_cannot_be_is_a_line(arguments: tuple[str, ...], code: int, says: str) -> None:
    said = CliRunner().invoke(main, [*arguments], prog_name="fleet")
    assert isinstance(said.exception, SystemExit)
    assert said.exit_code == code and says in said.stderr and said.stderr.count("\n") == 1


def test_json_may_be_said_before_the_command(three: Fleet) -> None:
    assert json.loads(three.say("--json", "status").out)["health"] == "healthy"
    assert json.loads(three.say("--json", "node", "list").out) == three.ask("node", "list")
    assert three.say("--json", "group", "show", "none").error["error"] == "NoSuchGroup"


# -- words ---------------------------------------------------------------------------------------------


def test_durations_are_read_and_written() -> None:
    read = {"30s": 30.0, "10m": 600.0, "1.5h": 5400.0, "250ms": 0.25, "7": 7.0, "2 d": 172800.0}
    assert {text: DURATION.convert(text, None, None) for text in read} == read
    for text in ("", "soon", "5 weeks", "-3s"):
        with pytest.raises(Exception, match="not a duration"):
            DURATION.convert(text, None, None)
    assert [span(ms) for ms in (999, 59_000, 131_000, 3_700_000, 200_000_000)] == [
        "0s", "59s", "2m11s", "1h01m", "2d07h"
    ]  # fmt: skip


def test_columns_are_as_wide_as_what_is_in_them() -> None:
    assert columns([("A", "LONG"), ("wide", "")]) == ["A     LONG", "wide"]
    assert [count(number, "node") for number in (0, 1, 2)] == ["0 nodes", "1 node", "2 nodes"]
