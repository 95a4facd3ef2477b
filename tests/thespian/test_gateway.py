"""The gateway and the addresses of groups, on the bases whose actors live in this process."""

import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from thespian.actors import ActorExitRequest, ActorSystem, ActorTypeDispatcher

import fleet
import fleet.thespian
from fleet.actors.base.keyring import Keyring
from fleet.errors import ConfigError, FleetError, NoNode, WouldDeadlock
from fleet.thespian import Call, Connected, Result
from fleet.thespian.messages import Connect
from tests.support.classes import Counter
from tests.support.ports import free_port
from tests.support.waiting import eventually

SECRET = "a secret of the tests, long enough"
WAIT_S = 10.0


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[fleet.Node]:
    directory: Path = tmp_path_factory.mktemp("node")
    with fleet.Node("n1", "127.0.0.1:0", directory, secret=SECRET, executors=0) as node:
        with fleet.connect(node.address, secret=SECRET) as client:
            client.create_group("visits", Counter, replicas=1)
        yield node


@pytest.fixture(params=["fleet", "simpleSystemBase"])
def system(request: pytest.FixtureRequest) -> Iterator[Any]:
    if request.param == "fleet":
        system = fleet.thespian.start_system(secret=SECRET)
    else:
        system = ActorSystem("simpleSystemBase", transientUnique=True)
    gateway = fleet.thespian.gateway.gateway_of(system, "fleet")
    yield system
    system.tell(gateway, ActorExitRequest())
    system.shutdown()


def ask(system: Any, call: Any, group: str = "visits") -> Any:
    return system.ask(fleet.thespian.group(system, group), call, WAIT_S)


def connect(system: Any, address: str, **options: Any) -> Any:
    return fleet.thespian.connect(system, address, secret=SECRET, **options)


def test_before_it_is_connected_a_call_is_told_so(system: Any) -> None:
    result = ask(system, Call("add").options(tag=1))
    assert (type(result.error).__name__, result.tag) == ("ClientClosed", 1)


def test_calls_are_answered_and_what_is_no_call_is_refused(node: fleet.Node, system: Any) -> None:
    connect(system, node.address)
    connect(system, node.address)
    had = ask(system, Call.query("get")).get()
    result = ask(system, Counter.add.call(2).options(tag="t"))
    assert (result.get(), result.tag, result.group, result.revision > 0) == (had + 2, "t", "visits", True)
    for wrong in ("text", None, 5, {"a": 1}):
        assert type(ask(system, wrong).error).__name__ == "BadArguments"
    for name, value in (("payload", "text"), ("timeout", float("inf")), ("timeout", float("nan"))):
        forged = Call("add")
        setattr(forged, name, value)
        assert isinstance(ask(system, forged).error, FleetError)
    forged = Call.__new__(Call)  # without any attribute
    assert isinstance(ask(system, forged).error, FleetError)
    assert ask(system, Call("add", 1)).get() == had + 3


def test_another_secret_is_refused_and_the_first_client_stays(node: fleet.Node, system: Any) -> None:
    connect(system, node.address)
    with pytest.raises(ConfigError):
        fleet.thespian.connect(system, node.address, secret="another secret of the tests, long enough")
    assert ask(system, Call.query("get")).ok


def test_too_many_calls_get_their_answers_too(system: Any) -> None:
    """Nobody answers, so that the first one stays under way."""
    with pytest.raises(NoNode):
        connect(system, f"127.0.0.1:{free_port()}", calls_max=1, timeout=0.3)
    visits = fleet.thespian.group(system, "visits")
    for tag in range(3):
        system.tell(visits, Call("add").options(tag=tag))
    results = [system.listen(WAIT_S) for _ in range(3)]
    assert [(one.tag, type(one.error).__name__) for one in results] == [
        (1, "Overloaded"),
        (2, "Overloaded"),
        (0, "Unavailable"),
    ]
    assert type(ask(system, Call("add")).error).__name__ == "Unavailable"  # it had room again


def test_calls_under_way_are_answered_when_the_gateway_ends(system: Any) -> None:
    with pytest.raises(NoNode):
        connect(system, f"127.0.0.1:{free_port()}", timeout=60)
    system.tell(fleet.thespian.group(system, "visits"), Call("add"))
    system.tell(fleet.thespian.gateway.gateway_of(system, "fleet"), ActorExitRequest())
    assert type(system.listen(WAIT_S).error).__name__ == "ClientClosed"


