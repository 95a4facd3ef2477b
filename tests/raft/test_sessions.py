"""Exactly once, in order: the session table against a model that remembers everything."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.raft.config import GroupConfig
from fleet.raft.entries import Commands, SessionOpened
from fleet.raft.sessions import EXECUTE, EXPIRED, OUT_OF_ORDER, Results, SessionTable

FOREVER = 10**9


def opened(*clients: str, wall_ms: int = 0) -> tuple[SessionTable, list[int]]:
    table, ids = SessionTable(), []
    for index, client in enumerate(clients, 1):
        table.advance(wall_ms, FOREVER, 100)
        ids.append(table.open(index, SessionOpened(client, wall_ms)))
    return table, ids


KNOWN, STALE = "known", "stale"


def commands(session: int, first: int, count: int = 1, acked: int = 0) -> Commands:
    return Commands(session, first, acked, 0, (b"",) * count)


def execute(
    table: SessionTable,
    session: int,
    seq: int,
    acked: int = 0,
    value: bytes = b"",
    config: GroupConfig = GroupConfig(),
) -> str:
    status, found, known = table.admit(commands(session, seq, acked=acked))
    if status == EXECUTE:
        assert found is not None
        if known:
            return KNOWN if found.result(seq) else STALE
        table.record(found, Results(seq, seq, (value,)), config)
    return status


def test_the_same_command_is_executed_once_and_answered_alike() -> None:
    table, (session,) = opened("c")
    assert execute(table, session, 1, value=b"v") == EXECUTE
    status, found, known = table.admit(commands(session, 1))
    assert (status, known) == (EXECUTE, 1) and found is not None
    assert found.result(1) == Results(1, 1, (b"v",))


def test_results_of_commands_that_were_executed_together_are_found_one_by_one() -> None:
    table, (session,) = opened("c")
    _, found, known = table.admit(commands(session, 1, count=3))
    assert found is not None and known == 0
    table.record(found, Results(1, 7, (b"x", b"y", b"z")), GroupConfig())
    assert table.admit(commands(session, 2, count=5, acked=1))[2] == 2
    assert [found.result(seq) for seq in (1, 2, 3, 4)] == [
        None, Results(2, 8, (b"y",)), Results(3, 9, (b"z",)), None,
    ]  # fmt: skip
    assert table.bytes == found.bytes == 2 * 33


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
    assert execute(again, first, 1) == KNOWN


COMMANDS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(1, 6), st.integers(1, 4), st.integers(0, 6), st.booleans()),
    max_size=60,
)


@settings(deadline=None)  # by the wall clock, of a machine that others load
@given(COMMANDS)
def test_commands_are_executed_once_and_in_order_whatever_arrives(
    arrivals: list[tuple[int, int, int, int, bool]],
) -> None:
    """Any commands in any order, repeated, with any acknowledgements; snapshots in between."""
    table, ids = opened("a", "b", "c")
    executed: dict[int, list[int]] = {session: [] for session in ids}
    gone: dict[int, int] = dict.fromkeys(ids, 0)
    for number, first, count, acked, snapshot in arrivals:
        session = ids[number]
        gone[session] = max(gone[session], acked)
        done = executed[session]
        status, found, known = table.admit(commands(session, first, count, acked))
        seqs = range(first, first + count)
        if status == EXECUTE:
            assert found is not None
            for seq in seqs[:known]:
                result = found.result(seq)
                assert result == (Results(seq, seq, (b"%d" % seq,)) if seq > gone[session] else None)
                assert seq in done or seq <= gone[session]
            new = seqs[known:]
            assert not set(new) & set(done) and all(seq > max(done, default=0) for seq in new)
            missed = set(range(1, new.start)) - set(done)
            assert not new or all(one <= gone[session] for one in missed)
            if new:
                done.extend(new)
                values = tuple(b"%d" % seq for seq in new)
                table.record(found, Results(new.start, new.start, values), GroupConfig())
        else:
            assert status == OUT_OF_ORDER and not set(seqs) & set(done)
        if snapshot:
            table = msgspec.msgpack.decode(msgspec.msgpack.encode(table), type=SessionTable)
    for session in ids:
        kept_results = table.sessions[session].results
        assert all(results.first > gone[session] and results.values for results in kept_results)


def kept(table: SessionTable) -> int:
    """Bytes of results, counted one by one."""
    values = [v for each in table.sessions.values() for results in each.results for v in results.values]
    return sum(32 + len(value) for value in values)


def test_s76_the_results_of_one_session_are_bounded_in_bytes() -> None:
    """One pipelining client made every member and snapshot keep a thousand results of any size."""
    table, (session,) = opened("c")
    config = GroupConfig(session_bytes_max=1000)
    for seq in range(1, 21):
        assert execute(table, session, seq, value=bytes(200), config=config) == EXECUTE
        assert kept(table) == table.bytes == table.sessions[session].bytes <= 1000
    assert execute(table, session, 20) == KNOWN
    assert execute(table, session, 1) == STALE, "known to be executed, its result is not"
    assert execute(table, session, 21, value=bytes(5000), config=config) == EXECUTE
    assert execute(table, session, 21) == KNOWN, "the newest is kept, whatever its size"
    execute(table, session, 22, acked=21, config=config)
    assert kept(table) == table.bytes == 32


def test_s76_the_results_of_all_sessions_are_bounded_in_bytes() -> None:
    """2,000 short-lived clients made a snapshot of 100 MB."""
    config = GroupConfig(sessions_bytes_max=100_000)
    table, sessions = opened(*[f"c{number}" for number in range(90)])
    for session in sessions:
        execute(table, session, 1, value=bytes(5000), config=config)
        assert kept(table) == table.bytes <= 100_000
    assert execute(table, sessions[-1], 1) == KNOWN
    assert execute(table, sessions[0], 1) == STALE
    assert execute(table, sessions[0], 2) == EXECUTE, "the session itself goes on"
    for client in [f"c{number}" for number in range(90)]:
        table.close(client)
    assert table.bytes == 0
