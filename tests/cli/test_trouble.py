"""The commands of an operator while nodes come, leave and die."""

import signal
from pathlib import Path

from tests.support.ports import free_ports

from .fleets import Fleet, Said, fleet_of, inside
from .processes import PATIENCE_S, run

QUICK = ("--set", "heartbeat_ms=50", "--set", "election_ms=300")


def add(one: Fleet, name: str, *options: str) -> None:
    said = one.say("group", "add", name, "shop:Account", *QUICK, *options)
    assert said.code == 0, said


def state_of(nodes: list[dict[str, str]]) -> dict[str, str]:
    return {node["name"]: node["state"] for node in nodes}


def test_a_node_dies_and_comes_back_and_another_is_lost_for_good(tmp_path: Path) -> None:
    with fleet_of(tmp_path, "n1", "n2", "n3") as one, inside(tmp_path):
        for name in ("a", "b"):
            add(one, name)
            assert one.ask("call", name, "deposit", "7")["value"] == 7

        one.kill("n2")
        found = one.until_json("doctor", holds=lambda d: "for 3s" in str(d["findings"]))
        (finding,) = found["findings"]
        assert (finding["kind"], finding["subjects"]) == ("unreachable", ["n2"])
        assert "2 groups should have a member there" in finding["what"]
        assert "fleet start --name n2" in finding["next"] and "`fleet node purge n2`" in finding["next"]
        plain = one.say("status")
        assert plain.code == 4 and "degraded" in plain.out and "fleet doctor" in plain.err
        assert "purge in 9m5" in plain.out
        rows = plain.out.splitlines()[2:5]
        assert [line.split()[2] for line in rows] == ["active", "unreachable", "active"]
        assert plain.out.splitlines()[5].startswith("✗ node n2 is unreachable")
        (silent,) = one.ask("unreachable", code=4)
        assert silent["name"] == "n2" and set(silent["silent_ms"]) == {"n1", "n3"}

        one.kill("n3")
        found = one.until_json("doctor", holds=lambda d: d["findings"][0]["subjects"][1:] == ["a", "b"])
        lost, *nodes = found["findings"]
        assert lost["kind"] == "no-leader" and lost["subjects"] == ["fleet:cluster", "a", "b"]
        assert lost["why"] == "1 of 3 voters run; 2 are needed."
        assert "Do not purge" in lost["next"] and "--name n2" in lost["next"] and "--name n3" in lost["next"]
        assert [node["subjects"] for node in nodes] == [["n2"], ["n3"]]
        assert not any("node purge" in node["next"] for node in nodes), "that would give up the majority"
        assert one.ask("group", "show", "a", code=4)["leader"] is None
        status = one.say("status")
        assert status.code == 4 and "2 without leader · no majority" in status.out
        refused = one.say("group", "add", "c", "shop:Account", "--timeout", "1", "--json")
        assert refused.code in (1, 3) and refused.error["exit_code"] == refused.code

        one.start("n3")
        one.until_json("status", holds=lambda s: s["cluster_led"] and not s["leaderless"])
        assert [one.ask("query", name, "available")["value"] for name in ("a", "b")] == [7, 7]

        few = "few-replicas"
        assert one.ask("node", "purge", "n2")["state"] == "purged"
        found = one.until_json("doctor", holds=lambda d: [f["kind"] for f in d["findings"]] == [few])
        assert found["findings"][0]["subjects"] == ["a", "b"]
        assert len(one.ask("node", "list")) == 2


def test_a_node_started_again_alone_names_those_that_it_needs(tmp_path: Path) -> None:
    """It said that it had not found its cluster yet, and to ask the doctor, who said the same."""
    with fleet_of(tmp_path, "n1", "n2", "n3") as one:
        for name in ("n1", "n2", "n3"):
            one.kill(name)
        one.start("n2")
        said = one.say("doctor", "--timeout", "1")
        assert said.code == 4, said
        assert all(f"fleet start --name {name} --zone zone-{name} " in said.out for name in ("n1", "n3"))
        assert "--name n2" not in said.out, "it runs"
        (finding,) = one.ask("doctor", "--timeout", "1", code=4)["findings"]
        assert finding["kind"] == "no-majority"
        status = one.say("status", "--timeout", "1")
        assert status.code == 1 and "too few of its nodes run" in status.err


