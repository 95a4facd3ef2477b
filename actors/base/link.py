"""One connection to another process: connecting, TLS and proofs, then messages until it closes."""

from __future__ import annotations

import errno
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from typing import Any, Protocol

from fleet.actors.base.addresses import ActorId, Address, LocalId
from fleet.actors.base.frames import FrameError, FrameReader
from fleet.actors.base.handshake import (
    FRAME_BYTES_MIN,
    HANDSHAKE_BYTES_MAX,
    Acceptor,
    Connector,
    Hello,
    LinkIdentity,
    Refused,
)
from fleet.actors.base.kernel import Kernel
from fleet.actors.base.limited import Gate
from fleet.actors.base.peers import Peer
from fleet.actors.base.role_secrets import Limited
from fleet.actors.base.settings import LinkSettings
from fleet.actors.base.sockets import reason_of
from fleet.actors.base.tls import TlsStream
from fleet.actors.base.wire import Outbox
from fleet.system.poll import HANGUP, READ, WRITE


class LinkStage(Enum):
    CONNECTING = "connecting"
    PROVING = "proving"
    UP = "up"
    CLOSED = "closed"


CONNECTING, PROVING, UP, CLOSED = LinkStage  # a global is read faster than a member of an Enum
_READ = READ | HANGUP
_SENDERS_MAX = 4096
_PORTION_BYTES = 256 * 1024
"""What is encrypted at a time: more waits as it is until the socket takes it."""
_PORTIONS_A_TURN = 4
"""About 1 ms: a peer that reads as fast as this process encrypts must not keep it from the others."""


class Events(Protocol):
    """The reactor, as links use it."""

    now: Callable[[], float]

    def add(self, fd: int, mask: int, handler: Callable[[int], None]) -> None: ...

    def change(self, fd: int, mask: int) -> None: ...

    def remove(self, fd: int) -> None: ...

    def call_at(self, when: float, action: Callable[[], None]) -> None: ...

    def post(self, action: Callable[[], None]) -> None: ...


class LinkOwner(Protocol):
    """All links of a process, as one of them uses them."""

    reactor: Events
    kernel: Kernel
    settings: LinkSettings
    arrived: memoryview
    """The buffer into which all links read."""
    shared: memoryview
    """The one into which they decrypt."""
    dirty: list[Link]
    """Links with something to send at the end of the turn."""
    counts: Counter[str]
    waiting_bytes: int
    mark_bytes: int

    def identity(self, limited: Limited | None = None) -> LinkIdentity: ...

    def tls(self, accepts: bool) -> TlsStream: ...

    def limited(self, stream: TlsStream) -> Limited | None: ...

    def gate(self, link: Link, hello: Hello) -> Gate | None: ...

    def may_shake(self) -> bool: ...

    def is_over_budget(self, link: Link, waiting: int) -> bool: ...

    def drop(self, why: str, where: str) -> None: ...

    def unencodable(self, dst: ActorId, sender: Address, message: Any, error: Exception) -> None: ...

    def limit_stage(self, link: Link, stage: LinkStage) -> None: ...

    def check_dialled(self, link: Link, hello: Hello) -> None: ...

    def up(self, link: Link) -> None: ...

    def closed(self, link: Link, reason: str) -> None: ...

    def refused_input(self, link: Link, what: str) -> None: ...

    def deliver(self, link: Link, frame: memoryview) -> None: ...


