"""What several tests of the fleet base share: actors, a kernel without a world, waiting for conditions."""

import os
from typing import Any

from msgspec import Struct
from thespian.actors import Actor, ActorExitRequest, ActorSystemMessage, ChildActorExited

from fleet.actors.base import ActorId, Address, Kernel, register

CLUSTER = "test cluster"
SECRET = b"a secret of the tests"
WAIT_S = 10.0


def open_descriptors() -> set[str]:
    found = set()
    for fd in os.listdir("/proc/self/fd"):
        try:
            found.add(f"{fd} {os.readlink(f'/proc/self/fd/{fd}')}")
        except OSError:
            pass  # the one that lists
    return found


class FakeTransport:
    """Time that stands still until it is moved, and a network that only remembers."""

    def __init__(self) -> None:
        self.time = 0.0
        self.sent: list[tuple[ActorId, Address, Any]] = []
        self.watched: dict[Any, tuple[int, ...]] = {}
        self.stopped = False

    def now(self) -> float:
        return self.time

    def send(self, dst: ActorId, sender: Address, message: Any) -> None:
        self.sent.append((dst, sender, message))

    def watch(self, local: Any, filenos: Any) -> None:
        self.watched[local] = tuple(filenos)

    def stop(self) -> None:
        self.stopped = True


class Bench:
    """A kernel, its fake transport, and a mailbox `me` whose messages are in `got`."""

    def __init__(self, boot: int = 77, endpoint: str = "here:1") -> None:
        self.transport = FakeTransport()
        self.kernel = Kernel(self.transport, boot, endpoint)
        self.got: list[Any] = []
        self.senders: list[Any] = []
        self.me = self.kernel.open_mailbox(self._put)

    def _put(self, message: Any, sender: Address) -> None:
        self.got.append(message)
        self.senders.append(sender)

    def create(self, spec: Any, **options: Any) -> Address:
        return self.kernel.create_primary(spec, **options)

    def tell(self, target: Any, *messages: Any) -> None:
        for message in messages:
            self.kernel.send(target, self.me, message)

    def settle(self) -> list[Any]:
        """Run until nothing waits; what `me` got meanwhile."""
        while self.kernel.run(self.transport.time, 10):
            pass
        got, self.got = self.got, []
        return got

    def ask(self, target: Any, *messages: Any) -> list[Any]:
        self.tell(target, *messages)
        return self.settle()

    def advance(self, seconds: float) -> list[Any]:
        """Move time to the end of the period, stopping at each timer on the way."""
        end = self.transport.time + seconds
        got = self.settle()
        while (timer := self.kernel.next_timer()) is not None and timer <= end:
            self.transport.time = max(timer, self.transport.time)
            got += self.settle()
        self.transport.time = end
        return got + self.settle()


class Send(Struct, frozen=True, tag="test.send"):
    """For a Relay."""

    target: Address
    message: Any


class Where(Struct, frozen=True, tag="test.where"):
    address: Address


register(Send, Where)


class Echo(Actor):
    def receiveMessage(self, message: Any, sender: Any) -> None:
        if not isinstance(message, ActorSystemMessage):
            self.send(sender, message)


class Recorder(Actor):
    """Keeps what it gets, system messages too, and tells when asked "what?"."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def receiveMessage(self, message: Any, sender: Any) -> None:
        if message == "what?":
            self.send(sender, list(self.seen))
        elif message == "dead letters":
            self.handleDeadLetters()
        elif message == "no dead letters":
            self.handleDeadLetters(False)
        elif message == "links":
            self.notifyOnSystemRegistrationChanges()
        else:
            self.seen.append(message)


class Relay(Actor):
    """Sends on what it is told to. Other messages go to the last asker."""

    asker: Any = None

    def receiveMessage(self, message: Any, sender: Any) -> None:
        if isinstance(message, Send):
            self.asker = sender
            self.send(message.target, message.message)
        elif self.asker is not None and not isinstance(message, ActorSystemMessage):
            self.send(self.asker, message)


class Parent(Actor):
    """Creates children by request and keeps what it is told about them."""

    def __init__(self) -> None:
        self.exits: list[Any] = []

    def receiveMessage(self, message: Any, sender: Any) -> None:
        if isinstance(message, ChildActorExited):
            self.exits.append(message.childAddress)
        elif message == "exits?":
            self.send(sender, self.exits)
        elif isinstance(message, tuple) and message[0] == "create":
            self.send(sender, self.createActor(message[1], **message[2]))


class Fragile(Actor):
    def __init__(self) -> None:
        self.handled = 0

    def receiveMessage(self, message: Any, sender: Any) -> None:
        self.handled += 1
        if message == "handled?":
            self.send(sender, self.handled)
        elif message == "sys.exit":
            raise SystemExit(0)
        elif not isinstance(message, ActorSystemMessage) or isinstance(message, ActorExitRequest):
            raise ValueError("cannot stand it")


class NonStarter(Actor):
    def __init__(self) -> None:
        raise ValueError("will not live")


def family(bench: Bench) -> tuple[Address, Address, Address]:
    grandparent = bench.create(Parent)
    (parent,) = bench.ask(grandparent, ("create", Parent, {}))
    (child,) = bench.ask(parent, ("create", Echo, {}))
    return grandparent, parent, child
