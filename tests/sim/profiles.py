"""What each kind of storm makes likely: which faults, in what weather, on what settings."""

from typing import Any

from msgspec import Struct


class Profile(Struct, frozen=True):
    """`faults`: how often each, by its weight. `config`: of the group; a list is drawn from."""

    about: str
    faults: dict[str, int]
    nodes: tuple[int, ...] = (3, 5)
    config: dict[str, Any] = {}
    weather: dict[str, Any] = {}
    burst: int = 3
    """At most so many commands before each fault."""
    reads: float = 0.3
    steps: int = 40
    forks: bool = False
    """Snapshots are encoded by children."""
    executors: tuple[int, ...] = (0,)
    """Of each node."""
    host: dict[str, Any] = {}
    """Of every node, as attributes of `SimNode`."""
    disk: dict[str, Any] = {}
    """Of every node, as attributes of `SimDisk`."""
    persist: bool = True


CONFIG: dict[str, Any] = {
    "heartbeat_ms": 30,
    "election_ms": 300,
    "clock_drift_margin_ms": 60,
    "storage_timeout_ms": 600,
    "transfer_timeout_ms": 300,
    "lease_reads": [False, True],
    "batch_entries_max": [1, 2, 1024],
    "window_max": [1, 16],
    "snapshot_factor": 1,
    "snapshot_floor_bytes": [300, 1 << 20],
    "log_tail": [0, 2, 1000],
    "snapshot_chunk_bytes": [1024, 1 << 20],
}

