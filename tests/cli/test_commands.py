"""Every command of an operator but those about groups and calls, against three nodes that are well."""

import json
import re
import subprocess
import sys
from pathlib import Path
from time import monotonic

import pytest
from click.testing import CliRunner

from fleet.cli import main
from fleet.cli.connection import columns, count, span
from fleet.cli.options import DURATION

from .fleets import Fleet

OTHER = "another secret of the tests, long enough"

NOWHERE = "127.0.0.1:1"


# -- starting ------------------------------------------------------------------------------------------


def test_a_command_that_asks_a_cluster_imports_neither_nodes_nor_the_simulator() -> None:
    """These take as long to import as all else, for each command of a shell."""
    commands = "status", "group", "call", "doctor", "backup"
    program = f"""
import sys
import click
from fleet.cli import main
for name in {commands}:
    assert main.get_command(click.Context(main), name) is not None
print(*sys.modules.keys() & {{"fleet.actors.node", "fleet.actors.member.actor", "fleet.sim.world", "lmdb"}})
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == []


# -- looking -------------------------------------------------------------------------------------------


def test_status_is_a_line_and_a_table(three: Fleet, name: str) -> None:
    said = three.say("status")
    assert said.code == 0, said
    line, headings, *rows = said.out.splitlines()
    assert line.startswith("CLUSTER fleet   healthy    3 nodes · 3 zones · ") and "0 without leader" in line
    assert headings.split() == ["NODE", "ZONE", "STATE", "LEADS", "MEMBERS", "BUILD", "LAST", "SEEN"]
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
    assert f"{name}: heartbeat_ms 200 -> 50" in said.out.splitlines()
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
        ("heartbeat_ms=-" + "9" * 5000, "9: Integer value out of range"),
        ("keep=-" + "9" * 5000, "keep must be a number of entries"),
    ],
)
def test_settings_that_cannot_be(three: Fleet, name: str, setting: str, says: str) -> None:
    said = three.say("config", "change", name, setting)
    assert (said.code, said.out) == (2, "") and says in said.err and len(said.err) < 1000
    assert three.ask("group", "show", name)["config"]["heartbeat_ms"] == 200


def test_changes_show_their_revision(three: Fleet, name: str) -> None:
    """The cluster's, or the group's for its own members and settings: later ones are higher."""
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
    (tmp_path / "other").write_text(OTHER)
    (tmp_path / "other").chmod(0o600)
    said = three.say("status", "--cluster", "other", "--json")
    assert (said.code, said.error["error"]) == (1, "WrongCluster")
    assert three.say("status", "--connect", "here").code == 2
    assert three.say("status", "--secret-file", str(tmp_path / "none")).code == 2
    here = three.say("status", "--cluster", "other")
    assert "--cluster is 'other' here" in here.err
    for option, environ in (
        (("--secret-file", str(tmp_path / "other")), {}),
        ((), {"FLEET_SECRET": OTHER}),
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
        (("status", "--json", "--timeout", "soon"), "'soon' is not understood: write a duration"),
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
        with pytest.raises(Exception, match="such as 250ms, 30s, 10m or 1h"):
            DURATION.convert(text, None, None)
    assert [span(ms) for ms in (999, 59_000, 131_000, 3_700_000, 200_000_000)] == [
        "0s", "59s", "2m11s", "1h01m", "2d07h"
    ]  # fmt: skip


def test_columns_are_as_wide_as_what_is_in_them() -> None:
    assert columns([("A", "LONG"), ("wide", "")]) == ["A     LONG", "wide"]
    assert [count(number, "node") for number in (0, 1, 2)] == ["0 nodes", "1 node", "2 nodes"]
