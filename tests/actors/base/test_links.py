"""Links between systems that belong together. Real sockets on loopback."""

import os
from typing import Any

import pytest
from thespian.actors import (
    Actor,
    ActorSystemConventionUpdate,
    DeadEnvelope,
    PoisonMessage,
    ThespianWatch,
)

from fleet.actors.base import ActorId, Address, remote_address
from tests.actors.base.helpers import WAIT_S, Echo, Recorder, Relay, Send, Where
from tests.actors.base.sockets import Start, reasons
from tests.support.waiting import eventually

# -- two systems that belong together ----------------------------------------------------------------


def test_messages_go_both_ways_and_answers_come_over_the_clients_link(start: Start) -> None:
    node, client = start(), start(listen=None)
    node.createActor(Echo, globalName="echo")
    echo = remote_address(node.base.endpoint, "echo")
    assert client.ask(echo, "the very first message", WAIT_S) == "the very first message"
    relay = client.createActor(Relay)
    assert client.ask(relay, Send(echo, "relayed"), WAIT_S) == "relayed"
    assert node.base.stats()["links_up"] == 1
    assert client.base.stats().get("dropped_unconnected", 0) == 0


def test_order_is_kept_between_processes_and_from_the_first_message(start: Start) -> None:
    patient = {"connect_ms_max": 60_000, "handshake_ms_max": 60_000, "waiting_ms_max": 60_000}
    node, client = start(**patient), start(listen=None, **patient)
    recorder = node.createActor(Recorder)
    for number in range(3000):
        client.tell(recorder, number)
    eventually(lambda: node.ask(recorder, "what?", WAIT_S) == list(range(3000)))


def test_addresses_travel_and_mean_the_same_everywhere(start: Start) -> None:
    one, two, client = start(), start(), start(listen=None)
    echo = one.createActor(Echo)
    relay = two.createActor(Relay)
    assert client.ask(relay, Send(echo, "hello"), WAIT_S) == "hello"
    assert client.ask(echo, Where(echo), WAIT_S) == Where(echo)


def test_large_messages_cross_a_link(start: Start) -> None:
    node, client = start(), start(listen=None)
    echo = node.createActor(Echo)
    assert client.ask(echo, "the link is up", WAIT_S) == "the link is up"
    big = os.urandom(20_000_000)
    assert client.ask(echo, big, WAIT_S) == big


def test_a_raising_actor_poisons_its_sender_across_processes(start: Start) -> None:
    node, client = start(), start(listen=None)
    broken = node.createActor(Broken)
    poison = client.ask(broken, "hello", WAIT_S)
    assert isinstance(poison, PoisonMessage) and poison.poisonMessage == "hello"
    assert "cannot stand it" in poison.details


class Broken(Actor):
    def receiveMessage(self, message: Any, sender: Any) -> None:
        raise ValueError("cannot stand it")


def test_a_host_name_is_resolved_without_stopping_the_loop(start: Start) -> None:
    node, client = start(), start(listen=None)
    node.createActor(Echo, globalName="echo")
    port = node.base.endpoint.rpartition(":")[2]
    assert client.ask(remote_address(f"localhost:{port}", "echo"), "hello", WAIT_S) == "hello"
    assert client.ask(remote_address(node.base.endpoint, "echo"), "hello", WAIT_S) == "hello"
    assert client.base.stats()["links_made"] == 1
    assert client.ask(remote_address("no.such.host.invalid:1", "echo"), "hello", 0.01) is None
    eventually(lambda: reasons(client) == ["unresolvable"])


def test_a_process_may_reach_itself_by_another_name(start: Start) -> None:
    node = start()
    node.createActor(Echo, globalName="echo")
    port = node.base.endpoint.rpartition(":")[2]
    assert node.ask(remote_address(f"localhost:{port}", "echo"), "hello", WAIT_S) == "hello"


def test_links_run_over_ipv6(start: Start) -> None:
    try:
        node = start(listen="[::1]:0")
    except OSError:
        pytest.skip("no IPv6 here")
    echo = node.createActor(Echo)
    assert start(listen=None).ask(echo, "hello", WAIT_S) == "hello"


