"""TLS 1.3 of one link, without IO: bytes of the socket in, bytes for the socket out.

Both sides show a certificate of the cluster's authority (certificates.py). By the application protocol (ALPN)
they agree on before, both know whether the other is a process of this version and cluster, also when the
certificates then do not fit. There are no tickets, so no link resumes another one's keys and each one's
certificates are checked.
"""

import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from hashlib import sha256
from time import time

from fleet.actors.base.certificates import RENEW_S, Authority, Leaf, rights_of
from fleet.actors.base.frames import FrameError
from fleet.actors.base.handshake import (
    NOT_A_NODE,
    NOT_FLEET,
    OUT_OF_DATE,
    WRONG_SECRET,
    LinkIdentity,
    Refused,
    mismatch,
    protocols,
)
from fleet.actors.base.keyring import Keyring
from fleet.actors.base.role_secrets import (
    Limited,
    is_role_secret,
    limited_peer,
    proof_keys,
    read_role_secret,
)
from fleet.system.memory import readable_as_file

GREETING_BYTES_MAX = 32 * 1024
"""What a peer may send before TLS is established; honest ones send 1 to 3 KiB."""
_OUT_OF_DATE = frozenset((9, 10))
"""OpenSSL's numbers of: not valid yet, not valid any more."""
_UNFIT = 26
"""And of: no certificate of a server."""
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
        roles = [read_role_secret(line) if is_role_secret(line) else None for line in accepted]
        secrets = [line for line, role in zip(accepted, roles, strict=True) if role is None]
        authorities = [(secret, Authority(secret)) for secret in secrets]
        known = [authority.certificate for _, authority in authorities]
        trusted = b"".join((*known, *(role.authority for role in roles if role is not None)))
        shown = authorities[0][1].leaf(now) if roles[0] is None else roles[0].leaf()
        dialling = self._context(shown, trusted, ssl.PROTOCOL_TLS_CLIENT)
        accepting = self._context(shown, trusted, ssl.PROTOCOL_TLS_SERVER)
        own, by_name = {dialling: shown.certificate, accepting: shown.certificate}, {}
        for _, authority in authorities[1 if roles[0] is None else 0 :]:
            leaf = authority.leaf(now)
            context = self._context(leaf, trusted, ssl.PROTOCOL_TLS_SERVER)
            own[context], by_name[authority_name(authority.certificate)] = leaf.certificate, context
        if by_name:
            accepting.sni_callback = partial(_show_what_is_known, by_name)
        self._contexts, self._own = (dialling, accepting), own
        self._wanted = None if roles[0] is None else authority_name(roles[0].authority)
        self._authorities = authorities
        self._accepted = accepted
        self._made_at = now

    def _context(self, leaf: Leaf, trusted: bytes, protocol: int) -> ssl.SSLContext:
        context = ssl.SSLContext(protocol)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.check_hostname = False  # every process of the cluster may be at every address
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=trusted)
        context.set_alpn_protocols(protocols(self._cluster))
        if protocol == ssl.PROTOCOL_TLS_SERVER:
            context.num_tickets = 0
        load_leaf(context, leaf)
        return context

    def identity(
        self, boot: int, endpoint: str, frame_bytes_max: int, limited: Limited | None = None
    ) -> LinkIdentity:
        """What this process proves; `limited`: to a peer that has a role."""
        keys = proof_keys(self.keyring.accepted) if limited is None else (limited.proof_key,)
        return LinkIdentity(self._cluster, keys[0], boot, endpoint, frame_bytes_max, keys[1:])

    def limited(self, stream: "TlsStream") -> Limited | None:
        """What the peer of an accepted link may do; None: whatever it can prove the secret for.

        Raises:
            Refused: its certificate is of nobody who may come in.
        """
        try:
            found = limited_peer(stream.peer_certificate(), self._authorities)
        except ValueError:
            raise Refused(WRONG_SECRET) from None
        if found is not None and found.secret not in self.keyring.accepted:
            raise Refused(WRONG_SECRET)  # retired since the handshake began
        return found

    def tls(self, accepts: bool) -> "TlsStream":
        """For a new link, which was accepted or dialled."""
        now = self._clock()
        is_old = abs(now - self._made_at) > RENEW_S  # also when the clock was set back
        if is_old or self.keyring.accepted is not self._accepted:
            with suppress(OSError):  # no descriptor is left: the old one serves for weeks
                self._renew(now)
        return TlsStream(self._contexts[accepts], accepts, self._own, self._cluster, self._wanted)


def authority_name(certificate: bytes) -> str:
    """How whoever has a role secret says, as TLS's name of the server, by which authority it knows nodes: it
    may be that of a former secret, which nodes accept and do not show to others any more."""
    return f"{sha256(certificate).hexdigest()[:32]}.fleet"


def _show_what_is_known(
    by_name: Mapping[str, ssl.SSLContext], stream: ssl.SSLObject, name: str | None, _: ssl.SSLContext
) -> None:
    if name is not None and name in by_name:
        stream.context = by_name[name]


def load_leaf(context: ssl.SSLContext, leaf: Leaf) -> None:
    """Show this certificate. The module `ssl` reads files only."""
    with readable_as_file(leaf.pem) as path:
        context.load_cert_chain(path)


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

    def __init__(
        self,
        context: ssl.SSLContext,
        accepts: bool,
        own: Mapping[ssl.SSLContext, bytes],
        cluster: str,
        wanted: str | None = None,
    ) -> None:
        """`own`: this side's certificate, by context. `wanted`: as `authority_name`."""
        self.is_open = False
        self.has_ended = False
        self._accepts = accepts
        self._own = own
        self._cluster = cluster
        self._arrived = ssl.MemoryBIO()
        self._leaving = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._arrived, self._leaving, accepts, None if accepts else wanted)
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

    def peer_certificate(self) -> bytes:
        """Only once the stream is open."""
        theirs = self._tls.getpeercert(True)
        assert theirs is not None
        return theirs

    def check_is_node(self) -> None:
        """Of a link that was dialled: who answers there has no role, but the secret.

        Raises:
            Refused: it has a role. TLS has refused it before, as its certificate is none of a server.
        """
        if rights_of(self.peer_certificate()) is not None:
            raise Refused(NOT_A_NODE)

    def binding(self) -> bytes:
        """Names the certificates of both sides, the connector's first. Only once the stream is open."""
        theirs = self.peer_certificate()
        own = self._own[self._tls.context]
        sides = (theirs, own) if self._accepts else (own, theirs)
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
            if error.verify_code == _UNFIT:
                return NOT_A_NODE
        elif error.reason in _OUT_OF_DATE_ALERTS:
            return OUT_OF_DATE
        elif error.reason not in _SECRET_ALERTS:
            return NOT_FLEET
        return mismatch(self._tls.selected_alpn_protocol(), self._cluster) or WRONG_SECRET
