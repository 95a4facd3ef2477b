"""All links of a process: those that are up, those being dialled, those being accepted.

A send never waits for a peer. It depends on the state of the link (dialling.py has the rules):
- the link is up: the message leaves at the end of the turn, or is dropped if more than `buffer_bytes_max`
  bytes wait already.
- there is no link, and the last attempt did not fail: an attempt begins, and the message may wait for it in a
  small buffer for a short time, so that the first message to a healthy peer is not lost needlessly.
- the last attempt failed: the message is dropped; a new attempt begins if the back-off is over.

To a process that listens, this process dials a link of its own even if that process has one to this one. To a
process that does not listen, it replies over the link that process opened, found by its boot id. Drops are
only counted: the layers above tolerate loss.
"""

import logging
import random
import socket
from collections import Counter
from functools import partial
from typing import Any

from fleet.actors.base.addresses import ActorId, Address
from fleet.actors.base.handshake import (
    NOT_FLEET,
    OUT_OF_DATE,
    WRONG_CLUSTER,
    WRONG_ENDPOINT,
    WRONG_SECRET,
    Hello,
    LinkIdentity,
    Refused,
    is_about_versions,
)
from fleet.actors.base.kernel import Kernel
from fleet.actors.base.limited import Admit, Gate, check_taken, deliver_limited, gate_of
from fleet.actors.base.link import CLOSED, CONNECTING, PROVING, UP, Events, Link, LinkStage
from fleet.actors.base.listener import Listener
from fleet.actors.base.names import LOOKUP_S, begin, resolve
from fleet.actors.base.peers import Peer
from fleet.actors.base.rare_log import RareLog
from fleet.actors.base.role_secrets import Limited
from fleet.actors.base.secret_changes import SecretChanges
from fleet.actors.base.settings import LinkSettings
from fleet.actors.base.sockets import connecting, prepare, reason_of
from fleet.actors.base.tls import Credentials, TlsStream
from fleet.actors.base.wire import decode_body, decode_frame, encode_item
from fleet.system.poll import HANGUP, READ, WRITE

log = logging.getLogger("fleet.base")

_SHARED_BYTES = 256 * 1024
_PEERS_MAX = 4096
_SHAKES_A_TURN = 8
_PERMANENT = frozenset((WRONG_SECRET, WRONG_CLUSTER, OUT_OF_DATE))
"""Reasons, besides those about versions, that somebody has to do something about."""


