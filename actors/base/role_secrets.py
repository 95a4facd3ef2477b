"""Role secrets: what a process has that may do some things only, in place of the cluster's secret.

One is derived from the cluster's secret and is of use to who has it alone: a key of its own; a certificate of
that key, in which the cluster's authority says what it is good for (its rights, which are bytes here); the
authority's certificate, to know nodes by; and a key for the proofs, which whoever has the cluster's secret
makes anew from the certificate. So nodes keep nothing of those that were derived, and all of them end
with the secret.

What follows from what:

- Rights cannot be changed, as the authority has signed them, nor can other certificates be made of this one.
- It opens no link as a node or as who has the secret: its certificate is one of TLS clients only, and says
  that it is of a role.
- Who has one knows a node from others who have one, also from one with the same: a node shows a certificate
  without rights, which only the secret can make.
"""

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence

import msgspec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec import Struct

from fleet.actors.base.certificates import Authority, Leaf, ends_at, leaf_of, rights_of
from fleet.errors import ConfigError

MARK = b"fleet-role-1:"
FOREVER = 0.0
_FINGERPRINT_BYTES = 6


class RoleSecret(Struct, frozen=True, array_like=True):
    certificate: bytes
    key: bytes
    """The private one of the certificate."""
    proof_key: bytes
    authority: bytes
    """Its certificate."""

    def __repr__(self) -> str:
        """Without keys, since reprs end up in tracebacks and logs."""
        return f"RoleSecret({fingerprint_of_role(self.certificate)})"

    def leaf(self) -> Leaf:
        return leaf_of(self.certificate, self.key)


class Limited(Struct, frozen=True):
    """A peer that has a role secret. `secret` is the cluster's, from which that was derived."""

    rights: bytes
    fingerprint: str
    until: float
    """Seconds since 1970; FOREVER: it does not end by itself."""
    secret: bytes
    proof_key: bytes

    def __repr__(self) -> str:
        return f"Limited({self.fingerprint})"

    def has_ended(self, now: float) -> bool:
        return self.until != FOREVER and now > self.until


def derive(secret: bytes, rights: bytes, until: float = FOREVER) -> bytes:
    """A new role secret, as a line of text. `until`: seconds since 1970."""
    authority = Authority(secret)
    certificate, key = authority.role(rights, until)
    found = RoleSecret(certificate, key, proof_key(secret, certificate), authority.certificate)
    return MARK + urlsafe_b64encode(msgspec.msgpack.encode(found))


def is_role_secret(line: bytes) -> bool:
    return line.startswith(MARK)


def read_role_secret(line: bytes) -> RoleSecret:
    """Raises ConfigError."""
    try:
        data = urlsafe_b64decode(line.removeprefix(MARK))
        found = msgspec.msgpack.decode(data, type=RoleSecret)
        rights = rights_of(found.certificate)
        found.leaf()
    except (ValueError, msgspec.MsgspecError) as error:
        raise ConfigError(f"a role secret that is damaged: {error}; derive another one") from None
    if rights is None:
        raise ConfigError("a role secret without a role; derive another one")
    return found


def proof_key(secret: bytes, certificate: bytes) -> bytes:
    """The key of the proofs of links with the process that shows this certificate."""
    info = b"fleet role " + hashlib.sha256(certificate).digest()
    return HKDF(SHA256(), 32, salt=None, info=info).derive(secret)


def proof_keys(accepted: Sequence[bytes]) -> tuple[bytes, ...]:
    """By what a process with these lines proves itself, and by what nodes may."""
    return tuple(read_role_secret(line).proof_key if is_role_secret(line) else line for line in accepted)


def fingerprint_of_role(certificate: bytes) -> str:
    """Names a role secret where it must not be seen: in logs of nodes."""
    return hashlib.blake2b(certificate, digest_size=_FINGERPRINT_BYTES, person=b"fleet-role").hexdigest()


def limited_peer(certificate: bytes, authorities: Sequence[tuple[bytes, Authority]]) -> Limited | None:
    """What a peer may do that has proved to TLS that this certificate is its own; None: it has no role, so it
    must prove that it knows the secret itself. `authorities` are those of the secrets.

    Raises:
        ValueError: a certificate of none of them.
    """
    rights = rights_of(certificate)
    if rights is None:
        return None
    for secret, authority in authorities:
        if authority.has_signed(certificate):
            fingerprint = fingerprint_of_role(certificate)
            key = proof_key(secret, certificate)
            return Limited(rights, fingerprint, ends_at(certificate), secret, key)
    raise ValueError("a certificate of no authority that is accepted here")
