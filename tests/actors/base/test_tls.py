"""TLS of a link as bytes, without a socket."""

import ctypes
import os
import ssl
import sys
from time import time
from typing import Any

import pytest

from fleet.actors.base.certificates import DAY_S, RENEW_S, VALID_S, Authority
from fleet.actors.base.frames import FrameError
from fleet.actors.base.handshake import (
    OUT_OF_DATE,
    WRONG_CLUSTER,
    WRONG_SECRET,
    WRONG_VERSION,
    Refused,
)
from fleet.actors.base.tls import GREETING_BYTES_MAX, Credentials, TlsStream

SECRET = b"a secret of these tests, of enough bytes"
HERE = Credentials("blue", SECRET)


class Pair:
    """Both sides of a link; `reasons` are why each ended, the dialling side's first."""

    def __init__(self, dialling: Credentials = HERE, accepting: Credentials = HERE) -> None:
        self.sides = (dialling.tls(False), accepting.tls(True))
        self.reasons = ["", ""]

    def shake(self) -> "Pair":
        """Let each side have what the other sends until neither sends any more."""
        moved = True
        while moved:
            moved = False
            for number in (0, 1):
                data = self.step(number)
                if data:
                    moved = True
                    self.sides[1 - number].receive(memoryview(data))
        return self

    def step(self, number: int) -> bytes:
        """What the side sends next."""
        side = self.sides[number]
        try:
            if not side.is_open:
                side.shake()
            else:
                side.read_into(memoryview(bytearray(100)))
        except Refused as refused:
            self.reasons[number] = self.reasons[number] or refused.reason
        except ssl.SSLError as error:
            self.reasons[number] = self.reasons[number] or side.reason(error)
        return side.output()


def received(side: TlsStream, data: bytes, size: int = 1 << 20) -> bytes:
    side.receive(memoryview(data))
    space = memoryview(bytearray(size))
    return bytes(space[: side.read_into(space)])


def test_two_processes_of_a_cluster_agree_and_name_the_channel_alike() -> None:
    pair = Pair(Credentials("blue", SECRET)).shake()
    dialling, accepting = pair.sides
    assert dialling.is_open and accepting.is_open and pair.reasons == ["", ""]
    assert dialling.binding() == accepting.binding() != Pair().shake().sides[0].binding()
    assert dialling._tls.version() == "TLSv1.3"
    assert received(accepting, dialling.seal(b"hello")) == b"hello"
    assert received(dialling, accepting.seal(b"you, too")) == b"you, too"


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (Credentials("blue", b"another secret, of enough bytes, too"), WRONG_SECRET),
        (Credentials("green", SECRET), WRONG_CLUSTER),
        (Credentials("green", b"another secret, of enough bytes, too"), WRONG_CLUSTER),
        (Credentials("blue", SECRET, lambda: time() - VALID_S - DAY_S), OUT_OF_DATE),
        (Credentials("blue", SECRET, lambda: time() + VALID_S + DAY_S), OUT_OF_DATE),
    ],
)
def test_both_sides_learn_why_they_do_not_agree(other: Credentials, reason: str) -> None:
    assert Pair(other).shake().reasons == [reason, reason]
    assert Pair(HERE, other).shake().reasons == [reason, reason]


def test_a_process_of_another_version_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fleet.actors.base.handshake.GREETING", 99)
    other = Credentials("blue", SECRET)
    monkeypatch.undo()
    for pair in (Pair(other), Pair(HERE, other)):
        assert WRONG_VERSION in pair.shake().reasons


@pytest.mark.parametrize("days", [-28, 28])
def test_clocks_may_differ_by_weeks(days: int) -> None:
    pair = Pair(Credentials("blue", SECRET, lambda: time() + days * DAY_S)).shake()
    assert all(side.is_open for side in pair.sides)


def test_a_process_shows_another_certificate_each_day_and_keeps_the_links_that_it_has() -> None:
    now = time()
    credentials = Credentials("blue", SECRET, lambda: now)
    pair = Pair(credentials).shake()
    first = pair.sides[0].binding()[:32]
    now += RENEW_S
    assert Pair(credentials).shake().sides[0].binding()[:32] == first
    for step in (1, -3 * RENEW_S):  # forward, and back to before it was made
        now += step
        second = Pair(credentials).shake().sides[0].binding()[:32]
        assert second != first
        first = second
    assert received(pair.sides[1], pair.sides[0].seal(b"still here")) == b"still here"


def test_a_certificate_that_cannot_be_renewed_serves_on(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time()
    credentials = Credentials("blue", SECRET, lambda: now)

    def fails(name: str, flags: int) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "memfd_create", fails)
    now += 2 * RENEW_S
    pair = Pair(credentials).shake()
    assert all(side.is_open for side in pair.sides)


def test_the_authority_is_the_same_in_every_process_and_another_for_another_secret() -> None:
    assert Authority(SECRET).certificate == Authority(SECRET).certificate
    assert Authority(SECRET).certificate != Authority(SECRET + b"x").certificate


def test_no_key_is_in_a_repr_or_a_file(tmp_path: Any) -> None:
    before = set(os.listdir("/proc/self/fd"))
    leaf = Authority(SECRET).leaf(time())
    Credentials("blue", SECRET)
    assert "PRIVATE" not in repr(leaf) and b"PRIVATE" in leaf.pem
    assert set(os.listdir("/proc/self/fd")) <= before


# -- whatever arrives ------------------------------------------------------------------------------


