"""One listed node of a founding, and the messages of the others."""

import random
from typing import Any

from fleet.cluster.founding import Founding
from fleet.cluster.founding_messages import (
    Ballot,
    Founder,
    FoundingHello,
    FoundingMessage,
    Outcome,
    Persisted,
    Record,
    Tick,
    fingerprint,
)
from tests.cluster.founding_world import node

A, B, C, D, E = (node(name) for name in "abcde")
THREE = ("a:1", "b:1", "c:1")
FIVE = (*THREE, "d:1", "e:1")


class Bench:
    """One listed node on its own; every write is durable at once unless `holds`."""

    def __init__(
        self, me: Founder = A, listed: tuple[str, ...] = THREE, record: Record | None = None
    ) -> None:
        self.part = Founding(me, listed, 0, random.Random(1), record)
        self.list_id = fingerprint(listed)
        self.holds = False
        self.written: list[Record] = []
        self.outcomes: list[Outcome] = []
        self.sent: list[tuple[str, Any]] = []
        self.settle()

    def settle(self) -> None:
        while (ready := self.part.take_ready()) is not None:
            self.sent += ready.send
            if ready.outcome is not None:
                self.outcomes.append(ready.outcome)
            if ready.write is not None:
                self.written.append(ready.write.record)
                if not self.holds:
                    self.part.step(self.part.now, Persisted(ready.write.seq))

    def step(self, event: FoundingMessage | Tick | Persisted) -> list[tuple[str, Any]]:
        """What leaves because of it."""
        self.sent = []
        self.part.step(self.part.now, event)
        self.settle()
        return [
            (address, message) for address, message in self.sent if not isinstance(message, FoundingHello)
        ]

    def wait(self, until: int) -> list[tuple[str, Any]]:
        """Every deadline on the way is kept."""
        self.sent = []
        while self.part.now < until:
            self.part.step(max(self.part.now, min(self.part.deadline, until)), Tick())
            self.settle()
        return self.sent

    def said(self, src: Founder, kind: Any, *parts: Any, disks: tuple[tuple[str, str], ...] = ()) -> Any:
        return kind(src, self.list_id, disks, *parts)


def proposing(listed: tuple[str, ...] = THREE, *others: Founder) -> tuple[Bench, Ballot]:
    """The smallest name, whose Prepare has left."""
    bench = Bench(A, listed)
    for other in others or (B,):
        bench.step(bench.said(other, FoundingHello))
    bench.wait(1)
    ballot = bench.part.record.promised
    assert ballot.address == "a:1"
    return bench, ballot


OF_B = Ballot(7, "b:1", B.incarnation)
OF_C = Ballot(8, "c:1", C.incarnation)
