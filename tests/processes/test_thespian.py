"""Groups as addresses of Thespian actors, on every base, while nodes and the actor system end and return."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.processes.nodes import QUICK, ROOT, Cluster, leader_node
from tests.processes.stock_world import StockWorld
from tests.processes.thespian_app import UNDER_WAY
from tests.support.classes import Counter
from tests.support.nodes_here import NodesHere
from tests.support.ports import free_port
from tests.support.waiting import eventually

BASES = ("fleet", "simpleSystemBase", "multiprocTCPBase", "multiprocQueueBase")
DOCS = (ROOT / "fleet" / "docs" / "thespian.md").read_text()
SECRET = "a secret of the tests, long enough"


@pytest.fixture(scope="module")
def three_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        cluster.start(3)
        yield cluster
    finally:
        cluster.close()


@pytest.fixture(scope="module")
def apps(three_nodes: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, StockWorld]]:
    """An actor system with each base, all of them started at once, and a group for each, led by n1."""
    module, secret_file = "tests.processes.thespian_app", str(three_nodes.secret_file)
    addresses = ",".join(node.address for node in three_nodes.nodes)
    client = three_nodes.connect()
    with ExitStack() as stack:
        apps = {}
        for base in BASES:
            app = StockWorld(tmp_path_factory.mktemp("app"), module, base, addresses, secret_file)
            stack.callback(app.end)
            apps[base] = app
            client.create_group(group_of(base), Counter, nodes=["n1", "n2", "n3"], config=QUICK)
        yield apps


def group_of(base: str) -> str:
    return f"visits of {base}"


@pytest.mark.parametrize("base", BASES)
def test_a_call_to_a_groups_name_gets_its_result(apps: dict[str, StockWorld], base: str) -> None:
    do, visits = apps[base].do, group_of(base)
    assert do("call", visits, "command", "add", 5)[::3] == (("t", "add"), 5)
    assert do("call", visits, "query", "get") == (("t", "get"), visits, 1, 5)
    assert do("call", visits, "command", "add", -5)[3] == "Rejected"
    assert do("call", visits, "command", "nothing")[3] == "BadArguments"
    assert do("call_unloadable", visits) == 6
    revision, value = do("call_keyed", visits, "invoice", 1)
    assert value == 7 and do("call_keyed", visits, "invoice", 1) == (revision, 7)
    assert do("call_keyed", visits, "invoice", 2) == (revision, "KeyReused")
    assert do("send_other", visits) == "BadArguments"
    assert "fleet.thespian" in do("block")


def test_each_call_is_executed_once_when_the_leaders_node_is_killed(
    apps: dict[str, StockWorld], three_nodes: Cluster
) -> None:
    client = three_nodes.connect()
    before = {base: client.group(group_of(base), Counter).get() for base in BASES}
    for base, app in apps.items():
        app.do("begin", group_of(base))
        app.do("await_more", 5)
        eventually(lambda: leader_node(three_nodes, client, group_of(base)).name == "n1")
    three_nodes["n1"].kill()
    try:
        for app in apps.values():
            app.do("await_more", 10)
    finally:
        three_nodes["n1"].start()
    for base, app in apps.items():
        sent, results = app.do("finish")
        assert sorted(value for _, value in results) == [before[base] + n for n in range(1, sent + 1)], base
        assert sorted(tag for tag, _ in results) == list(range(1, sent + 1)), base
        assert sorted(results) == sorted(results, key=lambda result: result[1]), f"{base}: in another order"


@pytest.mark.parametrize("base", BASES)
def test_a_restarted_actor_system_goes_on_and_learns_that_a_group_is_gone(
    apps: dict[str, StockWorld], three_nodes: Cluster, base: str
) -> None:
    do, visits, client = apps[base].do, group_of(base), three_nodes.connect()
    do("begin", visits)
    do("restart")
    had = client.group(visits, Counter).get()
    # What was under way when the system ended may still be executed, once.
    assert 1 <= do("call", visits, "command", "add", 1)[3] - had <= 1 + UNDER_WAY
    client.remove_group(visits)
    # A member that is about to end may still take a command, whose outcome is unknown then.
    eventually(lambda: do("call", visits, "command", "add", 1)[2:] == (0, "NoSuchGroup"))


def example(base: str) -> str:
    """The application in the documentation, with a base and ports of the test."""
    (source,) = re.findall(r"^```python\n(.*?)^```", DOCS, re.M | re.S)
    if base == "fleet":
        return str(source)
    settings = {"Admin Port": free_port(), "Convention Address.IPv4": ("127.0.0.1", 0)}
    system = f"ActorSystem({base!r}, {settings!r})"
    assert source.count("start_system()") == 1
    return str(source).replace("start_system()", system)


@pytest.mark.parametrize("base", ["fleet", "multiprocTCPBase"])
def test_the_documented_application_runs_as_written(base: str, tmp_path: Path) -> None:
    (told,) = re.findall(r"^It prints\n\n```\n(.*?)^```", DOCS, re.M | re.S)
    with ExitStack() as stack:
        node = NodesHere(tmp_path, stack).start("n1", secret=SECRET, executors=0)
        script = tmp_path / "shop.py"
        script.write_text(example(base).replace("127.0.0.1:7400", node.address))
        assert run(script, tmp_path) == told


def run(script: Path, home: Path) -> str:
    settings = {"FLEET_SECRET": SECRET, "TMPDIR": str(home), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=home,
        env=os.environ | settings | {"THESPLOG_FILE": str(home / "thespian.log")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
