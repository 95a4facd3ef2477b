"""Clients that increment counters and record the acknowledgements, for `fleet demo`."""

import threading
from bisect import bisect_left
from time import monotonic
from typing import NamedTuple

import fleet
from fleet.cli.demo.data import Counter
from fleet.cli.demo.nodes import DemoFailed
from fleet.errors import FleetError, NotDone, OutcomeUnknown, Unavailable

READ_EVERY = 10
"""Increments between two linearizable reads."""
SETTLE_S_MAX = 10.0


class Ack(NamedTuple):
    """An acknowledged increment: times by `monotonic`, and its number."""

    sent_at: float
    acked_at: float
    number: int


class DemoClient(threading.Thread):
    """One thread that increments, one call after the other, until told to stop.

    Invariant: after its end without `failure`, every increment it sent is in `acks` or was not done.
    """

    def __init__(self, counter: Counter, stop: threading.Event, pause_s: float) -> None:
        super().__init__(daemon=True)
        self.pause_s = pause_s
        self.counter = counter
        self.stop = stop
        self.acks: list[Ack] = []
        self.reads = 0
        self.unknown = 0
        """Calls whose outcome was unknown at first."""
        self.refused = 0
        self.failure: Exception | None = None

    def run(self) -> None:
        try:
            while not self.stop.is_set():
                self._increment()
                if len(self.acks) % READ_EVERY == 0:
                    self._read()
                if self.pause_s:
                    self.stop.wait(self.pause_s)
        except Exception as error:  # raised by check(), in the thread that can end the demo
            self.failure = error

    def _increment(self) -> None:
        sent_at = monotonic()
        try:
            number = self.counter.add()
        except NotDone:
            self.refused += 1
        except OutcomeUnknown as error:
            self.unknown += 1
            settled = self._settle(error)
            if settled is not None:
                self.acks.append(Ack(sent_at, monotonic(), settled))
        else:
            self.acks.append(Ack(sent_at, monotonic(), number))

    def _settle(self, error: OutcomeUnknown) -> int | None:
        """The number of the increment, or None if it was not done. Waits for the same call: it never runs
        twice."""
        deadline = monotonic() + SETTLE_S_MAX
        while monotonic() < deadline:
            try:
                number: int = error.again(max(0.1, deadline - monotonic()))
                return number
            except NotDone:
                return None
            except TimeoutError:
                break
            except OutcomeUnknown as still:
                if still is error:  # its outcome will never be known
                    break
                error = still
        raise DemoFailed(f"the outcome of an increment remains unknown: {error}")

    def _read(self) -> None:
        try:
            value = self.counter.get()
        except Unavailable:
            return
        self.reads += 1
        if self.acks and value < self.acks[-1].number:
            raise DemoFailed(f"a read gave {value} after this client was told {self.acks[-1].number}")


class Load:
    """Several clients over several connections, and their combined results."""

    def __init__(
        self, connections: list[fleet.Fleet], group: str, clients: int, pause_s: float = 0.0
    ) -> None:
        self._stop = threading.Event()
        self.clients = [
            DemoClient(connections[number % len(connections)].group(group, Counter), self._stop, pause_s)
            for number in range(clients)
        ]

    def start(self) -> None:
        for client in self.clients:
            client.start()

    def stop(self) -> None:
        """Start no new calls; those under way continue."""
        self._stop.set()

    @property
    def is_running(self) -> bool:
        return any(client.is_alive() for client in self.clients)

    def check(self) -> None:
        """Raises DemoFailed if a client has failed."""
        for client in self.clients:
            if isinstance(client.failure, DemoFailed):
                raise client.failure
            if client.failure is not None:
                kind = type(client.failure).__name__
                raise DemoFailed(f"a client got {kind}: {client.failure}") from client.failure

    @property
    def acked(self) -> int:
        return sum(len(client.acks) for client in self.clients)

    def total(self, name: str) -> int:
        return sum(getattr(client, name) for client in self.clients)

    def acks_between(self, begin: float, end: float) -> list[Ack]:
        found = []
        for client in self.clients:
            acks = client.acks
            until = len(acks)  # the thread continues to append
            first = bisect_left(acks, begin, hi=until, key=lambda ack: ack.acked_at)
            found += [ack for ack in acks[first:until] if ack.acked_at < end]
        return found

    def rate(self, begin: float, end: float) -> float:
        return len(self.acks_between(begin, end)) / (end - begin) if end > begin else 0.0

    def first_ack_sent_after(self, moment: float) -> float | None:
        """When the first increment sent after `moment` was acknowledged; None: none was yet."""
        later = (ack.acked_at for ack in self.acks_between(moment, float("inf")) if ack.sent_at > moment)
        return min(later, default=None)

    def verify(self, value: int) -> None:
        """Raises DemoFailed unless the acknowledged increments are 1, 2, 3, ... `value`, each once."""
        numbers = sorted(ack.number for client in self.clients for ack in client.acks)
        if numbers == list(range(1, value + 1)):
            return
        given = set(numbers)
        doubled = len(numbers) - len(given)
        missing = value - len(given)
        raise DemoFailed(
            f"the counter is {value}, and {len(numbers)} increments were acknowledged: "
            f"{doubled} numbers were returned twice, {missing} increments were not acknowledged"
        )


def percentile(latencies: list[float], share: float) -> float:
    """In seconds; 0 if there are none. `share` in [0, 1]."""
    if not latencies:
        return 0.0
    return sorted(latencies)[min(len(latencies) - 1, int(share * len(latencies)))]


def connect_all(addresses: list[str], secret: str, cluster: str, count: int) -> list[fleet.Fleet]:
    """Open `count` connections, or none. Raises what connecting raises."""
    made: list[fleet.Fleet] = []
    try:
        for _ in range(count):
            made.append(fleet.connect(addresses, cluster=cluster, secret=secret))
    except FleetError:
        for connection in made:
            connection.close()
        raise
    return made