class Link:
    """`peer` is the dialled peer, None for an accepted link. `address` names the other side in the log.

    Whatever arrives, and whenever, can at worst close this link.

    Invariants: No body of a frame is decoded before `stage` is UP. Encrypted bytes that the socket has
    refused are in `_backlog` and leave first; then `_rest`, which is not encrypted yet, and empty whenever
    `_backlog` is; then the outbox. After each reading at most a part of a record is left in `_tls`. While
    `is_full`, nothing is read, so that a process that asks without reading the answers has to wait. This
    holds only for processes that do not listen: two nodes that both waited to be read would never read.
    """

    __slots__ = (
        "links", "sock", "peer", "address", "stage", "boot", "endpoint", "frame_bytes_max", "proved_by",
        "limited", "gate",
        "outbox", "dirty", "is_full",
        "_counted", "_backlog", "_rest", "_reader", "_tls", "_handshake", "_senders",
    )  # fmt: skip

    def __init__(self, links: LinkOwner, sock: socket.socket, peer: Peer[Link] | None, address: str) -> None:
        self.links = links
        self.sock = sock
        self.peer = peer
        self.address = address
        self.stage = PROVING if peer is None else CONNECTING
        self.boot = 0
        self.endpoint = ""
        self.frame_bytes_max = FRAME_BYTES_MIN
        self.proved_by = b""
        """The secret by which the peer has proved itself, or that of which its role secret is derived."""
        self.limited: Limited | None = None
        """What the peer of an accepted link has a certificate for; None: it has no role, but the secret."""
        self.gate: Gate | None = None
        """Judges what a limited peer sends; set before the link is UP."""
        self.outbox = Outbox()
        self.dirty = False
        self.is_full = False
        self._counted = 0
        """The bytes of this link that are in the sum of all links."""
        self._backlog: memoryview | None = None
        self._rest: memoryview | None = None
        self._reader = FrameReader(links.shared, HANDSHAKE_BYTES_MAX)
        self._tls = links.tls(peer is None)
        self._handshake: Acceptor | Connector | None = None
        """None until TLS is established."""
        self._senders: dict[LocalId, Address] = {}

    def is_backlogged(self) -> bool:
        """Whether the socket takes no more for now."""
        return self._backlog is not None

    def waiting_bytes(self) -> int:
        return len(self.outbox.frames) + len(self._backlog or b"") + len(self._rest or b"")

    # -- messages out ------------------------------------------------------------------------------

    def post(self, dst: ActorId, sender: Address, message: Any) -> None:
        """Queue a message for the flush at the end of the turn. Only while UP."""
        links = self.links
        if dst.boot != self.boot and dst.boot:
            links.kernel.dead_letter(Address(dst), message)  # for an earlier process at that endpoint
            return
        outbox = self.outbox
        waiting = len(outbox.frames) if self._backlog is None else self.waiting_bytes()
        if waiting > links.mark_bytes and links.is_over_budget(self, waiting):
            links.drop("full", self.address)
            return
        try:
            outbox.add(dst.local, sender._aaddr.local, message, self.frame_bytes_max)
        except Exception as error:
            links.unencodable(dst, sender, message, error)
            return
        self.touch()

    def touch(self) -> None:
        if not self.dirty:
            self.dirty = True
            self.links.dirty.append(self)

    def flush(self) -> None:
        """Send the turn's frames, in one call if they are few and the socket takes them."""
        self.dirty = False
        self.outbox.close()
        if self.stage is not UP:
            return
        if self._backlog is not None:
            self._count()
            return
        try:
            self._drain()
        except OSError as error:
            self.links.closed(self, reason_of(error))

    def _drain(self) -> None:
        """Send what waits, until the socket takes no more in this turn."""
        was_backlogged = self._backlog is not None
        data = self._portion() if self._backlog is None else self._backlog
        portions = 0
        while data:
            try:
                sent = self.sock.send(data) if portions < _PORTIONS_A_TURN else 0
            except BlockingIOError:
                sent = 0
            if sent < len(data):
                self._backlog = memoryview(data)[sent:]
                break
            self._backlog = None
            portions += 1
            data = self._portion() if self._rest or self.outbox.frames else b""
        is_backlogged = self._backlog is not None
        if is_backlogged or self._counted:
            self._count()
        if is_backlogged is not was_backlogged:
            self._watch()

    def _portion(self) -> bytes:
        """The next bytes for the socket, encrypted now."""
        rest = self._rest
        if rest is None:
            outbox = self.outbox
            outbox.close()
            frames = outbox.frames
            if len(frames) <= _PORTION_BYTES:
                data = self._tls.seal(frames)
                frames.clear()
                return data
            rest = memoryview(frames)
            outbox.frames = bytearray()
        self._rest = rest[_PORTION_BYTES:] or None
        return self._tls.seal(rest[:_PORTION_BYTES])

    def _count(self) -> None:
        """Update the sum of waiting bytes, and pause or resume reading accordingly."""
        links, waiting = self.links, self.waiting_bytes()
        links.waiting_bytes += waiting - self._counted
        self._counted = waiting
        mark = links.mark_bytes
        is_full = waiting > (mark // 2 if self.is_full else mark) and self.peer is None and not self.endpoint
        if is_full != self.is_full:
            self.is_full = is_full
            links.counts["paused"] += is_full
            self._watch()

    def forget(self) -> None:
        """The link was closed: drop what waits."""
        self.links.waiting_bytes -= self._counted
        self._counted = 0
        self._backlog = self._rest = None
        self.outbox = Outbox()

    def _watch(self) -> None:
        reading = 0 if self.is_full else _READ
        self.links.reactor.change(self.sock.fileno(), reading | (WRITE if self._backlog is not None else 0))

    def _send_now(self, data: bytes) -> None:
        """For the handshake only: the socket's buffer is nearly empty, so it takes everything or is
        broken."""
        if self.sock.send(data) != len(data):
            raise Refused("closed")

    # -- events ------------------------------------------------------------------------------------

    def on_event(self, mask: int) -> None:
        try:
            if self.stage is CONNECTING:
                self._connected()
                return
            if mask & WRITE:
                self._drain()
            if mask & ~WRITE:
                self._read()
        except BlockingIOError:
            pass
        except Refused as refused:
            self.links.closed(self, refused.reason)
        except FrameError as error:
            self.links.refused_input(self, str(error))
        except ssl.SSLError as error:
            self._broken(error)
        except OSError as error:
            self.links.closed(self, reason_of(error))
        except Exception as error:
            self.links.refused_input(self, f"{type(error).__name__}: {error}")

    def _connected(self) -> None:
        error = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, errno.errorcode.get(error, "error"))
        self.stage = PROVING
        self.links.reactor.change(self.sock.fileno(), _READ)
        self.links.limit_stage(self, PROVING)
        self._shake()

    def _read(self) -> None:
        links, tls = self.links, self._tls
        if self._handshake is None and self.peer is None and not links.may_shake():
            return
        count = self.sock.recv_into(links.arrived)
        if not count:
            links.closed(self, "closed")
            return
        tls.receive(links.arrived[:count])
        if not tls.is_open:
            self._shake()
            if not tls.is_open:
                return
        reader, has_more = self._reader, True
        while has_more:
            count = tls.read_into(space := reader.space())
            has_more = count == len(space)
            for frame in reader.received(count):
                if self.stage is UP:
                    links.deliver(self, frame)
                else:
                    self._prove(bytes(frame))
                if self.stage is CLOSED:
                    return
        if tls.has_ended:
            links.closed(self, "closed")

    def _shake(self) -> None:
        """Continue the handshake of TLS. Once it is done, the side that dialled begins the proofs."""
        (tls := self._tls).shake()
        data = tls.output()
        if tls.is_open and self.peer is None:
            self.limited = self.links.limited(tls)
            self._handshake = Acceptor(self.links.identity(self.limited), tls.binding())
        elif tls.is_open:
            tls.check_is_node()
            self._handshake = connector = Connector(self.links.identity(), tls.binding())
            data += tls.seal(connector.greeting)
        if data:
            self._send_now(data)

    def _prove(self, frame: bytes) -> None:
        handshake = self._handshake
        if isinstance(handshake, Connector):
            hello, confirmation = handshake.answered(frame)
            self.links.check_dialled(self, hello)
            self._send_now(self._tls.seal(confirmation))
            self._rise(hello)
        elif handshake is not None and handshake.is_greeted():
            self._rise(handshake.admitted(frame))
        elif handshake is not None:
            self._send_now(self._tls.seal(handshake.greeted(frame)))
            handshake.check_versions()  # the peer learns from the answer, too, that there is none

    def _rise(self, hello: Hello) -> None:
        assert self._handshake is not None
        self.gate = self.links.gate(self, hello)
        assert (self.gate is None) == (self.limited is None)
        self.stage = UP
        self.proved_by = self._handshake.proved_by if self.limited is None else self.limited.secret
        self.boot = hello.boot
        self.endpoint = hello.endpoint
        self.frame_bytes_max = hello.frame_bytes_max
        self.outbox = Outbox(self._handshake.version(hello))
        self._reader.limit = self.links.settings.frame_bytes_max
        self.links.up(self)

    def _broken(self, error: ssl.SSLError) -> None:
        """The peer breaks TLS, or its certificate does not fit."""
        if self._backlog is None:
            with suppress(OSError):
                self.sock.send(self._tls.output())  # tells the peer why
        if self.stage is UP:
            self.links.refused_input(self, f"TLS: {error.reason}")
        else:
            self.links.closed(self, self._tls.reason(error))

    # -- messages in -------------------------------------------------------------------------------

    def sender(self, local: LocalId) -> Address:
        """The address of an actor of the peer: the same object each time, so that a reply allocates none."""
        senders = self._senders
        address = senders.get(local)
        if address is None:
            if len(senders) >= _SENDERS_MAX:
                senders.clear()
            address = senders[local] = Address(ActorId(self.endpoint, self.boot, local))
        return address
