"""Certificates that nobody has to manage: whoever knows the cluster secret can make and check them.

The secret yields the key of an authority (Ed25519, by HKDF), the same in every process of the cluster. With
it each process certifies a throwaway key of its own, which never leaves its memory.

A process's certificate is valid from VALID_S before it was made until VALID_S after, and another one is made
for the first link after RENEW_S. So the clocks of two hosts may differ by up to VALID_S - RENEW_S, and a key
that somebody has read from the memory of a process is worth nothing after VALID_S.

A process with a role secret (role_secrets.py) shows a certificate that was made once, with that secret: it
says what the process may do, and is valid for TLS clients only.
"""

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from msgspec import Struct

DAY_S = 86_400.0
VALID_S = 30 * DAY_S
RENEW_S = DAY_S
_KEY_BYTES = 32
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ALWAYS = (datetime(1970, 1, 1), datetime(9999, 12, 31, 23, 59, 59))
"""The authority's certificate is the same in every process, so it cannot begin when it is made."""
_RIGHTS = x509.ObjectIdentifier("2.25.279719999186892654950576812826885751027")
"""The extension that says what a role secret is good for. A number by chance, which needs no registry."""


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
        return _leaf(certificate, key)

    def role(self, rights: bytes, until: float) -> tuple[bytes, bytes]:
        """A certificate (DER) of who has these rights until then, and its private key. `until`: seconds since
        1970; 0: for ever."""
        key = Ed25519PrivateKey.generate()
        begin, end = _ALWAYS
        if until:
            end = (_EPOCH + timedelta(seconds=until)).replace(tzinfo=None)
        number = x509.random_serial_number()
        builder = _builder(_name("fleet role"), key.public_key(), number, begin, end)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(usage, critical=True).add_extension(issuer, critical=False)
        builder = builder.add_extension(x509.UnrecognizedExtension(_RIGHTS, rights), critical=False)
        certificate = self._signed(builder)
        return certificate.public_bytes(Encoding.DER), key.private_bytes_raw()

    def has_signed(self, certificate: bytes) -> bool:
        read = x509.load_der_x509_certificate(certificate)
        try:
            self._key.public_key().verify(read.signature, read.tbs_certificate_bytes)
        except InvalidSignature:
            return False
        return True

    def _signed(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        return builder.issuer_name(self._name).sign(self._key, None)


def rights_of(certificate: bytes) -> bytes | None:
    """What a role's certificate (DER) is good for; None: it is not one of a role. Raises ValueError."""
    extensions = x509.load_der_x509_certificate(certificate).extensions
    found = [one.value for one in extensions if one.oid == _RIGHTS]
    return found[0].value if found else None


def ends_at(certificate: bytes) -> float:
    """Seconds since 1970; 0: it does not end. Raises ValueError."""
    end = x509.load_der_x509_certificate(certificate).not_valid_after_utc
    return 0.0 if end.year == _ALWAYS[1].year else end.timestamp()


def leaf_of(certificate: bytes, key: bytes) -> Leaf:
    """The certificate (DER) with its private key. Raises ValueError."""
    read, private = x509.load_der_x509_certificate(certificate), Ed25519PrivateKey.from_private_bytes(key)
    if read.public_key() != private.public_key():
        raise ValueError("the key is another one's")
    return _leaf(read, private)


def _leaf(certificate: x509.Certificate, key: Ed25519PrivateKey) -> Leaf:
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Leaf(certificate.public_bytes(Encoding.DER), private + certificate.public_bytes(Encoding.PEM))


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(
    subject: x509.Name, key: Ed25519PublicKey, number: int, begin: datetime, end: datetime
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).public_key(key).serial_number(number)
    return builder.not_valid_before(begin).not_valid_after(end)
