"""A secret is replaced while links are up, by real sockets on loopback."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from fleet.actors.base import remote_address, secret_changes
from fleet.actors.base.keyring import Keyring
from fleet.actors.base.link import PROVING, UP
from fleet.actors.base.secret_changes import SecretChanges
from tests.actors.base.helpers import WAIT_S, Echo
from tests.actors.base.sockets import Start, reasons
from tests.support.waiting import eventually

OLD, NEW = b"the secret that everybody has had", b"the secret that everybody will have"


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secret_changes, "REREAD_S", 0.02)


def links(*systems: Any) -> list[int]:
    return [system.base.stats()["links_up"] for system in systems]


@pytest.mark.parametrize(
    ("one", "other"),
    [([OLD, NEW], [NEW, OLD]), ([OLD], [NEW, OLD]), ([NEW], [OLD, NEW]), ([NEW, OLD], [NEW])],
)
def test_processes_meet_that_know_the_secret_which_the_other_shows(
    start: Start, one: list[bytes], other: list[bytes]
) -> None:
    """Unless each knows what the other shows: the rotation's first step ends before the second begins."""
    node, client = start(secret=Keyring(one)), start(listen=None, secret=Keyring(other))
    node.createActor(Echo, globalName="echo")
    if one[0] in other and other[0] in one:
        assert client.ask(remote_address(node.base.endpoint, "echo"), "hello", WAIT_S) == "hello"
    else:
        client.tell(remote_address(node.base.endpoint, "echo"), "hello")
        eventually(lambda: reasons(client) == ["wrong secret"])


def test_a_secret_is_replaced_without_a_restart_and_the_former_one_is_cut_off(start: Start) -> None:
    rings = [Keyring([OLD]), Keyring([OLD])]
    node, client = start(secret=rings[0]), start(listen=None, secret=rings[1])
    late = start(listen=None, secret=Keyring([OLD]))
    echo = node.createActor(Echo, globalName="echo")
    for system in (client, late):
        assert system.ask(remote_address(node.base.endpoint, "echo"), "hello", WAIT_S) == "hello"
    for accepted in ([OLD, NEW], [NEW, OLD]):
        for ring in rings:
            ring.accepted = tuple(accepted)
        for system in (client, late):
            assert system.ask(echo, "again", WAIT_S) == "again"  # the links stay
    newcomer = start(listen=None, secret=Keyring([NEW]))
    assert newcomer.ask(echo, "hello", WAIT_S) == "hello"
    newcomer.shutdown()
    eventually(lambda: links(node) == [2])
    for ring in rings:
        ring.accepted = (NEW,)
    eventually(lambda: links(node, late) == [0, 0])  # both links were made with the former one
    eventually(lambda: client.ask(remote_address(node.base.endpoint, "echo"), "new", 1.0) == "new")

    def is_refused() -> bool:
        """A message that comes right after the loss of a link is dropped, and nothing is dialled for it."""
        late.tell(remote_address(node.base.endpoint, "echo"), "late")
        return reasons(late) == ["wrong secret"]

    eventually(is_refused)
    assert links(node, late) == [1, 0]


def test_a_source_that_cannot_be_read_leaves_everything_as_it_was(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Keyring):
        def reread(self) -> str:
            return "it is a directory by now"

    node, client = start(secret=Broken([OLD])), start(listen=None, secret=Keyring([OLD]))
    node.createActor(Echo, globalName="echo")
    eventually(lambda: "it is a directory by now" in caplog.text)
    assert client.ask(remote_address(node.base.endpoint, "echo"), "hello", WAIT_S) == "hello"
    assert caplog.text.count("it is a directory by now") == 1


def test_a_handshake_that_ends_after_the_former_secret_is_cut_off_is_cut_off_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It began before, and so the link was up by a secret that nobody looked at again."""
    due: list[Callable[[], None]] = []
    monkeypatch.setattr(secret_changes, "begin", lambda act: act() or True)
    reactor = SimpleNamespace(
        now=lambda: 0.0, call_at=lambda when, act: due.append(act), post=lambda act: act()
    )
    link = SimpleNamespace(stage=PROVING, proved_by=b"", limited=None)
    ring, closed = Keyring([NEW, OLD]), list[tuple[Any, str]]()
    changes: Any = SecretChanges
    changes(reactor, ring, [link], lambda link, why: closed.append((link, why))).begin()
    ring.take([NEW])
    due.pop()()
    assert closed == []
    link.stage, link.proved_by = UP, OLD
    due.pop()()
    assert closed == [(link, "wrong secret")]
