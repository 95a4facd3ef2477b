"""Snapshots that a member takes in a child: reported twice, overtaken, or not to be had at all."""

import errno
import gc
import os
import select
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from thespian.actors import WatchMessage

import fleet
from fleet.errors import StateNotEncodable
from fleet.objects.applier import Applier
from fleet.objects.payload import encode_call
from fleet.raft.entries import Commands, Entry, Founded
from fleet.raft.messages import AppendEntries, InstallSnapshot
from tests.actors.member.test_member_clients import refusals
from tests.actors.member.test_member_disk import CONFIG, ME, PEER, Alone, Held, mail
from tests.support.objects import applier_of, dump_of

WAIT_S = 20


def collect_former_members() -> None:
    """Members of former tests refer to themselves, and what children encoded for them is memory with a
    descriptor: the collector closes it whenever it runs. What this test leaves open is left to nobody."""
    gc.collect()


def descriptors() -> set[tuple[int, int]]:
    """Each with what it refers to: a number may be another's by now."""
    found = set()
    for fd in map(int, os.listdir("/proc/self/fd")):
        with suppress(OSError):  # the listing's own
            found.add((fd, os.fstat(fd).st_ino))
    return found


def set_fork_limit(held: Held, limit: int) -> None:
    assert held.member.hosted is not None
    held.member.hosted.fork_above_bytes = limit


def forking() -> Alone:
    """A member that encodes its next snapshot in a child."""
    alone = Alone()
    alone.append(100)
    alone.sync()
    assert alone.member.core.snapshot is not None
    set_fork_limit(alone, 1)
    return alone


@pytest.mark.parametrize("limit, is_forked", [(1_000, True), (100_000, False)])
def test_s74_a_state_that_is_big_since_its_last_snapshot_is_encoded_by_a_child(
    limit: int, is_forked: bool
) -> None:
    """Only the last snapshot's size was looked at: the first big one was encoded on the loop."""
    alone = Alone()
    assert alone.member.core.snapshot is None or alone.member.core.snapshot.size < 1_000
    set_fork_limit(alone, limit)
    alone.append(100)
    alone.sync()
    assert (dump_of(alone.member) is not None) == is_forked
    if is_forked:
        dumped(alone)


def dumped(held: Held) -> None:
    """The child is done, and the member hears of it."""
    fd = dump_of(held.member).fileno()  # type: ignore[union-attr]
    assert select.select([fd], [], [], WAIT_S)[0]
    held.tell(WatchMessage([fd]))


def test_s72_a_child_that_is_reported_twice_is_taken_once() -> None:
    """On a busy node the second report stopped the member: three changes of leader in 12 s."""
    alone = forking()
    alone.append(100)
    alone.sync()
    former = alone.member.core.snapshot
    (fd,) = alone.member.watching.filenos  # type: ignore[union-attr]
    dumped(alone)
    alone.tell(WatchMessage([fd]))
    alone.sync()
    assert alone.stopped == []
    assert alone.member.core.snapshot.index > former.index  # type: ignore[union-attr]


