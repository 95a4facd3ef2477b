"""Who is there: both sides prove that they know the cluster secret before a message is decoded.

Acceptor                                     Connector
  Hello (cluster, nonce, boot, endpoint) ->
                                          <- Answer (its own Hello, proof over both)
  Verdict (proof over all of that, or why not) ->

Each proof is an HMAC-SHA256 over the side's role, the cluster id and both Hellos as they went over the
wire, so it holds for this pair of processes, these nonces, this version and this direction only: it
can neither be replayed nor reflected. The cluster id travels as a hash; it comes first, which lets a
connector tell a wrong address from a wrong secret. The reason in a Verdict is unproved: it may
explain a failure, and nothing else hangs on it. Frames after the handshake are neither encrypted nor
authenticated one by one; that is for TLS.

Pure: bytes in, bytes out.
"""

import hashlib
import hmac
import os

import msgspec
from msgspec import Struct

from fleet.actors.base.wire import LENGTH

VERSION = 1
HANDSHAKE_BYTES_MAX = 4096
_MAGIC = "fleet"
_NONCE_BYTES = 32
_ENDPOINT_MAX = 300

WRONG_SECRET = "wrong secret"
WRONG_CLUSTER = "wrong cluster id"
WRONG_VERSION = "wrong version"
NOT_FLEET = "not a fleet process"
_REASONS = frozenset((WRONG_SECRET, WRONG_CLUSTER, WRONG_VERSION, NOT_FLEET))


class Refused(Exception):
    """The handshake failed. `reply`: what to send before closing, if anything."""

    def __init__(self, reason: str, reply: bytes = b"") -> None:
        super().__init__(reason)
        self.reason = reason
        self.reply = reply


class Identity(Struct, frozen=True):
    """What this process shows and what it must be shown."""

    cluster: str
    secret: bytes
    boot: int
    endpoint: str
    frame_bytes_max: int


class Hello(Struct, frozen=True, array_like=True):
    magic: str
    version: int
    cluster: bytes
    nonce: bytes
    boot: int
    endpoint: str
    frame_bytes_max: int
    """The longest frame that this side will read."""


class Answer(Struct, frozen=True, array_like=True):
    hello: bytes
    proof: bytes


class Verdict(Struct, frozen=True, array_like=True):
    reason: str
    proof: bytes


class Version(Struct, frozen=True, array_like=True):
    """What every future Hello begins with."""

    magic: str
    version: int


def _frame(message: Struct) -> bytes:
    body = msgspec.msgpack.encode(message)
    return LENGTH.pack(len(body)) + body


def _cluster_hash(cluster: str) -> bytes:
    return hashlib.blake2b(cluster.encode(), digest_size=16, person=b"fleet-cluster").digest()


def _hello(me: Identity) -> bytes:
    nonce = os.urandom(_NONCE_BYTES)
    return msgspec.msgpack.encode(
        Hello(_MAGIC, VERSION, _cluster_hash(me.cluster), nonce, me.boot, me.endpoint, me.frame_bytes_max)
    )


def _read_hello(me: Identity, data: bytes) -> Hello:
    """Raises Refused when it is not from our version and cluster."""
    try:
        version = msgspec.msgpack.decode(data, type=Version)
        if version.magic != _MAGIC:
            raise Refused(NOT_FLEET)
        if version.version != VERSION:
            raise Refused(WRONG_VERSION)
        hello = msgspec.msgpack.decode(data, type=Hello)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise Refused(NOT_FLEET) from None
    if not hmac.compare_digest(hello.cluster, _cluster_hash(me.cluster)):
        raise Refused(WRONG_CLUSTER)
    if len(hello.nonce) != _NONCE_BYTES or not 0 < hello.boot < 2**63 or len(hello.endpoint) > _ENDPOINT_MAX:
        raise Refused(NOT_FLEET)
    if hello.frame_bytes_max < HANDSHAKE_BYTES_MAX:
        raise Refused(NOT_FLEET)
    return hello


def _proof(me: Identity, role: bytes, accepting: bytes, connecting: bytes) -> bytes:
    parts = (b"fleet", role, me.cluster.encode(), accepting, connecting)
    return hmac.digest(me.secret, b"".join(LENGTH.pack(len(part)) + part for part in parts), "sha256")


class Acceptor:
    """The listening side: send `greeting`, then give it the one frame that comes back."""

    __slots__ = ("greeting", "_me", "_hello")

    def __init__(self, me: Identity) -> None:
        self._me = me
        self._hello = _hello(me)
        self.greeting = LENGTH.pack(len(self._hello)) + self._hello

    def answered(self, frame: bytes) -> tuple[Hello, bytes]:
        """The proven peer, and the reply that lets it in. Raises Refused."""
        try:
            answer = msgspec.msgpack.decode(frame, type=Answer)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise Refused(NOT_FLEET) from None
        try:
            hello = _read_hello(self._me, answer.hello)
            expected = _proof(self._me, b"connector", self._hello, answer.hello)
            if not hmac.compare_digest(answer.proof, expected):
                raise Refused(WRONG_SECRET)
        except Refused as refused:
            raise Refused(refused.reason, _frame(Verdict(refused.reason, b""))) from None
        return hello, _frame(Verdict("", _proof(self._me, b"acceptor", self._hello, answer.hello)))


class Connector:
    """The side that dialled: `greeted` with the first frame, `admitted` with the second."""

    __slots__ = ("_me", "_hello", "_theirs", "_peer")

    def __init__(self, me: Identity) -> None:
        self._me = me
        self._hello = _hello(me)
        self._theirs = b""
        self._peer: Hello | None = None

    def is_greeted(self) -> bool:
        return self._peer is not None

    def greeted(self, frame: bytes) -> bytes:
        """What to send back. Raises Refused."""
        self._peer = _read_hello(self._me, frame)
        self._theirs = frame
        return _frame(Answer(self._hello, _proof(self._me, b"connector", frame, self._hello)))

    def admitted(self, frame: bytes) -> Hello:
        """The proven peer. Raises Refused."""
        assert self._peer is not None
        try:
            verdict = msgspec.msgpack.decode(frame, type=Verdict)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise Refused(NOT_FLEET) from None
        if verdict.reason:
            raise Refused(verdict.reason if verdict.reason in _REASONS else NOT_FLEET)
        if not hmac.compare_digest(verdict.proof, _proof(self._me, b"acceptor", self._theirs, self._hello)):
            raise Refused(WRONG_SECRET)
        return self._peer
