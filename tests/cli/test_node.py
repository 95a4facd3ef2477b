"""`fleet start`, and `fleet node` with options: how it starts, what it refuses, how it ends."""

import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.waiting import eventually

from .processes import FLEET, PATIENCE_S, children, environment, processes_with, read_until, run, started

ANY_PORT = ("--listen", "127.0.0.1:0")
ALONE = (*ANY_PORT, "--found")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_node_says_where_it_serves_and_ends_with_0_when_told_to(tmp_path: Path, number: int) -> None:
    with started(tmp_path, "node", "--name", "n1", *ALONE) as node:
        assert read_until(node, "\n").startswith("node n1 serves at 127.0.0.1:")
        node.send_signal(number)
        assert node.wait(10) == 0
        assert node.stderr is not None and node.stderr.read() == ""
    assert (tmp_path / "fleet-n1").is_dir()


def test_s80_a_node_that_is_told_to_end_while_it_starts_ends_with_0_and_starts_again(tmp_path: Path) -> None:
    """SIGTERM comes as soon as there is a directory, long before the node serves."""
    with started(tmp_path, "start", "--name", "n1", *ALONE) as node:
        eventually((tmp_path / "fleet-n1").exists, every_s=0.0005)
        node.terminate()
        assert node.wait(PATIENCE_S) == 0
    again = ["start", "--name", "n1", *ANY_PORT]
    with started(tmp_path, *again, "--found") as node:
        if node.stdout is not None and node.stdout.readline():
            return  # it had founded nothing yet
        assert node.wait(PATIENCE_S) == 2
    with started(tmp_path, *again) as node:
        read_until(node, "serves at")


def test_options_come_from_the_environment(tmp_path: Path) -> None:
    settings = {"FLEET_NODE_NAME": "n7", "FLEET_NODE_LISTEN": "127.0.0.1:0", "FLEET_NODE_DATA_DIR": "here"}
    settings["FLEET_NODE_FOUND"] = "1"
    with started(tmp_path, "node", **settings) as node:
        assert "node n7 serves" in read_until(node, "\n")
    assert (tmp_path / "here").is_dir()


def test_a_cluster_of_one_is_founded_once_and_only_when_asked_for(tmp_path: Path) -> None:
    """What had made the first cluster made a second one out of an emptied directory."""
    command = ("start", "--name", "n1", *ANY_PORT)
    refused = run(tmp_path, *command)
    assert refused.returncode == 2
    assert all(f"--{way}" in refused.stderr for way in ("join", "founder", "found"))
    assert not (tmp_path / "fleet-n1").exists()
    with started(tmp_path, *command, "--found") as node:
        read_until(node, "serves at")
        node.terminate()
        assert node.wait(10) == 0 and node.stdout is not None
        said = node.stdout.read()
        assert said.startswith("node n1 founded cluster ")
        uid = said.split()[-1]
        assert len(uid) == 14 and int(uid, 16)
    again = run(tmp_path, *command, "--found")
    assert again.returncode == 2 and "without --found" in again.stderr
    with started(tmp_path, *command) as node:
        assert read_until(node, "\n").startswith("node n1 serves at")
    both = run(tmp_path, *command, "--found", "--join", "127.0.0.1:1")
    assert both.returncode == 2 and "without join" in both.stderr


def test_until_eof_a_node_ends_with_its_stdin(tmp_path: Path) -> None:
    with started(tmp_path, "node", "--name", "n1", "--until-eof", *ALONE) as node:
        read_until(node, "serves")
        assert node.stdin is not None
        node.stdin.close()
        assert node.wait(10) == 0


def test_a_directory_in_use_is_refused_and_says_by_whom(tmp_path: Path) -> None:
    with started(tmp_path, "node", "--name", "n1", *ALONE) as node:
        read_until(node, "serves")
        second = run(tmp_path, "node", "--name", "n1", *ANY_PORT)
        assert (second.returncode, second.stdout) == (1, "")
        assert "in use" in second.stderr and f"pid={node.pid}" in second.stderr
        assert "stop it first" in second.stderr and "Traceback" not in second.stderr
        assert node.poll() is None


def test_a_port_in_use_is_refused_and_says_which(tmp_path: Path) -> None:
    with started(tmp_path, "node", "--name", "n1", *ALONE) as node:
        address = read_until(node, "serves").split()[-1]
        second = run(tmp_path, "node", "--name", "n2", "--found", "--listen", address)
    assert second.returncode == 1
    assert f"cannot listen at {address}" in second.stderr and "choose another" in second.stderr
    assert "Traceback" not in second.stderr