PROFILES = {
    "elections": Profile(
        "leaders die, are cut off and come back, before they have replicated what they were given",
        {"isolate leader": 4, "kill leader": 3, "split": 2, "revive": 4, "heal": 2, "wait": 2},
        config={"batch_entries_max": [1, 2], "window_max": [1, 2]},
        weather={"delay_us": (50, 20_000)},
    ),
    "isolated": Profile(
        "leaders collect commands while they are cut off with their clients, then are heard again",
        {"isolate leader with client": 5, "heal": 3, "wait": 2, "kill leader": 1, "revive": 2,
         "forsake leader": 2},
        config={"batch_entries_max": 1, "window_max": [1, 2], "snapshot_floor_bytes": 1 << 20,
                "uncommitted_max": [4, 8192]},
        burst=8,
        reads=0.1,
    ),
    "leases": Profile(
        "leaders with a lease are cut off from their followers, not from their clients, and hand over",
        {"isolate leader": 4, "transfer": 4, "transfer and isolate": 4, "heal": 3, "wait": 2, "one way": 2,
         "restart follower": 3, "slow": 2, "part from one": 5},
        config={"lease_reads": [True, True, False]},
        weather={"delay_us": (50, 2_000)},
        reads=0.6,
    ),
    "snapshots": Profile(
        "members fall behind what is kept of the log; frames come twice, late and out of order",
        {"isolate follower": 4, "kill follower": 3, "heal": 4, "revive": 4, "wait": 3, "kill leader": 1,
         "power all": 1},
        config={"snapshot_floor_bytes": 300, "log_tail": 0},
        weather={"delay_us": (50, 5_000), "twice": 0.2, "late": 0.1, "late_us": 300_000, "reorder": 0.1},
        burst=8,
        reads=0.1,
        disk={"inline_bytes_max": 1_000, "us_per_kb": 3_000},
    ),
    "members": Profile(
        "voters are demoted, promoted and removed while leaders change",
        {"demote": 3, "promote": 3, "remove": 2, "transfer": 2, "isolate leader": 2, "kill leader": 2,
         "kill follower": 2, "revive": 3, "heal": 4, "wait": 2, "change twice": 4, "isolate and change": 4},
        nodes=(4, 5),
        config={"batch_entries_max": 1024},
    ),
    "members in memory": Profile(
        "of a group in memory only voters are demoted, promoted and removed while leaders change",
        {"demote": 3, "promote": 3, "remove": 2, "transfer": 2, "isolate leader": 2, "heal": 4, "wait": 2,
         "change twice": 4, "isolate and change": 4},
        nodes=(4, 5),
        steps=50,
        persist=False,
    ),
    "splits in memory": Profile(
        "the nodes of a group in memory only do not hear each other, in halves, one way and one by one",
        {"split": 5, "isolate leader with client": 2, "isolate follower": 2, "one way": 2, "heal": 5,
         "wait": 2},
        persist=False,
    ),
    "children": Profile(
        "snapshots are encoded by children of busy processes, which now and then cannot be had",
        {"busy": 6, "fork": 1, "isolate follower": 4, "heal": 4, "kill follower": 1, "revive": 2, "wait": 1},
        config={"snapshot_floor_bytes": 300, "snapshot_ceiling_bytes": 300, "log_tail": 0},
        weather={"delay_us": (50, 5_000)},
        burst=8,
        reads=0.1,
        forks=True,
        disk={"sync_us": (2_000, 60_000)},
    ),
    "refusals": Profile(
        "requests and what refuses them come twice and late, while leaders change under their clients",
        {"isolate leader with client": 4, "transfer": 4, "heal": 3, "kill leader": 1, "revive": 2, "wait": 1},
        config={"uncommitted_max": [1, 4, 8192], "batch_entries_max": [1, 1024]},
        weather={"delay_us": (50, 20_000), "twice": 0.5, "late": 0.1, "late_us": 500_000, "breaks": 0.01},
        burst=4,
    ),
    "disks": Profile(
        "disks hang, err and lose what they had not synced",
        {"hang": 3, "err": 2, "power all": 1, "kill leader": 2, "kill follower": 2, "revive": 4, "heal": 3,
         "isolate leader": 2, "wait": 2, "rot": 1},
        config={"batch_entries_max": [1, 1024]},
    ),
    "slow disks": Profile(
        "leaders come back while entries are written that others have replaced",
        {"isolate leader with client": 4, "hang": 3, "transfer": 2, "heal": 4, "wait": 1},
        config={"batch_entries_max": 1, "window_max": [1, 2, 16], "snapshot_floor_bytes": 1 << 20,
                "storage_timeout_ms": 2000},
        burst=8,
        reads=0.1,
        disk={"sync_us": (20_000, 300_000)},
    ),
    "late answers": Profile(
        "leaders hear their followers late, hand over and are cut off, while clients on their side read",
        {"answer late": 4, "be eager": 5, "transfer and deafen": 4, "heal": 6, "wait": 1, "revive": 1},
        config={"lease_reads": [False, True, True], "election_ms": [300, 1000], "storage_timeout_ms": 2000,
                "batch_entries_max": 1024, "snapshot_floor_bytes": 1 << 20},
        weather={"delay_us": (50, 2_000)},
        reads=0.6,
        burst=2,
        steps=25,
    ),
    "late votes": Profile(
        "elections among members that hear each other late",
        {"isolate leader": 3, "kill leader": 4, "revive": 5, "heal": 3, "split": 2, "slow": 1},
        config={"batch_entries_max": 1024, "snapshot_floor_bytes": 1 << 20},
        weather={"delay_us": (50, 100_000), "late": 0.3, "late_us": 900_000, "reorder": 0.4},
        nodes=(5,),
        reads=0.1,
        burst=2,
    ),
    "fresh leaders": Profile(
        "leaders change on slow disks, so that what is known as committed comes late, while clients read",
        {"isolate leader": 3, "kill leader": 3, "transfer": 3, "wait": 1, "heal": 3, "revive": 4},
        config={"batch_entries_max": [1, 1024], "window_max": [1, 16], "snapshot_floor_bytes": 1 << 20,
                "storage_timeout_ms": 2000},
        weather={"delay_us": (50, 20_000)},
        reads=0.6,
        burst=4,
        disk={"sync_us": (20_000, 200_000)},
    ),
    "rotten snapshots": Profile(
        "leaders meet damage in the snapshot that they send",
        {"rot snapshot": 2, "isolate follower": 4, "kill follower": 3, "heal": 4, "revive": 4, "wait": 2},
        config={"snapshot_floor_bytes": 300, "log_tail": 0},
        burst=8,
        reads=0.1,
    ),
    "failing snapshots": Profile(
        "members' own snapshots are staged on disks that fail for a moment, and must be tried again",
        {"err while staging": 5, "wait": 1, "isolate follower": 1, "heal": 2},
        config={"snapshot_floor_bytes": 300, "snapshot_ceiling_bytes": 300, "log_tail": 0},
        burst=8,
        reads=0.1,
        steps=20,
        disk={"inline_bytes_max": 1_000, "us_per_kb": 3_000},
    ),
    "two": Profile(
        "of two members the leader's disk is full, while it changes the other",
        {"fill and demote": 4, "heal": 4, "wait": 1, "transfer": 2, "promote": 3, "kill leader": 1,
         "revive": 2},
        nodes=(2,),
        config={"batch_entries_max": 1024, "snapshot_floor_bytes": 1 << 20},
        burst=2,
    ),
    "sleep": Profile(
        "the group falls asleep between calls, and loses nodes and links meanwhile",
        {"rest": 12, "isolate leader": 3, "isolate follower": 2, "kill leader": 3, "kill follower": 2,
         "part from one": 3, "one way": 2, "restart follower": 2, "isolate leader with client": 3,
         "heal": 4, "revive": 4, "transfer": 1, "pause": 3, "demote": 1, "promote": 1,
         "isolate asleep": 4},
        config={"announce_commits": [False, True]},
        burst=2,
        reads=0.5,
    ),
    "executors": Profile(
        "executors die while users' code takes its time, leaders change, and snapshots are taken",
        {"kill executor": 6, "isolate leader with client": 2, "isolate follower": 1,
         "kill follower": 1, "revive": 2, "transfer": 3, "heal": 4, "wait": 1},
        config={"snapshot_floor_bytes": [300, 300, 1 << 20], "log_tail": [0, 1000]},
        host={"code_us": 20_000},
        executors=(1, 2),
        burst=5,
        steps=30,
    ),
    "halts": Profile(
        "commands hang on some members and not on others, which are cut off; operators skip them",
        {"hang code": 6, "hang followers": 2, "skip": 3, "isolate follower": 2, "isolate leader": 1,
         "part from one": 1, "heal": 4, "wait": 2},
        config={"snapshot_floor_bytes": 1 << 20, "command_limit_ms": 100},
        host={"code_us": 500},
        executors=(1,),
        burst=2,
        steps=30,
    ),
    "messages": Profile(
        "frames overtake each other and come twice",
        {"isolate leader": 1, "slow": 2, "heal": 3, "wait": 6, "kill leader": 1, "revive": 2},
        config={"batch_entries_max": [1, 2], "window_max": 16, "snapshot_floor_bytes": 1 << 20},
        weather={"delay_us": (50, 3_000), "twice": 0.3, "late": 0.1, "late_us": 200_000, "reorder": 0.3},
        burst=8,
        reads=0.1,
    ),
}  # fmt: skip