class Links:
    """`credentials`: None if there is no secret, and so no links. `listener` is a listening socket, or None
    for a process that only dials. `admit`: for peers with a role; None: there are to be none."""

    def __init__(
        self,
        reactor: Events,
        kernel: Kernel,
        settings: LinkSettings,
        credentials: Credentials | None,
        listener: socket.socket | None,
        admit: Admit | None = None,
    ) -> None:
        self.reactor = reactor
        self.kernel = kernel
        self.settings = settings
        self.keyring = None if credentials is None else credentials.keyring
        self._credentials = credentials
        self._admit = admit
        self.arrived = memoryview(bytearray(_SHARED_BYTES))
        self.shared = memoryview(bytearray(_SHARED_BYTES))
        self.dirty: list[Link] = []
        self.counts: Counter[str] = Counter()
        self.errors: dict[str, str] = {}
        self.waiting_bytes = 0
        """Bytes that sockets have refused and that still wait, on all links."""
        self._pruned_at = 0.0
        self.mark_bytes = settings.mark
        self._listener = None if listener is None else Listener(reactor, listener, self._accepted)
        self._peers: dict[str, Peer[Link]] = {}
        self._by_boot: dict[int, Link] = {}
        self._all: set[Link] = set()
        self._unproved: dict[Link, None] = {}
        self._shaken = 0
        """Steps of TLS's handshake that strangers were given in this turn."""
        self._rare_log = RareLog(log)
        self._random = random.Random()
        if credentials is not None:
            SecretChanges(reactor, credentials.keyring, self._all, self.closed).begin()

    # -- for the kernel ----------------------------------------------------------------------------

    def send(self, dst: ActorId, sender: Address, message: Any) -> None:
        endpoint = dst.endpoint
        if not endpoint:
            link = self._by_boot.get(dst.boot)
            if link is not None:
                link.post(dst, sender, message)
            else:
                self.kernel.dead_letter(Address(dst), message)  # it does not listen, and its link is gone
            return
        peer = self._peers.get(endpoint)
        if peer is None:
            if not self._has_room_for_peers():
                self.drop("peers", endpoint)
                return
            peer = self._peers[endpoint] = Peer(endpoint)
        link = peer.link
        if link is not None:
            link.post(dst, sender, message)
        else:
            self._send_unconnected(peer, dst, sender, message)

    def flush(self) -> None:
        """Send what the turn has queued. Called at the end of each turn."""
        self._shaken = 0
        if self.dirty:
            dirty, self.dirty = self.dirty, []
            for link in dirty:
                try:
                    link.flush()
                except Exception as error:
                    self.refused_input(link, f"{type(error).__name__}: {error}")

    def is_drained(self) -> bool:
        """Whether no bytes wait that could still be sent."""
        return not any(link.waiting_bytes() for link in self._all) and not any(
            peer.waiting for peer in self._peers.values()
        )

    def close(self) -> None:
        """Close everything, without telling the kernel."""
        if self._listener is not None:
            self._listener.close()
        for link in self._all:
            link.stage = CLOSED
            link.sock.close()
        self._all.clear()
        self._peers.clear()
        self._by_boot.clear()

    def stats(self) -> dict[str, int]:
        up = sum(link.stage is UP for link in self._all)
        waiting = sum(link.waiting_bytes() for link in self._all)
        return {**self.counts, "links_up": up, "unproved": len(self._unproved), "waiting_bytes": waiting}

    def _send_unconnected(self, peer: Peer[Link], dst: ActorId, sender: Address, message: Any) -> None:
        now = self.reactor.now()
        if peer.is_idle(now):
            self._dial(peer)
        if not peer.may_wait():
            self.drop("unconnected", peer.endpoint)
            return
        try:
            item = encode_item(dst.local, sender.ident.local, message)
        except Exception as error:
            self.unencodable(dst, sender, message, error)
            return
        if not peer.wait(now, dst.boot, item, self.settings):
            self.drop("waiting", peer.endpoint)

    def is_over_budget(self, link: Link, waiting: int) -> bool:
        """For a link above its mark: whether it must drop further messages."""
        return self.settings.is_over_budget(waiting, link.is_backlogged(), self.waiting_bytes)

    def drop(self, why: str, where: str, messages: int = 1) -> None:
        key = "dropped_" + why
        self.counts[key] += messages
        if messages and why != "unconnected":  # the failed attempt itself is logged
            self._log(key, "", "messages for %s dropped: %s; %d so far", where, why, self.counts[key])

    def unencodable(self, dst: ActorId, sender: Address, message: Any, error: Exception) -> None:
        self.counts["unencodable"] += 1
        kind = type(message).__name__
        self._log("unencodable", kind, "message=%s of actor=%s cannot be sent: %s", kind, sender, error)
        self.kernel.poison(sender, Address(dst), message, f"cannot be sent to another process: {error!r}")

    # -- dialling ----------------------------------------------------------------------------------

    def _has_room_for_peers(self) -> bool:
        """Addresses arrive in messages: bound what others can make this process remember and dial."""
        now = self.reactor.now()
        if len(self._peers) >= _PEERS_MAX and now - self._pruned_at >= 1.0:
            self._pruned_at = now
            self._peers = {name: peer for name, peer in self._peers.items() if not peer.is_idle(now)}
            self.errors = {name: reason for name, reason in self.errors.items() if name in self._peers}
        return len(self._peers) < _PEERS_MAX

    def _dial(self, peer: Peer[Link]) -> None:
        peer.is_dialling = True
        if self._credentials is None:
            self._failed(peer, "no secret")
        elif not peer.host:
            self._failed(peer, "bad endpoint")
        elif peer.family is not None:
            self._connect(peer, peer.family, (peer.host, peer.port))
        else:
            self._look_up(peer)

    def _look_up(self, peer: Peer[Link]) -> None:
        peer.is_resolving = True
        if begin(partial(self._resolve, peer)) is None:
            self._failed(peer, "unresolvable")
            return
        failures = peer.failures

        def check() -> None:
            if peer.is_resolving and peer.failures == failures:
                self._report_failure(peer, "unresolvable", peer.unresolved())

        self.reactor.call_at(self.reactor.now() + LOOKUP_S, check)

    def _resolve(self, peer: Peer[Link]) -> None:
        """Runs in a thread of its own."""
        try:
            family, where = resolve(peer.host, peer.port, peer.failures)
        except (OSError, UnicodeError):
            self.reactor.post(lambda: self._failed(peer, "unresolvable"))
        else:
            self.reactor.post(lambda: self._connect(peer, family, where))

    def _connect(self, peer: Peer[Link], family: int, where: Any) -> None:
        peer.is_resolving = False
        try:
            sock = connecting(family, where, self.settings)
        except OSError as error:
            self._failed(peer, reason_of(error))
            return
        link = Link(self, sock, peer, peer.endpoint)
        self._all.add(link)
        self.reactor.add(sock.fileno(), WRITE, link.on_event)
        self.limit_stage(link, CONNECTING)

    def limit_stage(self, link: Link, stage: LinkStage) -> None:
        """Close the link unless it has left `stage` in time."""
        limits_ms = {CONNECTING: self.settings.connect_ms_max, PROVING: self.settings.handshake_ms_max}

        def check() -> None:
            if link.stage is stage:
                self.closed(link, "timeout")

        self.reactor.call_at(self.reactor.now() + limits_ms[stage] / 1000, check)

    def _failed(self, peer: Peer[Link], reason: str) -> None:
        """An attempt has failed. The messages that waited for it are dropped."""
        peer.is_resolving = False
        dropped = peer.failed(self.reactor.now(), self._random.random(), self.settings)
        self._report_failure(peer, reason, dropped)

    def _report_failure(self, peer: Peer[Link], reason: str, dropped: int) -> None:
        self.counts["dropped_unconnected"] += dropped
        self.counts["failed_attempts"] += 1
        self.errors[peer.endpoint] = reason
        level = logging.ERROR if reason in _PERMANENT or is_about_versions(reason) else logging.WARNING
        about = peer.endpoint if peer.host else ""
        self._log("dial", about, "endpoint=%s cannot be reached: %s", peer.endpoint, reason, level=level)
        self.kernel.link_watchers.link_refused(peer.endpoint, reason)

    # -- accepting ---------------------------------------------------------------------------------

    def _accepted(self, sock: socket.socket, address: str) -> None:
        try:
            prepare(sock, self.settings)
            link = Link(self, sock, None, address)
        except OSError:
            sock.close()
            return
        self._all.add(link)
        self._unproved[link] = None
        self.reactor.add(sock.fileno(), READ | HANGUP, link.on_event)
        self.limit_stage(link, PROVING)
        if len(self._unproved) > self.settings.unproved_max:
            self.closed(next(iter(self._unproved)), "too many at once")

    def may_shake(self) -> bool:
        """Whether an accepted link may take a step of its handshake in this turn, which costs up to 1 ms.
        Otherwise its bytes stay in its socket: a crowd of strangers delays each turn only a little."""
        self._shaken += 1
        return self._shaken <= _SHAKES_A_TURN

    # -- called by links ---------------------------------------------------------------------------

    def tls(self, accepts: bool) -> TlsStream:
        assert self._credentials is not None
        return self._credentials.tls(accepts)

    def identity(self, limited: Limited | None = None) -> LinkIdentity:
        assert self._credentials is not None
        longest = self.settings.frame_bytes_max
        return self._credentials.identity(self.kernel.boot, self.kernel.endpoint, longest, limited)

    def limited(self, stream: TlsStream) -> Limited | None:
        assert self._credentials is not None
        return self._credentials.limited(stream)

    def gate(self, link: Link, hello: Hello) -> Gate | None:
        """For a peer that has proved itself. Raises Refused: it may not come in with its role."""
        if link.limited is None:
            return None
        check_taken(link, self._by_boot.get(hello.boot))
        return gate_of(self._admit, link.limited, hello, self.kernel)

    def check_dialled(self, link: Link, hello: Hello) -> None:
        """Refuse a process that answers in the place of another.

        A process may prove another endpoint than was dialled: a host has several names and addresses, and a
        node may advertise one that it does not see itself. But once a process has proved to be exactly the
        dialled endpoint, that endpoint is not just another name of a different process.

        Raises:
            Refused: another process has proved that endpoint before.
        """
        peer = link.peer
        assert peer is not None
        if hello.endpoint == peer.endpoint:
            peer.is_itself = True
        elif peer.is_itself:
            raise Refused(WRONG_ENDPOINT)

    def up(self, link: Link) -> None:
        """The handshake is done."""
        self._unproved.pop(link, None)
        self.counts["links_made"] += 1
        log.info("link up: endpoint=%s boot=%x accepted=%s", link.endpoint, link.boot, link.peer is None)
        peer = link.peer
        if peer is not None:
            self.errors.pop(peer.endpoint, None)
            if link.endpoint:
                self._peers.setdefault(link.endpoint, peer)  # dialled under another name: one link is enough
            self._send_waiting(link, peer)
        elif not link.endpoint:
            self._by_boot[link.boot] = link
        elif link.endpoint in self._peers:
            self._peers[link.endpoint].answered()
        self.kernel.link_watchers.link_up(link.endpoint, link.boot)

    def _send_waiting(self, link: Link, peer: Peer[Link]) -> None:
        items, dropped = peer.connected(link, link.boot, self.reactor.now(), self.settings)
        self.drop("waiting", peer.endpoint, dropped)
        for item in items:
            if not link.outbox.add_encoded(item, link.frame_bytes_max):
                self.drop("too_large", peer.endpoint)
        link.touch()

    def closed(self, link: Link, reason: str) -> None:
        """Close a link in any stage. Idempotent."""
        stage, link.stage = link.stage, CLOSED
        if stage is CLOSED:
            return
        self.reactor.remove(link.sock.fileno())
        link.sock.close()
        link.forget()
        self._all.discard(link)
        self._unproved.pop(link, None)
        peer = link.peer
        if stage is UP:
            log.info("link down: endpoint=%s boot=%x reason=%s", link.endpoint, link.boot, reason)
            if peer is not None:
                self._lost(link, peer, reason)
            elif self._by_boot.get(link.boot) is link:
                del self._by_boot[link.boot]
            self.kernel.link_watchers.link_down(link.endpoint, link.boot)
        elif peer is not None:
            self._failed(peer, NOT_FLEET if stage is PROVING and reason == "closed" else reason)
        else:
            self.counts["refused_links"] += 1
            what = "a connection from %s was closed before it was a link: %s"
            self._log("accepted", reason, what, link.address, reason)

    def _lost(self, link: Link, peer: Peer[Link], reason: str) -> None:
        """A link that was up has closed. The next send dials again and may wait for that attempt."""
        peer.lost(self.reactor.now(), self._random.random(), self.settings)
        self.errors[peer.endpoint] = reason
        if link.endpoint != peer.endpoint and self._peers.get(link.endpoint) is peer:
            del self._peers[link.endpoint]

    def refused_input(self, link: Link, what: str) -> None:
        self.counts["bad_frames"] += 1
        self._log("input", link.endpoint, "link with %s closed: %.200s", link.address, what)
        self.closed(link, "bad frame")

    def deliver(self, link: Link, frame: memoryview) -> None:
        """Deliver a frame of a proven peer. Raises anything if it is no frame of registered messages."""
        if link.gate is not None:
            deliver_limited(self.kernel, link, link.gate, frame)
            return
        deliver = self.kernel.deliver
        for dst, src, tag, body in decode_frame(frame):
            deliver(dst, link.sender(src), decode_body(tag, body))

    def _log(self, kind: str, about: str, text: str, *args: Any, level: int = logging.WARNING) -> None:
        self._rare_log(self.reactor.now(), kind, about, text, *args, level=level)
