"""A node that is not listed, in the world of the founding tests: listed nodes answer it once they know."""

from collections.abc import Sequence

from fleet.cluster.founding import HELLO_MS
from fleet.cluster.founding_messages import (
    Decided,
    Exists,
    Founder,
    FoundingHello,
    FoundingMessage,
    Join,
    Persisted,
    Ready,
    Tick,
    cluster_id,
    fingerprint,
)
from fleet.cluster.founding_proposal import NEVER
from fleet.raft.ids import Millis


class Asking:
    def __init__(self, me: Founder, listed: Sequence[str], now: Millis) -> None:
        self.listed = tuple(listed)
        self.hello = FoundingHello(me, fingerprint(listed), ())
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
            self._ready.send.extend((address, self.hello) for address in self.listed)

    def take_ready(self) -> Ready | None:
        ready, self._ready = self._ready, Ready()
        return ready if ready.send or ready.outcome else None
