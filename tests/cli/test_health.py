"""`--health` on real nodes: /live and /ready, as Kubernetes and a load balancer ask them."""

import json
import os
import signal
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tests.support.ports import free_ports
from tests.support.waiting import eventually

from .fleets import fleet_of
from .processes import PATIENCE_S, read_until, run, started


def get(port: int, path: str, within_s: float = 5.0) -> tuple[int, Any]:
    """(0, None): nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=within_s) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
    except OSError:
        return 0, None


def test_ready_needs_a_majority_and_live_does_not(tmp_path: Path) -> None:
    ports = dict(zip(("n1", "n2", "n3"), free_ports(3)))
    with fleet_of(tmp_path, "n1") as cluster:
        for name, port in ports.items():
            if name != "n1":
                cluster.start(name, "--health", f"127.0.0.1:{port}")
        for name in ("n2", "n3"):
            eventually(lambda: get(ports[name], "/ready")[0] == 200, PATIENCE_S, f"{name} to be ready")
            assert get(ports[name], "/ready") == (200, {"node": name, "ready": True, "why": []})
        cluster.kill("n1")
        cluster.kill("n2")
        status, body = eventually(lambda: not_ready(ports["n3"]), PATIENCE_S, "n3 to miss the others")
        assert body["ready"] is False and "n1, n2 are silent" in body["why"][0]
        assert get(ports["n3"], "/live") == (200, {"node": "n3", "live": True})


def not_ready(port: int) -> tuple[int, Any] | None:
    status, body = get(port, "/ready")
    return (status, body) if status == 503 else None


def test_a_stopped_process_is_not_live_and_nothing_listens_after_the_end(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    options = ("--name", "n1", "--listen", "127.0.0.1:0", "--found", "--health", f"127.0.0.1:{port}")
    with started(tmp_path, "start", *options) as node:
        read_until(node, "serves at")
        assert get(port, "/live")[0] == 200
        eventually(lambda: get(port, "/ready")[0] == 200, PATIENCE_S)
        node.send_signal(signal.SIGSTOP)
        assert os.WIFSTOPPED(os.waitpid(node.pid, os.WUNTRACED)[1])
        assert get(port, "/live", within_s=0.3) == (0, None)
        node.send_signal(signal.SIGCONT)
        eventually(lambda: get(port, "/live")[0] == 200)
        node.terminate()
        assert node.wait(PATIENCE_S) == 0
        assert get(port, "/live") == (0, None)


def test_a_port_for_health_that_is_taken_is_named_as_such(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    health = ("--health", f"127.0.0.1:{port}")
    options = ("--listen", "127.0.0.1:0", "--found", *health)
    with started(tmp_path, "start", "--name", "n1", *options) as node:
        read_until(node, "serves at")
        second = run(tmp_path, "start", "--name", "n2", *options)
    assert second.returncode == 1 and f"health probes at 127.0.0.1:{port}" in second.stderr
    assert "choose another --health" in second.stderr and "Traceback" not in second.stderr
