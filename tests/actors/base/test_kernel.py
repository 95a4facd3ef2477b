"""The kernel on a fake transport: no thread, no socket, no clock."""

import copy
import pickle
from datetime import timedelta
from typing import Any

import pytest
from thespian.actors import (
    Actor,
    ActorExitRequest,
    ActorSystemConventionUpdate,
    ActorTypeDispatcher,
    DeadEnvelope,
    PoisonMessage,
    Thespian_ActorStatus,
    Thespian_StatusReq,
    ThespianWatch,
    WakeupMessage,
    WatchMessage,
)
from thespian.initmsgs import initializing_messages
from thespian.transient import transient
from thespian.troupe import troupe

from fleet.actors.base import (
    ActorId,
    Address,
    LinkRefused,
    decode_message,
    encode_message,
    remote_address,
)
from tests.actors.base.helpers import Bench, Echo, Fragile, Recorder, Relay, Send, family

# -- order -----------------------------------------------------------------------------------------


def test_messages_between_a_pair_keep_their_order() -> None:
    bench = Bench()
    echo = bench.create(Echo)
    assert bench.ask(echo, *range(500)) == list(range(500))


def test_what_an_actor_sends_to_itself_comes_after_all_that_was_waiting() -> None:
    """Members end their turn this way, so that one write serves all commands that had arrived."""

    class Member(Actor):
        asker: Any = None

        def __init__(self) -> None:
            self.turn: list[Any] = []

        def receiveMessage(self, message: Any, sender: Any) -> None:
            if message == "end of turn":
                self.send(self.asker, list(self.turn))
                self.turn.clear()
                return
            if not self.turn:
                self.asker = sender
                self.send(self.myAddress, "end of turn")
            self.turn.append(message)

    bench = Bench()
    member = bench.create(Member)
    assert bench.ask(member, 1, 2, 3) == [[1, 2, 3]]


def test_a_turn_stops_at_its_budget_and_says_that_more_waits() -> None:
    bench = Bench()
    echo = bench.create(Echo)
    bench.tell(echo, *range(6))
    assert bench.kernel.run(0.0, budget=5)
    assert bench.got == []
    bench.settle()


def test_local_messages_are_passed_by_reference() -> None:
    bench = Bench()
    message = ["mine until sent"]
    assert bench.ask(bench.create(Echo), message)[0] is message


# -- failures and dead letters ---------------------------------------------------------------------


def test_a_raising_handler_runs_once_and_the_sender_gets_its_message_back() -> None:
    """S63: Thespian runs it again on the half-changed actor; here nothing is ever applied twice."""
    bench = Bench()
    fragile = bench.create(Fragile)
    (poison,) = bench.ask(fragile, "break")
    assert isinstance(poison, PoisonMessage) and poison.poisonMessage == "break"
    assert "cannot stand it" in poison.details
    assert bench.senders[-1] == fragile
    assert bench.ask(fragile, "handled?") == [2]
    assert bench.kernel.handler_failures == 1


def test_a_poison_message_that_poisons_is_not_answered() -> None:
    class Touchy(Actor):
        def receiveMessage(self, message: Any, sender: Any) -> None:
            raise ValueError(message)

    bench = Bench()
    a, b = bench.create(Touchy), bench.create(Touchy)
    bench.kernel.send(a, b, "hello")
    bench.settle()
    assert bench.kernel.handler_failures == 2


def test_an_actor_that_raises_on_its_exit_request_exits_all_the_same() -> None:
    bench = Bench()
    bench.ask(bench.create(Fragile), ActorExitRequest())
    assert bench.kernel.actor_count() == 0


def test_messages_to_the_dead_go_to_the_last_registered_handler() -> None:
    bench = Bench()
    first, second, gone = bench.create(Recorder), bench.create(Recorder), bench.create(Echo)
    bench.ask(gone, ActorExitRequest())
    bench.ask(first, "dead letters")
    bench.ask(gone, "one")
    bench.ask(second, "dead letters")
    bench.ask(first, "no dead letters")
    bench.ask(gone, "two")
    bench.ask(second, ActorExitRequest())
    bench.ask(gone, "three")
    (seen,) = bench.ask(first, "what?")
    assert seen == [DeadEnvelope(gone, "one")]
    assert bench.kernel.dead_letters == 3


def test_an_address_of_an_earlier_life_is_dead() -> None:
    bench = Bench(boot=77, endpoint="here:1")
    handler = bench.create(Recorder)
    old = Address(ActorId("here:1", 76, 5))
    bench.ask(handler, "dead letters")
    bench.ask(old, "hello")
    assert bench.ask(handler, "what?") == [[DeadEnvelope(old, "hello")]]
    assert bench.transport.sent == []