def honest() -> list[tuple[int, bytes]]:
    """The bytes of a handshake in their order, each with the number of the side that sends them."""
    pair, said = Pair(), []
    for _ in range(3):
        for number in (0, 1):
            data = pair.step(number)
            if data:
                said.append((number, data))
                pair.sides[1 - number].receive(memoryview(data))
    assert [number for number, _ in said] == [0, 1, 0]
    return said


STEPS = [(step, len(data)) for step, (_, data) in enumerate(honest())]


def disturbed(step: int, change: Any) -> Pair:
    """A handshake in which these bytes are changed on their way."""
    pair, done = Pair(), 0
    for _ in range(3):
        for number in (0, 1):
            data = pair.step(number)
            if data:
                if done == step:
                    data = change(data)
                done += 1
                pair.sides[1 - number].receive(memoryview(data))
    return pair.shake()


@pytest.mark.parametrize(("step", "size"), STEPS)
def test_garbage_at_any_point_of_the_handshake_only_refuses(step: int, size: int) -> None:
    for at in range(0, size - 10, 5):
        for change in (
            lambda data: data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :],
            lambda data: data[:at] + os.urandom(len(data) - at),
            lambda data: data[:at] + b"GET / HTTP/1.1\r\n\r\n" + data[at:],
        ):
            pair = disturbed(step, change)
            assert not all(side.is_open for side in pair.sides) or any(pair.reasons), (step, at)


@pytest.mark.parametrize(("step", "size"), STEPS)
def test_a_handshake_that_arrives_byte_by_byte_is_whole_and_a_part_is_none(step: int, size: int) -> None:
    pair = Pair()
    speaker, said = 0, pair.step(0)
    while said:
        answer = b""
        for byte in said:
            pair.sides[1 - speaker].receive(memoryview(bytes([byte])))
            answer += pair.step(1 - speaker)
        speaker, said = 1 - speaker, answer
    assert pair.reasons == ["", ""] and all(side.is_open for side in pair.sides)
    part = disturbed(step, lambda data: data[:-1])
    assert not all(side.is_open for side in part.sides) and part.reasons == ["", ""], "it waits for the rest"


def test_too_much_before_the_handshake_is_over_is_refused() -> None:
    side = HERE.tls(True)
    hello = b"\x16\x03\x01\x40\x00\x01\x00\xff\xff"  # announces a long first message
    side.receive(memoryview(hello))
    side.shake()
    with pytest.raises(FrameError):
        for _ in range(GREETING_BYTES_MAX // 100 + 1):
            side.receive(memoryview(bytes(100)))


@pytest.mark.parametrize("change", ["flipped", "repeated", "swapped", "plain", "cut out"])
def test_what_was_changed_on_its_way_is_not_read(change: str) -> None:
    dialling, accepting = Pair().shake().sides
    one, two = dialling.seal(b"one"), dialling.seal(b"two")
    changed = {
        "flipped": one[:-1] + bytes([one[-1] ^ 1]),
        "repeated": one + one,
        "swapped": two + one,
        "plain": b"\x17\x03\x03\x00\x03two",
        "cut out": two,
    }[change]
    read = b""
    with pytest.raises(ssl.SSLError):
        accepting.receive(memoryview(changed))
        for _ in range(3):
            space = memoryview(bytearray(3))
            read += bytes(space[: accepting.read_into(space)])
    assert read in (b"", b"one")
    assert accepting.output(), "the other side is told"


def test_records_are_read_whole_in_part_and_together() -> None:
    dialling, accepting = Pair().shake().sides
    big = os.urandom(1_000_003)
    sealed = dialling.seal(bytearray(big)) + dialling.seal(memoryview(b"end"))
    assert len(sealed) < len(big) * 1.003
    read, space = bytearray(), memoryview(bytearray(70_000))
    for at in range(0, len(sealed), 50_001):
        accepting.receive(memoryview(sealed[at : at + 50_001]))
        while count := accepting.read_into(space):
            read += space[:count]
    assert read == big + b"end"
    assert accepting.seal(b"") == b""


def test_a_side_that_says_good_bye_has_ended() -> None:
    dialling, accepting = Pair().shake().sides
    last = dialling.seal(b"last")
    with pytest.raises(ssl.SSLWantReadError):
        dialling._tls.unwrap()
    assert received(accepting, last + dialling.output()) == b"last"
    assert received(accepting, b"") == b"" and accepting.has_ended


def test_a_process_shows_its_certificate_again_on_each_link() -> None:
    """No tickets: a link that resumed another one's keys would not show one."""
    pair = Pair().shake()
    session = pair.sides[0]._tls.session
    assert session is not None and not session.has_ticket


@pytest.mark.skipif(sys.version_info[:2] > (3, 12), reason="reaches into an SSLObject of Python 3.11 or 3.12")
def test_new_keys_in_the_middle_are_answered_and_lose_nothing() -> None:
    pair = Pair().shake()
    dialling, accepting = pair.sides
    ours: Any = dialling._tls
    library = ctypes.CDLL(sys.modules["_ssl"].__file__)
    pointer = ctypes.c_void_p.from_address(id(ours._sslobj) + object.__basicsize__ + 8)
    for _ in range(5):
        assert library.SSL_key_update(pointer, 1) == 1  # and asks the other side for new ones
        assert received(accepting, dialling.seal(b"hello")) == b"hello"
        assert received(dialling, accepting.seal(b"you, too")) == b"you, too"
