"""The gateway's client on the fleet base: in the loop of the actor system, on its links."""

import secrets
from collections.abc import Callable
from functools import partial
from typing import Any

from fleet.actors.base.keyring import Keyring
from fleet.actors.client.calls import ClientCall
from fleet.actors.client.messages import LearnAddresses, Leave
from fleet.actors.client.router import Router
from fleet.actors.runtime.clock import SystemClock
from fleet.client.backlog import Backlog
from fleet.client.connection import new_client_name
from fleet.client.first_answer import first_questions
from fleet.errors import ConfigError, FleetError
from fleet.objects.messages import Result
from fleet.objects.outcomes import CallOutcome, Impatient, Succeeded
from fleet.thespian.messages import Asked, Connect


class LoopClient:
    """Raises: ConfigError: the actor system cannot reach that cluster."""

    def __init__(self, actor: Any, m: Connect, tell: Callable[[Asked, Result], None]) -> None:
        links = actor._myRef.kernel.transport.links
        self.cluster: str = links.settings.cluster
        self.keyring: Keyring | None = links.keyring
        self.check(m)
        self.timeout = m.timeout
        self.tell = tell
        self.clock = SystemClock()
        self.backlog = Backlog(m.calls_max, m.bytes_max)
        self.router = Router(actor, self.clock, new_client_name(), secrets.randbits(32), m.addresses)
        self.router.release = self.backlog.leave
        actor.notifyOnSystemRegistrationChanges(True)
        self.router.refresh_nodes()

    def check(self, m: Connect) -> None:
        """Raises ConfigError where links of this actor system would be refused by the cluster's nodes."""
        if self.keyring is None:
            raise ConfigError(
                "this actor system has no secret, and nodes refuse its links: start it with "
                "fleet.thespian.start_system()"
            )
        if m.cluster != self.cluster or m.secret not in (None, self.keyring):
            raise ConfigError(
                "this actor system was started with another cluster id or secret, which all its links have"
            )

    def submit(self, asked: Asked) -> None:
        call = asked.call
        deadline = self.clock.now_ms() + round((call.timeout or self.timeout) * 1000)
        receiver = Impatient(partial(self._settled, asked))
        one = ClientCall(asked.group, call.kind == "query", call.payload, deadline, receiver)
        self.backlog.enter(len(call.payload), waits=False)
        self.router.submit(one)

    def _settled(self, asked: Asked, outcome: CallOutcome) -> None:
        group, tag = asked.group, asked.call.lazy_tag
        if isinstance(outcome, Succeeded):
            self.tell(asked, Result(group, tag, outcome.revision, outcome.value))
        else:
            self.tell(asked, Result(group, tag, failure=outcome.error))

    def ask_first(self, m: Connect, tell: Callable[[FleetError | None], None]) -> None:
        self.router.learn_addresses(LearnAddresses(m.addresses))
        for question in first_questions(m.addresses, m.wait, self.clock.now_ms(), tell):
            self.router.ask(question)

    def handle(self, m: Any) -> None:
        self.router.handle(m)

    def close(self) -> None:
        """Ends every call."""
        self.router.leave(Leave(lambda: None))
