"""`fleet config init|check|show`, and nodes and commands that are started with files."""

import json
import re
import shlex
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.config.test_deployment import documents
from tests.support.ports import free_ports
from tests.support.waiting import eventually

from .processes import PATIENCE_S, ROOT, environment, read_until, run, script, started
from .test_health import get

GUIDE = (ROOT / "fleet" / "docs" / "configuration.md").read_text()


def blocks(title: str) -> list[list[str]]:
    """The commands under a heading of the guide, by block, without comments."""
    section = GUIDE.split(f"\n## {title}\n")[1].split("\n## ")[0]
    found = re.findall(r"^```sh\n(.*?)^```", section, re.M | re.S)
    return [[line.partition("#")[0].strip() for line in block.splitlines()] for block in found]


def say(directory: Path, line: str) -> subprocess.CompletedProcess[str]:
    return run(directory, *shlex.split(line)[1:])


def test_one_node_is_as_the_guide_says(tmp_path: Path) -> None:
    (init, check, start), (status, show) = blocks("One node")
    assert say(tmp_path, init).returncode == say(tmp_path, check).returncode == 0
    (port,) = free_ports(1)
    file = tmp_path / "fleet.toml"
    file.write_text(
        re.sub(r"^# (listen|connect) = (.*)7400", rf"\1 = \g<2>{port}", file.read_text(), flags=re.M)
    )
    with started(tmp_path, *shlex.split(start)[1:]) as node:
        assert read_until(node, "serves at").startswith(f"node n1 serves at 127.0.0.1:{port}")
        eventually(lambda: "healthy    1 node" in say(tmp_path, status).stdout, PATIENCE_S)
        shown = say(tmp_path, show).stdout
        assert re.search(rf'^node.listen +"127.0.0.1:{port}" +fleet.toml:\d+$', shown, re.M)
        assert (tmp_path / "data-n1").is_dir()


def test_three_nodes_are_as_the_guide_says(tmp_path: Path) -> None:
    (init,), nodes, (status,) = blocks("Three nodes on one machine")
    said = say(tmp_path, init)
    assert said.returncode == 0, said
    assert (tmp_path / "three" / "secret").stat().st_mode & 0o777 == 0o600
    ports = dict(zip(("7400", "7401", "7402"), map(str, free_ports(3))))
    for file in (tmp_path / "three").glob("*.toml"):
        text = re.sub(r"^[^#].*", lambda line: with_ports(line[0], ports), file.read_text(), flags=re.M)
        file.write_text(text)
        assert run(tmp_path, "config", "check", f"three/{file.name}").returncode == 0
    with ExitStack() as stack:
        for line in nodes:
            node = stack.enter_context(started(tmp_path, *shlex.split(line)[1:]))
            stack.callback(read_until, node, "serves at")
        eventually(lambda: "healthy    3 nodes · 3 zones" in say(tmp_path, status).stdout, PATIENCE_S)
    assert {path.name for path in (tmp_path / "three").iterdir()} == {
        "n1.toml", "n2.toml", "n3.toml", "secret", "data-n1", "data-n2", "data-n3",
    }  # fmt: skip


def with_ports(text: str, ports: dict[str, str]) -> str:
    return re.sub(r"\b740[0-2]\b", lambda port: ports[port[0]], text)


def test_the_environment_of_the_stateful_set_makes_a_cluster(tmp_path: Path) -> None:
    """As in Kubernetes, but for names and ports, which are those of this host."""
    (container,) = documents()["StatefulSet"]["spec"]["template"]["spec"]["containers"]
    pods = [f"fleet-{number}" for number in range(3)]
    ports, health = free_ports(6)[:3], free_ports(6)[3:]
    here = {f"{pod}.fleet:7400": f"127.0.0.1:{port}" for pod, port in zip(pods, ports)}
    with ExitStack() as stack:
        for pod, port, probed in zip(pods, ports, health):
            settings = {"FLEET_NODE_LISTEN": f"127.0.0.1:{port}", "FLEET_NODE_HEALTH": f"127.0.0.1:{probed}"}
            for one in container["env"]:
                value = one.get("value", pod if one["name"] != "FLEET_SECRET" else "0123456789abcdef" * 4)
                value = value.replace("$(FLEET_NODE_NAME)", pod)
                for name, address in here.items():
                    value = value.replace(name, address)
                settings[one["name"]] = value
            stack.enter_context(started(tmp_path, *container["args"], **settings))
        for probed in health:
            eventually(lambda: get(probed, "/ready")[0] == 200, PATIENCE_S, "pods to be ready")
        status = run(
            tmp_path, "status", FLEET_CONNECT=settings["FLEET_CONNECT"], FLEET_SECRET="0123456789abcdef" * 4
        )
        assert "3 nodes · 3 zones" in status.stdout, status


# -- precedence, with real processes ---------------------------------------------------------------------


def test_a_flag_overrides_the_environment_which_overrides_the_file(tmp_path: Path) -> None:
    (tmp_path / "fleet.toml").write_text(
        '[node]\nname = "of-the-file"\nzone = "of-the-file"\nlisten = "127.0.0.1:0"\ndata_dir = "d"\n'
    )
    settings = {"FLEET_NODE_ZONE": "of-the-environment", "FLEET_NODE_NAME": "of-the-environment"}
    with started(tmp_path, "start", "--name", "of-the-flag", "--found", **settings) as node:
        address = read_until(node, "serves at").split()[-1]
        (record,) = nodes_at(tmp_path, address)
    assert (record["name"], record["zone"]) == ("of-the-flag", "of-the-environment")
    assert (tmp_path / "d").is_dir()


