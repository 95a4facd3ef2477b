"""Exactly once, in order: the session table against a model that remembers everything."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.raft.config import GroupConfig
from fleet.raft.entries import Command, SessionOpened
from fleet.raft.sessions import DONE, EXECUTE, EXPIRED, OUT_OF_ORDER, STALE, Result, SessionTable

FOREVER = 10**9


def opened(*clients: str, wall_ms: int = 0) -> tuple[SessionTable, list[int]]:
    table, ids = SessionTable(), []
    for index, client in enumerate(clients, 1):
        table.advance(wall_ms, FOREVER, 100)
        ids.append(table.open(index, SessionOpened(client, wall_ms)))
    return table, ids


def execute(
    table: SessionTable,
    session: int,
    seq: int,
    acked: int = 0,
    value: bytes = b"",
    config: GroupConfig = GroupConfig(),
) -> str:
    status, found, _ = table.admit(Command(session=session, seq=seq, acked=acked, wall_ms=0, payload=b""))
    if status == EXECUTE:
        assert found is not None
        table.record(found, seq, Result(seq, value), config)
    return status


def test_the_same_command_is_executed_once_and_answered_alike() -> None:
    table, (session,) = opened("c")
    assert execute(table, session, 1, value=b"v") == EXECUTE
    status, _, result = table.admit(Command(session=session, seq=1, acked=0, wall_ms=0, payload=b""))
    assert (status, result) == (DONE, Result(1, b"v"))


def test_a_gap_is_refused_and_may_be_filled_later() -> None:
    table, (session,) = opened("c")
    assert execute(table, session, 2) == OUT_OF_ORDER
    assert [execute(table, session, seq) for seq in (1, 2)] == [EXECUTE, EXECUTE]


def test_what_the_client_gave_up_on_is_never_executed() -> None:
    """It said so in a later command; its late twin must not run after it."""
    table, (session,) = opened("c")
    assert execute(table, session, 3, acked=2) == EXECUTE
    assert [execute(table, session, seq) for seq in (1, 2)] == [STALE, STALE]


def test_a_result_is_kept_until_it_is_acknowledged_and_no_longer() -> None:
    table, (session,) = opened("c")
    for seq in range(1, 100):
        execute(table, session, seq, acked=seq - 1)
        assert len(table.sessions[session].results) == 1
    assert execute(table, session, 98) == STALE


def test_s76_a_session_that_its_client_closes_leaves_nothing() -> None:
    table, (session, other) = opened("c", "other")
    execute(table, session, 1, value=bytes(1000))
    table.close("c")
    table.close("nobody's")
    assert (list(table.sessions), list(table.clients)) == ([other], ["other"])
    assert execute(table, session, 2) == EXPIRED


def test_a_repeated_opening_finds_the_session_it_has() -> None:
    table, (session,) = opened("c")
    assert table.open(9, SessionOpened("c", 0)) == session


def test_two_groups_of_one_name_do_not_share_session_ids() -> None:
    one, two = SessionTable(salt=1), SessionTable(salt=2)
    assert one.open(5, SessionOpened("c", 0)) != two.open(5, SessionOpened("c", 0))


def test_no_session_is_ever_found_as_zero() -> None:
    table, _ = opened("c")
    assert execute(table, 0, 1) == EXPIRED


def test_a_session_lives_as_long_as_it_is_used() -> None:
    table, (used, unused) = opened("used", "unused")
    for wall_ms in range(0, 2001, 500):
        table.advance(wall_ms, 1000, 100)
        execute(table, used, wall_ms // 500 + 1)
    assert set(table.sessions) == {used} and set(table.clients) == {"used"}
    assert execute(table, unused, 1) == EXPIRED


def test_the_longest_unused_session_makes_room() -> None:
    table, (first, second, third) = opened("a", "b", "c")
    execute(table, first, 1)
    table.advance(0, FOREVER, 2)
    assert set(table.sessions) == {first, third}
    assert execute(table, second, 1) == EXPIRED


def test_log_time_never_goes_back() -> None:
    table, (session,) = opened("c", wall_ms=5000)
    table.advance(100, 1000, 100)
    assert table.log_ms == 5000 and session in table.sessions


def test_the_table_is_the_same_after_a_snapshot() -> None:
    """Also the order in which its sessions would expire."""
    table, (first, second) = opened("a", "b")
    execute(table, first, 1, value=b"v")
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(table), type=SessionTable)
    assert again == table and list(again.sessions) == list(table.sessions) == [second, first]
    assert execute(again, first, 1) == DONE


COMMANDS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(1, 6), st.integers(0, 6), st.booleans()), max_size=60
)


@settings(deadline=None)  # by the wall clock, of a machine that others load
@given(COMMANDS)
def test_commands_are_executed_once_and_in_order_whatever_arrives(
    arrivals: list[tuple[int, int, int, bool]],
) -> None:
    """Any commands in any order, repeated, with any acknowledgements; snapshots in between."""
    table, ids = opened("a", "b", "c")
    executed: dict[int, list[int]] = {session: [] for session in ids}
    gone: dict[int, int] = dict.fromkeys(ids, 0)
    for number, seq, acked, snapshot in arrivals:
        session = ids[number]
        gone[session] = max(gone[session], acked)
        status, found, result = table.admit(
            Command(session=session, seq=seq, acked=acked, wall_ms=0, payload=b"")
        )
        if status == EXECUTE:
            assert found is not None and seq not in executed[session] and seq > gone[session]
            assert all(earlier < seq for earlier in executed[session])
            missed = set(range(1, seq)) - set(executed[session])
            assert all(one <= gone[session] for one in missed)
            executed[session].append(seq)
            table.record(found, seq, Result(seq, b"%d" % seq), GroupConfig())
        elif status == DONE:
            assert seq in executed[session] and result == Result(seq, b"%d" % seq)
        elif status == STALE:
            assert seq <= gone[session]
        else:
            assert status == OUT_OF_ORDER and seq not in executed[session]
        if snapshot:
            table = msgspec.msgpack.decode(msgspec.msgpack.encode(table), type=SessionTable)
    for session in ids:
        assert all(seq > gone[session] for seq in table.sessions[session].results)


def kept(table: SessionTable) -> int:
    """Bytes of results, counted one by one."""
    return sum(32 + len(one.value) for each in table.sessions.values() for one in each.results.values())


def test_s76_the_results_of_one_session_are_bounded_in_bytes() -> None:
    """One pipelining client made every member and snapshot keep a thousand results of any size."""
    table, (session,) = opened("c")
    config = GroupConfig(session_bytes_max=1000)
    for seq in range(1, 21):
        assert execute(table, session, seq, value=bytes(200), config=config) == EXECUTE
        assert kept(table) == table.bytes == table.sessions[session].bytes <= 1000
    assert table.admit(Command(session=session, seq=20, acked=0, wall_ms=0, payload=b""))[0] == DONE
    assert table.admit(Command(session=session, seq=1, acked=0, wall_ms=0, payload=b""))[0] == STALE, (
        "known to be executed, its result is not"
    )
    assert execute(table, session, 21, value=bytes(5000), config=config) == EXECUTE
    assert table.admit(Command(session=session, seq=21, acked=0, wall_ms=0, payload=b""))[0] == DONE, (
        "the newest is kept, whatever its size"
    )
    execute(table, session, 22, acked=21, config=config)
    assert kept(table) == table.bytes == 32


def test_s76_the_results_of_all_sessions_are_bounded_in_bytes() -> None:
    """2,000 short-lived clients made a snapshot of 100 MB."""
    config = GroupConfig(sessions_bytes_max=100_000)
    table, sessions = opened(*[f"c{number}" for number in range(90)])
    for session in sessions:
        execute(table, session, 1, value=bytes(5000), config=config)
        assert kept(table) == table.bytes <= 100_000
    assert table.admit(Command(session=sessions[-1], seq=1, acked=0, wall_ms=0, payload=b""))[0] == DONE
    assert table.admit(Command(session=sessions[0], seq=1, acked=0, wall_ms=0, payload=b""))[0] == STALE
    assert execute(table, sessions[0], 2) == EXECUTE, "the session itself goes on"
    for client in [f"c{number}" for number in range(90)]:
        table.close(client)
    assert table.bytes == 0
