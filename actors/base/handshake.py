"""The handshake: both sides prove that they know the cluster secret before any message is decoded.

TLS comes first (tls.py). Inside of it:

Connector                                     Acceptor
  Hello (nonce, boot, longest frame, versions, endpoint) ->
                                          <- Answer (its own Hello, proof over both)
  Confirmation (proof over both) ->

Each of the three is a struct of fixed size: no general decoder sees bytes of an unproved peer.

Each proof is an HMAC-SHA256 over the greeting's version, the side's role, the cluster id, both Hellos as
sent and the two certificates that the sides have shown (`channel`). So it is valid for this pair of
processes, this connection, these nonces and this direction only: it can be neither replayed nor reflected,
nor passed on by a process in between, which would have to show a certificate of its own.

The link speaks the newest version of the fleet (versions.py) that both Hellos name; nobody can make it an
older one, since the proofs cover the Hellos. Where there is none, both sides end with a reason that names
both ranges: the acceptor after its Answer, from which the connector learns it.

A process with a role secret proves that it has that, and so does the node to it: by a key that is made of
the secret and of the process's certificate (role_secrets.py), in which its rights stand.

Before the certificates, TLS agrees on the first of `protocols` that both sides know (ALPN). So a process
tells another cluster, another greeting and a wrong secret apart. That is only an explanation of a failure:
nobody has proved it.

Pure: bytes in, bytes out.
"""

import hashlib
import hmac
import os
import struct

from msgspec import Struct

from fleet.actors.base.addresses import ENDPOINT_BYTES_MAX
from fleet.actors.base.wire import LENGTH
from fleet.versions import NEWEST, OLDEST, newest_common, spoken

GREETING = 4
"""Of what stands here. It changes only if the greeting does."""
_NONCE_BYTES = 32
_PROOF_BYTES = 32
_HELLO = struct.Struct(f">{_NONCE_BYTES}sQIHHH{ENDPOINT_BYTES_MAX}s")
"""Nonce, boot id, longest frame, oldest and newest version, length of the endpoint, endpoint."""
_ANSWER = struct.Struct(f">{_HELLO.size}s{_PROOF_BYTES}s")
_CONFIRMATION = struct.Struct(f">{_PROOF_BYTES}s")
HANDSHAKE_BYTES_MAX = _ANSWER.size
"""The longest frame before the peer has proved itself."""
FRAME_BYTES_MIN = 4096
"""The least that a peer must be able to read as one frame."""

WRONG_SECRET = "wrong secret"
WRONG_CLUSTER = "wrong cluster id"
WRONG_VERSION = "wrong version"
NOT_FLEET = "not a fleet process"
WRONG_ENDPOINT = "another endpoint"
OUT_OF_DATE = "certificate out of date: check the clocks"
NOT_A_NODE = "not a node"
NO_ROLES = "roles are not accepted here"


