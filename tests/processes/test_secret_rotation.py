"""The cluster secret is replaced while nodes and clients run."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import fleet
from fleet.errors import ConfigError, Unavailable, WrongSecret
from fleet.secret import new_secret
from tests.processes.fleet_nodes import NodeFleet, counting
from tests.processes.nodes import CLUSTER
from tests.support.waiting import eventually

NODES = ("n1", "n2", "n3")


def own_file(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    path.chmod(0o600)
    return path


@pytest.fixture
def three(yard: NodeFleet, tmp_path: Path) -> NodeFleet:
    """Three nodes, as on hosts of their own: each with its own copy of the secret."""
    for name in NODES:
        node = yard.add(name, zone=name, purge_after=600.0)
        node.secret_file = own_file(tmp_path / f"secret of {name}", yard.secret_file.read_bytes())
        node.start()
    yard.await_nodes(*NODES)
    return yard


KILLED_BEFORE = """
import os, signal
from fleet.client.secret_api import SecretOperations
real, changes = SecretOperations._set, 0
def _set(self, node, accepted):
    global changes
    if changes == {change}:
        os.kill(os.getpid(), signal.SIGKILL)
    changes += 1
    real(self, node, accepted)
SecretOperations._set = _set
"""
"""The command's process ends before it has changed so many nodes."""


def run(
    yard: NodeFleet, secret_file: Path, *words: str, plant: str = "", **variables: str
) -> subprocess.CompletedProcess[str]:
    where = ["--connect", ",".join(node.address for node in yard.nodes.values()), "--cluster", CLUSTER]
    if not variables:
        where += ["--secret-file", str(secret_file)]
    program = f"{plant}\nfrom fleet.cli import main\nmain(prog_name='fleet')\n"
    command = [sys.executable, "-c", program, "secret", *words, *where, "--json"]
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith("FLEET_")
    } | variables
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)


def test_a_secret_is_rotated_under_load_and_the_former_one_is_worth_nothing(
    three: NodeFleet, tmp_path: Path
) -> None:
    yard = three
    operators = own_file(tmp_path / "secret of an operator", yard.secret_file.read_bytes())
    former = own_file(tmp_path / "former", yard.secret_file.read_bytes())
    new = tmp_path / "new"
    with counting(yard, yard.create(["visits"])) as load:
        load.await_more()
        rotated = run(yard, operators, "rotate", str(new))
        assert rotated.returncode == 0, rotated.stderr
        load.await_more(5)
        nodes = json.loads(rotated.stdout)["nodes"]
        assert {len(node["accepted"]) for node in nodes} == {2}
        assert len({node["accepted"][0] for node in nodes}) == 1
        assert new.stat().st_mode & 0o777 == 0o600
        assert operators.read_bytes().splitlines() == [new.read_bytes().strip(), former.read_bytes().strip()]
        again = run(yard, operators, "rotate", str(new))
        assert json.loads(again.stdout)["nodes"] == nodes
        own_file(yard.secret_file, new.read_bytes())  # copied to the client, which reads it by itself
        assert run(yard, operators, "retire").returncode == 2  # it asks, and nobody is there
        retired = run(yard, operators, "retire", "--yes")
        assert retired.returncode == 0, retired.stderr
        load.await_more(5)
        for node in yard.nodes.values():
            node.kill()
            node.start()
        load.await_more(5)
        load.check()
    status = run(yard, operators, "status")
    assert status.returncode == 0
    assert {len(node["accepted"]) for node in json.loads(status.stdout)["nodes"]} == {1}
    with pytest.raises(WrongSecret):
        fleet.connect(yard["n1"].address, cluster=CLUSTER, secret_file=former, timeout=5)
    assert {file.read_bytes() for file in tmp_path.glob("secret of *")} == {operators.read_bytes()}
    assert operators.read_bytes() == new.read_bytes()


@pytest.mark.parametrize("change", [1, 4])
def test_an_operator_whose_command_is_killed_has_the_secret_that_nodes_have(
    three: NodeFleet, tmp_path: Path, change: int
) -> None:
    """The secret was in that process alone. With 4, one node shows the new secret and two the former one; the
    operator's own is in a variable, so that nothing is left of the first run but the new file."""
    yard, new = three, tmp_path / "new"
    own = {"FLEET_SECRET": yard.secret_file.read_text().strip()}
    killed = run(yard, new, "rotate", str(new), plant=KILLED_BEFORE.format(change=change), **own)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    made = new.read_bytes()
    accepted = [one.accepted for one in yard.client.secrets() if one.accepted]
    assert [len(one) for one in accepted] == [1 + (place < change) for place in range(len(accepted))]
    rotated = run(yard, new, "rotate", str(new), **own)
    assert rotated.returncode == 0, rotated.stderr
    assert new.read_bytes() == made
    retired = run(yard, new, "retire", "--yes")
    assert retired.returncode == 0, retired.stderr
    assert {yard[name].secret_file.read_bytes() for name in NODES} == {made}


def test_a_node_that_gets_its_former_file_back_keeps_the_new_secret(three: NodeFleet, tmp_path: Path) -> None:
    """By a deployment, say. It took it within 2 s, and was cut off from the others."""
    yard, client = three, three.client
    former = yard.secret_file.read_bytes()
    client.rotate_secret(new_secret())
    client.retire_secrets()
    own_file(yard["n2"].secret_file, former)
    eventually(lambda: "is an older copy" in yard["n2"].log.read_text())
    assert {one.accepted for one in client.secrets()} == {client.keyring.fingerprints()}


def test_nothing_is_rotated_or_retired_while_a_node_is_away(three: NodeFleet) -> None:
    yard, client = three, three.client
    yard["n3"].kill()
    new = new_secret()
    with pytest.raises(Unavailable, match="n3 does not answer"):
        client.rotate_secret(new)
    assert {len(node.accepted) for node in client.secrets() if node.node != "n3"} == {1}
    yard["n3"].start()
    eventually(lambda: all(node.accepted for node in client.secrets()))
    client.rotate_secret(new)
    yard["n3"].kill()
    with pytest.raises(Unavailable, match="n3 does not answer"):
        client.retire_secrets()
    yard["n3"].start()
    eventually(lambda: all(node.accepted for node in client.secrets()))
    assert {node.accepted for node in client.retire_secrets()} == {client.keyring.fingerprints()}


def test_a_node_whose_file_cannot_be_written_says_so_and_keeps_what_it_has(three: NodeFleet) -> None:
    yard, client = three, three.client
    node = yard["n2"]
    secret = node.secret_file.read_text().strip()
    node.kill()
    node.settings |= {"secret": secret}
    node.start()
    eventually(lambda: all(one.accepted for one in client.secrets()))
    with pytest.raises(ConfigError, match="from secret=: change it there.*n2"):
        client.rotate_secret(new_secret())
    accepted = {one.node: len(one.accepted) for one in client.secrets()}
    assert accepted == {"n1": 2, "n2": 1, "n3": 1}  # none shows the new one
    assert {len(one.accepted) for one in client.retire_secrets()} == {1}  # taken back
    assert client.keyring.shown.decode() == secret
