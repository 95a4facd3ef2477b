"""The proofs of both sides as bytes, without a socket."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.actors.base.handshake import (
    NOT_FLEET,
    WRONG_CLUSTER,
    WRONG_SECRET,
    WRONG_VERSION,
    Acceptor,
    Connector,
    LinkIdentity,
    Refused,
    is_about_versions,
    mismatch,
    protocols,
)
from fleet.actors.base.wire import LENGTH
from tests.actors.base.mutations import mutations

CHANNEL = bytes(range(64))


def identity(**changes: Any) -> LinkIdentity:
    given: dict[str, Any] = {
        "cluster": "blue",
        "secret": b"s3cret",
        "boot": 5,
        "endpoint": "here:1",
        "frame_bytes_max": 1 << 20,
    }
    return LinkIdentity(**{**given, **changes})


def body(frame: bytes) -> bytes:
    return frame[LENGTH.size :]


def sides(
    accepting: LinkIdentity | None = None, connecting: LinkIdentity | None = None, channel: bytes = CHANNEL
) -> tuple[Acceptor, Connector]:
    return Acceptor(accepting or identity(), channel), Connector(connecting or identity(), CHANNEL)


def test_both_sides_learn_who_the_other_is() -> None:
    acceptor, connector = sides(identity(), identity(boot=6, endpoint=""))
    met, confirmation = connector.answered(body(acceptor.greeted(body(connector.greeting))))
    seen = acceptor.admitted(body(confirmation))
    assert (seen.boot, seen.endpoint) == (6, "") and (met.boot, met.endpoint) == (5, "here:1")


@pytest.mark.parametrize(
    "other", [{"connecting": identity(secret=b"other")}, {"connecting": identity(cluster="green")}]
)
def test_whoever_has_another_secret_or_cluster_proves_nothing(other: dict[str, Any]) -> None:
    acceptor, connector = sides(**other)
    answer = body(acceptor.greeted(body(connector.greeting)))
    with pytest.raises(Refused) as told:
        connector.answered(answer)
    assert told.value.reason == WRONG_SECRET
    confirmation = connector._proof(connector._me.secret, b"connector", connector._hello, answer[:-32])
    with pytest.raises(Refused) as refused:
        acceptor.admitted(confirmation)
    assert refused.value.reason == WRONG_SECRET


def test_s67_a_proof_is_worth_nothing_on_another_channel() -> None:
    """A relay would have to show each side a certificate that is not the other side's."""
    for at in (0, 32):
        other = CHANNEL[:at] + bytes(32) + CHANNEL[at + 32 :]
        acceptor, connector = sides(channel=other)
        answer = body(acceptor.greeted(body(connector.greeting)))
        with pytest.raises(Refused) as refused:
            connector.answered(answer)
        assert refused.value.reason == WRONG_SECRET
        confirmation = connector._proof(connector._me.secret, b"connector", connector._hello, answer[:-32])
        with pytest.raises(Refused):
            acceptor.admitted(confirmation)


def test_a_proof_cannot_be_reflected_or_replayed() -> None:
    acceptor, connector = sides()
    answer = body(acceptor.greeted(body(connector.greeting)))
    with pytest.raises(Refused) as reflected:
        acceptor.admitted(answer[-32:])
    assert reflected.value.reason == WRONG_SECRET
    confirmation = body(connector.answered(answer)[1])
    later = Acceptor(identity(), CHANNEL)
    later.greeted(body(connector.greeting))
    with pytest.raises(Refused) as replayed:
        later.admitted(confirmation)
    assert replayed.value.reason == WRONG_SECRET
    with pytest.raises(Refused) as answered_again:
        Connector(identity(), CHANNEL).answered(answer)
    assert answered_again.value.reason == WRONG_SECRET
    assert acceptor.admitted(confirmation)


def test_a_proof_covers_both_hellos() -> None:
    for changed in (40, 48):  # the last bytes of the boot id and of the longest frame
        acceptor, connector = sides()
        hello = bytearray(body(connector.greeting))
        hello[changed - 1] ^= 1
        with pytest.raises(Refused):
            connector.answered(body(acceptor.greeted(bytes(hello))))
        acceptor, connector = sides()
        answer = bytearray(body(acceptor.greeted(body(connector.greeting))))
        answer[changed - 1] ^= 1
        with pytest.raises(Refused):
            connector.answered(bytes(answer))


def test_a_process_of_another_cluster_version_or_kind_is_told_apart() -> None:
    exact, version, any_version = protocols("blue")
    assert mismatch(exact, "blue") == ""
    assert mismatch(protocols("green")[0], "blue") == NOT_FLEET  # nobody agrees on what he does not offer
    assert mismatch(version, "blue") == WRONG_CLUSTER
    assert mismatch(any_version, "blue") == WRONG_VERSION
    assert mismatch(None, "blue") == NOT_FLEET


ONE_VERSION = b"\x00\x01\x00\x01"
HELLO_BYTES = len(body(Connector(identity(), CHANNEL).greeting))


