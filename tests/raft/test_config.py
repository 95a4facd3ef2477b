"""Settings that cannot work are refused when they are made, in words."""

from typing import Any

import msgspec
import pytest

from fleet.errors import ConfigError
from fleet.raft.config import GroupConfig


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"heartbeat_ms": 0}, "heartbeat_ms must be at least 5"),
        ({"heartbeat_ms": -5}, "heartbeat_ms is negative: -5"),
        ({"election_ms": 599}, "election_ms=599 must be at least 3 x heartbeat_ms=200"),
        ({"lease_reads": True, "clock_drift_margin_ms": 1000}, "leaves no lease"),
        ({"batch_entries_max": 0}, "batch_entries_max must be at least 1"),
        ({"batch_bytes_max": 0}, "batch_bytes_max must be at least 1"),
        ({"window_max": 0}, "window_max must be at least 1"),
        ({"uncommitted_max": 0}, "uncommitted_max must be at least 1"),
        ({"sessions_max": 0}, "sessions_max must be at least 1"),
        ({"snapshot_chunk_bytes": 1023}, "snapshot_chunk_bytes must be at least 1024"),
        ({"command_bytes_max": 10}, "command_bytes_max must be at least 1024"),
        ({"command_bytes_max": (32 << 20) + 1}, "command_bytes_max=33554433 is more than a message carries"),
        ({"batch_bytes_max": 1 << 30}, "batch_bytes_max=.* is more than a message carries"),
        ({"snapshot_chunk_bytes": 1 << 30}, "snapshot_chunk_bytes=.* is more than a message carries"),
        ({"snapshot_factor": 0.5}, "snapshot_factor must be at least 1"),
        ({"snapshot_factor": float("nan")}, "snapshot_factor"),
        ({"log_tail": -1}, "log_tail is negative"),
        ({"session_ttl_ms": -1}, "session_ttl_ms is negative"),
        ({"session_ttl_ms": 0}, "session_ttl_ms must be at least 500"),
        ({"session_ttl_ms": 1}, "session_ttl_ms must be at least 500"),
        ({"heartbeat_ms": 1, "election_ms": 3}, "heartbeat_ms must be at least 5"),
        ({"heartbeat_ms": 5, "election_ms": 15}, "election_ms must be at least 50"),
        ({"election_ms": 10**30}, "election_ms must be at most 3600000"),
        ({"storage_timeout_ms": 0}, "storage_timeout_ms must be at least 100"),
        ({"transfer_timeout_ms": 0}, "transfer_timeout_ms=0 is less than heartbeat_ms=200"),
        ({"uncommitted_bytes_max": 0}, "uncommitted_bytes_max must be at least 1"),
        ({"log_tail_bytes": 1 << 60}, "log_tail_bytes must be at most"),
        ({"snapshot_ceiling_bytes": 1000}, "snapshot_ceiling_bytes=1000 is less than snapshot_floor_bytes"),
        ({"sessions_max": "9"}, "sessions_max must be of type int, not '9'"),
        ({"heartbeat_ms": 100.0}, "heartbeat_ms must be of type int, not 100.0"),
        ({"lease_reads": 1}, "lease_reads must be of type bool, not 1"),
        ({"heartbeat_ms": -(10**5000)}, "heartbeat_ms is negative: an int of too many digits"),
        ({"heartbeat_ms": 10**5000}, "heartbeat_ms must be at most 3600000"),
        ({"snapshot_factor": -(10**5000)}, "snapshot_factor is negative: an int of too many digits"),
        ({"lease_reads": 10**5000}, "lease_reads must be of type bool, not an int of too many digits"),
        ({"window_max": [10**5000]}, "window_max must be of type int, not a list of too many digits"),
        ({"keep": -(10**5000)}, "keep is negative: an int of too many digits"),
        ({"keep": [10**5000]}, "keep must be of type int or str, not a list of too many digits"),
        ({"keep": "9" * 5000}, "keep must be a number of entries, .* not '999+[.]{3}$"),
    ],
)
def test_a_bad_setting_is_refused_by_name(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match="GroupConfig: .*" + words):
        GroupConfig(**settings)


def test_a_margin_is_no_matter_without_a_lease() -> None:
    assert GroupConfig(clock_drift_margin_ms=9999).lease_reads is False


def test_a_setting_has_one_form_of_bytes() -> None:
    """An int became a float on the way: members with equal states had unequal snapshots."""
    config = GroupConfig(snapshot_factor=3)
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(config), type=GroupConfig)
    assert msgspec.msgpack.encode(again) == msgspec.msgpack.encode(config)


def test_a_bad_setting_from_the_wire_is_refused_too() -> None:
    data = msgspec.msgpack.encode({"heartbeat_ms": 0})
    with pytest.raises(msgspec.ValidationError, match="heartbeat_ms"):
        msgspec.msgpack.decode(data, type=GroupConfig)
