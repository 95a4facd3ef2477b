"""The gateway's client on Thespian's own bases: its loop is a thread, for which the actor never waits."""

import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

from thespian.actors import ThespianWatch, WakeupMessage

from fleet.actors.client.inbox import Inbox
from fleet.actors.runtime.clock import SystemClock
from fleet.actors.runtime.timer import Timer
from fleet.client.backlog import Backlog
from fleet.client.connection import Fleet
from fleet.errors import ConfigError, FleetError
from fleet.objects.handles import CallOptions
from fleet.objects.messages import Result
from fleet.objects.replies import Reply
from fleet.raft.ids import Millis
from fleet.thespian.messages import Asked, Connect

LOOK_MS: tuple[Millis, Millis] = (1, 16)
"""How often outcomes are looked for where the base watches no descriptors: at first, and after a while
without any."""


class ThreadClient:
    """Outcomes reach the actor through an inbox. Its descriptor is watched where the base can do that;
    elsewhere the actor looks into it, by wakeups, while something is under way.
    """

    def __init__(
        self, actor: Any, m: Connect, tell: Callable[[Asked, Result], None], may_watch: bool
    ) -> None:
        assert m.secret is not None, "only the fleet base has one of its own"
        self.tell = tell
        self.secret = m.secret
        backlog = Backlog(m.calls_max, m.bytes_max)
        self.fleet = Fleet(list(m.addresses), m.cluster, m.secret, m.timeout, None, backlog)
        self.inbox = Inbox()
        self.may_watch = may_watch
        if may_watch:
            actor.watching = ThespianWatch([self.inbox.wakeup.fd])
        self.clock = SystemClock()
        self.timer = Timer(actor)
        self.pause = LOOK_MS[0]
        self.under_way = 0
        """Calls and questions whose outcome has not been taken from the inbox."""
        weakref.finalize(actor, self.fleet.close)  # simpleSystemBase drops its actors without a word

    def check(self, m: Connect) -> None:
        """Raises ConfigError for another secret than before."""
        if m.secret != self.secret:
            raise ConfigError("this actor system is connected to a cluster of that name with another secret")

    def submit(self, asked: Asked) -> None:
        call = asked.call
        options = CallOptions(call.timeout, wait_when_full=False)
        reply = self.fleet.submit(asked.group, call.kind, call.method, call.payload, options)
        self._begin()
        reply.add_done_callback(lambda reply: self.inbox.put(partial(self._settled, asked, reply)))

    def _settled(self, asked: Asked, reply: Reply[Any]) -> None:
        group, tag = asked.group, asked.call.lazy_tag
        try:
            result = Result(group, tag, encoded=reply.raw(0), revision=reply.revision)
        except FleetError as error:
            result = Result(group, tag, failure=error)
        self.tell(asked, result)

    def ask_first(self, m: Connect, tell: Callable[[FleetError | None], None]) -> None:
        self.fleet._learn(m.addresses)
        self.fleet._ask_first(m.addresses, m.wait, lambda error: self._put_answer(tell, error))
        self._begin()

    def _put_answer(self, tell: Callable[[FleetError | None], None], error: FleetError | None) -> None:
        self.inbox.put(partial(tell, error))

    def _begin(self) -> None:
        self.under_way += 1
        self._look_in(LOOK_MS[0])

    def _look_in(self, pause: Millis) -> None:
        if not self.may_watch:
            self.pause = pause
            now = self.clock.now_ms()
            self.timer.arm(now, now + pause)

    def handle(self, m: Any) -> None:
        if isinstance(m, WakeupMessage) and not self.timer.is_due(m.payload):
            return
        took = self._take()
        if self.under_way:
            self._look_in(LOOK_MS[0] if took else min(2 * self.pause, LOOK_MS[1]))

    def _take(self) -> int:
        ended = self.inbox.take()
        self.under_way -= len(ended)
        for tell in ended:
            tell()
        return len(ended)

    def close(self) -> None:
        """Ends every call. Waits a quarter of a second at most for groups to confirm."""
        self.fleet.close()
        self._take()
        self.inbox.close()
