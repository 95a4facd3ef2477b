"""The handshake: both sides prove that they know the cluster secret before any message is decoded.

Acceptor                                     Connector
  Hello (cluster, nonce, boot, endpoint) ->
                                          <- Answer (its own Hello, proof over both)
  Verdict (proof over all of that, or why not) ->

Each of the three is a struct of fixed size: no general decoder sees bytes of an unproved peer. In every
version a Hello begins with the magic bytes and the version.

Each proof is an HMAC-SHA256 over the side's role, the cluster id and both Hellos as sent, so it is valid for
this pair of processes, these nonces, this version and this direction only: it can be neither replayed nor
reflected. The cluster id is sent as a hash; it is compared first, so that a connector can tell a wrong
address from a wrong secret. The reason in a Verdict is unproved: it only explains a failure. Frames after the
handshake are neither encrypted nor authenticated, and the proof is not bound to the connection: an attacker
between two processes can relay it.

Pure: bytes in, bytes out.
"""

import hashlib
import hmac
import os
import struct

from msgspec import Struct

from fleet.actors.base.addresses import ENDPOINT_BYTES_MAX
from fleet.actors.base.wire import LENGTH

VERSION = 2
_MAGIC = b"fleet"
_NONCE_BYTES = 32
_PROOF_BYTES = 32
_NO_PROOF = bytes(_PROOF_BYTES)
_FIRST = struct.Struct(">5sB")
"""Magic and version."""
_HELLO = struct.Struct(f">5sB16s{_NONCE_BYTES}sQIH{ENDPOINT_BYTES_MAX}s")
"""Magic, version, hash of the cluster id, nonce, boot id, longest frame, length of the endpoint, endpoint."""
_ANSWER = struct.Struct(f">{_HELLO.size}s{_PROOF_BYTES}s")
_VERDICT = struct.Struct(f">B{_PROOF_BYTES}s")
"""0 or the number of a reason, and the proof."""
HANDSHAKE_BYTES_MAX = _ANSWER.size
"""The longest frame before the peer has proved itself."""
FRAME_BYTES_MIN = 4096
"""The least that a peer must be able to read as one frame."""

WRONG_SECRET = "wrong secret"
WRONG_CLUSTER = "wrong cluster id"
WRONG_VERSION = "wrong version"
NOT_FLEET = "not a fleet process"
WRONG_ENDPOINT = "another endpoint"
_REASONS = ("", WRONG_SECRET, WRONG_CLUSTER, WRONG_VERSION, NOT_FLEET)


class Refused(Exception):
    """The handshake failed. `reply`: bytes to send before closing, or b""."""

    def __init__(self, reason: str, reply: bytes = b"") -> None:
        super().__init__(reason)
        self.reason = reason
        self.reply = reply


class LinkIdentity(Struct, frozen=True):
    """What this process presents, and the cluster id and secret that a peer must have."""

    cluster: str
    secret: bytes
    boot: int
    endpoint: str
    frame_bytes_max: int

    def __repr__(self) -> str:
        """Without the secret, since reprs end up in tracebacks and logs."""
        return f"LinkIdentity({self.cluster!r}, {self.endpoint!r}, boot={self.boot:x})"


class Hello(Struct, frozen=True):
    """What a process announces about itself."""

    boot: int
    endpoint: str
    frame_bytes_max: int
    """The longest frame that this side will read."""


def _frame(body: bytes) -> bytes:
    return LENGTH.pack(len(body)) + body


def _cluster_hash(cluster: str) -> bytes:
    return hashlib.blake2b(cluster.encode(), digest_size=16, person=b"fleet-cluster").digest()


def _hello(me: LinkIdentity) -> bytes:
    endpoint = me.endpoint.encode()
    return _HELLO.pack(
        _MAGIC,
        VERSION,
        _cluster_hash(me.cluster),
        os.urandom(_NONCE_BYTES),
        me.boot,
        me.frame_bytes_max,
        len(endpoint),
        endpoint,
    )