def test_what_cannot_be_sent_comes_back_as_poison(start: Start) -> None:
    node, client = start(), start(listen=None)
    echo = node.createActor(Echo)
    unsendable = (n for n in range(3))
    first = client.ask(echo, unsendable, WAIT_S)
    assert client.ask(echo, "hello", WAIT_S) == "hello"
    for poison in (first, client.ask(echo, unsendable, WAIT_S)):
        assert isinstance(poison, PoisonMessage) and poison.poisonMessage is unsendable
    assert client.ask(echo, "the link lives", WAIT_S) == "the link lives"


def test_a_message_over_the_peers_limit_is_poison_at_home_and_the_link_lives(start: Start) -> None:
    node, client = start(frame_bytes_max=10_000), start(listen=None)
    echo = node.createActor(Echo)
    assert client.ask(echo, bytes(9000), WAIT_S) == bytes(9000)
    poison = client.ask(echo, bytes(20_000), WAIT_S)
    assert isinstance(poison, PoisonMessage) and "10000" in poison.details
    assert client.ask(echo, "hello", WAIT_S) == "hello"
    assert client.base.stats()["links_made"] == 1


def test_a_client_that_left_is_a_dead_letter(start: Start) -> None:
    node, client = start(), start(listen=None)
    handler = node.createActor(Recorder)
    node.tell(handler, "dead letters")
    echo = node.createActor(Echo)
    client.ask(echo, "hello", WAIT_S)
    outsider = client.base._external._address
    client.shutdown()
    eventually(lambda: node.base.stats()["links_up"] == 0)
    node.tell(outsider, "too late")
    assert node.ask(handler, "what?", WAIT_S) == [DeadEnvelope(outsider, "too late")]


def test_actors_that_asked_hear_of_peers_coming_and_going(start: Start) -> None:
    node, client = start(), start(listen=None)
    watcher = client.createActor(Recorder)
    client.tell(watcher, "links")
    echo = node.createActor(Echo)
    client.ask(echo, "hello", WAIT_S)
    there = Address(ActorId(node.base.endpoint, node.base.boot, 0))
    assert client.ask(watcher, "what?", WAIT_S) == [ActorSystemConventionUpdate(there, {}, True)]
    node.shutdown()
    seen = eventually(lambda: client.ask(watcher, "what?", WAIT_S)[1:])
    assert seen == [ActorSystemConventionUpdate(there, {}, False)]


def test_the_first_messages_to_a_healthy_peer_wait_in_a_small_buffer(start: Start) -> None:
    node, client = start(), start(listen=None, waiting_bytes_max=1000)
    recorder = node.createActor(Recorder)

    def burst() -> None:
        for number in range(100):
            client.base.kernel.send(recorder, client.base._external._address, bytes([number]) * 100)

    client.base.run_in_loop(burst)
    seen = eventually(lambda: node.ask(recorder, "what?", WAIT_S))
    assert 5 <= len(seen) <= 10
    assert client.base.stats()["dropped_waiting"] >= 90


def test_a_link_with_the_number_of_a_descriptor_that_an_actor_closed_lives_on(start: Start) -> None:
    class Reader(Actor):
        def receiveMessage(self, message: Any, sender: Any) -> Any:
            self.send(sender, "ok")
            return ThespianWatch([message]) if isinstance(message, int) else None

    node, client = start(), start(listen=None)
    echo = node.createActor(Echo)
    reader = client.createActor(Reader)
    readable, writable = os.pipe()
    assert client.ask(reader, readable, WAIT_S) == "ok"
    os.close(readable)
    assert client.ask(echo, "hello", WAIT_S) == "hello"
    assert os.readlink(f"/proc/self/fd/{readable}").startswith("socket:")
    assert client.ask(reader, "no longer", WAIT_S) == "ok"
    assert client.ask(echo, "hello", WAIT_S) == "hello"
    os.close(writable)
