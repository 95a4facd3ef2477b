"""The table of clients' own keys, as replicated state."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from fleet.raft.config import GroupConfig
from fleet.raft.keys import KEY_OVERHEAD, KeptKeys, KeyTable


def table(*keys: tuple[str, int]) -> KeyTable:
    """With these, each kept for so many milliseconds."""
    made = KeyTable()
    for revision, (key, keep_ms) in enumerate(keys, 1):
        made.record(key, b"digest", keep_ms, revision, b"value", 5)
    return made


def test_a_key_is_forgotten_after_its_time_and_not_before() -> None:
    keys = table(("late", 20), ("soon", 10), ("later", 30))
    keys.pass_time(10)
    assert list(keys.results) == ["late", "soon", "later"]
    keys.pass_time(1)
    assert list(keys.results) == ["late", "later"]
    keys.record("soon", b"digest", 5, 4, b"value", 5)
    keys.pass_time(10)
    assert list(keys.results) == ["later"]
    keys.pass_time(100)
    assert keys.results == {} and keys.by_time == [] and keys.weight == 0


def test_a_table_is_full_by_number_or_by_weight() -> None:
    keys = table(("a", 10), ("b", 20))
    assert keys.weight == 2 * (KEY_OVERHEAD + 1 + 5)
    assert keys.is_full(GroupConfig(keys_max=2)) and not keys.is_full(GroupConfig(keys_max=3))
    assert keys.is_full(GroupConfig(keys_bytes_max=keys.weight))
    keys.pass_time(11)
    assert not keys.is_full(GroupConfig(keys_max=2))


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20)), max_size=30), st.integers(0, 30))
def test_a_table_that_was_restored_goes_on_alike(steps: list[tuple[int, int]], restored_at: int) -> None:
    one, other = KeyTable(), KeyTable()
    for number, (keep_ms, period_ms) in enumerate(steps):
        if number == restored_at:
            other = KeyTable.of(msgspec.msgpack.decode(msgspec.msgpack.encode(one.kept()), type=KeptKeys))
        for keys in (one, other):
            keys.pass_time(period_ms)
            keys.record(f"k{number}", b"digest", keep_ms, number, b"value", 5)
        assert msgspec.msgpack.encode(one.kept()) == msgspec.msgpack.encode(other.kept())
        assert (one.weight, sorted(one.by_time)) == (other.weight, sorted(other.by_time))