def test_a_purged_node_that_serves_on_does_not_vanish(tmp_path: Path) -> None:
    """It was not heard of while it was purged, and cannot join again while the majority is away."""
    with fleet_of(tmp_path, "n1", "n2", "n3") as one, inside(tmp_path):
        add(one, "a")
        shown = one.ask("group", "show", "fleet:cluster")
        assert [seat["role"] for seat in shown["seats"]] == ["leader", "voter", "voter"]
        one.processes["n3"].send_signal(signal.SIGSTOP)
        assert one.ask("node", "purge", "n3", "--force")["revision"] > 0
        two = ["leader", "learner"]
        show = ("group", "show", "fleet:cluster")
        shown = one.until_json(*show, holds=lambda shown: [seat["role"] for seat in shown["seats"]] == two)
        one.kill(shown["leader"])
        one.processes["n3"].send_signal(signal.SIGCONT)
        away = ("purged", "outside")
        nodes = one.until_json("node", "list", holds=lambda nodes: state_of(nodes).get("n3") in away)
        assert nodes[-1]["answers"] and nodes[-1]["wanted_state"] is None
        assert [node["name"] for node in one.ask("status", code=4)["outside"]] == ["n3"]
        doctor = one.say("doctor").out
        assert "node n3 was purged, and still answers" in doctor or "· node n3 at" in doctor


def test_addresses_of_two_clusters_are_told(tmp_path: Path) -> None:
    """status showed one or the other of them, as healthy."""
    with fleet_of(tmp_path / "a", "n1") as one, fleet_of(tmp_path / "b", "n1") as other:
        both = f"{one.addresses['n1']},{other.addresses['n1']}"
        status = one.say("status", connect=both)
        assert status.code == 4 and "belongs to cluster" in status.out, status
        assert one.say("doctor", connect=both).out.count("two clusters, which cannot be merged") == 1


def test_a_module_that_is_slow_to_import_is_waited_for_and_told(tmp_path: Path) -> None:
    with fleet_of(tmp_path, "n1") as one, inside(tmp_path):
        slow = "import sys, time, shop\n\ntime.sleep(2.5 * ('executor' in sys.argv[0]))\n"
        for name in ("slow_a", "slow_b"):
            (tmp_path / f"{name}.py").write_text(slow + "class Mine(shop.Account): ...\n")
        said = one.say("group", "add", "g", "slow_a:Mine", "--replicas", "1", "--timeout", "0.5", "--json")
        assert said.code == 1 and "can load slow_a.Mine" in said.error["message"]
        assert one.say("group", "add", "g", "slow_b:Mine", "--replicas", "1").code == 0


def test_a_command_that_may_have_been_done_ends_with_3(tmp_path: Path) -> None:
    with fleet_of(tmp_path, "n1") as one, inside(tmp_path):
        add(one, "a", "--replicas", "1")
        said = one.say("call", "a", "slowly", "5", "--timeout", "0.5", "--json")
        assert (said.code, said.out, said.error["exit_code"]) == (3, "", 3)
        assert "it may have been done" in said.error["hint"]
        one.until_json("query", "a", "available", holds=lambda answer: answer["value"] == 5)


def test_nodes_leave_and_come(tmp_path: Path) -> None:
    with fleet_of(tmp_path, "n1", "n2") as one, inside(tmp_path):
        add(one, "a", "--replicas", "2")
        assert one.say("call", "a", "deposit", "1").code == 0

        one.start("n3", "--inactive", "--weight", "2")
        nodes = one.until_json("node", "list", holds=lambda nodes: state_of(nodes).get("n3") == "inactive")
        assert nodes[2]["weight"] == 2.0
        assert one.say("node", "activate", "n3").out.startswith("n3 is active, it was inactive (revision ")

        said = one.say("node", "drain", "n2", "--wait", "--within", "60s")
        assert said.code == 0 and said.out.startswith("n2 has left the cluster (revision "), said
        shown = one.until_json("group", "show", "a", holds=lambda shown: shown["members"] == ["n1", "n3"])
        assert shown["leader"] in ("n1", "n3")
        assert one.say("node", "drain", "n2").code == 1, "it is no node of the cluster any more"
        assert one.say("call", "a", "deposit", "1").out == "2\n"

        one.kill("n3")
        leaving = one.ask("node", "drain", "n3")
        own = {"node": "n3", "state": "leaving", "was": "active", "left": False}
        assert leaving == own | {"revision": leaving["revision"]}
        assert one.say("node", "drain", "n3").out.startswith("n3 is leaving already (revision ")
        assert one.ask("node", "activate", "n3")["was"] == "leaving"