# -- timers ----------------------------------------------------------------------------------------


class Timed(Actor):
    asker: Any = None

    def receiveMessage(self, message: Any, sender: Any) -> None:
        if isinstance(message, WakeupMessage):
            self.send(self.asker, (message.payload, message.delayPeriod))
        elif isinstance(message, tuple):
            self.asker = sender
            self.wakeupAfter(*message)


def test_wakeups_come_in_time_order_with_their_payload() -> None:
    bench = Bench()
    timed = bench.create(Timed)
    bench.ask(timed, (timedelta(seconds=2), "late"), (1, "early"), (1.5,))
    assert bench.kernel.next_timer() == 1.0
    assert bench.advance(0.9) == []
    assert bench.advance(0.2) == [("early", timedelta(seconds=1))]
    assert bench.advance(5) == [(None, timedelta(seconds=1.5)), ("late", timedelta(seconds=2))]


def test_timers_of_one_millisecond_fire_together_and_none_too_early() -> None:
    bench = Bench()
    timed = bench.create(Timed)
    for moment in (5.0002, 5.0007):
        bench.transport.time = moment
        bench.ask(timed, (0.1, moment))
    assert bench.kernel.next_timer() == 5.101
    assert len(bench.advance(5.101 - bench.transport.time)) == 2


def test_many_timers_of_one_moment_fire_in_the_order_they_were_set() -> None:
    bench = Bench()
    timed = bench.create(Timed)
    bench.ask(timed, *((1, n) for n in range(5000)))
    assert [payload for payload, _ in bench.advance(1)] == list(range(5000))


# -- descriptors -----------------------------------------------------------------------------------


def test_what_is_watched_is_armed_again_only_after_it_fired() -> None:
    class Watcher(Actor):
        answer = ThespianWatch([7])

        def receiveMessage(self, message: Any, sender: Any) -> Any:
            return self.answer

    bench = Bench()
    watcher = bench.create(Watcher)
    local = watcher.ident.local
    bench.ask(watcher, "watch")
    del bench.transport.watched[local]
    bench.ask(watcher, "anything")
    assert local not in bench.transport.watched
    bench.kernel.ready(local, [7])
    bench.settle()
    assert bench.transport.watched[local] == (7,)


def test_an_actor_watches_as_long_as_its_answers_say_so() -> None:
    class Watcher(Actor):
        asker: Any = None

        def receiveMessage(self, message: Any, sender: Any) -> Any:
            if isinstance(message, WatchMessage):
                self.send(self.asker, message.ready)
                return ThespianWatch([8])
            self.asker = sender
            return ThespianWatch([7, 8]) if message == "watch" else None

    bench = Bench()
    watcher = bench.create(Watcher)
    local = watcher.ident.local
    bench.ask(watcher, "watch")
    assert bench.transport.watched[local] == (7, 8)
    bench.kernel.ready(local, [7])
    assert bench.settle() == [[7]]
    assert bench.transport.watched[local] == (8,)
    bench.ask(watcher, "stop")
    assert bench.transport.watched[local] == ()
    bench.kernel.ready(local, [8])
    assert bench.settle() == []


# -- other processes -------------------------------------------------------------------------------


def test_what_is_not_here_goes_to_the_transport() -> None:
    bench = Bench(endpoint="here:1")
    there = remote_address("there:2", "registry")
    client = Address(ActorId("", 99, 3))
    bench.tell(there, "a")
    bench.tell(client, "b")
    assert bench.transport.sent == [(there.ident, bench.me, "a"), (client.ident, bench.me, "b")]


def test_kernels_share_a_thread_and_a_network_of_ones_own() -> None:
    """What the simulator does: it owns time, the bytes on the wire and who is at which endpoint."""
    one, two = Bench(boot=1, endpoint="one:1"), Bench(boot=2, endpoint="two:1")
    two.create(Echo, name="echo")
    one.tell(remote_address("two:1", "echo"), "over there")
    at = {"one:1": one, "two:1": two}
    one.settle()
    two.settle()
    while sent := one.transport.sent + two.transport.sent:
        one.transport.sent, two.transport.sent = [], []
        for dst, sender, message in sent:
            arrived = decode_message(encode_message(message))
            at[dst.endpoint].kernel.send(Address(dst), sender, arrived)
        got = one.settle() + two.settle()
    assert got == ["over there"]
    assert one.senders == [Address(ActorId("two:1", 2, "echo"))]