def _read_hello(me: LinkIdentity, data: bytes) -> Hello:
    """Raises Refused for another version, another cluster, or bytes that are no Hello."""
    if len(data) < _FIRST.size:
        raise Refused(NOT_FLEET)
    magic, version = _FIRST.unpack_from(data)
    if magic != _MAGIC:
        raise Refused(NOT_FLEET)
    if version != VERSION:
        raise Refused(WRONG_VERSION)
    if len(data) != _HELLO.size:
        raise Refused(NOT_FLEET)
    _, _, cluster, _, boot, frame_bytes_max, length, padded = _HELLO.unpack(data)
    if not hmac.compare_digest(cluster, _cluster_hash(me.cluster)):
        raise Refused(WRONG_CLUSTER)
    endpoint = padded[:length]
    if not 0 < boot < 2**63 or frame_bytes_max < FRAME_BYTES_MIN or length > ENDPOINT_BYTES_MAX:
        raise Refused(NOT_FLEET)
    try:
        return Hello(boot, endpoint.decode(), frame_bytes_max)
    except UnicodeDecodeError:
        raise Refused(NOT_FLEET) from None


def _proof(me: LinkIdentity, role: bytes, accepting: bytes, connecting: bytes) -> bytes:
    parts = (b"fleet", role, me.cluster.encode(), accepting, connecting)
    return hmac.digest(me.secret, b"".join(LENGTH.pack(len(part)) + part for part in parts), "sha256")


def _verdict(reason: str, proof: bytes = _NO_PROOF) -> bytes:
    return _frame(_VERDICT.pack(_REASONS.index(reason), proof))


class Acceptor:
    """The listening side: send `greeting`, then pass the peer's one frame to `answered`."""

    __slots__ = ("greeting", "_me", "_hello")

    def __init__(self, me: LinkIdentity) -> None:
        self._me = me
        self._hello = _hello(me)
        self.greeting = _frame(self._hello)

    def answered(self, frame: bytes) -> tuple[Hello, bytes]:
        """The proven peer, and the reply that admits it. Raises Refused."""
        try:
            return self._answered(frame)
        except Refused as refused:
            raise Refused(refused.reason, _verdict(refused.reason)) from None

    def _answered(self, frame: bytes) -> tuple[Hello, bytes]:
        if len(frame) != _ANSWER.size:
            # It may be of another version, in which a Hello comes first, too.
            _read_hello(self._me, frame)
            raise Refused(NOT_FLEET)
        theirs, proof = _ANSWER.unpack(frame)
        hello = _read_hello(self._me, theirs)
        if not hmac.compare_digest(proof, _proof(self._me, b"connector", self._hello, theirs)):
            raise Refused(WRONG_SECRET)
        return hello, _verdict("", _proof(self._me, b"acceptor", self._hello, theirs))


class Connector:
    """The dialling side: pass the peer's first frame to `greeted` and its second one to `admitted`."""

    __slots__ = ("_me", "_hello", "_theirs", "_peer")

    def __init__(self, me: LinkIdentity) -> None:
        self._me = me
        self._hello = _hello(me)
        self._theirs = b""
        self._peer: Hello | None = None

    def is_greeted(self) -> bool:
        return self._peer is not None

    def greeted(self, frame: bytes) -> bytes:
        """The reply to send. Raises Refused."""
        self._peer = _read_hello(self._me, frame)
        self._theirs = frame
        return _frame(_ANSWER.pack(self._hello, _proof(self._me, b"connector", frame, self._hello)))

    def admitted(self, frame: bytes) -> Hello:
        """The proven peer. Raises Refused."""
        assert self._peer is not None
        if len(frame) != _VERDICT.size:
            raise Refused(NOT_FLEET)
        reason, proof = _VERDICT.unpack(frame)
        if reason:
            raise Refused(_REASONS[reason] if reason < len(_REASONS) else NOT_FLEET)
        if not hmac.compare_digest(proof, _proof(self._me, b"acceptor", self._theirs, self._hello)):
            raise Refused(WRONG_SECRET)
        return self._peer
