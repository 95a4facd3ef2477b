"""What a role secret opens, and what it does not, as bytes without sockets."""

import ssl
from time import time
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from fleet.actors.base.certificates import DAY_S, Authority, Leaf, leaf_of, rights_of
from fleet.actors.base.handshake import (
    NOT_A_NODE,
    OUT_OF_DATE,
    WRONG_CLUSTER,
    WRONG_SECRET,
    Acceptor,
    Connector,
    LinkIdentity,
    Refused,
)
from fleet.actors.base.keyring import Keyring
from fleet.actors.base.role_secrets import (
    FOREVER,
    Limited,
    derive,
    limited_peer,
    proof_key,
    proof_keys,
    read_role_secret,
)
from fleet.actors.base.tls import Credentials, TlsStream
from fleet.actors.base.wire import LENGTH
from fleet.errors import ConfigError
from tests.actors.base.test_tls import Pair

SECRET, FORMER = b"the secret of these tests, long enough", b"the secret that was there before it"
RIGHTS = b"may do this"
ROLE = derive(SECRET, RIGHTS)


def holder(*lines: bytes) -> Credentials:
    return Credentials("blue", Keyring(lines))


NODE = holder(SECRET)


def body(frame: bytes) -> bytes:
    return frame[LENGTH.size :]


def opened(dialling: Credentials, accepting: Credentials) -> tuple[Limited | None, Acceptor, Connector]:
    """TLS and both proofs, as a link does it. Raises Refused."""
    pair = Pair(dialling, accepting).shake()
    if pair.reasons != ["", ""]:
        raise Refused(pair.reasons[0] or pair.reasons[1])
    mine, theirs = pair.sides
    assert mine.binding() == theirs.binding()
    mine.check_is_node()
    limited = accepting.limited(theirs)
    connector = Connector(dialling.identity(5, "", 1 << 20), mine.binding())
    acceptor = Acceptor(accepting.identity(6, "here:1", 1 << 20, limited), theirs.binding())
    _, confirmation = connector.answered(body(acceptor.greeted(body(connector.greeting))))
    acceptor.admitted(body(confirmation))
    return limited, acceptor, connector


def refusal(dialling: Credentials, accepting: Credentials) -> str:
    with pytest.raises(Refused) as refused:
        opened(dialling, accepting)
    return refused.value.reason


def test_a_role_secret_opens_a_link_to_a_node_which_knows_its_rights() -> None:
    limited, acceptor, _ = opened(holder(ROLE), NODE)
    assert limited is not None and (limited.rights, limited.secret) == (RIGHTS, SECRET)
    assert limited.until == FOREVER and acceptor.proved_by == limited.proof_key
    assert opened(NODE, NODE)[0] is None


def test_nobody_with_a_role_passes_for_a_node() -> None:
    """To nodes, to others with a role, and to those with the very same role secret."""
    for dialling in (NODE, holder(ROLE), holder(derive(SECRET, RIGHTS))):
        assert refusal(dialling, holder(ROLE)) == NOT_A_NODE