def test_s72_a_late_report_is_not_taken_for_that_of_the_next_child(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Which may have the same descriptor: the member waited for it, with the whole node."""
    alone, gate, encode = forking(), tmp_path / "gate", Applier.dump

    def dump(applier: Applier, version: int) -> bytes:
        while not gate.exists():
            time.sleep(0.01)  # in the child, which nothing else reaches
        return encode(applier, version)

    monkeypatch.setattr(Applier, "dump", dump)
    gate.touch()
    alone.append(100)
    alone.sync()
    (fd,) = alone.member.watching.filenos  # type: ignore[union-attr]
    dumped(alone)
    alone.sync()
    gate.unlink()
    alone.append(200)
    alone.sync()
    first = dump_of(alone.member)
    assert first is not None
    alone.tell(WatchMessage([first.fileno()]))
    assert dump_of(alone.member) is first
    gate.touch()
    dumped(alone)
    assert dump_of(alone.member) is None


@pytest.mark.parametrize("call", ["fork", "memfd_create", "pipe"])
def test_s72_a_child_that_cannot_be_made_is_a_snapshot_that_failed(
    call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stopped the member, and again after each start, for the snapshot was due at once."""
    alone = forking()
    collect_former_members()
    before = descriptors()

    def fail(*_: Any) -> Any:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        alone.append(100)
        alone.sync()
    assert alone.stopped == [] and dump_of(alone.member) is None
    assert descriptors() == before
    former = alone.member.core.snapshot
    alone.later(60_000)
    alone.append(1)
    alone.sync()
    dumped(alone)
    alone.sync()
    assert alone.member.core.snapshot.index > former.index  # type: ignore[union-attr]


def test_s72_a_child_is_ended_when_the_leaders_snapshot_overtakes_it() -> None:
    """The next own snapshot forgot it: its descriptors stayed, and nobody waited for it."""
    donor = Alone()
    for _ in range(300):
        donor.append(1)
        donor.sync()
    meta = donor.member.core.snapshot
    assert meta is not None
    data = donor.store.read_snapshot(1, meta.index, 0, meta.size)
    assert data is not None
    held = Held(Founded(PEER, "", CONFIG, ((ME, ""),)))

    def follow(first: int, count: int, session: int, prev_term: int) -> None:
        payload = encode_call("append", (1,), {})
        new = [Entry(2, first + n, Commands(session, 101 + n, 0, 1000, (payload,))) for n in range(count)]
        append = AppendEntries(2, PEER, ME, first - 1, prev_term, tuple(new), first + count - 1, 0, 0)
        held.tell(mail(append))
        held.sync()

    follow(2, 60, 1, prev_term=1)
    assert held.member.core.snapshot is not None
    set_fork_limit(held, 1)
    collect_former_members()
    before = descriptors()
    follow(62, 60, 1, prev_term=2)
    assert dump_of(held.member) is not None
    held.tell(mail(InstallSnapshot(2, PEER, ME, meta, 0, data, 0, 0)))
    held.sync()
    assert held.member.core.snapshot == meta
    assert held.member.snapshots.durable_revision == applier_of(held.member).revision == meta.index - 3
    assert dump_of(held.member) is None and held.member.watching is None
    assert descriptors() == before


class Box(fleet.Data):
    x: object = None
    pad: bytes = b""
    n: int = 0

    @fleet.command
    def put(self) -> None:
        self.x = (n for n in range(3))

    @fleet.command
    def fill(self, size: int) -> None:
        self.pad = bytes(size)

    @fleet.command
    def add(self, pad: bytes) -> int:
        self.n += 1
        return self.n


@pytest.mark.parametrize(("size", "forks"), [(0, False), (100_000, False), (100_000, True)])
def test_s75_a_state_that_cannot_be_encoded_takes_no_more_commands(size: int, forks: bool) -> None:
    """Every command was acknowledged, no snapshot was ever taken again, and the log grew without end."""
    alone = Alone(Box)

    def call(method: str, *args: Any) -> None:
        alone.ask(encode_call(method, args, {}))
        alone.sync()
        if dump_of(alone.member) is not None:
            dumped(alone)
            alone.sync()

    call("fill", size)
    call("add", bytes(3000))
    assert alone.member.core.snapshot is not None
    if forks:
        set_fork_limit(alone, 1)
    call("put")
    for _ in range(100):
        if not refusals(alone.replies):
            call("add", bytes(3000))
    (refusal,) = refusals(alone.replies)
    assert refusal.error.kind == "StateNotEncodable"
    error = refusal.error.to_error()
    assert isinstance(error, StateNotEncodable) and (error.group, error.field) == ("g", "x")
    assert alone.stopped == []
    last = alone.member.core.log.last_index
    call("add", b"")
    assert alone.member.core.log.last_index == last
