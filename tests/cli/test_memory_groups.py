"""Groups in memory only, as an operator sees them: made, shown, lost, restored as the other kind."""

from pathlib import Path

from .fleets import fleet_of, inside

QUICK = ("--set", "heartbeat_ms=50", "--set", "election_ms=300")


def test_a_group_in_memory_is_shown_and_its_loss_is_named(tmp_path: Path) -> None:
    with fleet_of(tmp_path, "n1", "n2", "n3") as one, inside(tmp_path):
        assert one.ask("group", "add", "quick", "shop:Account", "--in-memory", *QUICK)["in_memory"]
        assert not one.ask("group", "add", "kept", "shop:Account", *QUICK)["in_memory"]
        for name in ("quick", "kept"):
            assert one.ask("call", name, "deposit", "7")["value"] == 7
        rows = {line.split()[0]: line.split()[3] for line in one.say("group", "list").out.splitlines()[1:]}
        assert rows == {"quick": "memory", "kept": "disk"}
        assert one.ask("group", "show", "quick")["in_memory"]
        assert "in memory only" in one.say("group", "show", "quick").out
        assert one.ask("status")["groups_in_memory"] == 1
        assert "1 in memory only" in one.say("status").out
        assert one.say("backup", "both.fleet").code == 0

        for name in ("n1", "n2"):
            one.kill(name)
        for name in ("n1", "n2"):
            one.start(name)
        found = one.until_json(
            "doctor", holds=lambda d: [f["kind"] for f in d["findings"]] == ["lost"]
        )["findings"]  # fmt: skip
        assert found[0]["subjects"] == ["quick"] and "n1, n2" in found[0]["why"]
        assert "`fleet group remove quick`" in found[0]["next"]
        said = one.say("call", "quick", "deposit", "1", "--timeout", "2", "--json")
        assert said.error["error"] == "Unavailable" and "in memory only" in said.err
        assert one.ask("query", "kept", "available")["value"] == 7

        assert one.say("group", "remove", "quick", "--yes").code == 0
        restore = ("restore", "both.fleet", "--group", "quick", "--persist", "--json")
        one.until_json("group", "list", holds=lambda groups: one.say(*restore).code == 0)
        assert one.ask("query", "quick", "available")["value"] == 7
        assert not one.ask("group", "show", "quick")["in_memory"]
        one.ask("restore", "both.fleet", "--group", "kept", "--as", "copy", "--in-memory")
        assert one.ask("group", "show", "copy")["in_memory"]
        shown = one.say("restore", "both.fleet", "--verify").out.splitlines()
        assert sorted(line.split()[5] for line in shown[2:]) == ["disk", "memory"]
