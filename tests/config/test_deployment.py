"""The files in fleet/docs/deployment.md: they can be read, fit together, and name what exists."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from fleet.config.settings import SETTINGS
from fleet.config.units import unit
from fleet.health import LIVE, READY

TEXT = (Path(__file__).parents[2] / "fleet" / "docs" / "deployment.md").read_text()
MARK = "<!-- unit -->\n"
COMPOSE, KUBERNETES = re.findall(r"^```yaml\n(.*?)^```", TEXT, re.M | re.S)
(CONTAINER,) = re.findall(r"^```dockerfile\n(.*?)^```", TEXT, re.M | re.S)
VARIABLES = {one.variable for one in SETTINGS} | {"FLEET_PORTABLE"}
PORTS = {7400, 7480}


def test_the_unit_is_the_one_that_is_printed() -> None:
    shown = TEXT.split(MARK)[1].split("```\n")[1]
    assert shown == unit("/opt/fleet/bin/fleet")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    command = tmp_path / "fleet"
    command.touch(0o755)
    path = tmp_path / "fleet@n1.service"
    path.write_text(unit(str(command)))
    said = subprocess.run(["systemd-analyze", "verify", str(path)], capture_output=True, text=True)
    assert (said.returncode, said.stdout + said.stderr) == (0, "")


def test_every_variable_is_a_setting() -> None:
    assert set(re.findall(r"\bFLEET_[A-Z_]+", TEXT)) <= VARIABLES


def test_the_container_file_is_one() -> None:
    lines = re.sub(r"\\\n", " ", CONTAINER).splitlines()
    instructions = [line.split(" ", 1)[0] for line in lines]
    assert instructions[0] == "FROM"
    assert {*instructions} <= {
        "FROM", "COPY", "RUN", "USER", "WORKDIR", "VOLUME", "ENV", "EXPOSE", "STOPSIGNAL", "ENTRYPOINT",
        "CMD",
    }  # fmt: skip
    (exposed,) = [line.split()[1:] for line in lines if line.startswith("EXPOSE")]
    assert set(map(int, exposed)) == PORTS


def test_compose_has_three_founders_with_a_volume_each() -> None:
    tree = yaml.safe_load(COMPOSE)
    assert set(tree["services"]) == set(tree["volumes"]) == {"n1", "n2", "n3"}
    for name, service in tree["services"].items():
        environment = service["environment"]
        assert environment["FLEET_NODE_NAME"] == name
        assert environment["FLEET_NODE_ADVERTISE"] in environment["FLEET_NODE_FOUNDERS"].split(",")
        assert service["volumes"] == [f"{name}:/var/lib/fleet"]
        assert f":7480{READY}" in service["healthcheck"]["test"][-1]
        compile(service["healthcheck"]["test"][-1], "healthcheck", "exec")


def documents() -> dict[str, Any]:
    return {one["kind"]: one for one in yaml.safe_load_all(KUBERNETES)}


def test_the_stateful_set_fits_together() -> None:
    kinds = documents()
    assert {kind: one["apiVersion"] for kind, one in kinds.items()} == {
        "Service": "v1", "PodDisruptionBudget": "policy/v1", "StatefulSet": "apps/v1",
    }  # fmt: skip
    service, states = kinds["Service"], kinds["StatefulSet"]["spec"]
    labels = states["template"]["metadata"]["labels"]
    assert service["spec"]["selector"] == states["selector"]["matchLabels"] == labels
    assert kinds["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert states["serviceName"] == service["metadata"]["name"]
    (container,) = states["template"]["spec"]["containers"]
    assert {port["containerPort"] for port in container["ports"]} == PORTS
    claims = {claim["metadata"]["name"] for claim in states["volumeClaimTemplates"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == claims
    probed = {name: container[name]["httpGet"]["path"] for name in container if name.endswith("Probe")}
    assert probed == {"startupProbe": LIVE, "livenessProbe": LIVE, "readinessProbe": READY}


def test_each_pod_finds_itself_among_the_founders() -> None:
    states = documents()["StatefulSet"]
    (container,) = states["spec"]["template"]["spec"]["containers"]
    environment = {one["name"]: one.get("value", "") for one in container["env"]}
    pods = [f"{states['metadata']['name']}-{number}" for number in range(states["spec"]["replicas"])]
    advertised = [environment["FLEET_NODE_ADVERTISE"].replace("$(FLEET_NODE_NAME)", pod) for pod in pods]
    assert environment["FLEET_NODE_FOUNDERS"].split(",") == advertised