def test_a_node_that_leaves_late_is_told_with_what_is_left_on_it(tmp_path: Path) -> None:
    with fleet_of(tmp_path, "n1", "n2") as one, inside(tmp_path):
        for name in ("a", "b", "c"):
            add(one, name, "--replicas", "2")
        late = one.say("node", "drain", "n2", "--wait", "--within", "0s")
        assert late.code == 1 and late.out.startswith("n2 still has "), late
        assert late.out.endswith("after 0 s and continues to leave\n")
        assert one.processes["n2"].wait(PATIENCE_S) == 0
        assert state_of(one.ask("node", "list")) == {"n1": "active"}


def test_the_last_node_does_not_go(tmp_path: Path) -> None:
    with fleet_of(tmp_path, "n1") as one, inside(tmp_path):
        add(one, "a", "--replicas", "1")
        for arguments in (("drain", "n1"), ("purge", "n1", "--force")):
            said = one.say("node", *arguments)
            assert said.code == 1 and "no other active node" in said.err
        assert state_of(one.ask("node", "list")) == {"n1": "active"}
        assert one.say("call", "a", "deposit", "1").out == "1\n"


def test_sigterm_drains_where_that_is_wanted(tmp_path: Path) -> None:
    with fleet_of(tmp_path, "n1", "n2", options=("--drain-on-term", "30s")) as one, inside(tmp_path):
        for name in "abcd":
            add(one, name, "--replicas", "1")
        one.processes["n2"].terminate()
        assert one.processes["n2"].wait(30) == 0
        assert [node["name"] for node in one.ask("node", "list")] == ["n1"]
        assert [group["members"] for group in one.ask("group", "list")] == [["n1"]] * 4
        one.processes["n1"].terminate()
        assert one.processes["n1"].wait(40) == 0, "the last one cannot leave: it stops where it is"


def test_a_founder_that_left_joins_again_and_founds_no_other_cluster(tmp_path: Path) -> None:
    with fleet_of(tmp_path, "n1", "n2") as one, inside(tmp_path):
        add(one, "a", "--replicas", "2")
        assert one.say("node", "drain", "n1", "--wait").code == 0
        assert one.processes["n1"].wait(10) == 0
        assert "n1 has left the cluster and ends" in (tmp_path / "n1.out").read_text()
        one.begin("n1")
        one.await_serving("n1")
        both = {"n1": "active", "n2": "active"}
        one.until_json("node", "list", holds=lambda nodes: state_of(nodes) == both)
        one.until_json("group", "show", "a", holds=lambda shown: shown["members"] == ["n1", "n2"])


def test_seeds_found_one_cluster_together(tmp_path: Path) -> None:
    one = Fleet(tmp_path)
    with one.stack:
        names = ("n1", "n2", "n3")
        one.addresses = {name: f"127.0.0.1:{port}" for name, port in zip(names, free_ports(3))}
        founders = [f"--founder={address}" for address in one.addresses.values()]
        for name in names:
            one.begin(name, *founders, "--purge-after", "90s")
        as_told = {"zones": 3, "purge_after_ms": 90_000}
        status = one.until_json("status", holds=lambda s: as_told.items() <= s.items())
        assert state_of(status["nodes"]) == dict.fromkeys(names, "active")


def test_a_start_that_cannot_be(tmp_path: Path) -> None:
    def start(*options: str) -> Said:
        said = run(tmp_path, "start", "--name", "n1", "--listen", "127.0.0.1:0", *options)
        return Said(said.returncode, said.stdout, said.stderr)

    for options, says in (
        (("--join", "127.0.0.1:1", "--founder", "127.0.0.1:2"), "not both"),
        (("--founder", "127.0.0.1:1", "--founder", "127.0.0.1:1"), "twice"),
        (("--weight", "-1"), "weight must be 0 or more"),
        (("--purge-after", "soon"), "'soon' is not understood: write a duration"),
        (("--purge-after", "1500ms"), "at least 2 s"),
    ):
        said = start(*options)
        assert (said.code, said.out) == (2, "") and says in said.err, said
