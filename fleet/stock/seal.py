"""Seals what processes of Thespian's TCP base say to each other: authenticated and encrypted, and opened
before anything is unpickled.

A sealed message is a header and the pickle, encrypted by ChaCha20-Poly1305 with the header as associated
data:

  version 1 | sending process 16 | number 8 | address that it is for: IPv4 4, port 2 | ciphertext | tag 16

The key is of the sending process: HKDF-SHA256 of the cluster's secret, with the cluster id, salted by the 16
random bytes that name the process. The number counts what the process has sealed, and is the nonce: none is
used twice with a key. Numbers from one process to another only grow, so a process refuses one that is not
above all that it has opened: a replay.

What this cannot refuse: a message that was held back or recorded, and never arrived, as long as no later one
of the same sender has; and one for a former process, if a new one listens at its port. A replay to another
process than the one it was for is refused. Thespian's acknowledgements are two fixed words, by which nobody
is proved: whoever can change what is on the way can drop a message and acknowledge it.
"""

import logging
import os
import pickle
import socket
import struct
import time
from collections.abc import Sequence
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec import Struct

from fleet.actors.base.rare_log import RareLog

log = logging.getLogger("fleet.stock")

VERSION: Final = 1
_HEADER = struct.Struct(">B16sQ4sH")
_NONCE = struct.Struct(">IQ")
_KEY_BYTES = 32
_SENDER_BYTES = 16
SENDERS_MAX: Final = 10_000
"""Sending processes whose last numbers are remembered. Of more, those heard of first are forgotten."""
ACCEPTED: Final = "ACK"
REFUSED: Final = "ACK+DATAERR"
"""Thespian's words for a message that did not arrive whole: it closes the connection and goes on."""

Place = tuple[str, int]
"""Where a process listens."""


class Unproved(Exception):
    """A message is not unpickled; the text says why."""


class _Sender(Struct):
    cipher: ChaCha20Poly1305
    last: int


class Seal:
    """Thespian's `serializer` of one process: `loads` takes what arrives, `dumps_for` makes what is sent.

    `secrets`: it seals with the first, and opens what was sealed with any of them. A forked process becomes a
    sender of its own.
    """

    def __init__(self, secrets: Sequence[bytes], cluster: str) -> None:
        self.places: set[bytes] = set()
        """Where this process listens: what is for another place is refused."""
        self._secrets = tuple(secrets)
        self._cluster = cluster
        self._rare_log = RareLog(log)
        self._begin()

    def __repr__(self) -> str:
        """Without the secrets, since reprs end up in tracebacks and logs."""
        return f"Seal({self._cluster!r})"

    def _begin(self) -> None:
        self._process = os.getpid()
        self._name = os.urandom(_SENDER_BYTES)
        self._cipher = self._cipher_of(self._secrets[0], self._name)
        self._number = 0
        self._senders: dict[bytes, _Sender] = {}
        self.places.clear()

    def listens_at(self, place: Place) -> None:
        self._check_process()
        self.places.add(_packed(place))

    def dumps_for(self, place: Place, message: Any) -> bytes:
        """Raises what pickling raises; nothing is counted then."""
        data = pickle.dumps(message)
        self._check_process()
        self._number += 1
        header = _HEADER.pack(VERSION, self._name, self._number, *_split(_packed(place)))
        return header + self._cipher.encrypt(_NONCE.pack(0, self._number), data, header)

    def dumps(self, message: Any) -> bytes:
        """Of an acknowledgement, whose text says it all; messages are sealed by `dumps_for`."""
        assert message in (ACCEPTED, REFUSED)
        return str(message).encode()

    def loads(self, data: bytes) -> Any:
        """The message; what cannot be proved is never unpickled, and reads as `REFUSED`."""
        if data in (ACCEPTED.encode(), REFUSED.encode()):
            return data.decode()
        self._check_process()
        try:
            opened = self._open(data)
        except Unproved as error:
            why = str(error)
            self._rare_log(time.monotonic(), "dropped", why, "a message is dropped: %s", why)
            return REFUSED
        return pickle.loads(opened)

    def _open(self, data: bytes) -> bytes:
        header = data[: _HEADER.size]
        if len(header) < _HEADER.size or header[0] != VERSION:
            raise Unproved("it is not sealed by this version of fleet")
        _, name, number, ip, port = _HEADER.unpack(header)
        if ip + port.to_bytes(2) not in self.places:
            raise Unproved("it is for another process")
        known = self._senders.get(name)
        ciphers = [known.cipher] if known else [self._cipher_of(secret, name) for secret in self._secrets]
        for cipher in ciphers:
            try:
                opened = cipher.decrypt(_NONCE.pack(0, number), data[_HEADER.size :], header)
            except InvalidTag:
                continue
            if known is None:
                known = self._remember(name, cipher)
            if number <= known.last:
                raise Unproved("it was received before")
            known.last = number
            return opened
        raise Unproved("its sender does not know the cluster's secret, or it was changed on the way")

    def _remember(self, name: bytes, cipher: ChaCha20Poly1305) -> _Sender:
        if len(self._senders) >= SENDERS_MAX:
            del self._senders[next(iter(self._senders))]
        self._senders[name] = _Sender(cipher, 0)
        return self._senders[name]

    def _check_process(self) -> None:
        """Two processes that count alike would use a nonce twice."""
        if self._process != os.getpid():
            self._begin()

    def _cipher_of(self, secret: bytes, name: bytes) -> ChaCha20Poly1305:
        info = b"fleet sealed messages\0" + self._cluster.encode()
        return ChaCha20Poly1305(HKDF(SHA256(), _KEY_BYTES, salt=name, info=info).derive(secret))


def _packed(place: Place) -> bytes:
    host, port = place
    return socket.inet_aton(host) + int(port).to_bytes(2)


def _split(packed: bytes) -> tuple[bytes, int]:
    return packed[:4], int.from_bytes(packed[4:])
