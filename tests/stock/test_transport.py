"""Sealed messages on real sockets, between two transports in one process."""

import pickle
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import timedelta
from typing import Any

import pytest
from thespian.actors import ActorAddress
from thespian.system.transport import ReceiveEnvelope, TransmitIntent
from thespian.system.transport import TCPTransport as stock
from thespian.system.transport.IPBase import TCPv4ActorAddress

from fleet.stock import transport as ours
from fleet.stock.seal import Seal
from fleet.stock.transport import WAITING_MAX, SealedTransport, install
from tests.support.waiting import eventually

SECRET = b"a secret of the tests, long enough"
TURN = timedelta(milliseconds=5)


@pytest.fixture(autouse=True)
def stock_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Afterwards, whatever `install` changes."""
    for name in ("serializer", "ackMsg", "ackDataErrMsg"):
        monkeypatch.setattr(stock, name, getattr(stock, name))
    monkeypatch.setenv("THESPIAN_BASE_IPADDR", "127.0.0.1")


def address(port: int) -> ActorAddress:
    return ActorAddress(TCPv4ActorAddress("127.0.0.1", port))


class Endpoint:
    """A process of an actor system, as far as others see it."""

    def __init__(self) -> None:
        self.seal = Seal((SECRET,), "test")
        install(self.seal)
        admin = address(9)  # the discard port: nobody is there
        self.transport = SealedTransport(stock.TCPEndpoint(None, None, admin, admin, False, False))
        self.address = self.transport.myAddress
        self.port = self.address.addressDetails.sockname[1]
        self.received: list[Any] = []
        self.results: list[Any] = []

    def send(self, target: ActorAddress, message: Any) -> None:
        install(self.seal)
        intent = TransmitIntent(target, message, self._note, self._note)
        self.transport.scheduleTransmit(None, intent)

    def _note(self, result: Any, intent: TransmitIntent) -> None:
        self.results.append((intent.message, bool(result)))

    def under_way(self) -> int:
        """After another turn."""
        self.turn()
        return int(self.transport._aTB_numPendingTransmits)

    def turn(self) -> None:
        install(self.seal)
        got = self.transport.run(None, TURN)
        if isinstance(got, ReceiveEnvelope):
            self.received.append(got.message)


@pytest.fixture
def pair() -> Iterator[tuple[Endpoint, Endpoint]]:
    here, there = Endpoint(), Endpoint()
    yield here, there
    here.transport.close()
    there.transport.close()


def received(here: Endpoint, there: Endpoint, count: int) -> list[Any]:
    def arrived() -> bool:
        here.turn()
        there.turn()
        return len(there.received) >= count

    eventually(arrived, 5, f"{count} messages, of which there are {there.received}", 0)
    return there.received


def test_messages_arrive_in_their_order(pair: tuple[Endpoint, Endpoint]) -> None:
    here, there = pair
    for number in range(40):
        here.send(there.address, number)
    assert received(here, there, 40) == list(range(40))


def test_both_may_send_at_once_since_each_connection_has_one_direction(
    pair: tuple[Endpoint, Endpoint],
) -> None:
    """On one for both, each gets a message where it waits for an acknowledgement, and pauses."""
    here, there = pair
    here.send(there.address, "first")
    received(here, there, 1)
    assert not there.transport._openSockets
    for number in range(20):
        here.send(there.address, number)
        there.send(here.address, number)
    received(here, there, 21)
    assert received(there, here, 20) == list(range(20))


@pytest.mark.parametrize("processes", [1, 30])
def test_silent_processes_do_not_hold_up_messages_to_others(
    pair: tuple[Endpoint, Endpoint], processes: int
) -> None:
    """Their kernel takes connections and bytes, and nobody acknowledges them."""
    here, there = pair
    with ExitStack() as ends:
        silent = [ends.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(processes)]
        for number in range(100):
            here.send(address(silent[number % processes].getsockname()[1]), number)
        for number in range(5):
            here.send(there.address, number)
        assert received(here, there, 5) == list(range(5))
        eventually(lambda: here.under_way() == processes, 5, "one message to each to be under way", 0)


def test_more_than_a_silent_process_may_have_waiting_is_dropped_the_oldest_first(
    pair: tuple[Endpoint, Endpoint],
) -> None:
    here, _ = pair
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for number in range(WAITING_MAX + 11):
            here.send(address(silent.getsockname()[1]), number)
    assert here.results == [(number, False) for number in range(1, 11)]


def test_a_message_to_a_host_that_does_not_answer_is_given_up(
    pair: tuple[Endpoint, Endpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, _ = pair
    monkeypatch.setattr(ours, "GIVE_UP", timedelta(milliseconds=50))
    monkeypatch.setattr(TCPv4ActorAddress, "isLocalAddr", lambda address: False)

    def given_up() -> bool:
        here.turn()
        return len(here.results) == 2

    with socket.create_server(("127.0.0.1", 0)) as silent:
        for number in range(2):
            here.send(address(silent.getsockname()[1]), number)
        eventually(given_up, 5, "the second message to be given up", 0)
    assert here.results == [(0, False), (1, False)]


@pytest.mark.parametrize("answered", [b"nonsense>and more", b"5>hello"])
def test_a_stranger_in_the_place_of_a_process_does_not_hold_up_anything(
    pair: tuple[Endpoint, Endpoint], answered: bytes
) -> None:
    """It answers with bytes that are no acknowledgement, as often as it is asked."""
    here, there = pair
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        stranger.setblocking(False)
        open_now: list[socket.socket] = []

        def answer() -> bool:
            here.turn()
            try:
                taken, _ = stranger.accept()
                open_now.append(taken)
            except BlockingIOError:
                pass
            for one in open_now:
                try:
                    one.send(answered)
                except OSError:
                    pass  # it was closed
            return len(here.results) == 30

        for number in range(30):
            here.send(address(stranger.getsockname()[1]), number)
        eventually(answer, 10, "all to be refused", 0)
        for one in open_now:
            one.close()
    assert not any(ok for _, ok in here.results)
    assert here.under_way() == 0
    here.send(there.address, "to a friend")
    assert received(here, there, 1) == ["to a friend"]


def test_what_strangers_send_is_dropped_and_the_process_goes_on(pair: tuple[Endpoint, Endpoint]) -> None:
    here, there = pair
    foreign = Seal((b"another secret, long enough as well",), "test")
    sealed_elsewhere = foreign.dumps_for(("127.0.0.1", there.port), (here.address, "evil"))
    for data in (
        b"GET / HTTP/1.0\r\n\r\n",
        b"9>" + b"x" * 9,
        pickle.dumps((here.address, "evil")),
        sealed_elsewhere,
    ):
        for sent in (data, b"%d>" % len(data) + data):
            with closing(socket.create_connection(("127.0.0.1", there.port))) as stranger:
                stranger.sendall(sent)
                there.turn()
    here.send(there.address, "after")
    assert received(here, there, 1) == ["after"]


def test_a_stranger_cannot_announce_more_than_the_longest_message(
    pair: tuple[Endpoint, Endpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, there = pair
    monkeypatch.setattr(ours, "MESSAGE_BYTES_MAX", 1000)
    with closing(socket.create_connection(("127.0.0.1", there.port))) as stranger:
        stranger.sendall(b"1001>" + b"x" * 500)
        stranger.setblocking(False)

        def is_closed() -> bool:
            there.turn()
            try:
                return stranger.recv(1) == b""
            except BlockingIOError:
                return False
            except ConnectionResetError:
                return True

        eventually(is_closed, 5, "the connection to be closed", 0)
