"""Settings of groups, drawn: quick elections, little logs, small batches, sessions that expire."""

import random

from msgspec.structs import replace

from fleet.raft.config import GroupConfig


def draw_config(rng: random.Random) -> GroupConfig:
    election_ms = rng.choice([300, 1000])
    return GroupConfig(
        heartbeat_ms=election_ms // 5,
        election_ms=election_ms,
        storage_timeout_ms=2 * election_ms,
        lease_reads=rng.random() < 0.5,
        announce_commits=rng.random() < 0.3,
        clock_drift_margin_ms=election_ms // 5,
        batch_entries_max=rng.choice([1, 3, 1024]),
        window_max=rng.choice([1, 2, 16]),
        uncommitted_max=rng.choice([4, 8192]),
        snapshot_factor=1,
        snapshot_floor_bytes=rng.choice([300, 2000, 1 << 20]),
        snapshot_chunk_bytes=1024,
        log_tail=rng.choice([0, 3, 1000]),
        command_limit_ms=rng.choice([300, 2_000]),
        session_ttl_ms=rng.choice([3_000, 3_600_000, 3_600_000]),
    )


def draw_keep(seed: int) -> int | str:
    """How much of their past groups keep, in some seeds; drawn apart, so that the others are as they were."""
    kept: tuple[int | str, ...] = (0, 0, 0, 20, 300, "5s")
    return random.Random(f"{seed} keep").choice(kept)


def config_of(number: int) -> GroupConfig:
    """The same number is the same settings."""
    return replace(draw_config(random.Random(number)), keep=draw_keep(number))
