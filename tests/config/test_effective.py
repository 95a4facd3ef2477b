"""Flag, environment, file, default: the first one that says something counts."""

import os
from pathlib import Path

import pytest

import fleet
from fleet.config.effective import (
    Configuration,
    check_contradictions,
    configure,
    find_file,
    strange_variables,
)
from fleet.config.settings import OF_A_COMMAND, OF_A_NODE, SECTIONS
from fleet.errors import ConfigError


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("FLEET_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def write(content: str, name: str = "fleet.toml") -> str:
    Path(name).write_text(content)
    return name


def test_flag_environment_file_default() -> None:
    write('[node]\nzone = "file"\nweight = 3\n')
    environ = {"FLEET_NODE_ZONE": "environment"}
    found = configure(OF_A_NODE, {"zone": "flag"}, environ=environ)
    assert (found["zone"], found.found["zone"].where) == ("flag", "--zone")
    found = configure(OF_A_NODE, {"zone": None}, environ=environ)
    assert (found["zone"], found.found["zone"].where) == ("environment", "$FLEET_NODE_ZONE")
    found = configure(OF_A_NODE, {}, environ={"FLEET_NODE_ZONE": ""})
    assert (found["zone"], found.found["zone"].where) == ("file", "fleet.toml:2")
    assert (found["weight"], found.found["weight"].where) == (3.0, "fleet.toml:3")
    assert (found["executors"], found.found["executors"].where) == (1, "default")


def test_a_command_does_not_see_the_settings_of_nodes() -> None:
    write('cluster = "c"\n[node]\nname = "n1"\n[client]\nconnect = ["a:1"]\n')
    found = configure(OF_A_COMMAND, {})
    assert found["connect"] == ("a:1",) and found["cluster"] == "c" and "name" not in found.found


def test_the_file_is_that_of_the_flag_else_of_the_variable_else_of_the_directory() -> None:
    assert find_file(environ={}) == ""
    write("", "fleet.toml")
    assert find_file(environ={}) == "fleet.toml"
    assert find_file(environ={"FLEET_CONFIG": "b.toml"}) == "b.toml"
    assert find_file("a.toml", {"FLEET_CONFIG": "b.toml"}) == "a.toml"
    assert find_file(environ={"FLEET_CONFIG": ""}) == ""


@pytest.mark.parametrize(
    ("variable", "value", "found"),
    [
        ("FLEET_NODE_JOIN", "a:1 b:2,c:3", ("a:1", "b:2", "c:3")),
        ("FLEET_NODE_ACTIVE", "no", False),
        ("FLEET_NODE_FOUND", "1", True),
        ("FLEET_NODE_EXECUTOR_MEMORY_MAX", "512MiB", 512 << 20),
        ("FLEET_NODE_DRAIN_ON_TERM", "250ms", 0.25),
        ("FLEET_TIMEOUT", "7", 7.0),
        ("FLEET_LOG_FORMAT", "json", "json"),
    ],
)
def test_variables_of_all_kinds_are_read(variable: str, value: str, found: object) -> None:
    configuration = configure(SECTIONS, {}, environ={variable: value})
    (one,) = [one for one in configuration.found.values() if one.setting.variable == variable]
    assert one.value == found


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("FLEET_NODE_WEIGHT", "heavy", r"\$FLEET_NODE_WEIGHT: 'heavy' is not understood: write a number"),
        ("FLEET_NODE_WEIGHT", "-1", r"\$FLEET_NODE_WEIGHT: weight must be 0 or more"),
        ("FLEET_NODE_EXECUTOR_MEMORY_MAX", "9" * 400, "is not understood: write a number of bytes"),
        ("FLEET_NODE_DRAIN_ON_TERM", "9" * 5000, "is not understood: write a duration"),
        ("FLEET_NODE_ACTIVE", "perhaps", "write true or false"),
        ("FLEET_LOG_LEVEL", "loud", 'write "debug" or "info"'),
    ],
)
def test_a_wrong_variable_is_named(variable: str, value: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        configure(SECTIONS, {}, environ={variable: value})


def contradicting(**flags: object) -> Configuration:
    return configure(OF_A_NODE, flags, environ={"FLEET_NODE_LISTEN": "127.0.0.1:7400"})


@pytest.mark.parametrize(
    ("content", "flags", "says"),
    [
        (
            'founders = ["127.0.0.1:7400"]',
            {"join": ("b:1",)},
            r"--join; founders from fleet.toml:2",
        ),
        ('join = ["b:1"]', {"found": True}, r"found is for .*join from fleet.toml:2; found from --found"),
        ('founders = ["127.0.0.1:7400", "b:1"]', {}, r"list an odd number.*founders from fleet.toml:2"),
        ('health = "127.0.0.1:7400"', {}, r"same address.*listen from \$FLEET_NODE_LISTEN; health from"),
    ],
)
def test_a_contradiction_names_where_both_sides_come_from(
    content: str, flags: dict[str, object], says: str
) -> None:
    write(f"[node]\n{content}\n")
    with pytest.raises(ConfigError, match=says):
        check_contradictions(contradicting(**flags))


def test_what_the_environment_says_of_the_secret_overrides_a_file_and_a_flag_overrides_both(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write('secret_file = "of-the-file"\n')
    assert configure(OF_A_NODE, {}).secret_file == "of-the-file"
    for name in ("FLEET_SECRET", "FLEET_SECRET_FILE"):
        with monkeypatch.context() as patched:
            patched.setenv(name, "fedcba9876543210" * 4)
            assert configure(OF_A_NODE, {}).secret_file is None
            assert configure(OF_A_NODE, {"secret_file": "of-the-flag"}).secret_file == "of-the-flag"


def test_misspelt_variables_are_noticed_and_those_of_others_are_not() -> None:
    """Kubernetes sets variables for each service: FLEET_PORT for one that is called fleet."""
    others = {"FLEET_PORT": "tcp://10.0.0.1:7400", "FLEET_SERVICE_HOST": "10.0.0.1", "FLEET_CONFIG": ""}
    assert strange_variables({**others, "FLEET_NODE_LISTEN": "a:1"}) == []
    (told,) = strange_variables({"FLEET_NODE_LISTN": "a:1"})
    assert told == "$FLEET_NODE_LISTN is not a setting: is $FLEET_NODE_LISTEN meant?"


def test_a_node_is_made_of_a_file_and_arguments_override_it(monkeypatch: pytest.MonkeyPatch) -> None:
    write('cluster = "c"\n[node]\nname = "n1"\nzone = "z"\nlisten = "127.0.0.1:0"\n[log]\nformat = "json"\n')
    monkeypatch.setenv("FLEET_SECRET", "0123456789abcdef" * 4)
    monkeypatch.setenv("FLEET_NODE_EXECUTORS", "0")
    node = fleet.Node.from_config(zone="other", data_dir="here", secret="0123456789abcdef" * 4)
    assert (node.name, node.zone, node.cluster, node.executors) == ("n1", "other", "c", 0)
    assert node.secret.shown == b"0123456789abcdef" * 4
    with fleet.Node.from_config("fleet.toml", data_dir="here", found=True) as node:
        write(f'cluster = "c"\n[client]\nconnect = ["{node.address}"]\ntimeout = "3s"\n', "client.toml")
        with fleet.Fleet.from_config("client.toml") as client:
            assert (client.timeout, client.name) == (3.0, "c") and client.nodes()
        with fleet.Fleet.from_config("client.toml", addresses=node.address, timeout=4.0, wait=1.0) as client:
            assert client.timeout == 4.0
    with pytest.raises(ConfigError, match="connect from .*client.toml:2 is empty"):
        write("[client]\nconnect = []\n", "client.toml")
        fleet.Fleet.from_config("client.toml")
    with pytest.raises(ConfigError, match="no setting 'speed'"):
        fleet.Node.from_config(speed=1)
    with pytest.raises(ConfigError, match="weight=: weight must be 0 or more"):
        fleet.Node.from_config(weight=-1.0)
    with pytest.raises(ConfigError, match="a node needs a name"):
        fleet.Node.from_config("/dev/null")
