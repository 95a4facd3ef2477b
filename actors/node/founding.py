"""Drives `fleet.cluster.founding` with this node's disk and links."""

import random
from functools import partial
from typing import Any, get_args

from fleet.actors.base.addresses import remote_address
from fleet.actors.base.wire import register
from fleet.actors.messages.well_known import MANAGER
from fleet.actors.node.parts import Node
from fleet.actors.node.timers import FoundingDeadline
from fleet.actors.runtime.actor import log
from fleet.cluster.founding import Founding
from fleet.cluster.founding_messages import (
    Exists,
    Found,
    Founder,
    FoundingHello,
    FoundingMessage,
    Join,
    Persisted,
    Record,
    Tick,
    from_bytes,
    to_bytes,
)
from fleet.cluster.founding_proposal import NEVER
from fleet.interfaces import ChoreDone, PutMeta

FOUNDING_KEY = "founding"
GRACE_MS = 2000
"""How long a majority waits for the other listed nodes: two founders of three could not lose one."""
MESSAGES: tuple[type, ...] = get_args(FoundingMessage)
register(*MESSAGES)


class FoundingDriver:
    """Drives the founding on a listed node; on others it tells listed nodes of their cluster."""

    def __init__(self, manager: Node) -> None:
        self.manager = manager
        self.founding: Founding | None = None
        self.reported: tuple[str, ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether this node may still become a founder; until that is decided it joins no cluster."""
        return self.founding is not None and self.founding.outcome is None

    def begin(self) -> None:
        manager, start = self.manager, self.manager.start
        if start.address not in start.founders:
            return
        data = manager.store.get_meta(FOUNDING_KEY)
        if data is None and manager.cluster.cluster_uid():
            return  # it joined its cluster without a founding
        self._start(from_bytes(data) if data is not None else None)

    def _start(self, record: Record | None) -> None:
        manager, start = self.manager, self.manager.start
        me = Founder(start.name, manager.store.identity.incarnation, start.address, start.zone, start.weight)
        self.founding = Founding(
            me, start.founders, manager.now(), random.Random(start.seed), record, grace_ms=GRACE_MS
        )
        self._carry_out()

    def on_renewed(self) -> None:
        """The directory has a new incarnation: continue as that disk."""
        if self.founding is not None:
            self._start(self.founding.record)

    def on_message(self, m: Any) -> None:
        if self.manager.is_renewing:
            return  # an older copy has forgotten later promises
        if self.founding is not None:
            self.founding.step(self.manager.now(), m)
            self._carry_out()
        elif type(m) is FoundingHello and self.manager.cluster.own() is not None:
            uid = str(self.manager.cluster.cluster_uid())
            known = tuple(info.address for info in self.manager.nodes.everyone() if info.address)
            self._send(m.src.address, Exists(uid, known))

    def on_time(self) -> None:
        if self.manager.is_renewing or self.founding is None:
            return
        if self.founding.deadline <= self.manager.now():
            self.founding.step(self.manager.now(), Tick())
            self._carry_out()

    def _carry_out(self) -> None:
        founding, manager = self.founding, self.manager
        assert founding is not None
        while (ready := founding.take_ready()) is not None:
            for address, message in ready.send:
                self._send(address, message)
            if ready.write is not None:
                written = partial(self._on_written, founding, ready.write.seq)
                manager.carry_out(PutMeta(FOUNDING_KEY, to_bytes(ready.write.record)), written)
            if isinstance(ready.outcome, Found):
                founders = ready.outcome.founders
                manager.cluster.found([(one.name, one.incarnation, one.address) for one in founders])
            elif isinstance(ready.outcome, Join):
                for address in ready.outcome.addresses:
                    manager.cluster.router.learn(address)
        if founding.problems() != self.reported:
            self.reported = founding.problems()
            for problem in self.reported:
                log.warning("node=%s waits to found a cluster: %s", manager.start.name, problem)
        if self.is_open and founding.deadline != NEVER:
            manager.wake_in(max(1, founding.deadline - manager.now()), FoundingDeadline())

    def _on_written(self, founding: Founding, seq: int, m: ChoreDone) -> None:
        """The record is durable: messages that depend on it may leave."""
        if founding is not self.founding or self.manager.is_renewing:
            return
        if m.error is not None:
            log.error("node=%s cannot take part in the founding: %s", self.manager.start.name, m.error)
            self.founding = None
            return
        founding.step(self.manager.now(), Persisted(seq))
        self._carry_out()

    def _send(self, address: str, message: FoundingMessage) -> None:
        self.manager.send(remote_address(address, MANAGER), message)
