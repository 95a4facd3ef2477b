"""Role secrets with real nodes, by the command line and from Python."""

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

import fleet
from fleet.errors import CommandFailed, NotAllowed, WrongSecret
from fleet.objects.handles import CallOptions
from fleet.objects.payload import decode_result, encode_call
from fleet.roles import CALLER, DEPLOY, OPERATOR, READER, ROLES
from fleet.secret import derive_secret
from tests.processes.fleet_nodes import NodeFleet
from tests.processes.nodes import CLUSTER
from tests.support.classes import Counter
from tests.support.waiting import eventually


@pytest.fixture
def yard(yard: NodeFleet) -> NodeFleet:
    """Two nodes, of which callers may use the classes of these tests, and a group of each kind."""
    for name in ("n1", "n2"):
        node = yard.add(name, zone=name, purge_after=600.0, data_modules=["tests.support"])
        node.secret_file = copied(yard.secret_file, yard.home / f"secret of {name}")
        node.start()
    yard.await_nodes("n1", "n2")
    yard.create(["acct/1", "other/1"], replicas=2)
    return yard


def copied(file: Path, to: Path) -> Path:
    to.write_bytes(file.read_bytes())
    to.chmod(0o600)
    return to


def file_of(yard: NodeFleet, home: Path, role: str, *words: str) -> Path:
    """A role secret, by the command line."""
    file = home / "-".join(("role", role, *words)).replace("/", "")
    run("secret", "derive", role, str(file), *words, "--secret-file", str(yard.secret_file))
    return file


def run(*words: str, code: int = 0) -> str:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("FLEET_")}
    command = [sys.executable, "-m", "fleet.cli", *words]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    assert ended.returncode == code, ended.stderr
    return ended.stdout if not code else ended.stderr


def command(yard: NodeFleet, secret: Path, *words: str, code: int = 0) -> str:
    where = ["--connect", yard["n1"].address, "--cluster", CLUSTER, "--secret-file", str(secret)]
    return run(*words, *where, code=code)


def connect(yard: NodeFleet, secret: Path, timeout: float = 20.0) -> fleet.Fleet:
    return fleet.connect(yard["n1"].address, cluster=CLUSTER, secret_file=secret, timeout=timeout)


def test_the_command_line_does_what_the_role_may(yard: NodeFleet, tmp_path: Path) -> None:
    files = {role: file_of(yard, tmp_path, role) for role in ROLES}
    refused = 1
    for role, file in files.items():
        assert "n2" in command(yard, file, "status")
        assert command(yard, file, "query", "acct/1", "get").strip().isdigit()
        may_call = role in (CALLER, DEPLOY)
        call = command(yard, file, "call", "acct/1", "add", "1", code=0 if may_call else refused)
        assert may_call or f"the role {role} may not send commands" in call
        words = "config", "change", "acct/1", "keys_max=1000"
        command(yard, file, *words, code=0 if role == OPERATOR else refused)
    told = command(yard, files[READER], "call", "acct/1", "add", "1", "--json", code=refused)
    record = json.loads(told)
    assert record["error"] == "NotAllowed" and record["facts"]["needs"] == "caller or deploy"
    assert "fleet secret derive" in record["hint"]
    assert "does not answer" not in command(yard, files[OPERATOR], "secret", "status")
    assert "needs=operator" in command(yard, files[CALLER], "secret", "status", code=refused)
    assert "the cluster's secret" in command(
        yard, files[OPERATOR], "secret", "rotate", str(tmp_path / "new"), code=refused
    )


class Own(fleet.Data):
    count: int = 0

    @fleet.query
    def get(self) -> int:
        return self.count


def by_value() -> type[Own]:
    class Local(Own):
        pass

    return Local


def test_a_caller_calls_its_groups_and_brings_no_code(yard: NodeFleet, tmp_path: Path) -> None:
    file = file_of(yard, tmp_path, CALLER, "--groups", "acct/*")
    with connect(yard, file) as client:
        account = client.create_group("acct/2", Counter, replicas=2)
        assert account.add(2) == 2 and account.get() == 2
        assert [reply.result() for reply in [account.add.submit(1) for _ in range(50)]][-1] == 52
        assert account.add.options(key="k")(1) == account.add.options(key="k")(1) == 53
        assert client.group("acct/1", Counter).get() == 0
        with pytest.raises(NotAllowed, match="elsewhere"):
            client.group("other/1", Counter).add(1)
        with pytest.raises(NotAllowed, match="elsewhere"):
            client.group("other/1", Counter).get()
        with pytest.raises(NotAllowed, match="elsewhere"), client.watch("other/1") as events:
            next(iter(events))
        with pytest.raises(NotAllowed, match="elsewhere"):
            client.create_group("other/2", Counter)
        with pytest.raises(NotAllowed, match="by value"):
            client.create_group("acct/3", by_value())
        with pytest.raises(NotAllowed, match="data.modules"):
            client.create_group("acct/3", Own)
        payload = encode_call("add", (timedelta(1),), {})
        reply = client.submit("acct/2", "command", "add", payload, CallOptions())
        with pytest.raises(NotAllowed, match="plain arguments"):
            client.wait(reply, CallOptions())
        assert account.get() == 53, "it goes on as before"
    with connect(yard, file_of(yard, tmp_path, DEPLOY)) as client:
        assert client.create_group("acct/3", by_value(), replicas=2).get() == 0
        reply = client.submit("acct/2", "command", "add", payload, CallOptions())
        with pytest.raises(CommandFailed):  # it was loaded, and a timedelta is no number
            decode_result(client.wait(reply, CallOptions()))


def test_a_role_secret_outlives_a_rotation_and_ends_with_the_former_secret(
    yard: NodeFleet, tmp_path: Path
) -> None:
    file = file_of(yard, tmp_path, CALLER)
    operators = copied(yard.secret_file, tmp_path / "secret of an operator")
    with connect(yard, file) as client:
        account = client.group("acct/1", Counter)
        assert account.add(1) == 1
        command(yard, operators, "secret", "rotate", str(tmp_path / "new"))
        assert account.add(1) == 2
        with connect(yard, file) as late:  # nodes show another secret by now
            assert late.group("acct/1", Counter).add(1) == 3
        newer = derive_secret(operators.read_bytes().splitlines()[0], CALLER)
        command(yard, operators, "secret", "retire", "--yes")
        with pytest.raises(WrongSecret):
            connect(yard, file, timeout=5).close()
        file.write_bytes(newer + b"\n")
        eventually(lambda: account.add(1) == 4)
