"""One actor system on the real reactor, used as Thespian documents it."""

import gc
import os
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from thespian.actors import (
    Actor,
    ActorExitRequest,
    ActorSystem,
    ActorSystemFailure,
    ActorSystemMessage,
    PoisonMessage,
    ThespianWatch,
    WakeupMessage,
    WatchMessage,
)

from fleet.actors.base import FleetBase, start_system
from fleet.errors import ConfigError, WouldDeadlock
from tests.actors.base.helpers import SECRET, WAIT_S, Echo, Recorder, open_descriptors
from tests.support.waiting import eventually

Start = Callable[..., Any]


class FakeSystemMessage(ActorSystemMessage):
    pass


class Alarm(Actor):
    asker: Any = None

    def receiveMessage(self, message: Any, sender: Any) -> None:
        if isinstance(message, WakeupMessage):
            self.send(self.asker, message.payload)
        elif isinstance(message, tuple):
            self.asker = sender
            self.wakeupAfter(*message)


def test_ask_gets_the_answer_and_tell_does_not_wait(start: Start) -> None:
    system = start(listen=None)
    echo, recorder = system.createActor(Echo), system.createActor(Recorder)
    assert system.ask(echo, "hello", WAIT_S) == "hello"
    for number in range(1000):
        system.tell(recorder, number)
    assert system.ask(recorder, "what?", timedelta(seconds=WAIT_S)) == list(range(1000))


def test_ask_and_listen_give_none_when_nothing_comes_in_time(start: Start) -> None:
    system = start(listen=None)
    silent = system.createActor(Recorder)
    assert system.ask(silent, "hello", 0.01) is None
    assert system.listen(0) is None
    assert system.listen(timedelta(milliseconds=1)) is None


def test_listen_hears_what_comes_later(start: Start) -> None:
    system = start(listen=None)
    alarm = system.createActor(Alarm)
    system.tell(alarm, (0.03, "later"))
    assert system.ask(alarm, (timedelta(milliseconds=10), "soon"), WAIT_S) == "soon"
    assert system.listen(WAIT_S) == "later"


def test_outsiders_get_poison_but_no_other_system_message(start: Start) -> None:
    class Bad(Actor):
        def receiveMessage(self, message: Any, sender: Any) -> None:
            if message == "break":
                raise ValueError("broken")
            self.send(sender, FakeSystemMessage())
            self.send(sender, "done")

    system = start(listen=None)
    bad = system.createActor(Bad)
    poison = system.ask(bad, "break", WAIT_S)
    assert isinstance(poison, PoisonMessage) and poison.poisonMessage == "break"
    assert system.ask(bad, "more", WAIT_S) == "done"