@given(st.data())
def test_s66_whatever_a_stranger_sends_the_handshake_only_refuses(data: st.DataObject) -> None:
    acceptor, connector = sides()
    hello = body(connector.greeting)
    answer = body(acceptor.greeted(hello))
    confirmation = body(connector.answered(answer)[1])
    readers: list[tuple[bytes, Callable[[bytes], object]]] = [
        (answer, connector.answered),
        (confirmation, acceptor.admitted),
    ]
    for genuine, read in readers:
        frame = data.draw(mutations(genuine))
        with suppress(Refused):
            read(frame)
            assert frame == genuine
    with suppress(Refused):
        Acceptor(identity(), CHANNEL).greeted(data.draw(mutations(hello)))


@pytest.mark.parametrize(
    "frame",
    [
        b"SSH-2.0-OpenSSH_9.2",
        b"",
        bytes(HELLO_BYTES),
        bytes(39) + b"\x05" + b"\x00\x10\x00\x00" + ONE_VERSION + b"\xff\xff" + bytes(HELLO_BYTES - 50),
        bytes(39)
        + b"\x05"
        + b"\x00\x10\x00\x00"
        + ONE_VERSION
        + b"\x00\x01"
        + b"\xff"
        + bytes(HELLO_BYTES - 51),
        bytes(39) + b"\x05" + b"\x00\x00\x00\x01" + ONE_VERSION + bytes(HELLO_BYTES - 48),
        b"\xff" * 40 + b"\x00\x10\x00\x00" + ONE_VERSION + bytes(HELLO_BYTES - 48),
    ],
)
def test_a_greeting_that_is_none_is_refused(frame: bytes) -> None:
    with pytest.raises(Refused) as refused:
        Acceptor(identity(), CHANNEL).greeted(frame)
    assert refused.value.reason == NOT_FLEET
    with pytest.raises(Refused):
        Connector(identity(), CHANNEL).answered(frame)


# -- versions ----------------------------------------------------------------------------------------------


def of_versions(accepting: tuple[int, int], connecting: tuple[int, int]) -> tuple[Acceptor, Connector]:
    here, there = (identity(oldest=oldest, newest=newest) for oldest, newest in (accepting, connecting))
    return sides(here, there)


@pytest.mark.parametrize(("accepting", "connecting", "version"), [((1, 1), (1, 2), 1), ((1, 3), (2, 4), 3)])
def test_a_link_speaks_the_newest_version_of_both(
    accepting: tuple[int, int], connecting: tuple[int, int], version: int
) -> None:
    acceptor, connector = of_versions(accepting, connecting)
    answer = acceptor.greeted(body(connector.greeting))
    acceptor.check_versions()
    met, confirmation = connector.answered(body(answer))
    assert connector.version(met) == acceptor.version(acceptor.admitted(body(confirmation))) == version


def test_two_builds_without_a_common_version_both_name_the_ranges() -> None:
    acceptor, connector = of_versions((1, 1), (2, 3))
    answer = acceptor.greeted(body(connector.greeting))
    with pytest.raises(Refused) as here:
        acceptor.check_versions()
    assert here.value.reason == (
        "wrong version: it speaks versions 2 to 3, and this process version 1; install a newer release here"
    )
    with pytest.raises(Refused) as there:
        connector.answered(body(answer))
    assert there.value.reason == (
        "wrong version: it speaks version 1, and this process versions 2 to 3; install a newer release there"
    )
    assert is_about_versions(here.value.reason) and not is_about_versions(WRONG_SECRET)


OLDEST_AT, NEWEST_AT = 45, 47
"""The last bytes of the versions in a Hello."""


@pytest.mark.parametrize("is_answer", [False, True])
def test_nobody_in_between_can_make_a_link_speak_an_older_version(is_answer: bool) -> None:
    acceptor, connector = of_versions((1, 3), (1, 3))
    hello = bytearray(body(connector.greeting))
    if not is_answer:
        assert (hello[OLDEST_AT], hello[NEWEST_AT]) == (1, 3)
        hello[NEWEST_AT] = 2
    answer = bytearray(body(acceptor.greeted(bytes(hello))))
    if is_answer:
        assert (answer[OLDEST_AT], answer[NEWEST_AT]) == (1, 3)
        answer[NEWEST_AT] = 2
    with pytest.raises(Refused) as refused:
        connector.answered(bytes(answer))
    assert refused.value.reason == WRONG_SECRET
    confirmation = connector._proof(connector._me.secret, b"connector", connector._hello, bytes(answer[:-32]))
    with pytest.raises(Refused):
        acceptor.admitted(confirmation)


@pytest.mark.parametrize("versions", [(0, 1), (2, 1)])
def test_a_range_of_versions_that_is_none_is_refused(versions: tuple[int, int]) -> None:
    _, connector = of_versions((1, 1), versions)
    with pytest.raises(Refused) as refused:
        Acceptor(identity(), CHANNEL).greeted(body(connector.greeting))
    assert refused.value.reason == NOT_FLEET
