"""Links of peers with a role secret. Real sockets on loopback."""

import logging
import ssl
from hashlib import sha256
from time import time
from typing import Any

import pytest
from thespian.actors import PoisonMessage

from fleet.actors.base import remote_address, secret_changes
from fleet.actors.base.handshake import Connector, LinkIdentity
from fleet.actors.base.keyring import Keyring
from fleet.actors.base.limited import Gate, Verdict
from fleet.actors.base.role_secrets import Limited, derive, read_role_secret
from fleet.errors import ConfigError
from tests.actors.base.helpers import CLUSTER, SECRET, WAIT_S, Echo, Recorder
from tests.actors.base.sockets import Start, context, dial, frame, is_closed, join, read_frame
from tests.support.waiting import eventually

ROLE = derive(SECRET, b"all but secrets")


class Judge:
    """Lets everything pass but "secret", which it answers, and "evil"."""

    def __init__(self, limited: Limited) -> None:
        self.rights = limited.rights.decode()

    def begin_frame(self) -> None:
        pass

    def __call__(self, dst: Any, sender: Any, message: Any) -> Verdict:
        assert message != "evil"
        return Verdict(None, f"not for {self.rights}") if message == "secret" else Verdict(message)


def admit(limited: Limited) -> Gate:
    return Judge(limited)


def join_limited(
    endpoint: str, boot: int = 4711, claimed: str = "", role: bytes = ROLE
) -> tuple[ssl.SSLSocket, bytes]:
    """A link made by hand with a role secret, and what the node has said last."""
    found = read_role_secret(role)
    sock = context(SECRET, found.leaf()).wrap_socket(dial(endpoint))
    theirs = sock.getpeercert(True)
    assert theirs is not None
    binding = sha256(found.certificate).digest() + sha256(theirs).digest()
    connector = Connector(LinkIdentity(CLUSTER, found.proof_key, boot, claimed, 1 << 20), binding)
    sock.sendall(connector.greeting)
    sock.sendall(connector.answered(read_frame(sock))[1])
    return sock, binding


def test_what_a_limited_peer_sends_is_judged_and_answered(start: Start) -> None:
    node, client = start(admit=admit), start(listen=None, secret=Keyring([ROLE]))
    node.createActor(Echo, globalName="echo")
    echo = remote_address(node.base.endpoint, "echo")
    assert client.ask(echo, "hello", WAIT_S) == "hello"
    assert client.ask(echo, "secret", WAIT_S) == "not for all but secrets"
    whole = start(listen=None)
    assert whole.ask(echo, "secret", WAIT_S) == "secret", "whoever has the secret is not judged"


def test_a_message_that_makes_the_gate_raise_ends_its_link_only(start: Start) -> None:
    node, client = start(admit=admit), start(listen=None, secret=Keyring([ROLE]))
    node.createActor(Echo, globalName="echo")
    echo = remote_address(node.base.endpoint, "echo")
    assert client.ask(echo, "hello", WAIT_S) == "hello"
    client.tell(echo, "evil")
    eventually(lambda: node.base.stats().get("bad_frames") == 1)
    eventually(lambda: client.ask(echo, "hello again", 1.0) == "hello again")


def test_a_process_that_has_no_gates_takes_no_peers_with_roles(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    node, client = start(), start(listen=None, secret=Keyring([ROLE]))
    node.createActor(Echo, globalName="echo")
    client.tell(remote_address(node.base.endpoint, "echo"), "hello")
    eventually(lambda: "roles are not accepted here" in caplog.text)
    assert node.base.stats()["links_up"] == 0


def test_a_process_with_a_role_does_not_listen(start: Start) -> None:
    with pytest.raises(ConfigError, match="a node needs the cluster's secret itself"):
        start(secret=Keyring([ROLE]))
    with pytest.raises(ConfigError):
        start(secret=Keyring([SECRET, ROLE]))


def test_nobody_with_a_role_passes_for_another_process(start: Start) -> None:
    """By the boot id of the node itself, of a client, of another role, or as one that listens."""
    node = start(admit=admit)
    recorder, whole = node.createActor(Recorder), start(listen=None)
    echo = remote_address(node.base.endpoint, "echo")
    node.createActor(Echo, globalName="echo")
    assert whole.ask(echo, "hello", WAIT_S) == "hello"
    first, _ = join_limited(node.base.endpoint, 99)
    eventually(lambda: node.base.stats()["links_up"] == 2)
    other = derive(SECRET, b"all but secrets")
    for boot, claimed, role in (
        (node.base.boot, "", ROLE),
        (whole.base.boot, "", ROLE),
        (99, "", other),
        (4711, "elsewhere:7400", ROLE),
        (4711, node.base.endpoint, ROLE),
    ):
        sock, _ = join_limited(node.base.endpoint, boot, claimed, role)
        with sock:
            assert is_closed(sock)
    assert node.base.stats()["links_up"] == 2
    assert whole.ask(echo, "still mine", WAIT_S) == "still mine"
    again, _ = join_limited(node.base.endpoint, 99)  # the same one dials again
    mine = join(node.base.endpoint, 99)  # who has the secret takes what is his
    eventually(lambda: node.base.stats()["links_up"] == 4)
    for sock in (first, again, mine):
        sock.close()
    del recorder


def test_poison_of_a_limited_peer_is_dropped(start: Start) -> None:
    node = start(admit=admit)
    recorder = node.createActor(Recorder, globalName="recorder")
    sock, _ = join_limited(node.base.endpoint)
    with sock:
        poison = ["recorder", 1, -3, [-2, "hello", "why"]]
        sock.sendall(frame(poison, ["recorder", 1, -2, "after"]))
        eventually(lambda: "after" in node.ask(recorder, "what?", WAIT_S))
    seen = node.ask(recorder, "what?", WAIT_S)
    assert not [message for message in seen if isinstance(message, PoisonMessage)]


def test_a_role_secret_that_ends_ends_its_links(
    start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(secret_changes, "REREAD_S", 0.02)
    node = start(admit=admit)
    role = derive(SECRET, b"all but secrets", round(time() + 3600))
    client = start(listen=None, secret=Keyring([role]))
    node.createActor(Echo, globalName="echo")
    assert client.ask(remote_address(node.base.endpoint, "echo"), "hello", WAIT_S) == "hello"
    caplog.set_level(logging.INFO, logger="fleet.base")
    monkeypatch.setattr(secret_changes, "time", lambda: time() + 3700)
    eventually(lambda: node.base.stats()["links_up"] == 0)
    assert "certificate out of date" in caplog.text


def test_the_links_of_a_role_end_with_its_secret(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secret_changes, "REREAD_S", 0.02)
    newer = b"another secret for these tests"
    ring, held = Keyring([SECRET]), Keyring([ROLE])
    node, client = start(admit=admit, secret=ring), start(listen=None, secret=held)
    node.createActor(Echo, globalName="echo")
    echo = remote_address(node.base.endpoint, "echo")
    assert client.ask(echo, "hello", WAIT_S) == "hello"
    for accepted in ([SECRET, newer], [newer, SECRET]):
        ring.accepted = tuple(accepted)
        late = start(listen=None, secret=Keyring([ROLE]))
        assert late.ask(echo, "hello", WAIT_S) == "hello"
        assert client.ask(echo, "hello", WAIT_S) == "hello"
    ring.accepted = (newer,)
    eventually(lambda: node.base.stats()["links_up"] == 0)
    held.accepted = (derive(newer, b"all but secrets"),)
    eventually(lambda: client.ask(echo, "back", 1.0) == "back")
