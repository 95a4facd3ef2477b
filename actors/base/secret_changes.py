"""Looks whether the secrets of a process have changed, and closes the links of peers whose secret is not
accepted any more, or whose role secret has ended. New links are made with the secrets as they are then
(tls.py)."""

import logging
from collections.abc import Callable, Collection
from time import time

from fleet.actors.base.handshake import OUT_OF_DATE, WRONG_SECRET
from fleet.actors.base.keyring import Keyring
from fleet.actors.base.link import UP, Events, Link
from fleet.actors.base.names import begin
from fleet.actors.base.role_secrets import proof_keys

log = logging.getLogger("fleet.base")

REREAD_S = 2.0


class SecretChanges:
    """`links`: all of the process."""

    def __init__(
        self, reactor: Events, keyring: Keyring, links: Collection[Link], close: Callable[[Link, str], None]
    ) -> None:
        self._reactor = reactor
        self._keyring = keyring
        self._links = links
        self._close = close
        self._seen = keyring.accepted
        self._trouble = ""

    def begin(self) -> None:
        self._reactor.call_at(self._reactor.now() + REREAD_S, self._look)

    def _look(self) -> None:
        if begin(self._reread) is None:
            self.begin()  # no thread is free

    def _reread(self) -> None:
        """Runs in a thread of its own: files may be slow."""
        trouble = self._keyring.reread()
        self._reactor.post(lambda: self._take(trouble))

    def _take(self, trouble: str) -> None:
        self.begin()
        if trouble and trouble != self._trouble:
            log.error("the secrets of this process stay as they are: %s", trouble)
        self._trouble = trouble
        self._close_ended()
        accepted = self._keyring.accepted
        if accepted is not self._seen:
            self._seen = accepted
            log.warning("secrets: accepted=%s, the first is shown", ",".join(self._keyring.fingerprints()))
        keys = proof_keys(accepted)
        # Each time: a handshake may have begun before the change, and ended after the last look.
        for link in [link for link in self._links if link.stage is UP and link.proved_by not in keys]:
            self._close(link, WRONG_SECRET)

    def _close_ended(self) -> None:
        """A certificate is looked at when a link is made, and a link may live for months."""
        now = time()
        for link in [link for link in self._links if link.limited and link.limited.has_ended(now)]:
            self._close(link, OUT_OF_DATE)