def test_an_address_finds_the_next_gateway(node: fleet.Node, system: Any) -> None:
    visits = fleet.thespian.group(system, "visits")
    for _ in range(2):
        gateway = connect(system, node.address)
        assert system.ask(visits, Call("add"), WAIT_S).ok
        system.tell(gateway, ActorExitRequest())
        eventually(lambda: type(system.ask(visits, Call("add"), 1.0)) is Result)
    assert type(system.ask(visits, Call("add"), WAIT_S).error).__name__ == "ClientClosed"


class Insider(ActorTypeDispatcher):
    """Calls a group, connects or blocks from inside."""

    def receiveMsg_function(self, message: Any, sender: Any) -> None:
        self.asker = sender
        message(self)

    def receiveMsg_Result(self, result: Result, sender: Any) -> None:
        self.send(self.asker, result)

    def receiveMsg_Connected(self, message: Connected, sender: Any) -> None:
        self.send(self.asker, message)


class BlockingConstructor(ActorTypeDispatcher):
    told: Any = None

    def __init__(self) -> None:
        try:
            fleet.connect("127.0.0.1:1", secret=SECRET)
        except FleetError as error:
            BlockingConstructor.told = error


def test_an_actor_connects_without_waiting_and_calls_at_once(node: fleet.Node, system: Any) -> None:
    insider = system.createActor(Insider)

    def both(actor: Any) -> None:
        connect(actor, node.address)
        actor.send(fleet.thespian.group(actor, "visits"), Call("add"))

    system.tell(insider, both)
    told = {type(message).__name__: message for message in (system.listen(WAIT_S), system.listen(WAIT_S))}
    assert told["Connected"].error is None and told["Result"].ok


def test_an_address_outlives_the_actor_that_asked_for_it_first(node: fleet.Node, system: Any) -> None:
    connect(system, node.address)
    insider = system.createActor(Insider)
    system.ask(insider, lambda actor: actor.send(fleet.thespian.group(actor, "visits"), Call("add")), WAIT_S)
    visits = fleet.thespian.group(system, "visits")
    system.tell(insider, ActorExitRequest())
    for _ in range(2):  # the first one may overtake the end of what belongs to the actor
        assert system.ask(visits, Call("add"), WAIT_S).ok


def test_the_blocking_client_raises_inside_an_actor_and_not_in_its_threads(
    node: fleet.Node, system: Any
) -> None:
    insider = system.createActor(Insider)
    with fleet.connect(node.address, secret=SECRET) as client:
        counter = client.group("visits", Counter)
        blocked = (
            counter.add,
            client.groups,
            partial(fleet.connect, node.address, secret=SECRET),
            partial(connect, system, node.address),
        )
        told: list[Any] = []
        for block in blocked:

            def attempt(actor: Any, block: Any = block) -> None:
                try:
                    actor.send(actor.asker, block())
                except FleetError as error:
                    actor.send(actor.asker, error)

            told.append(system.ask(insider, attempt, WAIT_S))
        assert [type(error) for error in told] == [WouldDeadlock] * len(blocked)
        assert all("fleet.thespian" in str(error) for error in told)
        system.createActor(BlockingConstructor)
        assert isinstance(BlockingConstructor.told, WouldDeadlock)
        added: list[int] = []
        system.tell(
            insider, lambda actor: threading.Thread(target=lambda: added.append(counter.add())).start()
        )
        assert eventually(lambda: added)
        assert counter.add() > added[0]  # here, too, although an actor system is loaded


def test_a_secret_is_in_no_log() -> None:
    message = Connect(("127.0.0.1:1",), "fleet", Keyring([SECRET.encode()]), 1.0, 0.0, 1, 1)
    assert SECRET not in repr(message) and SECRET not in str(message)


def test_names_and_places_are_checked(system: Any) -> None:
    for where, name in ((system, ""), (system, "a\nb"), (None, "visits"), ("127.0.0.1:1", "visits")):
        with pytest.raises(FleetError):
            fleet.thespian.group(where, name)
    for addresses in ("", "nowhere"):
        with pytest.raises(ConfigError):
            connect(system, addresses)
    with pytest.raises(ConfigError):
        connect(system, "127.0.0.1:1", timeout=0)