def without_usage(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A role secret whose certificate is not for TLS clients only."""
    add = x509.CertificateBuilder.add_extension

    def leave_out(builder: Any, extension: Any, critical: bool) -> Any:
        is_usage = isinstance(extension, x509.ExtendedKeyUsage)
        return builder if is_usage else add(builder, extension, critical)

    with monkeypatch.context() as patched:
        patched.setattr(x509.CertificateBuilder, "add_extension", leave_out)
        return derive(SECRET, RIGHTS)


def test_it_is_the_rights_in_a_certificate_too_by_which_it_is_no_node(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    line = without_usage(monkeypatch)
    pair = Pair(NODE, holder(line)).shake()
    assert pair.sides[0].is_open, "TLS has nothing against it"
    with pytest.raises(Refused) as refused:
        pair.sides[0].check_is_node()
    assert refused.value.reason == NOT_A_NODE


def test_the_cluster_secret_is_not_proved_by_a_role_secret_nor_another_role() -> None:
    """Downgrade: whatever a peer says of itself, it is its certificate that decides."""
    for key in (SECRET, *proof_keys([derive(SECRET, RIGHTS)])):
        pair = Pair(holder(ROLE), NODE).shake()
        mine, theirs = pair.sides
        limited = NODE.limited(theirs)
        assert limited is not None
        connector = Connector(LinkIdentity("blue", key, 5, "", 1 << 20), mine.binding())
        acceptor = Acceptor(NODE.identity(6, "here:1", 1 << 20, limited), theirs.binding())
        answer = body(acceptor.greeted(body(connector.greeting)))
        confirmation = connector._proof(key, b"connector", connector._hello, answer[:-32])
        with pytest.raises(Refused):
            acceptor.admitted(confirmation)


def showing(leaf: Leaf) -> Credentials:
    """Who shows this certificate, and has the rest of a role secret."""
    found = holder(ROLE)
    context = found._context(leaf, read_role_secret(ROLE).authority, ssl.PROTOCOL_TLS_CLIENT)
    found._contexts, found._own = (context, found._contexts[1]), {context: leaf.certificate}
    return found


def test_a_certificate_without_rights_but_without_the_secret_proves_nothing() -> None:
    """Somebody has read the certificate of a node and its key, say from its memory."""
    assert refusal(showing(Authority(SECRET).leaf(time())), NODE) == WRONG_SECRET


def changed(at: int) -> Leaf | None:
    """ROLE's with a bit of its certificate changed; None: it is none any more, or not for its key."""
    found = read_role_secret(ROLE)
    certificate = bytearray(found.certificate)
    certificate[at] ^= 1
    try:
        rights_of(bytes(certificate))
        return leaf_of(bytes(certificate), found.key)
    except Exception:  # of many kinds, by what the bit stood for
        return None


def test_rights_that_were_changed_are_of_no_authority() -> None:
    certificate = read_role_secret(ROLE).certificate
    begin = certificate.index(RIGHTS)
    for at in range(begin, begin + len(RIGHTS)):
        leaf = changed(at)
        assert leaf is not None and rights_of(leaf.certificate) != RIGHTS
        assert refusal(showing(leaf), NODE) == WRONG_SECRET
        with pytest.raises(ValueError, match="no authority"):
            limited_peer(leaf.certificate, [(SECRET, Authority(SECRET))])


def test_nothing_in_a_certificate_can_be_changed() -> None:
    """Nor that it has rights at all: one without them would be that of a node."""
    tried = 0
    for at in range(len(read_role_secret(ROLE).certificate)):
        leaf = changed(at)
        if leaf is not None and (rights_of(leaf.certificate) is None or at % 4 == 0):
            try:
                dialling = showing(leaf)
            except ssl.SSLError:
                continue
            assert refusal(dialling, NODE)
            tried += 1
    assert tried > 20


def test_a_role_secret_is_no_authority() -> None:
    """Its key signs a certificate without rights; nobody takes it, with the chain or without."""
    role = read_role_secret(ROLE)
    forged = Authority(SECRET)
    forged._key = Ed25519PrivateKey.from_private_bytes(role.key)
    forged._name = x509.load_der_x509_certificate(role.certificate).subject
    leaf = forged.leaf(time())
    between = x509.load_der_x509_certificate(role.certificate).public_bytes(Encoding.PEM)
    for pem in (leaf.pem, leaf.pem + between):
        assert refusal(showing(Leaf(leaf.certificate, pem)), NODE) == WRONG_SECRET


def test_a_role_secret_of_another_cluster_or_secret_opens_nothing() -> None:
    assert refusal(holder(derive(FORMER, RIGHTS)), NODE) == WRONG_SECRET
    assert refusal(Credentials("green", Keyring([ROLE])), NODE) == WRONG_CLUSTER


def test_a_role_secret_ends_when_it_was_said_to() -> None:
    assert refusal(holder(derive(SECRET, RIGHTS, time() - 2)), NODE) == OUT_OF_DATE
    until = round(time() + DAY_S)
    limited, *_ = opened(holder(derive(SECRET, RIGHTS, until)), NODE)
    assert limited is not None and limited.until == until
    assert not limited.has_ended(until) and limited.has_ended(until + 1)


@pytest.mark.parametrize(
    ("lines", "accepted", "reason"),
    [
        ([derive(FORMER, RIGHTS)], [SECRET, FORMER], ""),
        ([derive(FORMER, RIGHTS)], [FORMER, SECRET], ""),
        ([ROLE], [FORMER, SECRET], ""),
        ([derive(FORMER, RIGHTS), ROLE], [FORMER], ""),
        ([derive(FORMER, RIGHTS)], [SECRET], WRONG_SECRET),
    ],
)
def test_a_role_secret_is_good_as_long_as_nodes_accept_its_secret(
    lines: list[bytes], accepted: list[bytes], reason: str
) -> None:
    """Also when they show another one by now: nobody has to be quick."""
    if reason:
        assert refusal(holder(*lines), holder(*accepted)) == reason
    else:
        limited, *_ = opened(holder(*lines), holder(*accepted))
        assert limited is not None and limited.secret in accepted


def test_a_secret_that_was_retired_during_the_handshake_is_not_accepted() -> None:
    node = holder(SECRET, FORMER)
    pair = Pair(holder(derive(FORMER, RIGHTS)), node).shake()
    node.keyring.accepted = (SECRET,)
    with pytest.raises(Refused) as refused:
        node.limited(pair.sides[1])
    assert refused.value.reason == WRONG_SECRET


def test_each_role_secret_has_keys_of_its_own() -> None:
    one, other = read_role_secret(ROLE), read_role_secret(derive(SECRET, RIGHTS))
    assert one.key != other.key and one.proof_key != other.proof_key and one.authority == other.authority
    assert one.proof_key == proof_key(SECRET, one.certificate) != proof_key(FORMER, one.certificate)


def test_no_key_is_in_a_repr() -> None:
    role = read_role_secret(ROLE)
    limited = limited_peer(role.certificate, [(SECRET, Authority(SECRET))])
    shown = repr([role, limited, holder(ROLE).keyring])
    for key in (role.key, role.proof_key, SECRET):
        assert repr(key)[2:-1][:12] not in shown and key.hex() not in shown


@pytest.mark.parametrize("at", [0, 20, 200, -3])
def test_a_role_secret_that_was_cut_or_changed_says_so(at: int) -> None:
    broken = [ROLE[:at] if at > 0 else ROLE[:13], ROLE[: at + 13] + b"!!" + ROLE[at + 15 :]]
    for line in broken:
        if line.startswith(b"fleet-role-1:"):
            with pytest.raises(ConfigError, match="derive another"):
                read_role_secret(line)


def test_tls_of_a_role_is_as_new_as_any() -> None:
    pair = Pair(holder(ROLE), NODE).shake()
    stream: TlsStream = pair.sides[0]
    assert stream._tls.version() == "TLSv1.3"
