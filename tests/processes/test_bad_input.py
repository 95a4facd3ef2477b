"""What cannot be is refused where it was asked, in words that help, and the nodes serve on."""

import random
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import fleet
from fleet.errors import (
    BadArguments,
    CommandFailed,
    ConfigError,
    DataClassUnavailable,
    GroupExists,
    ImpureQuery,
    NoSuchGroup,
    NoSuchNode,
    NotEncodable,
    QueryFailed,
    Rejected,
    TooLarge,
    WrongCluster,
    WrongSecret,
)
from tests.processes.nodes import CLUSTER, QUICK, WAIT_S, Cluster, await_all_caught_up
from tests.support.classes import Counter

OTHER = "another secret of the tests, long enough"

MIB = 1 << 20


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three nodes for all of these tests, since none of them may harm one."""
    cluster = Cluster(tmp_path_factory.mktemp("nodes"))
    try:
        cluster.start(3)
        client = cluster.connect()
        client.create_group("visits", Counter, config=QUICK)
        yield cluster
    finally:
        cluster.close()


@pytest.fixture
def client(shared: Cluster) -> Iterator[fleet.Fleet]:
    """The group answers before and after, through the same client and a new one."""
    client = shared.connect()
    counter = client.group("visits", Counter)
    counter.add(1)
    yield client
    before = counter.get()
    assert counter.add(1) == before + 1
    with shared.connect() as fresh:
        assert fresh.group("visits", Counter).get() == before + 1
        assert len(fresh.nodes()) == 3
    assert all(node.process is not None and node.process.poll() is None for node in shared.nodes)
    for node in shared.nodes:
        assert "CRITICAL" not in node.log.read_text()
    client.close()


@pytest.fixture
def counter(client: fleet.Fleet) -> Any:
    return client.group("visits", Counter)


# -- names and settings ---------------------------------------------------------------------------


def test_an_unknown_group(client: fleet.Fleet) -> None:
    for call in (client.group("nobody", Counter).add, client.group("nobody", Counter).get):
        with pytest.raises(NoSuchGroup) as caught:
            call()
        assert "nobody" in str(caught.value) and caught.value.group == "nobody"


NO_NAMES = ["", None, 7, b"bytes", "half a \ud800 pair", "two\nlines", "\x00", "x" * 1001]


@pytest.mark.parametrize("name", NO_NAMES)
def test_a_group_name_that_is_none(client: fleet.Fleet, name: Any) -> None:
    with pytest.raises(BadArguments):
        client.group(name, Counter)
    with pytest.raises(BadArguments):
        client.create_group(name, Counter)


@pytest.mark.parametrize("name", ["a b/c#d@e", "日本", "x" * 1000])
def test_any_other_string_is_a_group_name(client: fleet.Fleet, name: str) -> None:
    counter = client.create_group(name, Counter, config=QUICK)
    assert counter.add(3) == 3


def test_a_group_that_exists(client: fleet.Fleet) -> None:
    for replicas in (1, 3):
        with pytest.raises(GroupExists):
            client.create_group("visits", Counter, replicas=replicas)
    assert client.create_group("visits", Counter, exist_ok=True).get() > 0


def test_a_group_on_nodes_that_are_not_there(client: fleet.Fleet) -> None:
    with pytest.raises(NoSuchNode) as caught:
        client.create_group("elsewhere", Counter, nodes=["n1", "n9"])
    assert "n9" in str(caught.value)
    wrong: list[dict[str, Any]] = [{"nodes": []}, {"replicas": 0}, {"replicas": -1}]
    for settings in wrong:
        with pytest.raises(BadArguments):
            client.create_group("elsewhere", Counter, **settings)
    with pytest.raises(NoSuchGroup):
        client.group("elsewhere", Counter).get()


def test_a_class_that_is_no_data_class(client: fleet.Fleet) -> None:
    data_class: Any
    for data_class in (dict, Counter(), None):
        with pytest.raises(ConfigError):
            client.create_group("plain", data_class)
        with pytest.raises(ConfigError):
            client.group("plain", data_class)


def test_a_class_whose_objects_cannot_be_made(client: fleet.Fleet) -> None:
    class Broken(fleet.Data):
        def __init__(self) -> None:
            raise RuntimeError("not here")

        @fleet.query
        def get(self) -> int:
            return 0

    with pytest.raises(DataClassUnavailable) as caught:
        client.create_group("broken", Broken)
    assert "RuntimeError: not here" in str(caught.value)
    with pytest.raises(NoSuchGroup):
        client.group("broken", Broken).get()


def test_a_class_that_no_node_can_load(client: fleet.Fleet, tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "only_here.py").write_text("import fleet\nclass Thing(fleet.Data):\n    x: int = 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    import only_here  # type: ignore[import-not-found]

    with pytest.raises(DataClassUnavailable) as caught:
        client.create_group("things", only_here.Thing)
    assert "only_here" in str(caught.value) and "register_pickle_by_value" in str(caught.value)
    assert not any(member.group == "things" for member in client.members(client.nodes()[0].address).members)


def test_a_class_of_main_comes_by_value(client: fleet.Fleet) -> None:
    class Local(fleet.Data):
        seen: list[str] = []

        @fleet.command
        def see(self, what: str) -> int:
            self.seen.append(what)
            return len(self.seen)

    assert client.create_group("local", Local, config=QUICK).see("it") == 1


@pytest.mark.parametrize(
    "addresses", ["", " , ", "nonsense", "127.0.0.1", "127.0.0.1:port", "127.0.0.1:99999"]
)
def test_an_address_that_is_none(shared: Cluster, addresses: str) -> None:
    with pytest.raises(ConfigError):
        fleet.connect(addresses, cluster=CLUSTER, secret_file=shared.secret_file)


def test_a_timeout_that_is_none(shared: Cluster, counter: Any) -> None:
    for timeout in (0, -1.0, float("nan")):
        with pytest.raises(ConfigError):
            shared.connect(timeout=timeout)
        with pytest.raises(ConfigError):
            counter.get.options(timeout=timeout)


# -- who may come in -----------------------------------------------------------------------------------


def test_the_wrong_secret(shared: Cluster, client: fleet.Fleet) -> None:
    with pytest.raises(WrongSecret):
        fleet.connect(shared.nodes[0].address, cluster=CLUSTER, secret=OTHER)


def test_the_wrong_cluster_id(shared: Cluster, client: fleet.Fleet) -> None:
    with pytest.raises(WrongCluster):
        fleet.connect(shared.nodes[0].address, cluster="another", secret_file=shared.secret_file)


@pytest.mark.parametrize("secret", ["", "short", b"of 31 bytes, so one is missing.", "password" * 8])
def test_a_secret_that_is_short_or_can_be_guessed(shared: Cluster, secret: Any) -> None:
    with pytest.raises(ConfigError):
        fleet.connect(shared.nodes[0].address, cluster=CLUSTER, secret=secret)


def test_garbage_on_a_nodes_port(shared: Cluster, client: fleet.Fleet) -> None:
    rng = random.Random(7)
    for node in shared.nodes:
        host, port = node.address.split(":")
        for size in (0, 1, 17, 400, 70_000):
            with socket.create_connection((host, int(port)), 5) as connection:
                try:
                    connection.sendall(rng.randbytes(size))
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(4096):
                        pass
                except OSError:
                    pass  # closed on us: right


# -- calls -----------------------------------------------------------------------------------------------


def test_a_command_that_is_too_large(counter: Any) -> None:
    for size in (MIB, 3 * MIB):
        with pytest.raises(TooLarge) as caught:
            counter.swallow(bytes(size))
        assert "command_bytes_max" in str(caught.value)
    assert counter.swallow(bytes(MIB - 1000)) == MIB - 1000


def test_large_commands_among_others_fail_alone(counter: Any) -> None:
    before = counter.get()
    calls = [
        counter.swallow.submit(bytes(2 * MIB)) if number % 5 == 2 else counter.add.submit(1)
        for number in range(40)
    ]
    outcomes = [type(call.exception()) for call in calls]
    assert outcomes == [TooLarge if number % 5 == 2 else type(None) for number in range(40)]
    assert counter.get() == before + 32


def test_a_command_that_fits_no_message(counter: Any) -> None:
    with pytest.raises(TooLarge):
        counter.swallow(bytes(70 * MIB))


def test_a_query_that_fits_no_message(counter: Any) -> None:
    assert counter.length(bytes(4 * MIB)) == 4 * MIB
    with pytest.raises(TooLarge):
        counter.length(bytes(70 * MIB))


def test_a_result_that_fits_no_message(counter: Any) -> None:
    assert len(counter.zeros(4 * MIB)) == 4 * MIB
    with pytest.raises(TooLarge):
        counter.zeros(70 * MIB)


def test_many_large_commands_at_once(counter: Any) -> None:
    """More than one message may hold: they leave in several."""
    calls = [counter.swallow.submit(bytes(MIB - 1000)) for _ in range(40)]
    assert {call.result(30) for call in calls} == {MIB - 1000}


@pytest.mark.parametrize("argument", [threading.Lock(), (number for number in range(0)), open])
def test_an_argument_that_cannot_be_encoded(counter: Any, argument: Any) -> None:
    if argument is open:
        argument = socket.socket()
    for call in (counter.add, counter.add.submit, counter.get):
        with pytest.raises((NotEncodable, BadArguments)):
            call(argument)


@pytest.mark.parametrize("call", ["add", "get"])
def test_arguments_that_do_not_fit_the_method(counter: Any, call: str) -> None:
    with pytest.raises(BadArguments):
        getattr(counter, call)(1, 2, 3)
    with pytest.raises(BadArguments):
        getattr(counter, call)(unknown=1)


def test_s46_a_command_that_raises_changes_nothing(counter: Any) -> None:
    before = counter.get()
    with pytest.raises(CommandFailed) as caught:
        counter.divide(0)
    assert caught.value.error == "ZeroDivisionError" and "divide" in caught.value.where
    with pytest.raises(Rejected) as refused:
        counter.add(-1)
    assert refused.value.value == "n must not be negative"
    assert counter.get() == before


def test_s49_a_query_that_changes_the_object_is_found_out(counter: Any) -> None:
    before = counter.get()
    with pytest.raises(ImpureQuery):
        counter.sneak()
    assert counter.get() == before


def test_a_query_that_raises(counter: Any) -> None:
    with pytest.raises(QueryFailed):
        counter.zeros(-1)


def test_a_group_with_the_largest_batches_that_there_are_replicates_them(shared: Cluster) -> None:
    """A window full of them would fit no frame, were it one message."""
    most = 32 * MIB
    client = shared.connect(timeout=60.0)
    large = fleet.GroupConfig(command_bytes_max=most, batch_bytes_max=most)
    large_counter = client.create_group("large", Counter, config=large)
    size = most // 2 - 1000
    calls = [large_counter.swallow.submit(bytes(size)) for _ in range(5)]
    assert [call.result() for call in calls] == [size] * 5
    await_all_caught_up(shared, client, "large")
    assert not any("the peer reads" in node.log.read_text() for node in shared.nodes), "a frame was too large"
    with pytest.raises(ConfigError, match="more than a message carries"):
        client.change_config("large", fleet.GroupConfig(command_bytes_max=most + 1))
    client.remove_group("large")


# -- directories and ports ---------------------------------------------------------------------------


def test_s40_a_directory_in_use(cluster: Cluster) -> None:
    cluster.start(1)
    (second,) = cluster.add(1)
    second.directory, second.name = cluster.nodes[0].directory, cluster.nodes[0].name
    said = second.refused()
    assert "in use" in said and str(second.directory) in said
    assert cluster.nodes[0].process is not None and str(cluster.nodes[0].process.pid) in said


def test_s27_a_directory_of_another_node_or_cluster(cluster: Cluster) -> None:
    cluster.start(1)
    client = cluster.connect()
    client.create_group("visits", Counter, replicas=1, config=QUICK).add(4)
    first = cluster.nodes[0]
    first.kill()
    (second,) = cluster.add(1)
    second.directory = first.directory
    said = second.refused()
    assert "n1" in said and "n2" in said and str(first.directory) in said
    second.name, second.cluster = "n1", "another"
    said = second.refused()
    assert "another" in said and CLUSTER in said
    first.start()
    assert client.group("visits", Counter).get() == 4


def test_a_port_in_use(cluster: Cluster) -> None:
    cluster.start(1)
    (second,) = cluster.add(1)
    second.address = cluster.nodes[0].address
    assert "in use" in second.refused()


@pytest.mark.parametrize(
    "change",
    [
        lambda node: setattr(node, "name", ""),
        lambda node: setattr(node, "address", "0.0.0.0:0"),
        lambda node: node.secret_file.write_text("short"),
    ],
)
def test_a_setting_of_a_node_that_cannot_be(cluster: Cluster, change: Callable[[Any], None]) -> None:
    (node,) = cluster.add(1)
    change(node)
    assert node.refused().startswith(("fleet ", "Error: "))


def test_a_node_with_another_secret_ends(cluster: Cluster, tmp_path: Path) -> None:
    cluster.start(1)
    (stranger,) = cluster.add(1)
    stranger.secret_file = tmp_path / "other"
    stranger.secret_file.touch(0o600)
    stranger.secret_file.write_text(OTHER)
    stranger.launch()
    assert stranger.process is not None and stranger.process.wait(WAIT_S) == 1
    last = stranger.log.read_text().strip().splitlines()[-1]
    assert "refuses the link: wrong secret" in last and "--secret-file" in last
    assert len(cluster.connect(cluster.nodes[0]).nodes()) == 1
