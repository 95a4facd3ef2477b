"""A member hands out copies of its group's state, and begins a restored group with one."""

from functools import cache
from typing import Any
from zlib import crc32

import pytest
from thespian.actors import WakeupMessage

from fleet.actors.member.state_copies import COPIES_MAX, KEEP_MS, ForgetDue
from fleet.actors.messages.group_states import (
    PART_BYTES,
    CopyPart,
    CopyTaken,
    ForgetCopy,
    GiveState,
    PartsHeld,
    ReadCopy,
    TakeCopy,
)
from fleet.actors.messages.operator import Done, GroupOp, GroupRequest
from fleet.objects.payload import encode_call
from fleet.raft.entries import Founded
from fleet.raft.events import Tick
from fleet.raft.messages import AppendEntries
from fleet.raft.restoring import is_blank
from tests.actors.member.test_member_disk import CONFIG, ME, PEER, Alone, Held, mail
from tests.actors.member.test_member_snapshots import Box, dumped, set_fork_limit
from tests.support.objects import applier_of, dump_of

ASKER: Any = "operator"
UID = 1
"""Of the groups of `Held`."""


def ask(held: Held, op: GroupOp, token: int = 1) -> Any:
    """What the member answers to that, if it does so at once."""
    held.told.clear()
    held.tell(GroupRequest(token, ASKER, "g", op))
    held.sync()
    answers = [reply.value if reply.error is None else reply.error.to_error() for reply in held.told]
    return answers[-1] if answers else None


def big(size: int = 3 * PART_BYTES) -> Alone:
    alone = Alone(Box)
    alone.ask(encode_call("fill", (size,), {}))
    alone.sync()
    return alone


def read(held: Held, copy: CopyTaken) -> bytes:
    parts = [copy.data]
    for offset in range(PART_BYTES, copy.size, PART_BYTES):
        part = ask(held, ReadCopy(copy.copy, offset), offset)
        assert isinstance(part, CopyPart) and part.offset == offset
        parts.append(part.data)
    return b"".join(parts)


def test_a_copy_is_the_state_after_all_that_was_committed() -> None:
    alone = Alone()
    alone.append(7)
    alone.sync()
    copy = ask(alone, TakeCopy())
    applier = applier_of(alone.member)
    assert isinstance(copy, CopyTaken)
    assert (copy.index, copy.revision, copy.copy) == (applier.index, applier.revision, 0)
    assert copy.data == applier.dump() and (copy.size, copy.crc) == (len(copy.data), crc32(copy.data))


def test_a_big_copy_is_read_in_parts_and_stays_as_it_was() -> None:
    alone = big()
    copy = ask(alone, TakeCopy())
    state = applier_of(alone.member).dump()
    alone.ask(encode_call("fill", (1,), {}))
    alone.sync()
    assert isinstance(copy, CopyTaken) and copy.copy == 1 and read(alone, copy) == state
    assert isinstance(ask(alone, ForgetCopy(1)), Done)
    assert type(ask(alone, ReadCopy(1, 0))).__name__ == "NoSuchCopy"


def test_a_copy_is_dumped_by_a_child_and_what_is_executed_meanwhile_is_not_in_it() -> None:
    alone = big()
    set_fork_limit(alone, 1)
    state = applier_of(alone.member).dump()
    assert ask(alone, TakeCopy()) is None and dump_of(alone.member) is not None
    assert ask(alone, TakeCopy()) is None  # the same question, again
    alone.ask(encode_call("add", (b"",), {}))
    alone.sync()
    alone.told.clear()
    dumped(alone)
    (reply,) = alone.told
    assert isinstance(reply.value, CopyTaken) and read(alone, reply.value) == state


def test_a_snapshot_that_falls_due_during_a_copy_is_taken_after_it() -> None:
    alone = Alone()
    alone.append(1)
    alone.sync()
    set_fork_limit(alone, 1)
    assert ask(alone, TakeCopy()) is None
    alone.append(300)
    alone.sync()
    assert alone.member.core.taking is None
    former = alone.member.core.snapshot
    dumped(alone)
    set_fork_limit(alone, 0)
    alone.later(60_000)
    alone.append(1)
    alone.sync()
    snapshot = alone.member.core.snapshot
    assert snapshot is not None and (former is None or snapshot.index > former.index)


def test_a_copy_that_is_asked_for_during_a_snapshot_is_taken_after_it() -> None:
    alone = Alone()
    set_fork_limit(alone, 1)
    alone.append(300)
    alone.sync()
    assert alone.member.core.taking is not None
    assert ask(alone, TakeCopy()) is None
    alone.told.clear()
    dumped(alone)
    alone.sync()
    dumped(alone)
    assert [type(reply.value) for reply in alone.told] == [CopyTaken]


def test_a_copy_that_nobody_reads_is_forgotten_and_one_that_is_read_is_not() -> None:
    alone = big()
    ask(alone, TakeCopy())
    (due,) = [one for one in alone.member.wakeups if isinstance(one, ForgetDue)]
    alone.clock.now += KEEP_MS - 1
    assert isinstance(ask(alone, ReadCopy(1, 0)), CopyPart)
    alone.clock.now += 1
    alone.tell(WakeupMessage(None, due))
    assert isinstance(ask(alone, ReadCopy(1, 0)), CopyPart)
    alone.clock.now += KEEP_MS
    alone.tell(WakeupMessage(None, due))
    assert type(ask(alone, ReadCopy(1, 0))).__name__ == "NoSuchCopy"


