"""`fleet group`, against three nodes that are well, and what it refuses."""

import os
import subprocess

import pytest

from .fleets import SECRET, Fleet, Said, inside
from .processes import FLEET, PATIENCE_S, environment

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


SCRIPT = """
import fleet

class Counter(fleet.Data):
    value: int = 0

with fleet.connect({address!r}, secret={secret!r}) as f:
    f.create_group("other", Counter)
"""


def test_a_script_that_opens_a_client_when_it_is_imported_is_told_what_to_do(three: Fleet) -> None:
    """The command hung, and with it the node that was to import the script."""
    script = SCRIPT.format(address=three.addresses["n1"], secret=SECRET)
    (three.directory / "script_with_a_client.py").write_text(script)
    said = three.say("group", "add", "other", "script_with_a_client:Counter")
    assert (said.code, said.out) == (2, ""), said
    assert "create_group() at the top level of the module" in said.err and "__main__" in said.err
    assert "other" not in [group["group"] for group in three.ask("group", "list")]


def test_a_group_is_removed_only_by_who_is_sure(three: Fleet, name: str) -> None:
    for options in ((), ("--json",)):
        said = three.say("group", "remove", name, *options)
        assert (said.code, said.out) == (2, "") and f"`fleet group remove {name} --yes`" in said.err
    for typed, code, says in (("other", 2, "nothing was removed"), (name, 0, f"{name} is removed")):
        assert name in [group["group"] for group in three.ask("group", "list")]
        said = at_a_terminal(three, f"{typed}\n", "group", "remove", name)
        assert said.code == code and f"Type the group's name, {name}" in said.out and says in said.out, said
    assert name not in [group["group"] for group in three.ask("group", "list")]


def test_a_command_is_skipped_only_where_a_group_has_halted_and_by_who_is_sure(
    three: Fleet, name: str
) -> None:
    for options in ((), ("--json",)):
        said = three.say("group", "skip", name, "5", *options)
        assert (said.code, said.out) == (2, "") and f"`fleet group skip {name} 5 --yes`" in said.err
        assert "as failed on all members" in said.err
    said = at_a_terminal(three, "other\n", "group", "skip", name, "5")
    assert (
        said.code == 2 and f"Type the group's name, {name}" in said.out and "nothing was skipped" in said.out
    )
    said = three.say("group", "skip", name, "5", "--yes", "--json")
    assert (said.code, said.error["error"]) == (1, "NotHalted") and "fleet group show" in said.error["hint"]
    assert three.ask("group", "show", name)["halt"] is None


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
        ("group", "skip", "none", "5", "--yes"),
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
