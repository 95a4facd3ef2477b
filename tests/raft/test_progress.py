"""One peer as its leader sees it: probe, replicate, snapshot."""

import pytest

from fleet.raft.entries import Members, SnapshotMeta
from fleet.raft.progress import CHUNK_BYTES_MIN, CHUNK_MS, PROBE, REPLICATE, SNAPSHOT, Progress
from tests.raft.cores import CONFIG

META = SnapshotMeta(index=50, term=1, members=Members(), config=CONFIG, size=100, crc=0)


def replicating(match: int = 10, inflight: tuple[int, ...] = ()) -> Progress:
    progress = Progress(match + 1, 0)
    progress.accepted(match)
    for last in inflight:
        progress.sent(last)
    return progress


def under_way(progress: Progress) -> list[int]:
    return [last for last, _, _ in progress.window.appends]


def test_a_probe_is_alone_until_it_is_answered() -> None:
    progress = Progress(5, 0)
    assert progress.room(16)
    progress.sent(9)
    assert not progress.room(16) and progress.next == 5


def test_an_accepted_probe_opens_the_pipeline() -> None:
    progress = Progress(5, 0)
    progress.sent(9)
    progress.accepted(9)
    assert (progress.state, progress.match, progress.next) == (REPLICATE, 9, 10)


def test_the_window_bounds_what_is_in_flight() -> None:
    progress = replicating(10, (11, 12, 13))
    assert not progress.room(3)
    progress.accepted(12)
    assert progress.room(3) and under_way(progress) == [13]


def test_a_heartbeat_takes_no_place_in_the_window() -> None:
    progress = replicating(10, (11,))
    progress.sent(11)
    assert under_way(progress) == [11]


def test_match_never_falls() -> None:
    progress = replicating(10)
    progress.accepted(4)
    assert (progress.match, progress.next) == (10, 11)
    assert not progress.rejected(10, 3, 99)
    assert not progress.rejected(7, 3, 99)


def test_a_refusal_goes_back_to_what_is_proven_and_no_further() -> None:
    progress = replicating(10, (14, 18))
    assert progress.rejected(14, 3, 0)
    assert (progress.state, progress.next, under_way(progress)) == (PROBE, 11, [])


def test_a_probe_is_answered_by_its_own_refusal_only() -> None:
    progress = Progress(30, 0)
    assert not progress.rejected(20, 10, 0)
    assert progress.rejected(29, 17, 0)
    assert progress.next == 17


def test_a_refusal_makes_progress_whatever_the_peer_hints() -> None:
    progress = Progress(30, 0)
    assert progress.rejected(29, 1000, 0)
    assert progress.next == 29


def test_a_refusal_from_before_the_pipeline_opened_says_nothing() -> None:
    progress = replicating(10)
    progress.heard(100)
    progress.become_probe(11)
    progress.accepted(11)
    progress.sent(20)
    assert not progress.rejected(15, 3, 99)
    assert progress.rejected(15, 3, 100)


def test_a_snapshot_ends_when_the_peer_has_what_it_stands_for() -> None:
    progress = replicating(10)
    progress.become_snapshot(META)
    assert progress.state == SNAPSHOT and not progress.room(16)
    progress.accepted(20)
    assert progress.state == SNAPSHOT
    assert not progress.rejected(40, 3, 99)
    progress.accepted(50)
    assert (progress.state, progress.next, progress.snapshot) == (PROBE, 51, None)


def test_probing_at_or_below_what_is_proven_is_our_own_bug() -> None:
    with pytest.raises(AssertionError):
        replicating(10).become_probe(10)


def test_silence_is_measured_from_the_last_word() -> None:
    progress = Progress(1, 100)
    assert progress.is_responsive(1099, 1000) and not progress.is_responsive(1100, 1000)


def test_a_report_counts_with_the_highest_entry_that_it_came_with() -> None:
    progress = Progress(next=1, acked_at=0)
    progress.reported((2, 0), 5, sent_at=10)
    progress.reported((2, 0), 3, sent_at=10)
    assert (progress.halted, progress.halted_with) == ((2, 0), 5)
    progress.reported((2, 1), 4, sent_at=10)
    assert (progress.halted, progress.halted_with) == ((2, 1), 4)
    progress.reported((2, 0), 9, sent_at=9)
    assert (progress.halted, progress.halted_with) == ((2, 1), 4)
    progress.reported(None, 9, sent_at=8)
    progress.reported((2, 1), 3, sent_at=10)
    assert (progress.halted, progress.halted_with) == ((2, 1), 3)


def size_of_chunks(bytes_per_s: float, round_trip_ms: int, limit: int = 1 << 18) -> tuple[int, int]:
    """The smallest and the largest of the last ten, to a peer behind such a link."""
    progress, sizes = Progress(1, 0), []
    progress.become_snapshot(META)
    for _ in range(30):
        sizes.append(min(progress.chunk_bytes, limit))
        progress.chunk_took(round_trip_ms + round(1000 * sizes[-1] / bytes_per_s), limit)
    return min(sizes[-10:]), max(sizes[-10:])


@pytest.mark.parametrize("round_trip_ms", [0, 400])
@pytest.mark.parametrize("bytes_per_s", [125e3, 1.25e6, 12.5e6])
def test_a_chunk_keeps_a_slow_link_from_heartbeats_for_no_longer_than_that(
    bytes_per_s: float, round_trip_ms: int
) -> None:
    """Whatever the latency is: it delays nobody."""
    _, largest = size_of_chunks(bytes_per_s, round_trip_ms)
    assert 1000 * largest / bytes_per_s <= 2 * CHUNK_MS + 1000 * CHUNK_BYTES_MIN / bytes_per_s


@pytest.mark.parametrize("round_trip_ms", [0, 400])
def test_chunks_grow_to_their_limit_where_the_link_is_fast(round_trip_ms: int) -> None:
    assert size_of_chunks(125e6, round_trip_ms) == (1 << 18, 1 << 18)


def test_chunks_are_small_again_when_another_snapshot_begins() -> None:
    progress = Progress(1, 0)
    progress.become_snapshot(META)
    progress.chunk_took(1, 1 << 18)
    assert progress.chunk_bytes == 2 * CHUNK_BYTES_MIN
    progress.become_snapshot(META)
    assert progress.chunk_bytes == CHUNK_BYTES_MIN