def test_there_is_a_limit_on_copies() -> None:
    alone = big()
    for token in range(COPIES_MAX):
        assert isinstance(ask(alone, TakeCopy(), token), CopyTaken)
    assert type(ask(alone, TakeCopy(), COPIES_MAX)).__name__ == "Overloaded"


def test_a_follower_names_the_leader() -> None:
    held = Held(Founded(PEER, "there:1", CONFIG, ((ME, "here:1"),)))
    held.tell(mail(AppendEntries(2, PEER, ME, 1, 1, (), 1, 0, 0)))
    held.tell(GroupRequest(5, ASKER, "g", TakeCopy()))
    held.sync()
    (reply,) = held.told
    assert reply.error is not None and reply.error.kind == "Unavailable"
    assert reply.leader_address == "there:1"


# -- the state of a restored group ---------------------------------------------------------------


def give(held: Held, op: GiveState) -> Any:
    """As `ask`, and the election that may follow."""
    answer = ask(held, op)
    if answer is None:
        held.tell(Tick())
        held.sync()
        (answer,) = [reply.value for reply in held.told]
    return answer


@cache
def saved() -> CopyTaken:
    alone = Alone()
    for _ in range(20):
        alone.append(200)
        alone.sync()
    copy = ask(alone, TakeCopy())
    assert isinstance(copy, CopyTaken) and copy.size < PART_BYTES
    return copy


def restored(founded: Founded = Founded(ME, "", CONFIG)) -> Held:
    return Held(founded, is_restored=True)


def parts(copy: CopyTaken, size: int = 1000) -> list[GiveState]:
    about = UID, copy.index, copy.size, copy.crc
    return [GiveState(*about, at, copy.data[at : at + size]) for at in range(0, copy.size, size)]


def test_a_restored_group_has_the_state_that_was_saved() -> None:
    copy, held = saved(), restored()
    *most, last = parts(copy)
    for number, part in enumerate(most, 1):
        assert give(held, part) == PartsHeld(number * 1000)
    assert is_blank(held.member.core)
    done = give(held, last)
    assert done == Done(copy.index + 1, copy.revision)
    assert held.values == [*range(200)] * 20


def test_parts_that_come_again_or_too_early_change_nothing() -> None:
    copy, held = saved(), restored()
    first, second, third, *_ = given = parts(copy)
    assert give(held, second) == PartsHeld(0)
    assert give(held, first) == PartsHeld(1000) == give(held, first)
    assert give(held, third) == PartsHeld(1000)
    for part in given[1:-1]:
        give(held, part)
    assert isinstance(give(held, given[-1]), Done) and isinstance(give(held, given[-1]), Done)
    assert isinstance(give(held, first), Done)  # after an error


def test_another_state_begins_anew() -> None:
    copy, held = saved(), restored()
    give(held, GiveState(UID, 1, 100_000, 7, 0, b"of another file"))
    for part in parts(copy)[:-1]:
        assert isinstance(give(held, part), PartsHeld)
    assert isinstance(give(held, parts(copy)[-1]), Done)


@pytest.mark.parametrize(
    "harm",
    [
        lambda copy: GiveState(UID, copy.index, copy.size, copy.crc ^ 1, 0, copy.data),
        lambda copy: GiveState(UID, copy.index + 1, copy.size, copy.crc, 0, copy.data),
        lambda copy: GiveState(UID, copy.index, 9, crc32(b"no state!"), 0, b"no state!"),
        lambda copy: GiveState(UID, copy.index, 1, crc32(b"\x97"), 0, b"\x97"),
        lambda copy: GiveState(UID, copy.index, 5, crc32(b"\xdc\xff"), 0, b"more than five"),
    ],
)
def test_what_is_no_state_is_refused_and_the_right_one_is_still_taken(harm: Any) -> None:
    copy, held = saved(), restored()
    assert type(give(held, harm(copy))).__name__ == "BadArguments"
    assert is_blank(held.member.core) and held.stopped == []
    assert isinstance(give(held, GiveState(UID, copy.index, copy.size, copy.crc, 0, copy.data)), Done)


def test_only_the_first_founder_of_a_restored_group_takes_a_state() -> None:
    copy = saved()
    whole = GiveState(UID, copy.index, copy.size, copy.crc, 0, copy.data)
    assert type(ask(Alone(), whole)).__name__ == "BadArguments"
    second = restored(Founded(PEER, "there:1", CONFIG, ((ME, "here:1"),)))
    assert type(ask(second, whole)).__name__ == "Unavailable" and is_blank(second.member.core)
    assert second.told[0].leader_address == "there:1"


def test_a_state_for_a_group_that_had_the_name_before_is_refused() -> None:
    copy, held = saved(), restored()
    whole = GiveState(UID + 1, copy.index, copy.size, copy.crc, 0, copy.data)
    assert type(give(held, whole)).__name__ == "NoSuchGroup" and is_blank(held.member.core)
    assert isinstance(give(held, *parts(copy, PART_BYTES)), Done)
