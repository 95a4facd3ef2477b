"""A user's actor system with a base of Thespian's or of ours, in a process of its own.

Run by `test_thespian.py`. Each line on stdin is an expression, its value is answered in one line on stdout;
the end of stdin is the end.
"""

import ast
import sys
from typing import Any

from thespian.actors import ActorSystem, ActorTypeDispatcher

import fleet
import fleet.thespian
from fleet.errors import WouldDeadlock
from fleet.thespian import Call, Result
from tests.processes.nodes import CLUSTER
from tests.support.classes import Counter
from tests.support.ports import free_port
from tests.support.waiting import eventually

WAIT_S = 20.0
UNDER_WAY = 4
"""`multiprocQueueBase` has room for ten messages to an actor."""


class Unloadable:
    def __reduce__(self) -> Any:
        return int, ("no number",)


class Caller(ActorTypeDispatcher):
    """Adds 1 to a counter, again and again, with some calls under way, until it is told to stop."""

    def __init__(self) -> None:
        self.asker: Any = None
        self.address: Any = None
        self.sent = 0
        self.results: list[Any] = []
        self.goes_on = False

    def receiveMsg_tuple(self, message: tuple[Any, ...], sender: Any) -> None:
        self.asker = sender
        getattr(self, message[0])(*message[1:])

    def begin(self, group: str) -> None:
        self.address = fleet.thespian.group(self, group, cluster=CLUSTER)
        self.sent, self.results, self.goes_on = 0, [], True
        for _ in range(UNDER_WAY):
            self.add()
        self.progress()

    def add(self) -> None:
        self.sent += 1
        self.send(self.address, Counter.add.call(1).options(tag=self.sent))

    def receiveMsg_Result(self, result: Result, sender: Any) -> None:
        self.results.append((result.tag, result.value if result.ok else repr(result.error)))
        if self.goes_on:
            self.add()

    def progress(self) -> None:
        self.send(self.asker, len(self.results))

    def stop(self) -> None:
        self.goes_on = False
        self.send(self.asker, self.sent)

    def tell(self) -> None:
        self.send(self.asker, self.results)

    def block(self, address: str, secret_file: str) -> None:
        """A blocking client, which must not be opened here."""
        try:
            with fleet.connect(address, cluster=CLUSTER, secret_file=secret_file):
                told = "opened"
        except WouldDeadlock as error:
            told = str(error)
        self.send(self.asker, told)


class App:
    def __init__(self, base: str, addresses: str, secret_file: str) -> None:
        self.base = base
        self.addresses = addresses
        self.secret_file = secret_file
        self.begin_system()

    def begin_system(self) -> None:
        if self.base == "fleet":
            self.system = fleet.thespian.start_system(cluster=CLUSTER, secret_file=self.secret_file)
        else:
            settings = {"Admin Port": free_port(), "Convention Address.IPv4": ("127.0.0.1", 0)}
            self.system = ActorSystem(self.base, settings, transientUnique=True)
        fleet.thespian.connect(
            self.system, self.addresses, cluster=CLUSTER, secret_file=self.secret_file, timeout=WAIT_S
        )
        self.caller = self.system.createActor(Caller)

    def restart(self) -> None:
        self.system.shutdown()
        self.begin_system()

    def ask(self, *message: Any) -> Any:
        return self.system.ask(self.caller, message, WAIT_S)

    def call(self, group: str, kind: str, method: str, *args: Any) -> Any:
        """From outside: tag, group, revision, and the value or the error's kind."""
        call = Call.query(method, *args) if kind == "query" else Call(method, *args)
        address = fleet.thespian.group(self.system, group, cluster=CLUSTER)
        result = self.system.ask(address, call.options(tag=("t", method)), WAIT_S)
        what = result.value if result.ok else type(result.error).__name__
        return (result.tag, result.group, result.revision, what)

    def call_unloadable(self, group: str) -> Any:
        """With a tag that no process can load."""
        address = fleet.thespian.group(self.system, group, cluster=CLUSTER)
        return self.system.ask(address, Call("add", 1).options(tag=Unloadable()), WAIT_S).value

    def call_keyed(self, group: str, key: str, n: int) -> Any:
        """Revision, and the value or the error's kind."""
        address = fleet.thespian.group(self.system, group, cluster=CLUSTER)
        result = self.system.ask(address, Call("add", n).options(key=key), WAIT_S)
        return result.revision, result.value if result.ok else type(result.error).__name__

    def send_other(self, group: str) -> str:
        """What is no call."""
        address = fleet.thespian.group(self.system, group, cluster=CLUSTER)
        return type(self.system.ask(address, {"no": "call"}, WAIT_S).error).__name__

    def begin(self, group: str) -> None:
        self.ask("begin", group)

    def await_more(self, count: int) -> None:
        had = self.ask("progress")
        eventually(lambda: self.ask("progress") >= had + count, WAIT_S, f"{count} more results")

    def finish(self) -> tuple[int, list[Any]]:
        """How many calls were sent, and the results of all."""
        sent = self.ask("stop")
        eventually(lambda: self.ask("progress") >= sent, WAIT_S, f"{sent} results")
        return sent, self.ask("tell")

    def block(self) -> str:
        return str(self.ask("block", self.addresses, self.secret_file))


def main() -> None:
    app = App(*sys.argv[1:])
    try:
        for line in sys.stdin:
            method, *args = ast.literal_eval(line)
            print(repr(getattr(app, method)(*args)), flush=True)
    finally:
        app.system.shutdown()


if __name__ == "__main__":
    main()
