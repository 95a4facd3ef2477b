"""A node that is no seed, in the world of the founding tests: seeds answer whoever asks, once they know."""

from collections.abc import Sequence

from fleet.cluster.founding import HELLO_MS, NEVER
from fleet.cluster.founding_messages import (
    Decided,
    Exists,
    Founder,
    FoundingMessage,
    Join,
    Persisted,
    Ready,
    SeedHello,
    Tick,
    cluster_id,
    fingerprint,
)
from fleet.raft.ids import Millis


class Asking:
    def __init__(self, me: Founder, seeds: Sequence[str], now: Millis) -> None:
        self.seeds = tuple(seeds)
        self.hello = SeedHello(me, fingerprint(seeds), ())
        self.deadline = now
        self.outcome: Join | None = None
        self._ready = Ready()

    def step(self, now: Millis, event: FoundingMessage | Tick | Persisted) -> None:
        if self.outcome is not None:
            return
        if isinstance(event, (Decided, Exists)):
            if isinstance(event, Exists):
                self.outcome = Join(event.cluster, event.addresses)
            else:
                addresses = tuple(founder.address for founder in event.founders)
                self.outcome = Join(cluster_id(event.founders), addresses)
            self._ready.outcome, self.deadline = self.outcome, NEVER
        elif now >= self.deadline:
            self.deadline = now + HELLO_MS
            self._ready.send.extend((seed, self.hello) for seed in self.seeds)

    def take_ready(self) -> Ready | None:
        ready, self._ready = self._ready, Ready()
        return ready if ready.send or ready.outcome else None