def test_each_private_endpoint_hears_its_own_answers(start: Start) -> None:
    system = start(listen=None)
    echo = system.createActor(Echo)
    wrong: list[Any] = []

    def use(name: int) -> None:
        with system.private() as own:
            for number in range(100):
                if own.ask(echo, (name, number), WAIT_S) != (name, number):
                    wrong.append((name, number))

    threads = [threading.Thread(target=use, args=(name,)) for name in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    eventually(lambda: len(system.base.kernel.cells) == 2)


def test_a_private_endpoint_whose_block_raised_is_forgotten(start: Start) -> None:
    system = start(listen=None)
    with pytest.raises(KeyError), system.private() as own:
        raise KeyError(own)
    del own
    eventually(lambda: len(system.base.kernel.cells) == 1)


def test_the_collector_ends_a_private_endpoint_while_another_is_made(start: Start) -> None:
    class Collecting(set[Any]):
        def add(self, element: Any) -> None:
            gc.collect()
            super().add(element)

    system = start(listen=None)
    with pytest.raises(KeyError) as caught, system.private() as own:
        raise KeyError(own)
    cycle: list[Any] = [own, caught.value]
    cycle.append(cycle)
    system.base._waiting = Collecting(system.base._waiting)
    del own, caught, cycle

    def make_another() -> None:
        with system.private():
            pass

    asking = threading.Thread(target=make_another, daemon=True)
    asking.start()
    asking.join(WAIT_S)
    assert not asking.is_alive()
    eventually(lambda: len(system.base.kernel.cells) == 1)


def test_asking_from_inside_an_actor_is_refused_rather_than_deadlocked(start: Start) -> None:
    class Asker(Actor):
        def receiveMessage(self, message: Any, sender: Any) -> None:
            other = system.createActor(Echo)
            try:
                system.ask(other, "hello")
            except WouldDeadlock:
                self.send(sender, "refused")

    system = start(listen=None)
    assert system.ask(system.createActor(Asker), "go", WAIT_S) == "refused"


def test_primary_actors_raise_what_their_constructor_raises(start: Start) -> None:
    class NonStarter(Actor):
        def __init__(self) -> None:
            raise TimeoutError("not now")

    system = start(listen=None)
    with pytest.raises(TimeoutError, match="not now"):
        system.createActor(NonStarter)
    with pytest.raises(ImportError):
        system.createActor("no.such.module.Actor")


def test_large_messages_and_generators_of_actors(start: Start) -> None:
    system = start(listen=None)
    echo = system.createActor(Echo)
    big = os.urandom(5_000_000)
    assert system.ask(echo, big, WAIT_S) == big
    actors = (system.createActor(Echo) for _ in range(50))
    assert [system.ask(actor, n, WAIT_S) for n, actor in enumerate(actors)] == list(range(50))


def test_an_actor_reads_a_descriptor_that_it_watches(start: Start) -> None:
    class Reader(Actor):
        asker: Any = None

        def receiveMessage(self, message: Any, sender: Any) -> Any:
            if isinstance(message, WatchMessage):
                self.send(self.asker, os.read(message.ready[0], 1))
            elif isinstance(message, int):
                self.fd = message
                self.asker = sender
                self.send(sender, "watching")
            return ThespianWatch([self.fd])

    system = start(listen=None)
    readable, writable = os.pipe()
    reader = system.createActor(Reader)
    assert system.ask(reader, readable, WAIT_S) == "watching"
    os.write(writable, b"ab")
    assert [system.listen(WAIT_S), system.listen(WAIT_S)] == [b"a", b"b"]
    os.write(writable, b"c")
    assert system.listen(WAIT_S) == b"c"
    system.ask(reader, ActorExitRequest(), 0)
    eventually(lambda: system.base.stats()["actors"] == 0)
    os.close(readable)
    os.close(writable)


def test_a_descriptor_that_cannot_be_watched_harms_nobody(start: Start) -> None:
    class Reader(Actor):
        asker: Any = None

        def receiveMessage(self, message: Any, sender: Any) -> Any:
            if isinstance(message, WatchMessage):
                self.send(self.asker, "ready")
                return None
            self.asker = sender
            return ThespianWatch([message])

    system = start(listen=None)
    reader = system.createActor(Reader)
    assert system.ask(reader, 999_999, 0.01) is None
    with open(__file__) as regular:
        assert system.ask(reader, regular.fileno(), WAIT_S) == "ready"


def test_ten_thousand_timers_fire(start: Start) -> None:
    system = start(listen=None)
    alarm = system.createActor(Alarm)
    for number in range(10_000):
        system.tell(alarm, (0.001 * (number % 20), number))
    assert sorted(system.listen(WAIT_S) for _ in range(10_000)) == list(range(10_000))


# -- the end ---------------------------------------------------------------------------------------


def test_an_orderly_shutdown_asks_every_actor_and_leaves_nothing(nothing_left: None) -> None:
    left: list[str] = []

    class Leaver(Actor):
        def receiveMessage(self, message: Any, sender: Any) -> None:
            if isinstance(message, ActorExitRequest):
                left.append("exit")
            elif message == "child":
                self.createActor(Leaver)
                self.send(sender, "ok")

    system = start_system(listen="127.0.0.1:0", secret=SECRET)
    assert system.ask(system.createActor(Leaver), "child", WAIT_S) == "ok"
    base = system.base
    system.shutdown()
    assert left == ["exit", "exit"]
    assert not base.is_running()
    base.shutdown()
    with pytest.raises(ActorSystemFailure):
        base.tell(base.kernel.system_address, "hello")
    with pytest.raises(ActorSystemFailure):
        base.newPrimaryActor(Echo)


def test_an_abrupt_shutdown_asks_nobody(nothing_left: None) -> None:
    left: list[str] = []

    class Leaver(Actor):
        def receiveMessage(self, message: Any, sender: Any) -> None:
            left.append(type(message).__name__)

    system = start_system()
    system.createActor(Leaver)
    system.base.shutdown(abrupt=True)
    assert left == []


def test_whoever_listens_at_the_end_is_let_go(nothing_left: None) -> None:
    system = start_system()
    heard: list[Any] = []
    thread = threading.Thread(target=lambda: heard.append(system.listen()))
    thread.start()
    system.shutdown()
    thread.join(WAIT_S)
    assert heard == [None]


def test_an_actor_can_end_the_system(nothing_left: None) -> None:
    seen: list[str] = []

    class Ender(Actor):
        def receiveMessage(self, message: Any, sender: Any) -> None:
            seen.append(str(message))
            if message == "end":
                self.actorSystemShutdown()

    system = start_system()
    system.tell(system.createActor(Ender), "end")
    eventually(lambda: not system.base.is_running())
    assert seen == ["end", "ActorExitRequest"]
    system.shutdown()


def test_systems_come_and_go_without_a_trace(nothing_left: None) -> None:
    for _ in range(20):
        system = start_system(listen="127.0.0.1:0", secret=SECRET)
        assert system.ask(system.createActor(Echo), 1, WAIT_S) == 1
        system.shutdown()


def test_many_systems_live_in_one_process(start: Start) -> None:
    systems = [start() for _ in range(5)]
    echoes = [system.createActor(Echo, globalName="echo") for system in systems]
    assert len({str(echo) for echo in echoes}) == 5
    for system in systems:
        for echo in echoes:
            assert system.ask(echo, "hello", WAIT_S) == "hello"
    assert not hasattr(ActorSystem, "systemBase")


# -- settings --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"listen": "0.0.0.0:0"}, "advertise="),
        ({"listen": "[::]:0"}, "advertise="),
        ({"listen": "127.0.0.1"}, "host:port"),
        ({"listen": "127.0.0.1:99999"}, "host:port"),
        ({"listen": "::1:5"}, "brackets"),
        ({"listen": "127.0.0.1:0", "secret": b""}, "secret"),
        ({"listen": "127.0.0.1:0", "secret": "text"}, "secret"),
        ({"listen": "127.0.0.1:0", "frame_bytes_max": 10}, "frame_bytes_max"),
        ({"listen": "no.such.host.invalid:0"}, "listen="),
    ],
)
def test_a_setting_that_cannot_be_is_refused_by_name(
    settings: dict[str, Any], named: str, nothing_left: None
) -> None:
    with pytest.raises(ConfigError, match=named.replace("[", r"\[")):
        FleetBase(**{"secret": SECRET, **settings})


