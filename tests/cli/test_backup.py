"""Backups at a shell: the drill of `fleet/docs/backup.md`, as it is written."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import fleet
from fleet.client.backup_file import BackupHead, BackupWriter
from fleet.versions import NEWEST
from tests.support.ports import free_ports
from tests.support.waiting import eventually

from .fleets import SECRET, Fleet, Said
from .processes import PATIENCE_S, ROOT

PAGE = (ROOT / "fleet/docs/backup.md").read_text()
NODES, BEFORE, FIRE, AFTER = re.findall(
    r"^```sh\n(.*?)^```", PAGE.partition("## The drill")[2], flags=re.DOTALL | re.MULTILINE
)
SHOP = """
import fleet

class Counter(fleet.Data):
    value: int = 0

    @fleet.command
    def add(self, n: int = 1) -> int:
        self.value += n
        return self.value

    @fleet.query
    def get(self) -> int:
        return self.value
"""


@pytest.fixture
def three(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    (tmp_path / "shop.py").write_text(SHOP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "shop", raising=False)  # of another test
    one = Fleet(tmp_path)
    ports = dict(zip(("7400", "7402", "7403"), map(str, free_ports(3)), strict=True))
    one.addresses = {f"n{number}": f"127.0.0.1:{port}" for number, port in enumerate(ports.values(), 1)}
    with closing(one.stack):
        start(one)
        yield one
    sys.modules.pop("shop", None)  # for the next test, whose module of that name is another


def start(one: Fleet) -> None:
    """The commands of the page, at other ports."""
    ports = dict(zip(("7400", "7402", "7403"), one.addresses.values(), strict=True))
    for line in NODES.strip().splitlines():
        text = re.sub(r"127\.0\.0\.1:(\d+)", lambda found: ports[found[1]], line)
        _, _, _, name, _, address, *options = text.split()
        assert address == one.addresses[name]
        one.begin(name, *options)
    for name in one.addresses:
        one.await_serving(name)
    eventually(lambda: "healthy    3 nodes" in one.say("status").out, PATIENCE_S)


def run(one: Fleet, block: str) -> dict[str, Said]:
    said: dict[str, Said] = {}
    for line in block.strip().splitlines():
        found = one.say(*line.split()[1:])
        assert found.code == 0, (line, found)
        said.setdefault(f"first {line}", found)
        said[line] = found
    return said


def test_what_burnt_is_back_on_a_new_cluster(three: Fleet) -> None:
    before = run(three, BEFORE)
    assert "1 group of cluster" in before["fleet backup drill.fleet"].out
    for name in three.addresses:
        three.kill(name)
    run_shell(three, FIRE)
    start(three)
    after = run(three, AFTER)
    assert after["first fleet query visits get"].out == after["fleet query visits get"].out == "6\n"
    assert "is whole: 1 group of cluster" in after["fleet restore drill.fleet --verify"].out
    assert "visits is back at revision 2" in after["fleet restore drill.fleet --all"].err
    check_errors(three)
    check_earlier_revisions(three)
    check_half_restored(three)


def run_shell(one: Fleet, block: str) -> None:
    assert subprocess.run(["sh", "-e", "-c", block], cwd=one.directory).returncode == 0


def check_errors(three: Fleet) -> None:
    """A group that exists is not touched, and wrong usage is refused before anything is asked."""
    said = three.say("restore", "drill.fleet", "--all", "--json")
    assert (said.code, said.error["error"]) == (1, "RestoreRefused")
    assert "fleet group remove" in said.error["hint"] and "visits" in said.error["message"]
    said = three.say("restore", "drill.fleet", "--group", "visits", "--as", "other", "--json")
    assert said.code == 0 and said.json["groups"][0]["source"] == "visits"
    assert three.say("query", "other", "get").out == "6\n"
    assert three.say("restore", "drill.fleet").code == 2
    assert three.say("restore", "drill.fleet", "--all", "--as", "x").code == 2
    assert three.say("restore", "drill.fleet", "--group", "none").code == 2
    with BackupWriter("later.fleet", BackupHead("fleet", 7, 1000, "9.0", NEWEST + 1)) as writer:
        writer.finish()
    said = three.say("restore", "later.fleet", "--all", "--json")
    assert (said.code, said.error["error"]) == (1, "WrongVersion")
    assert f"version {NEWEST + 1} in force, and here it is {NEWEST}" in said.error["message"]
    said = three.say("backup", "drill.fleet", "--json")
    assert said.code == 2 and "exists" in said.error["message"]
    assert three.say("backup", "x.fleet", "--group", "none", "--json").error["error"] == "NoSuchGroup"
    assert not Path("x.fleet").exists()
    said = three.say("backup", "one.fleet", "--group", "other", "--json")
    assert [one["group"] for one in said.json["groups"]] == ["other"]
    said = three.say("restore", "one.fleet", "--verify", "--json")
    assert said.json["whole"] and said.json["groups"][0]["data_class"] == "shop.Counter"
    Path("one.fleet").write_bytes(Path("one.fleet").read_bytes()[:-1])
    assert three.say("restore", "one.fleet", "--all", "--json").error["error"] == "BadBackup"


def check_earlier_revisions(three: Fleet) -> None:
    three.say("group", "add", "kept", "shop:Counter", "--set", "keep=7d")
    for n in ("1", "2", "3"):
        three.say("call", "kept", "add", n)
    said = three.say("backup", "then.fleet", "--group", "kept", "--at", "2", "--json")
    assert [one["revision"] for one in said.json["groups"]] == [2]
    assert "kept" in three.say("restore", "then.fleet", "--verify").out
    assert three.say("restore", "then.fleet", "--group", "kept", "--as", "then").code == 0
    assert three.say("query", "then", "get").out == "3\n"
    assert three.say("query", "kept", "get").out == "6\n"
    said = three.say("backup", "past.fleet", "--group", "kept", "--past", "--json")
    assert said.json["groups"][0]["past_bytes"] > 0
    said = three.say("restore", "past.fleet", "--group", "kept", "--as", "before", "--at", "1", "--json")
    assert said.json["groups"][0]["revision"] == 1 and three.say("query", "before", "get").out == "1\n"
    said = three.say("restore", "then.fleet", "--group", "kept", "--as", "x", "--at", "1", "--json")
    assert (said.code, said.error["error"]) == (1, "NotKept")
    assert three.say("restore", "past.fleet", "--all", "--at", "1").code == 2
    assert three.say("backup", "x.fleet", "--group", "kept", "--past", "--at", "1").code == 2
    said = three.say("backup", "x.fleet", "--group", "kept", "--at", "4", "--json")
    assert (said.code, said.error["error"]) == (1, "NotKept")
    assert "has come to revision 3, not 4 yet" in said.error["message"]
    assert three.say("backup", "x.fleet", "--at", "2").code == 2
    assert three.say("backup", "x.fleet", "--at", "2", "--group", "kept", "--group", "then").code == 2
    assert not Path("x.fleet").exists()


def check_half_restored(three: Fleet) -> None:
    """As where `fleet restore` is killed once it has added the group."""
    with fleet.connect([*three.addresses.values()], secret=SECRET) as client:
        visits = next(one for one in client.groups() if one.name == "visits")
        wanted = "half", 3, visits.data_class, visits.config, (), tuple(three.addresses)
        client._commit(client._cluster.add_group, None, *wanted)
    found = three.until_json(
        "doctor", holds=lambda d: [one["kind"] for one in d["findings"]] == ["not-restored"]
    )
    assert "`fleet group remove half`, then restore it again" in found["findings"][0]["next"]
    shown = three.say("group", "show", "half")
    assert shown.code == 4 and "it has not got the state of a backup yet" in shown.out
    assert "1 group has not got the state of a backup yet: half" in three.say("group", "list").err
    assert "not got the state" not in three.say("group", "show", "visits").out
    assert three.say("group", "remove", "half", "--yes").code == 0
    three.until_json("doctor", holds=lambda d: d["healthy"])
