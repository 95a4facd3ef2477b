"""The bytes of messages and entries: on the wire, on disk and in traces they may only grow at the end."""

from typing import Any

import msgspec
import pytest

from fleet.raft.codec import decode_entry, decode_messages, encode_entry, encode_messages, read_messages
from fleet.raft.config import GroupConfig
from fleet.raft.entries import (
    Commands,
    ConfigChanged,
    Entry,
    Founded,
    HardState,
    MemberAdded,
    MemberPromoted,
    MemberRemoved,
    Members,
    Noop,
    SessionClosed,
    SessionOpened,
    Skipped,
    SkipProposed,
    SnapshotMeta,
)
from fleet.raft.messages import (
    AppendEntries,
    AppendReply,
    CompareState,
    Diverged,
    InstallSnapshot,
    LeaderCheck,
    Message,
    PreVote,
    PreVoteReply,
    Removed,
    SnapshotReply,
    StateDiffers,
    StateDigest,
    Stranger,
    TimeoutNow,
    VoteReply,
    VoteRequest,
)
from tests.raft.cores import CONFIG, N1, N2, THREE

ID1, ID2 = "a66e3140642e31", "a66e3240642e31"
CONFIG_HEX = msgspec.msgpack.encode(CONFIG).hex()
META = SnapshotMeta(index=9, term=2, members=Members((N1,), (), {N1: "a"}), config=CONFIG, size=3, crc=7)
META_HEX = f"9809029491{ID1}9081{ID1}a16190{CONFIG_HEX}0307c40090"

MESSAGES = [
    (
        AppendEntries(
            2,
            N2,
            N1,
            prev_index=1,
            prev_term=1,
            entries=(Entry(2, 2, Commands(session=1, first=2, acked=0, wall_ms=0, payloads=(b"x",))),),
            commit=2,
            round=5,
            sent_at=300,
        ),
        f"919c0a02{ID2}{ID1}01019193020296030102000091c401780205cd012cc200",
    ),
    (
        AppendReply(2, N2, N1, ok=True, index=2, hint=1, hint_term=1, round=5, sent_at=300),
        f"91dc00100b02{ID2}{ID1}c302010105cd012c0000c2000000",
    ),
    (PreVote(3, N2, N1, last_index=9, last_term=8), f"91960c03{ID2}{ID1}0908"),
    (PreVoteReply(3, N2, N1, granted=True), f"91950d03{ID2}{ID1}c3"),
    (VoteRequest(2, N2, N1, last_index=9, last_term=8, transfer=False), f"91970e02{ID2}{ID1}0908c2"),
    (VoteReply(2, N2, N1, granted=True), f"91960f02{ID2}{ID1}c300"),
    (
        InstallSnapshot(2, N2, N1, meta=META, offset=4, data=b"abc", round=5, sent_at=6),
        f"91991002{ID2}{ID1}{META_HEX}04c4036162630506",
    ),
    (
        SnapshotReply(2, N2, N1, index=9, offset=4, installed=True, round=5, sent_at=6),
        f"919a1102{ID2}{ID1}0904c3050600",
    ),
    (TimeoutNow(2, N2, N1), f"91961202{ID2}{ID1}0000"),
    (Removed(2, N2, N1), f"91941302{ID2}{ID1}"),
    (Diverged(2, N2, N1, last_index=9, last_term=8), f"91961502{ID2}{ID1}0908"),
    (Stranger(2, N2, N1, last_index=9, last_term=8), f"91961402{ID2}{ID1}0908"),
    (LeaderCheck(2, N2, N1), f"91941602{ID2}{ID1}"),
    (CompareState(2, N2, N1, index=9, skips=8), f"91961702{ID2}{ID1}0908"),
    (StateDigest(2, N2, N1, index=9, digest=b"d"), f"91961802{ID2}{ID1}09c40164"),
    (StateDiffers(2, N2, N1, index=9, digest=b"d", agreed=8), f"91971902{ID2}{ID1}09c4016408"),
]

BODIES = [
    (Noop(), "9100"),
    (Founded(N1, "a", CONFIG), f"9601{ID1}a161{CONFIG_HEX}90c400"),
    (Founded(N1, "a", CONFIG, ((N2, "b"),)), f"9601{ID1}a161{CONFIG_HEX}9192{ID2}a162c400"),
    (SessionOpened("c", 7), "9302a16307"),
    (SessionClosed("c", 7), "9309a16307"),
    (Commands(session=1, first=2, acked=3, wall_ms=4, payloads=(b"xyz",)), "96030102030491c40378797a"),
    (MemberAdded(N1, "a"), f"9304{ID1}a161"),
    (MemberPromoted(N1), f"9205{ID1}"),
    (MemberRemoved(N1), f"9206{ID1}"),
    (ConfigChanged(CONFIG), f"9207{CONFIG_HEX}"),
    (Skipped(5, 1, "why"), "940a0501a3776879"),
    (SkipProposed(5, 1, "why"), "940b0501a3776879"),
]


@pytest.mark.parametrize(("message", "golden"), MESSAGES, ids=lambda value: type(value).__name__)
def test_the_bytes_of_a_message_stay_what_they_are(message: Message, golden: str) -> None:
    assert encode_messages([message]).hex() == golden  # type: ignore[list-item]
    assert decode_messages(bytes.fromhex(golden)) == (message,)


