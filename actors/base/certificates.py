"""Certificates that nobody has to manage: whoever knows the cluster secret can make and check them.

The secret yields the key of an authority (Ed25519, by HKDF), the same in every process of the cluster. With
it each process certifies a throwaway key of its own, which never leaves its memory.

A process's certificate is valid from VALID_S before it was made until VALID_S after, and another one is made
for the first link after RENEW_S. So the clocks of two hosts may differ by up to VALID_S - RENEW_S, and a key
that somebody has read from the memory of a process is worth nothing after VALID_S.
"""

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from msgspec import Struct

DAY_S = 86_400.0
VALID_S = 30 * DAY_S
RENEW_S = DAY_S
_KEY_BYTES = 32
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ALWAYS = (datetime(1970, 1, 1), datetime(9999, 12, 31, 23, 59, 59))
"""The authority's certificate is the same in every process, so it cannot begin when it is made."""


class Leaf(Struct, frozen=True):
    """The certificate of one process (DER), and both it and its private key (PEM)."""

    certificate: bytes
    pem: bytes

    def __repr__(self) -> str:
        """Without the key, since reprs end up in tracebacks and logs."""
        return f"Leaf({len(self.certificate)} bytes)"


class Authority:
    """The cluster's authority. `certificate` is its own, as DER."""

    def __init__(self, secret: bytes) -> None:
        seed = HKDF(SHA256(), _KEY_BYTES, salt=None, info=b"fleet authority").derive(secret)
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self._name = _name("fleet")
        public = self._key.public_key()
        builder = _builder(self._name, public, 1, *_ALWAYS)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        self.certificate = self._signed(builder).public_bytes(Encoding.DER)

    def leaf(self, at: float, valid_s: float = VALID_S) -> Leaf:
        """A new key and its certificate, made at this moment (seconds since 1970)."""
        key = Ed25519PrivateKey.generate()
        made_at, valid = _EPOCH + timedelta(seconds=at), timedelta(seconds=valid_s)
        number = x509.random_serial_number()
        subject = _name("fleet process")
        builder = _builder(subject, key.public_key(), number, made_at - valid, made_at + valid)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        certificate = self._signed(builder.add_extension(issuer, critical=False))
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return Leaf(certificate.public_bytes(Encoding.DER), private + certificate.public_bytes(Encoding.PEM))

    def _signed(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        return builder.issuer_name(self._name).sign(self._key, None)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(
    subject: x509.Name, key: Ed25519PublicKey, number: int, begin: datetime, end: datetime
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).public_key(key).serial_number(number)
    return builder.not_valid_before(begin).not_valid_after(end)
