"""What a node says that does not get into its cluster, and when it ends for that."""

import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

import fleet
from fleet.actors.base.handshake import LinkIdentity
from fleet.actors.base.tls import Credentials
from fleet.errors import FleetError, NameTaken, WrongCluster, WrongSecret, WrongVersion
from tests.actors.base.helpers import WAIT_S
from tests.support.nodes_here import SECRET, NodesHere
from tests.support.ports import free_ports
from tests.support.waiting import eventually

OTHER = "another secret of the tests, long enough"


@pytest.fixture(autouse=True)
def no_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes are run until a signal in threads here, where no handler can be set."""
    monkeypatch.setattr("signal.signal", lambda number, handler: None)


def end_of(start: Callable[[], fleet.Node]) -> FleetError | None:
    """What it ends by itself with, as `fleet start` would."""
    ended: list[FleetError | None] = []

    def run() -> None:
        try:
            start().run_until_signal()
            ended.append(None)
        except FleetError as error:
            ended.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(WAIT_S)
    assert ended, "it lives on"
    return ended[0]


def test_a_node_with_another_secret_ends_and_says_so(nodes: NodesHere) -> None:
    """It said that it served, and lived on."""
    first = nodes.start("n1")
    error = end_of(lambda: nodes.start("n2", first.address, secret=OTHER))
    assert isinstance(error, WrongSecret) and first.address in str(error) and "--secret-file" in str(error)
    error = end_of(lambda: nodes.start("n3", first.address, cluster="another"))
    assert isinstance(error, WrongCluster) and first.address in str(error)


def test_a_node_without_a_common_version_ends_and_names_both_ranges(
    nodes: NodesHere, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = nodes.start("n1")
    own = Credentials.identity

    def later(credentials: Credentials, boot: int, endpoint: str, *others: Any) -> LinkIdentity:
        identity = own(credentials, boot, endpoint, *others)
        return identity if endpoint == first.address else replace(identity, oldest=8, newest=9)

    monkeypatch.setattr(Credentials, "identity", later)
    error = end_of(lambda: nodes.start("n2", first.address))
    assert isinstance(error, WrongVersion) and f"{first.address} refuses the link: wrong version" in str(
        error
    )
    assert "and this process versions 8 to 9; install a newer release there" in str(error)


def test_a_member_that_is_started_with_another_secret_ends_too(nodes: NodesHere) -> None:
    first = nodes.start("n1")
    second = nodes.start("n2", first.address)
    eventually(lambda: nodes.names(first) == ["n1", "n2"])
    eventually(lambda: nodes.names(second) == ["n1", "n2"])
    second.stop()
    error = end_of(lambda: nodes.start("n2", first.address, secret=OTHER))
    assert isinstance(error, WrongSecret)
    nodes.start("n2", first.address)


def test_a_node_that_nobody_answers_says_so_within_a_second_and_joins_later(
    nodes: NodesHere, caplog: pytest.LogCaptureFixture
) -> None:
    ports = free_ports(2)
    absent = [f"127.0.0.1:{port}" for port in ports]
    late = nodes.start("n2", *absent)
    eventually(lambda: "is not in its cluster yet" in caplog.text, 2.0)
    (said,) = [record.getMessage() for record in caplog.records if "keeps trying" in record.getMessage()]
    assert all(f"{address} (refused)" in said for address in absent)
    nodes.start("n1", listen=absent[0])
    eventually(lambda: nodes.names(late) == ["n1", "n2"])


def test_the_second_node_of_a_name_ends_and_names_the_first(
    nodes: NodesHere, caplog: pytest.LogCaptureFixture
) -> None:
    """Both lived on, and replaced each other in the cluster's state."""
    caplog.set_level(logging.WARNING)
    first = nodes.start("n1")
    owner = nodes.start("n2", first.address)
    eventually(lambda: nodes.names(first) == ["n1", "n2"])
    with fleet.connect(first.address, secret=SECRET) as client:
        (before,) = [node for node in client.nodes() if node.name == "n2"]
        error = end_of(lambda: nodes.start("n2", first.address, directory="other"))
        assert isinstance(error, NameTaken) and error.address == owner.address
        (after,) = [node for node in client.nodes() if node.name == "n2"]
    assert before == after and owner._system.base.is_running()


def test_a_node_whose_disk_is_lost_takes_its_name_again_at_another_address(nodes: NodesHere) -> None:
    first = nodes.start("n1")
    lost = nodes.start("n2", first.address)
    eventually(lambda: nodes.names(first) == ["n1", "n2"])
    lost.stop()
    again = nodes.start("n2", first.address, directory="other")

    def is_back() -> bool:
        with fleet.connect(first.address, secret=SECRET) as client:
            return again.address in [node.address for node in client.nodes()]

    eventually(is_back)


def test_a_drained_node_says_that_it_has_left_and_ends(
    nodes: NodesHere, caplog: pytest.LogCaptureFixture
) -> None:
    """Its process went on without a word."""
    first = nodes.start("n1")
    second = nodes.start("n2", first.address)
    eventually(lambda: nodes.names(first) == ["n1", "n2"])
    eventually(lambda: nodes.names(second) == ["n1", "n2"])
    with fleet.connect(first.address, secret=SECRET) as client:
        client.drain("n2")
    assert end_of(lambda: second) is None and second.has_left
    assert "node=n2 has left the cluster" in caplog.text