def test_a_port_that_is_taken_leaves_nothing_behind(start: Start) -> None:
    taken = start().base.endpoint
    before = open_descriptors()
    with pytest.raises(OSError):
        FleetBase(listen=taken, secret=SECRET)
    assert open_descriptors() <= before


def test_the_endpoint_is_what_others_can_use(start: Start) -> None:
    open_to_all = start(listen="0.0.0.0:0", advertise="127.0.0.1:0")
    echo = open_to_all.createActor(Echo)
    assert open_to_all.base.endpoint.startswith("127.0.0.1:")
    assert start(listen=None).ask(echo, "hello", WAIT_S) == "hello"


def test_a_busy_actor_does_not_starve_timers_and_threads(start: Start) -> None:
    class Spinner(Actor):
        spinning = True

        def receiveMessage(self, message: Any, sender: Any) -> None:
            if message == "stop":
                self.spinning = False
                self.send(sender, "stopped")
            elif self.spinning:
                self.send(self.myAddress, "spin")

    system = start(listen=None)
    spinner, alarm = system.createActor(Spinner), system.createActor(Alarm)
    system.tell(spinner, "spin")
    begun = time.monotonic()
    assert system.ask(alarm, (0.01, "wake"), WAIT_S) == "wake"
    assert system.ask(spinner, "stop", WAIT_S) == "stopped"
    assert time.monotonic() - begun < WAIT_S / 2
