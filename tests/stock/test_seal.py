"""What is not from a process of the cluster, for this process, and new is refused before it is unpickled."""

import logging
import os
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from fleet.stock.seal import REFUSED, Seal

HERE = ("127.0.0.1", 4001)
SECRET, OTHER = b"a secret of the tests, long enough", b"another secret, long enough as well"
unpickled: list[str] = []


class Loaded:
    """Says when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return note, ()


def note() -> None:
    unpickled.append("here")


@pytest.fixture(autouse=True)
def forget() -> None:
    unpickled.clear()


def seal(*secrets: bytes, cluster: str = "test") -> Seal:
    made = Seal(secrets or (SECRET,), cluster)
    made.listens_at(HERE)
    return made


def test_a_message_arrives_as_it_was_and_cannot_be_read_on_the_way() -> None:
    sealed = seal().dumps_for(HERE, ("who", b"what" * 100))
    assert b"what" not in sealed
    assert seal().loads(sealed) == ("who", b"what" * 100)


@pytest.mark.parametrize(
    "made",
    [
        lambda: pickle.dumps(Loaded()),
        lambda: seal(OTHER).dumps_for(HERE, Loaded()),
        lambda: seal(cluster="other").dumps_for(HERE, Loaded()),
        lambda: seal().dumps_for(("127.0.0.1", 4002), Loaded()),
        lambda: seal().dumps_for(("127.0.0.2", 4001), Loaded()),
        lambda: seal().dumps_for(HERE, Loaded())[:-1],
        lambda: b"",
        lambda: b"\x01",
    ],
    ids=["pickle", "secret", "cluster", "port", "host", "cut", "empty", "header"],
)
def test_nothing_else_is_unpickled(made: Callable[[], bytes]) -> None:
    assert seal().loads(made()) == REFUSED
    assert unpickled == []


def test_a_message_that_was_changed_in_any_place_is_refused() -> None:
    sealed, here = seal().dumps_for(HERE, Loaded()), seal()
    for place in range(len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1
        assert here.loads(bytes(changed)) == REFUSED, place
    assert unpickled == []
    here.loads(sealed)
    assert unpickled == ["here"]


def test_a_message_that_was_received_before_is_refused_and_so_is_an_older_one() -> None:
    sender, here = seal(), seal()
    first, second, third = (sender.dumps_for(HERE, number) for number in range(3))
    assert here.loads(first) == 0
    assert here.loads(bytes(bytearray(first))) == REFUSED
    assert here.loads(third) == 2
    assert here.loads(second) == REFUSED


def test_a_process_with_a_new_and_a_former_secret_understands_both() -> None:
    here = seal(OTHER, SECRET)
    assert here.loads(seal(SECRET).dumps_for(HERE, 1)) == 1
    assert here.loads(seal(OTHER).dumps_for(HERE, 2)) == 2
    assert seal(OTHER).loads(here.dumps_for(HERE, 3)) == 3


def test_a_forked_process_counts_as_a_sender_of_its_own() -> None:
    """Two that count alike would use a key and a nonce twice."""
    sender, here = seal(), seal()
    assert here.loads(sender.dumps_for(HERE, "parent")) == "parent"
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, sender.dumps_for(HERE, "child"))
        os._exit(0)
    os.waitpid(child, 0)
    of_parent, of_child = sender.dumps_for(HERE, "again"), os.read(reader, 1000)
    os.close(reader)
    os.close(writer)
    assert of_parent[1:17] != of_child[1:17]
    assert here.loads(of_child) == "child"
    assert here.loads(of_parent) == "again"


def test_a_thousand_refusals_are_one_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    here = seal()
    with caplog.at_level(logging.WARNING, "fleet.stock"):
        for _ in range(1000):
            here.loads(pickle.dumps(Loaded()))
    assert [record.getMessage() for record in caplog.records] == [
        "a message is dropped: it is not sealed by this version of fleet"
    ]


def test_a_seal_does_not_show_its_secrets() -> None:
    assert SECRET.decode() not in repr(seal())
