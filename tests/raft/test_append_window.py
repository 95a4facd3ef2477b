"""What is under way to a peer behind a slow link, while groups catch up there."""

import heapq
from dataclasses import dataclass, field

import pytest

from fleet.raft.append_window import BYTES_FIRST, BYTES_MIN, EARLY_MS, LATE_MS, STEP_BYTES, AppendWindow

SECOND = 1000
HEARTBEAT_MS = 200


@dataclass
class Link:
    """All groups' appends to one node, in order, at so many bytes a second; replies come back at once."""

    bytes_per_s: float
    round_trip_ms: int
    windows: list[AppendWindow]
    entry_bytes: int = 1000
    pause_ms: int = 0
    """The peer or the leader is busy for so long each time, with other things."""
    free_at: float = 0.0
    waited_ms: list[float] = field(default_factory=list)
    """Of heartbeats, behind appends."""
    arrived: int = 0

    def run(self, until_ms: int) -> None:
        replies: list[tuple[float, int, int, float]] = []
        lasts = [0] * len(self.windows)
        for window in self.windows:
            window.answered(self.round_trip_ms)  # to the heartbeat before
        now, beat = 0.0, 0.0
        while now < until_ms:
            if now >= beat:
                self.waited_ms.append(max(0.0, self.free_at - now))
                beat += HEARTBEAT_MS
            for number, window in enumerate(self.windows):
                while room := window.room(16):
                    size = max(1, room // self.entry_bytes) * self.entry_bytes
                    lasts[number] += 1
                    window.sent(lasts[number], size)
                    self.free_at = max(self.free_at, now) + 1000 * size / self.bytes_per_s
                    at = self.free_at + self.round_trip_ms + self.pause_ms
                    heapq.heappush(replies, (at, number, lasts[number], now))
                    self.arrived += size
            if replies[0][0] <= beat:
                now, number, last, sent_at = heapq.heappop(replies)
                self.windows[number].accepted(last, round(now - sent_at))
            else:
                now = beat


@pytest.mark.parametrize("groups", [1, 4, 16])
@pytest.mark.parametrize("round_trip_ms", [2, 50, 400])
@pytest.mark.parametrize("bytes_per_s", [125e3, 1.25e6, 12.5e6])
def test_heartbeats_behind_a_slow_link_wait_no_longer_than_that_and_the_link_is_used(
    bytes_per_s: float, round_trip_ms: int, groups: int
) -> None:
    link = Link(bytes_per_s, round_trip_ms, [AppendWindow(BYTES_MIN) for _ in range(groups)])
    link.run(60 * SECOND)
    all_smallest_ms = 1000 * groups * BYTES_MIN / bytes_per_s
    assert max(link.waited_ms) <= max(1.5 * LATE_MS + all_smallest_ms, round_trip_ms + EARLY_MS)
    assert max(link.waited_ms[-100:]) <= 1.2 * LATE_MS + all_smallest_ms
    assert link.arrived > 0.7 * 60 * bytes_per_s


@pytest.mark.parametrize("first", [BYTES_MIN, BYTES_FIRST])
def test_a_window_is_soon_no_limit_where_the_link_is_fast(first: int) -> None:
    link = Link(1e9, 1, [AppendWindow(first) for _ in range(4)])
    link.run(50)
    assert min(window.bytes_max for window in link.windows) > 4 << 20


@pytest.mark.parametrize("pause_ms", [100, 250, 400])
def test_a_window_does_not_stay_small_where_it_is_not_the_link_that_is_slow(pause_ms: int) -> None:
    """The peer's disk, say, or the leader itself: each append takes so long, however small it is."""
    window = AppendWindow(quickest_ms=1)
    Link(1e9, 1, [window], pause_ms=pause_ms).run(60 * SECOND)
    assert window.bytes_max > 1 << 18


def test_what_is_late_shrinks_the_window_to_what_would_have_been_in_time() -> None:
    window = AppendWindow(quickest_ms=1)
    window.sent(1, BYTES_FIRST)
    window.accepted(1, 3 * (1 + LATE_MS))
    assert window.bytes_max == BYTES_FIRST // 3


@pytest.mark.parametrize(
    ("took_ms", "more"), [(1 + EARLY_MS, BYTES_FIRST), (2 + EARLY_MS, STEP_BYTES), (1 + LATE_MS, STEP_BYTES)]
)
def test_what_is_in_time_lets_the_window_grow(took_ms: int, more: int) -> None:
    window = AppendWindow(quickest_ms=1)
    window.sent(1, BYTES_FIRST)
    window.accepted(1, took_ms)
    assert window.bytes_max == BYTES_FIRST + more


def test_what_does_not_fill_the_window_says_nothing_about_it() -> None:
    window = AppendWindow(quickest_ms=1)
    window.sent(1, BYTES_FIRST // 4)
    window.accepted(1, 5000)
    window.sent(2, BYTES_FIRST // 4)
    window.accepted(2, 1)
    assert window.bytes_max == BYTES_FIRST


def test_an_append_that_is_bigger_than_the_window_goes_alone() -> None:
    window = AppendWindow(quickest_ms=1)
    assert window.room(16) > 0
    window.sent(1, 10 * BYTES_FIRST)
    assert window.room(16) == 0
    window.accepted(1, 1)
    assert window.room(16) > BYTES_FIRST and window.under_way == 0


def test_what_was_lost_is_not_waited_for() -> None:
    window = AppendWindow()
    window.sent(1, BYTES_FIRST)
    assert window.room(16) == 0
    window.clear()
    assert window.room(16) > 0
