"""Three of five nodes are lost at once: the drill of `fleet/docs/recovery.md`, as it is written."""

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import lmdb
import pytest
from click.testing import CliRunner

from fleet.cli import main
from fleet.interfaces import Write
from fleet.raft.entries import HardState
from fleet.storage import LmdbStore
from fleet.storage.keys import entry_key
from tests.support.stopped_nodes import GONE, N1, N2, StoppedNode
from tests.support.waiting import eventually

from .fleets import Fleet, Said, fleet_of, inside
from .processes import FLEET, PATIENCE_S, ROOT, environment

DRILL = re.findall(
    r"^```sh\n(.*?)^```", (ROOT / "fleet/docs/recovery.md").read_text(), flags=re.DOTALL | re.MULTILINE
)
MIB = 1 << 20
LIGHT = ("--executors", "0")
SURVIVORS, LOST = ("n1", "n2"), ("n3", "n4", "n5")
GROUPS = {
    "kept": ("n1", "n2", "n3"),
    "one of three": ("n3", "n1", "n4"),
    "two of five": ("n5", "n2", "n3", "n1", "n4"),
    "none": ("n4", "n5", "n3"),
}


@pytest.fixture(scope="module")
def five(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Five nodes with groups, killed at once; the directories of three of them are gone."""
    directory = tmp_path_factory.mktemp("five")
    with fleet_of(directory, *SURVIVORS, *LOST, options=LIGHT) as one, inside(directory):
        for amount, (name, nodes) in enumerate(GROUPS.items(), 1):
            one.ask("group", "add", name, "shop:Account", *(f"--node={node}" for node in nodes))
            assert one.ask("call", name, "deposit", str(amount))["value"] == amount
        one.until_json("status", holds=lambda seen: seen["health"] == "healthy")
        for name in (*LOST, *SURVIVORS):
            one.kill(name)
        for name in LOST:
            (directory / f"fleet-{name}").rename(directory / f"gone-{name}")
        yield one


def run(one: Fleet, block: str) -> list[Said]:
    """The commands of a block of the page; what follows `>` is a file."""
    said = []
    for line in block.strip().splitlines():
        command, _, file = line.partition(" > ")
        fleet, *words = shlex.split(command)
        assert fleet == "fleet"
        said.append(one.say(*words))
        if file:
            Path(file).write_text(said[-1].out)
    return said


def test_s82_rf9_the_survivors_of_three_lost_nodes_serve_again_and_the_lost_are_refused(five: Fleet) -> None:
    examine, plan, apply, starts = DRILL
    told, *_ = run(five, examine)
    assert told.code == 0 and "all checksums are right" in told.out and "one of three" in told.out
    (planned,) = run(five, plan)
    assert "✗ none is lost" in planned.out and "1 group unchanged, a majority survives: kept" in planned.out
    assert "one of three continues on n1 from n1" in planned.out
    begun_at = monotonic()
    assert [one.code for one in run(five, apply)] == [4, 4]  # a group is lost
    assert ["this plan was applied before" in one.out for one in run(five, apply)] == [True, True]
    start(five, starts)
    assert monotonic() - begun_at < 60
    for name in LOST:
        (five.directory / f"gone-{name}").rename(five.directory / f"fleet-{name}")
        five.begin(name, f"--join={five.addresses['n1']}", *LIGHT)
    for name in LOST:
        assert five.processes[name].wait(PATIENCE_S) == 1
        assert "was recovered without it" in (five.directory / f"{name}.err").read_text()
    check(five, before=10)


def start(five: Fleet, block: str) -> None:
    for line in block.strip().splitlines():
        found = re.fullmatch(r"fleet start --name (\w+) --listen [\d.:]+ (--data-dir) ([\w-]+)", line)
        assert found is not None, line
        five.begin(found[1], *found.groups()[1:], *LIGHT)
    check(five, before=0)


def check(five: Fleet, before: int) -> None:
    """The groups whose data survived serve, with all that was acknowledged; the cluster has two nodes."""
    connect = ",".join(five.addresses[name] for name in SURVIVORS)

    def ask(*words: str) -> Any:
        said = five.say(*words, "--json", connect=connect)
        return said.json if said.code in (0, 4) else {}

    for amount, name in enumerate(GROUPS, 1):
        if name != "none":
            eventually(lambda: ask("query", name, "available").get("value") == amount + before, PATIENCE_S)
            assert ask("call", name, "deposit", "10")["value"] == amount + before + 10
    eventually(lambda: {one["name"] for one in ask("node", "list")} == {*SURVIVORS}, PATIENCE_S)
    assert any("none" in one["subjects"] for one in ask("doctor")["findings"])


# -- what is refused ---------------------------------------------------------------------------------


def said(*arguments: str) -> Said:
    result = CliRunner().invoke(main, [*arguments], prog_name="fleet")
    return Said(result.exit_code, result.stdout, result.stderr)


def test_a_directory_that_is_none_and_a_report_that_is_none_are_refused(tmp_path: Path) -> None:
    where = ("--data-dir", str(tmp_path))
    assert "it is no data directory of a node" in said("doctor", *where).err
    one = said("recover", *where, "--lost", "n3", "--json")
    assert (one.code, one.error["error"]) == (1, "NoDataDirectory")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def two(tmp_path: Path) -> dict[str, Path]:
    """The directories of two survivors of five, without their nodes."""
    paths: dict[str, Path] = {}
    for node in (N1, N2):
        paths[node] = tmp_path / node
        store = LmdbStore(paths[node], "c", node, incarnation="aaaa", map_bytes_start=MIB)
        StoppedNode(node, store)
        store.close()
    return paths


def recover(two: dict[str, Path], *more: str) -> Said:
    directories = [word for path in two.values() for word in ("--data-dir", str(path))]
    return said("recover", *directories, "--lost", ",".join(GONE), *more)


def data(two: dict[str, Path]) -> list[bytes]:
    return [(path / "env" / "data.mdb").read_bytes() for path in two.values()]


def test_directories_on_one_host_need_no_reports(
    two: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    before = data(two)
    unsure, planned = recover(two, "--json"), recover(two, "--plan", "--json")
    assert unsure.code == 2 and "gives up for good what only n3, n4, n5 have" in unsure.error["message"]
    assert planned.json["applied"] == [] and data(two) == before
    done = recover(two, "--yes", "--json")
    assert (done.code, done.json["applied"], done.json["id"]) == (0, [N1, N2], planned.json["id"])
    lines = [one.getMessage() for one in caplog.records if one.name == "fleet.audit"]
    assert ["without n3, n4, n5" in line for line in lines] == [True, True]
    shown = said("doctor", "--data-dir", str(two[N1])).out
    assert planned.json["new_uid"] in shown


def test_at_a_terminal_it_asks_for_the_clusters_name(two: dict[str, Path], tmp_path: Path) -> None:
    before = data(two)
    words = ["recover", f"--data-dir={two[N1]}", f"--data-dir={two[N2]}", "--lost", ",".join(GONE)]
    for typed, code, says in (("other", 2, "nothing was changed"), ("c", 0, "done on n1, n2")):
        keyboard, terminal = os.openpty()
        os.write(keyboard, f"{typed}\n".encode())
        one = subprocess.run(
            [*FLEET, *words], env=environment(tmp_path), stdin=terminal, capture_output=True, text=True
        )
        os.close(keyboard)
        os.close(terminal)
        assert one.returncode == code and says in one.stdout + one.stderr, one
        assert "Type the cluster's name, c" in one.stderr and (data(two) == before) == (code == 2)


def test_a_directory_that_has_changed_since_its_report_is_refused(
    two: dict[str, Path], tmp_path: Path
) -> None:
    for node, path in two.items():
        (tmp_path / f"{node}.json").write_text(said("doctor", "--data-dir", str(path), "--json").out)
    store = LmdbStore(two[N2], "c", N2)
    store.write([Write(1, 0, hard=HardState(9))])
    store.close()
    before = data(two)
    reports = [f"--report={tmp_path / node}.json" for node in two]
    refused = recover(two, *reports, "--yes")
    assert refused.code == 1 and "directory of node n2 has changed since its report" in refused.err
    assert data(two) == before
    (tmp_path / "n1.json").write_text("{}")
    assert "is no report of" in recover(two, *reports, "--yes").err


def test_a_node_that_runs_is_not_touched(two: dict[str, Path]) -> None:
    store = LmdbStore(two[N2], "c", N2)
    assert "the data directory is in use" in recover(two, "--yes").err
    store.close()


def test_members_with_directories_of_their_own_are_not_taken_for_empty_ones(two: dict[str, Path]) -> None:
    (two[N1] / "members" / "1").mkdir(parents=True)
    before = data(two)
    assert "directories of their own" in recover(two, "--yes").err and data(two) == before


def test_damage_is_shown_and_counts(two: dict[str, Path]) -> None:
    with lmdb.open(str(two[N1] / "env"), map_size=MIB) as env, env.begin(write=True) as txn:
        txn.put(entry_key(1, 1), b"damaged")
    shown = said("doctor", "--data-dir", str(two[N1]))
    assert shown.code == 4 and "does not run" in shown.out and "✗ fleet:cluster:" in shown.out
    assert "fleet:cluster continues on n2 from n2" in recover(two, "--plan").out