def test_every_message_has_golden_bytes() -> None:
    assert {type(message) for message, _ in MESSAGES} == set(Message.__subclasses__())


@pytest.mark.parametrize(("body", "golden"), BODIES, ids=lambda value: type(value).__name__)
def test_the_bytes_of_an_entry_stay_what_they_are(body: Noop, golden: str) -> None:
    entry = Entry(3, 9, body)
    assert encode_entry(entry).hex() == "930309" + golden
    assert decode_entry(bytes.fromhex("930309" + golden)) == entry


def test_the_bytes_of_hard_state_stay_what_they_are() -> None:
    assert msgspec.msgpack.encode(HardState(3, N1)).hex() == f"9303{ID1}00"
    assert msgspec.msgpack.encode(HardState(3, None, 7)).hex() == "9303c007"
    assert msgspec.msgpack.encode(HardState()).hex() == "9300c000"


def test_a_configuration_goes_by_the_names_of_its_settings() -> None:
    """So that an older member can read one with settings that it does not know."""
    names = msgspec.msgpack.decode(bytes.fromhex(CONFIG_HEX))
    assert names["heartbeat_ms"] == 200 and set(names) == set(GroupConfig.__struct_fields__)
    newer = msgspec.msgpack.encode(names | {"invented_later_ms": 5})
    assert msgspec.msgpack.decode(newer, type=GroupConfig) == CONFIG
    del names["window_max"]
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(names), type=GroupConfig) == CONFIG


def test_a_reader_ignores_a_field_that_came_later() -> None:
    data = msgspec.msgpack.encode([*msgspec.msgpack.decode(encode_entry(Entry(3, 9, Noop()))), "new"])
    assert decode_entry(data) == Entry(3, 9, Noop())
    assert decode_entry(bytes.fromhex(f"9303099401{ID1}a161{CONFIG_HEX}")).body == Founded(N1, "a", CONFIG)
    message = [18, 2, N2, N1, 0, 0, "new"]
    assert decode_messages(msgspec.msgpack.encode([message])) == (TimeoutNow(2, N2, N1),)


def test_a_newer_reader_fills_in_a_field_that_is_missing() -> None:
    class NewRemoved(Message, frozen=True, array_like=True, tag=19, gc=False):
        reason: str = "none"

    try:
        data = msgspec.msgpack.encode(Removed(2, N2, N1))
        assert msgspec.msgpack.decode(data, type=NewRemoved) == NewRemoved(2, N2, N1, "none")
    finally:
        del NewRemoved
        import gc

        gc.collect()  # or the table's test would find one more kind of message


GARBAGE = [b"", b"\xc1", b"\x91", b"\x91\x92\x63\x01", b"\x91\x93\x12\x01\x02", b"\x05"]


@pytest.mark.parametrize("data", GARBAGE)
def test_garbage_is_an_error_and_not_a_message(data: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        decode_messages(data)


def test_many_messages_travel_together_in_order() -> None:
    every = [message for message, _ in MESSAGES]
    assert list(decode_messages(encode_messages(every))) == every  # type: ignore[arg-type]


def test_a_snapshots_description_survives_its_bytes() -> None:
    meta = SnapshotMeta(
        index=9, term=2, members=Members(THREE, (), {N1: "a"}, (N2,)), config=CONFIG, size=3, crc=7
    )
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(meta), type=SnapshotMeta)
    assert again == meta


@pytest.mark.parametrize(
    "message",
    [
        AppendEntries(
            2, N1, N2, prev_index=4, prev_term=1, entries=(Entry(1, 6, Noop()),), commit=0, round=0, sent_at=0
        ),
        AppendEntries(
            2,
            N1,
            N2,
            prev_index=4,
            prev_term=1,
            entries=(Entry(1, 5, Noop()), Entry(0, 6, Noop())),
            commit=0,
            round=0,
            sent_at=0,
        ),
        AppendEntries(
            2, N1, N2, prev_index=4, prev_term=1, entries=(Entry(3, 5, Noop()),), commit=0, round=0, sent_at=0
        ),
        AppendEntries(2, N1, N2, prev_index=-1, prev_term=1, entries=(), commit=0, round=0, sent_at=0),
        AppendEntries(2**63, N1, N2, prev_index=4, prev_term=1, entries=(), commit=0, round=0, sent_at=0),
        InstallSnapshot(
            2,
            N1,
            N2,
            meta=SnapshotMeta(index=5, term=1, members=Members(), config=GroupConfig(), size=3, crc=0),
            offset=2,
            data=b"xx",
            round=0,
            sent_at=0,
        ),
        InstallSnapshot(
            2,
            N1,
            N2,
            meta=SnapshotMeta(index=5, term=1, members=Members(), config=GroupConfig(), size=3, crc=0),
            offset=-1,
            data=b"",
            round=0,
            sent_at=0,
        ),
        InstallSnapshot(
            2,
            N1,
            N2,
            meta=SnapshotMeta(index=5, term=3, members=Members(), config=GroupConfig(), size=3, crc=0),
            offset=0,
            data=b"xx",
            round=0,
            sent_at=0,
        ),
        SnapshotReply(2, N1, N2, index=5, offset=-1, installed=False, round=0, sent_at=0),
    ],
)
def test_s68_a_message_such_as_no_member_sends_is_refused(message: Any) -> None:
    with pytest.raises((msgspec.ValidationError, ValueError)):
        read_messages(encode_messages([message]))