@pytest.mark.parametrize(
    "other", [("--name", "n2"), ("--name", "n1", "--cluster", "another")], ids=["node", "cluster"]
)
def test_a_directory_of_another_node_or_cluster_is_refused(tmp_path: Path, other: tuple[str, ...]) -> None:
    with started(tmp_path, "node", "--name", "n1", "--data-dir", "mine", *ALONE) as node:
        read_until(node, "serves")
        node.terminate()
        node.wait(10)
    refused = run(tmp_path, "node", "--data-dir", "mine", *other, *ANY_PORT)
    assert refused.returncode == 1
    assert "choose an empty directory" in refused.stderr and "Traceback" not in refused.stderr
    with started(tmp_path, "node", "--name", "n1", "--data-dir", "mine", *ANY_PORT) as node:
        assert "n1 serves" in read_until(node, "\n")


@pytest.mark.parametrize(
    "arguments, says",
    [
        ([], "--name"),
        (["--name", "a/b"], "'a/b'"),
        (["--name", "n1", "--listen", "here"], "'here' is not host:port"),
        (["--name", "n1", "--listen", "0.0.0.0:0", "--found"], "advertise="),
        (["--name", "n1", "--join", "there"], "'there' is not host:port"),
        (["--name", "n1", "--secret-file", "none"], "the secret file cannot be read"),
        (["--name", "n1", "--data-dir", ""], "data_dir is empty"),
        (["--name", "n1", "--speed", "9"], "--speed"),
    ],
)
def test_what_was_asked_for_wrongly_ends_with_2(tmp_path: Path, arguments: list[str], says: str) -> None:
    refused = run(tmp_path, "node", *arguments)
    assert refused.returncode == 2
    assert says in refused.stderr and "fleet node --help" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_what_a_terminal_cannot_show_or_a_disk_not_take_is_no_traceback(tmp_path: Path) -> None:
    with started(tmp_path, "node", "--name", "λ", *ALONE) as node:
        connect = ("--connect", read_until(node, "serves").split()[-1])
        shown = run(tmp_path, "node", "list", *connect, PYTHONIOENCODING="latin-1")
        assert (shown.returncode, shown.stderr) == (0, "") and "\\u03bb" in shown.stdout
        with open("/dev/full", "w") as full:
            command = [*FLEET, "node", "list", *connect]
            lost = subprocess.run(command, env=environment(tmp_path), stdout=full, stderr=subprocess.PIPE)
    assert lost.returncode == 1
    assert b"No space left" in lost.stderr and b"Traceback" not in lost.stderr


def test_a_directory_that_cannot_be_made_ends_with_1(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refused = run(tmp_path, "node", "--name", "n1", "--data-dir", "file/below", *ALONE)
    assert refused.returncode == 1
    assert "file/below" in refused.stderr and "Traceback" not in refused.stderr


def test_the_demo_killed_with_9_leaves_no_node_behind(tmp_path: Path) -> None:
    with started(tmp_path, "demo", "--one", "--plain") as demo:
        read_until(demo, "clients increment")
        assert len(processes_with(str(tmp_path))) == 3
        demo.kill()
        demo.wait(10)
        eventually(lambda: not processes_with(str(tmp_path)), PATIENCE_S)


def test_a_node_listens_on_every_address_of_its_host_once_it_says_by_which_it_is_reached(
    tmp_path: Path,
) -> None:
    words = ("start", "--name", "n1", "--listen", "0.0.0.0:0", "--found")
    with started(tmp_path, *words, "--advertise", "127.0.0.1:0") as node:
        read_until(node, "serves at 127.0.0.1:")


def test_how_many_executors_and_how_much_memory_they_may_use(tmp_path: Path) -> None:
    options = ("--executors", "2", "--executor-memory-max", "300M")
    with started(tmp_path, "start", "--name", "n1", *ALONE, *options) as node:
        read_until(node, "serves at")
        executors = children(node.pid)
        assert len(executors) == 2
        for one in executors:
            eventually(lambda: b"fleet executor of node n1" in Path(f"/proc/{one}/cmdline").read_bytes())
            limits = Path(f"/proc/{one}/limits").read_text()
            assert re.search(rf"^Max data size +{300 << 20} ", limits, re.M), limits
    for wrong in (("--executors", "-1"), ("--executor-memory-max", "1M"), ("--executor-memory-max", "much")):
        refused = run(tmp_path, "start", "--name", "n2", *ALONE, *wrong)
        assert refused.returncode == 2 and wrong[0].strip("-").replace("-", "") in refused.stderr.replace(
            "-", ""
        ).replace("_", "")