def nodes_at(directory: Path, address: str) -> list[dict[str, Any]]:
    def listed() -> Any:
        said = run(directory, "node", "list", "--json", "--connect", address)
        return json.loads(said.stdout) if said.returncode == 0 else None

    found = eventually(listed, PATIENCE_S)
    assert isinstance(found, list)
    return found


def test_a_command_takes_the_cluster_from_the_file_and_reads_no_other_cluster_then(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text('[client]\nconnect = ["127.0.0.1:1"]\ntimeout = "1s"\n')
    told = run(tmp_path, "status", "--json", FLEET_CONFIG="c.toml")
    assert told.returncode == 1 and "127.0.0.1:1" in told.stderr
    told = run(tmp_path, "status", "--json", FLEET_CONFIG="c.toml", FLEET_CONNECT="127.0.0.1:2")
    assert "127.0.0.1:2" in told.stderr and "127.0.0.1:1" not in told.stderr


# -- check, show, init -----------------------------------------------------------------------------------


def test_check_explains_mistakes_and_ends_with_2(tmp_path: Path) -> None:
    (tmp_path / "fleet.toml").write_text('[node]\nname = "n1"\nlistn = "a:1"\nweight = "x"\n')
    told = run(tmp_path, "config", "check")
    assert (told.returncode, told.stdout.splitlines()) == (
        2,
        [
            "✗ fleet.toml:3: node.listn: there is no such setting: write listen",
            "✗ fleet.toml:4: node.weight: is a text: write a number, such as 1.5",
        ],
    )
    told = run(tmp_path, "config", "check", "--json", FLEET_NODE_WIEGHT="1")
    found = json.loads(told.stdout)
    assert [(one["line"], one["key"]) for one in found["problems"]] == [(3, "node.listn"), (4, "node.weight")]
    assert found["notes"] == ["$FLEET_NODE_WIEGHT is not a setting: is $FLEET_NODE_WEIGHT meant?"]
    refused = run(tmp_path, "start")
    assert refused.returncode == 2 and "fleet.toml:3: node.listn" in refused.stderr


def test_check_finds_contradictions_a_missing_name_and_a_bad_secret(tmp_path: Path) -> None:
    file, secret = tmp_path / "a.toml", tmp_path / "secret"

    def check(content: str) -> str:
        file.write_text(content)
        told = run(tmp_path, "config", "check", "a.toml")
        assert told.returncode == 2 and "Traceback" not in told.stderr
        return told.stdout

    both = check('[node]\nname = "n1"\njoin = ["a:1"]\nfounders = ["b:1"]\n')
    assert "join or founders, not both (join from a.toml:3; founders from a.toml:4)" in both
    assert "a node needs a name" in check("[node]\nweight = 2\n")
    secret.write_text("fedcba9876543210" * 4)
    secret.chmod(0o644)
    assert "chmod 600" in check('secret_file = "secret"\n')
    secret.chmod(0o600)
    file.write_text('secret_file = "secret"\n[client]\nconnect = ["a:1"]\n')
    assert run(tmp_path, "config", "check", "a.toml").returncode == 0
    none = run(tmp_path, "config", "check")
    assert none.returncode == 2 and "`fleet config init` write one" in none.stderr


def test_show_tells_where_each_value_comes_from_and_no_secret(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('[node]\nname = "n1"\npurge_after = "1h"\n')
    settings = {"FLEET_NODE_ZONE": "z", "FLEET_SECRET": "do not tell " * 6}
    said = run(tmp_path, "config", "show", "a.toml", "--json", "--weight", "2", **settings)
    shown = json.loads(said.stdout)
    assert shown["node.weight"] == {"value": 2.0, "from": "flag", "where": "--weight"}
    assert shown["node.zone"] == {"value": "z", "from": "environment", "where": "$FLEET_NODE_ZONE"}
    assert shown["node.purge_after"] == {"value": 3600.0, "from": "file", "where": "a.toml:3"}
    assert shown["node.executors"] == {"value": 1, "from": "default", "where": "default"}
    assert shown["secret"]["from"] == "environment" and "do not tell" not in said.stdout
    text = run(tmp_path, "config", "show", "a.toml", **settings).stdout
    assert re.search(r'^node.purge_after +"1h" +a.toml:3$', text, re.M) and "do not tell" not in text


def test_init_replaces_nothing_unless_told_to_and_never_a_secret(tmp_path: Path) -> None:
    hosts = ("config", "init", "10.0.0.1", "db2.example", "[fd00::3]:7500")
    assert run(tmp_path, *hosts).returncode == 0
    secret, before = tmp_path / "secret", (tmp_path / "secret").read_text()
    refused = run(tmp_path, *hosts)
    assert refused.returncode == 2 and "--force" in refused.stderr
    (tmp_path / "n2.toml").write_text("")
    assert run(tmp_path, *hosts, "--force").returncode == 0
    assert secret.read_text() == before
    second = (tmp_path / "n2.toml").read_text()
    assert 'listen = "0.0.0.0:7400"' in second and 'advertise = "db2.example:7400"' in second
    assert 'listen = "[fd00::3]:7500"' in (tmp_path / "n3.toml").read_text()
    for name in ("n1", "n2", "n3"):
        assert run(tmp_path, "config", "check", f"{name}.toml").returncode == 0
    even = run(tmp_path, "config", "init", "--directory", "x", "10.0.0.1", "10.0.0.2")
    assert even.returncode == 2 and "odd number" in even.stderr and not (tmp_path / "x").exists()


def test_the_unit_starts_the_command_that_printed_it(tmp_path: Path) -> None:
    command = script(tmp_path)
    said = subprocess.run(
        [str(command), "config", "init", "--systemd"],
        cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True,
    )  # fmt: skip
    assert f"ExecStart={command} start --config /etc/fleet/%i.toml" in said.stdout.splitlines()
    assert list(tmp_path.glob("*.toml")) == []