def test_watchers_of_links_hear_of_peers_once_and_of_refusals_each_time() -> None:
    bench = Bench()
    early, late = bench.create(Recorder), bench.create(Recorder)
    bench.ask(early, "links")
    bench.kernel.link_watchers.link_up("there:2", 5)
    bench.kernel.link_watchers.link_up("there:2", 5)
    bench.ask(late, "links")
    bench.kernel.link_watchers.link_down("there:2", 5)
    bench.kernel.link_watchers.link_down("there:2", 5)
    bench.kernel.link_watchers.link_refused("there:2", "refused")
    there = Address(ActorId("there:2", 5, 0))
    expected = [
        ActorSystemConventionUpdate(there, {}, True),
        ActorSystemConventionUpdate(there, {}, False),
        LinkRefused("there:2", "refused"),
    ]
    assert bench.ask(early, "what?") == [expected]
    assert bench.ask(late, "what?") == [expected]


@pytest.mark.parametrize(
    "call",
    [
        lambda actor: actor.loadActorSource("x"),
        lambda actor: actor.unloadActorSource("x"),
        lambda actor: actor.registerSourceAuthority(),
        lambda actor: actor.notifyOnSourceAvailability(),
        lambda actor: actor.preRegisterRemoteSystem("x", {}),
        lambda actor: actor.deRegisterRemoteSystem("x"),
        lambda actor: actor.createActor(Echo, sourceHash="x"),
    ],
)
def test_what_the_base_does_not_do_is_refused_in_words(call: Any) -> None:
    bench = Bench()
    actor = bench.kernel.instance(bench.create(Echo))
    with pytest.raises(NotImplementedError, match="the fleet base has no"):
        call(actor)


def test_an_actor_may_ask_for_the_end_of_the_system() -> None:
    bench = Bench()
    bench.kernel.instance(bench.create(Echo)).actorSystemShutdown()
    assert bench.transport.stopped


def test_an_actor_tells_its_status() -> None:
    bench = Bench()
    grandparent, parent, _ = family(bench)
    (status,) = bench.ask(grandparent, Thespian_StatusReq())
    assert isinstance(status, Thespian_ActorStatus) and status.childActors == [parent]


# -- Thespian's helpers ----------------------------------------------------------------------------


def test_type_dispatch_finds_the_handler_of_a_base_class() -> None:
    class Dispatching(ActorTypeDispatcher):
        def receiveMsg_int(self, message: int, sender: Any) -> None:
            self.send(sender, ("int", message))

        def receiveUnrecognizedMessage(self, message: Any, sender: Any) -> None:
            self.send(sender, "?")

    bench = Bench()
    assert bench.ask(bench.create(Dispatching), 3, True, "x") == [("int", 3), ("int", True), "?"]


@initializing_messages([("first", int, True), ("second", str)], "ready")
class Initialized(Actor):
    def ready(self) -> None:
        self.send(self.first_sender, ("ready", self.first, self.second))

    def receiveMessage(self, message: Any, sender: Any) -> None:
        self.send(sender, message)


def test_initializing_messages_wait_in_each_actor_of_its_own() -> None:
    """Thespian keeps them in one list on the class, which in one process two actors would share."""
    bench = Bench()
    a, b = bench.create(Initialized), bench.create(Initialized)
    assert bench.ask(a, [1]) == []
    assert bench.ask(b, 5, "x") == [("ready", 5, "x")]
    assert bench.ask(a, 6, "y") == [("ready", 6, "y"), [1]]


@transient(timedelta(seconds=0))
class Short(Echo):
    pass


def test_a_transient_actor_goes_by_itself() -> None:
    bench = Bench()
    assert bench.ask(bench.create(Short), "hello") == ["hello"]
    bench.advance(1)
    assert bench.kernel.actor_count() == 0


@troupe(max_count=3, idle_count=1)
class Workers(Echo):
    pass


def test_a_troupe_shares_its_work() -> None:
    bench = Bench()
    workers = bench.create(Workers)
    assert sorted(bench.ask(workers, *range(1, 21))) == list(range(1, 21))
    assert 2 <= bench.kernel.actor_count() <= 4


# -- addresses -------------------------------------------------------------------------------------


def test_addresses_are_values() -> None:
    bench = Bench()
    one, two = bench.create(Echo), bench.create(Echo)
    again = pickle.loads(pickle.dumps(one))
    assert one == again == copy.deepcopy(one) and hash(one) == hash(again) and one != two
    assert {one: "x"}[again] == "x"
    assert one != str(one) and one.addressDetails == ActorId("here:1", 77, one.ident.local)
    assert remote_address("there:2", "x") == remote_address("there:2", "x")


def test_an_address_travels_and_is_answered() -> None:
    bench = Bench()
    relay, echo = bench.create(Relay), bench.create(Echo)
    assert bench.ask(relay, Send(echo, "hello")) == ["hello"]