class Refused(Exception):
    """The handshake failed."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class LinkIdentity(Struct, frozen=True):
    """What this process presents, and the cluster id that a peer must have."""

    cluster: str
    secret: bytes
    """By which this process proves itself."""
    boot: int
    endpoint: str
    frame_bytes_max: int
    others: tuple[bytes, ...] = ()
    """Other secrets by which a peer may prove itself."""
    oldest: int = OLDEST
    newest: int = NEWEST

    def __repr__(self) -> str:
        """Without the secret, since reprs end up in tracebacks and logs."""
        return f"LinkIdentity({self.cluster!r}, {self.endpoint!r}, boot={self.boot:x})"


class Hello(Struct, frozen=True):
    """What a process announces about itself."""

    boot: int
    endpoint: str
    frame_bytes_max: int
    """The longest frame that this side will read."""
    oldest: int
    newest: int


def protocols(cluster: str) -> list[str]:
    """The names of what is spoken inside TLS, from the narrowest to the one that every version has."""
    digest = hashlib.blake2b(cluster.encode(), digest_size=16, person=b"fleet-cluster").hexdigest()
    return [f"fleet/{GREETING}/{digest}", f"fleet/{GREETING}", "fleet"]


def is_about_versions(reason: str) -> bool:
    return reason.partition(":")[0] == WRONG_VERSION


def mismatch(agreed: str | None, cluster: str) -> str:
    """What the peer is, going by the name that TLS has agreed on; "" for a process of this cluster."""
    reasons = dict(zip(protocols(cluster), ("", WRONG_CLUSTER, WRONG_VERSION), strict=True))
    return reasons.get(agreed or "", NOT_FLEET)


def _frame(body: bytes) -> bytes:
    return LENGTH.pack(len(body)) + body


def _hello(me: LinkIdentity) -> bytes:
    endpoint = me.endpoint.encode()
    about = (me.boot, me.frame_bytes_max, me.oldest, me.newest, len(endpoint), endpoint)
    return _HELLO.pack(os.urandom(_NONCE_BYTES), *about)


def _read_hello(data: bytes) -> Hello:
    """Raises Refused for bytes that are no Hello."""
    if len(data) != _HELLO.size:
        raise Refused(NOT_FLEET)
    _, boot, frame_bytes_max, oldest, newest, length, padded = _HELLO.unpack(data)
    endpoint = padded[:length]
    if not 0 < boot < 2**63 or frame_bytes_max < FRAME_BYTES_MIN or length > ENDPOINT_BYTES_MAX:
        raise Refused(NOT_FLEET)
    if not 0 < oldest <= newest:
        raise Refused(NOT_FLEET)
    try:
        return Hello(boot, endpoint.decode(), frame_bytes_max, oldest, newest)
    except UnicodeDecodeError:
        raise Refused(NOT_FLEET) from None


class _Side:
    """`channel` names the two certificates. `proved_by`: the secret of the peer, once it has proved that."""

    __slots__ = ("proved_by", "_me", "_channel", "_hello")

    def __init__(self, me: LinkIdentity, channel: bytes) -> None:
        self.proved_by = b""
        self._me = me
        self._channel = channel
        self._hello = _hello(me)

    def _proof(self, secret: bytes, role: bytes, connecting: bytes, accepting: bytes) -> bytes:
        me = self._me
        parts = (b"fleet", bytes([GREETING]), role, me.cluster.encode(), connecting, accepting, self._channel)
        return hmac.digest(secret, b"".join(LENGTH.pack(len(part)) + part for part in parts), "sha256")

    def _check(self, proof: bytes, role: bytes, connecting: bytes, accepting: bytes) -> None:
        for secret in (self._me.secret, *self._me.others):
            if hmac.compare_digest(proof, self._proof(secret, role, connecting, accepting)):
                self.proved_by = secret
                return
        raise Refused(WRONG_SECRET)

    def version(self, theirs: Hello) -> int:
        """Which this link speaks. Raises Refused: there is none that both sides speak."""
        me = self._me
        version = newest_common((me.oldest, me.newest), (theirs.oldest, theirs.newest))
        if version is None:
            older = "there" if theirs.newest < me.oldest else "here"
            it, this = spoken(theirs.oldest, theirs.newest), spoken(me.oldest, me.newest)
            what = f"it speaks {it}, and this process {this}"
            raise Refused(f"{WRONG_VERSION}: {what}; install a newer release {older}")
        return version


class Connector(_Side):
    """The dialling side: send `greeting`, then pass the peer's one frame to `answered`."""

    __slots__ = ("greeting",)

    def __init__(self, me: LinkIdentity, channel: bytes) -> None:
        super().__init__(me, channel)
        self.greeting = _frame(self._hello)

    def answered(self, frame: bytes) -> tuple[Hello, bytes]:
        """The proven peer, and the confirmation to send. Raises Refused, also if the versions do not fit."""
        if len(frame) != _ANSWER.size:
            raise Refused(NOT_FLEET)
        theirs, proof = _ANSWER.unpack(frame)
        hello = _read_hello(theirs)
        self._check(proof, b"acceptor", self._hello, theirs)
        self.version(hello)
        proof = self._proof(self._me.secret, b"connector", self._hello, theirs)
        return hello, _frame(_CONFIRMATION.pack(proof))


class Acceptor(_Side):
    """The listening side: pass the peer's first frame to `greeted`, send what that returns, and go on with
    `check_versions`; pass the second frame to `admitted`."""

    __slots__ = ("_theirs", "_peer")

    def __init__(self, me: LinkIdentity, channel: bytes) -> None:
        super().__init__(me, channel)
        self._theirs = b""
        self._peer: Hello | None = None

    def is_greeted(self) -> bool:
        return self._peer is not None

    def greeted(self, frame: bytes) -> bytes:
        """The answer to send. Raises Refused."""
        self._peer = _read_hello(frame)
        self._theirs = frame
        proof = self._proof(self._me.secret, b"acceptor", frame, self._hello)
        return _frame(_ANSWER.pack(self._hello, proof))

    def check_versions(self) -> None:
        """Raises Refused: there is no version that both sides speak."""
        assert self._peer is not None
        self.version(self._peer)

    def admitted(self, frame: bytes) -> Hello:
        """The proven peer. Raises Refused."""
        assert self._peer is not None
        if len(frame) != _CONFIRMATION.size:
            raise Refused(NOT_FLEET)
        self._check(frame, b"connector", self._theirs, self._hello)
        return self._peer
