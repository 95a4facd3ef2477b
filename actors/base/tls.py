"""TLS 1.3 of one link, without IO: bytes of the socket in, bytes for the socket out.

Both sides show a certificate of the cluster's authority (certificates.py). By the application protocol (ALPN)
they agree on before, both know whether the other is a process of this version and cluster, also when the
certificates then do not fit. There are no tickets, so no link resumes another one's keys and each one's
certificates are checked.
"""

import os
import ssl
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from time import time

from fleet.actors.base.certificates import RENEW_S, Authority, Leaf
from fleet.actors.base.frames import FrameError
from fleet.actors.base.handshake import (
    NOT_FLEET,
    OUT_OF_DATE,
    WRONG_SECRET,
    LinkIdentity,
    Refused,
    mismatch,
    protocols,
)
from fleet.actors.base.keyring import Keyring

GREETING_BYTES_MAX = 32 * 1024
"""What a peer may send before TLS is established; honest ones send 1 to 3 KiB."""
_OUT_OF_DATE = frozenset((9, 10))
"""OpenSSL's numbers of: not valid yet, not valid any more."""
_OUT_OF_DATE_ALERTS = frozenset(("SSLV3_ALERT_BAD_CERTIFICATE", "SSLV3_ALERT_CERTIFICATE_EXPIRED"))
"""By which the peer says the same of ours."""
_SECRET_ALERTS = frozenset(("TLSV1_ALERT_UNKNOWN_CA", "TLSV1_ALERT_DECRYPT_ERROR"))


class Credentials:
    """What the links of a process show, and what they demand of peers. `clock`: seconds since 1970.

    Raises:
        OSError: no descriptor or memory is left.
    """

    def __init__(self, cluster: str, secret: bytes | Keyring, clock: Callable[[], float] = time) -> None:
        self.keyring = Keyring((secret,)) if isinstance(secret, bytes) else secret
        self._cluster = cluster
        self._clock = clock
        self._renew(clock())

    def _renew(self, now: float) -> None:
        accepted = self.keyring.accepted
        authorities = [Authority(secret) for secret in accepted]
        self._trusted = b"".join(authority.certificate for authority in authorities)
        leaf = authorities[0].leaf(now)
        self._contexts = (
            self._context(leaf, ssl.PROTOCOL_TLS_CLIENT),
            self._context(leaf, ssl.PROTOCOL_TLS_SERVER),
        )
        self._certificate = leaf.certificate
        self._accepted = accepted
        self._made_at = now

    def _context(self, leaf: Leaf, protocol: int) -> ssl.SSLContext:
        context = ssl.SSLContext(protocol)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.check_hostname = False  # every process of the cluster may be at every address
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=self._trusted)
        context.set_alpn_protocols(protocols(self._cluster))
        if protocol == ssl.PROTOCOL_TLS_SERVER:
            context.num_tickets = 0
        load_leaf(context, leaf)
        return context

    def identity(self, boot: int, endpoint: str, frame_bytes_max: int) -> LinkIdentity:
        shown, *others = self.keyring.accepted
        return LinkIdentity(self._cluster, shown, boot, endpoint, frame_bytes_max, tuple(others))

    def tls(self, accepts: bool) -> "TlsStream":
        """For a new link, which was accepted or dialled."""
        now = self._clock()
        is_old = abs(now - self._made_at) > RENEW_S  # also when the clock was set back
        if is_old or self.keyring.accepted is not self._accepted:
            with suppress(OSError):  # no descriptor is left: the old one serves for weeks
                self._renew(now)
        return TlsStream(self._contexts[accepts], accepts, self._certificate, self._cluster)


def load_leaf(context: ssl.SSLContext, leaf: Leaf) -> None:
    """Show this certificate. The module `ssl` reads files only: this one is in memory."""
    fd = os.memfd_create("fleet-certificate", os.MFD_CLOEXEC)
    with os.fdopen(fd, "wb") as file:
        file.write(leaf.pem)
        file.flush()
        context.load_cert_chain(f"/proc/self/fd/{fd}")


class TlsStream:
    """`is_open` once TLS is established; `has_ended` once the peer has said that it sends no more.

    Methods raise ssl.SSLError when the peer breaks the protocol; `reason` says what to report, and `output`
    has the alert for the peer.
    """

    __slots__ = (
        "is_open",
        "has_ended",
        "_accepts",
        "_own",
        "_cluster",
        "_arrived",
        "_leaving",
        "_tls",
        "_early",
    )

    def __init__(self, context: ssl.SSLContext, accepts: bool, own: bytes, cluster: str) -> None:
        self.is_open = False
        self.has_ended = False
        self._accepts = accepts
        self._own = own
        self._cluster = cluster
        self._arrived = ssl.MemoryBIO()
        self._leaving = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._arrived, self._leaving, server_side=accepts)
        self._early = 0
        """Bytes that arrived before the stream was open."""

    def receive(self, data: memoryview) -> None:
        """Take bytes of the socket.

        Raises:
            FrameError: too many before the stream is open.
        """
        if not self.is_open:
            self._early += len(data)
            if self._early > GREETING_BYTES_MAX:
                raise FrameError(f"{self._early} bytes before TLS is established")
        self._arrived.write(data)

    def shake(self) -> None:
        """Continue TLS's handshake with what was received.

        Raises:
            Refused: the peer is of another cluster or version.
        """
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return
        reason = mismatch(self._tls.selected_alpn_protocol(), self._cluster)
        if reason:
            raise Refused(reason)
        self.is_open = True

    def binding(self) -> bytes:
        """Names the certificates of both sides, the connector's first. Only once the stream is open."""
        theirs = self._tls.getpeercert(True)
        assert theirs is not None
        sides = (theirs, self._own) if self._accepts else (self._own, theirs)
        return b"".join(sha256(side).digest() for side in sides)

    def output(self) -> bytes:
        """What TLS itself has to send; b"" if nothing."""
        return self._leaving.read()

    def seal(self, data: bytes | bytearray | memoryview) -> bytes:
        """Encrypt `data`, after what TLS itself has to send."""
        done, size = 0, len(data)
        if size:
            write = self._tls.write
            done = write(data)
        if done < size:  # a record holds 16 KiB
            with memoryview(data) as view:
                while done < size:
                    done += write(view[done:])
        return self._leaving.read()

    def read_into(self, space: memoryview) -> int:
        """Decrypt what was received. Less than the space: nothing more for now, or ever."""
        tls, arrived = self._tls, self._arrived
        count, size = 0, len(space)
        if not (arrived.pending or tls.pending()):
            return 0
        while True:
            try:
                some = tls.read(size - count, space[count:] if count else space)
            except ssl.SSLWantReadError:
                return count  # the rest of a record has not arrived
            if not some:
                self.has_ended = True
                return count
            count += some  # type: ignore[operator]
            if count == size or not arrived.pending:
                return count

    def reason(self, error: ssl.SSLError) -> str:
        """Why the peer was refused, or refuses."""
        if isinstance(error, ssl.SSLCertVerificationError):
            if error.verify_code in _OUT_OF_DATE:
                return OUT_OF_DATE
        elif error.reason in _OUT_OF_DATE_ALERTS:
            return OUT_OF_DATE
        elif error.reason not in _SECRET_ALERTS:
            return NOT_FLEET
        return mismatch(self._tls.selected_alpn_protocol(), self._cluster) or WRONG_SECRET
