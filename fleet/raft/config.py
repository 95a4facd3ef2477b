"""Settings that a group's members agree on: timing, limits, leases. Replicated, and changed by a commit."""

from collections.abc import Iterator

import msgspec

from fleet.errors import ConfigError
from fleet.raft.ids import Millis

CARRIED_BYTES_MAX = 32 << 20
"""The largest payload of one message; with its envelope it still fits a frame of a link."""


class GroupConfig(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Settings of one group, the same on every member from the log index where they were committed.

    Times are in milliseconds, sizes in bytes. Raises ConfigError on construction for values that are out of
    range or contradict each other.
    """

    heartbeat_ms: Millis = 200
    """How often a leader sends heartbeats, where it has nothing else to send."""
    election_ms: Millis = 1000
    """A follower campaigns after hearing nothing for a random time in [1x, 2x) of this."""
    announce_commits: bool = False
    """Tell followers of each commit at once, even when there is nothing else to send: for groups whose
    followers are read. Costs up to two more messages a follower and command."""
    lease_reads: bool = False
    """Whether a leader answers reads under a lease, without asking its followers; trusts clock rates."""
    clock_drift_margin_ms: Millis = 200
    """A lease ends this much earlier than the election timeout that protects it."""
    storage_timeout_ms: Millis = 2000
    """A leader whose write takes longer than this steps down: its disk hangs."""
    transfer_timeout_ms: Millis = 1000
    """How long the target of a transfer may take before the leader gives it up."""
    batch_entries_max: int = 1024
    batch_bytes_max: int = 1 << 20
    """One AppendEntries carries at most this many entries and about this many payload bytes."""
    window_max: int = 16
    """Appends in flight to one follower."""
    uncommitted_max: int = 8192
    uncommitted_bytes_max: int = 64 << 20
    """Limits on commands and bytes that are not committed yet. Once either is reached a leader answers
    Overloaded instead of appending more; also when the log has grown by 8 x `snapshot_ceiling_bytes` since
    the last snapshot, because none can be taken."""
    snapshot_factor: float = 10.0
    snapshot_floor_bytes: int = 1 << 20
    snapshot_ceiling_bytes: int = 64 << 20
    """A snapshot is due when the log since the last one exceeds `snapshot_factor` times its size, but no
    sooner than the floor and no later than the ceiling."""
    snapshot_chunk_bytes: int = 256 << 10
    """Bytes of a snapshot in one message, at most: fewer while the peer is behind a slow link."""
    log_tail: int = 1000
    log_tail_bytes: int = 16 << 20
    """Limits on the entries, and their bytes, that are kept behind a snapshot, so that a slow follower does
    not need the snapshot."""
    keep: int | str = 0
    """How much of the group's past each member keeps beyond what it needs itself, so that former states can
    be seen again: at least so many entries of the log (10_000), or those of so much log time ("7d"; in s, m,
    h or d). 0: nothing. Changed to less, it frees space with the next snapshot."""
    session_ttl_ms: Millis = 3_600_000
    """Log time after which an unused session is forgotten."""
    sessions_max: int = 10_000
    """Beyond it, the session that was unused for longest is forgotten."""
    session_bytes_max: int = 16 << 20
    sessions_bytes_max: int = 32 << 20
    """Limits on the bytes of unacknowledged results, of one session and of all. Beyond them the oldest are
    forgotten: a command that is sent again is not executed again, but its result is lost."""
    keys_max: int = 100_000
    keys_bytes_max: int = 32 << 20
    """Limits on the keys of commands that are kept, and on their bytes with the results, by their weight.
    Beyond them a command with a new key is refused, since no key is forgotten before its time."""
    reminders_max: int = 10_000
    """How many reminders may be set at a time. A command that would set more fails."""
    command_bytes_max: int = 1 << 20
    """The largest encoded command."""
    command_limit_ms: Millis = 10_000
    """How long a command or a query may run before its executor is ended; 0: for ever."""
    compare_every: int = 1000
    """Members compare digests of their states after so many log entries, big ones less often; 0: never."""
    auto_repair: bool = False
    """Whether a member whose state differs from that of a majority takes its leader's by itself. False: it
    keeps its own, for an operator to look at, until `fleet group repair`."""

    def __post_init__(self) -> None:
        problem = next(self._problems(), None)
        if problem is not None:
            raise ConfigError(f"GroupConfig: {problem}")
        # An int would come back from the wire as a float: equal members, unequal snapshot bytes.
        msgspec.structs.force_setattr(self, "snapshot_factor", float(self.snapshot_factor))
        if type(self.keep) is str and _is_number(self.keep):
            msgspec.structs.force_setattr(self, "keep", int(self.keep))

    @property
    def keep_entries(self) -> int:
        return self.keep if isinstance(self.keep, int) else 0

    @property
    def keep_ms(self) -> Millis:
        return 0 if isinstance(self.keep, int) else int(self.keep[:-1]) * UNITS_MS[self.keep[-1]]

    def _problems(self) -> Iterator[str]:
        yield from _problems_of_keep(self.keep)
        for name in self.__struct_fields__:
            if name == "keep":
                continue
            value, least, most = getattr(self, name), LEAST.get(name, 0), MOST.get(name, NUMBER_MAX)
            kinds = KINDS.get(name, ("int",))
            if type(value).__name__ not in kinds:
                yield f"{name} must be of type {kinds[0]}, not {_shown(value)}"
            if value < 0:
                yield f"{name} is negative: {_shown(value)}"
            if not value >= least:  # NaN is not either
                yield f"{name} must be at least {least}"
            if value > most:
                yield f"{name} must be at most {most}"
        for name in ("command_bytes_max", "batch_bytes_max", "snapshot_chunk_bytes"):
            if (size := getattr(self, name)) > CARRIED_BYTES_MAX:
                yield f"{name}={size} is more than a message carries: {CARRIED_BYTES_MAX}"
        if self.snapshot_ceiling_bytes < self.snapshot_floor_bytes:
            yield (
                f"snapshot_ceiling_bytes={self.snapshot_ceiling_bytes} is less than "
                f"snapshot_floor_bytes={self.snapshot_floor_bytes}"
            )
        for name in ("storage_timeout_ms", "transfer_timeout_ms"):
            if (limit := getattr(self, name)) < self.heartbeat_ms:
                yield f"{name}={limit} is less than heartbeat_ms={self.heartbeat_ms}: it would always be over"
        if self.election_ms < 3 * self.heartbeat_ms:
            yield (
                f"election_ms={self.election_ms} must be at least 3 x heartbeat_ms={self.heartbeat_ms}: "
                "one lost heartbeat must not start an election"
            )
        if self.lease_reads and self.clock_drift_margin_ms >= self.election_ms:
            yield (
                f"clock_drift_margin_ms={self.clock_drift_margin_ms} leaves no lease "
                f"within election_ms={self.election_ms}"
            )


UNITS_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
KEPT_DIGITS_MAX = 9
SHOWN_MAX = 60


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= KEPT_DIGITS_MAX


def _problems_of_keep(keep: object) -> Iterator[str]:
    if type(keep) is str:
        if not _is_number(keep) and not (_is_number(keep[:-1]) and keep[-1] in UNITS_MS):
            yield f"keep must be a number of entries, or a time such as '7d' or '12h', not {_shown(keep)}"
    elif type(keep) is not int:
        yield f"keep must be of type int or str, not {_shown(keep)}"
    elif not 0 <= keep < 10**KEPT_DIGITS_MAX:
        most = f"keep must be less than {10**KEPT_DIGITS_MAX}"
        yield f"keep is negative: {_shown(keep)}" if keep < 0 else most


def _shown(value: object) -> str:
    """Shortened. Python makes no text of an int of thousands of digits."""
    try:
        text = repr(value)
    except ValueError:
        kind = type(value).__name__
        return f"{'an' if kind == 'int' else 'a'} {kind} of too many digits"
    return text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}..."


KINDS = {
    "announce_commits": ("bool",),
    "auto_repair": ("bool",),
    "lease_reads": ("bool",),
    "snapshot_factor": ("float", "int"),
}
"""All others but `keep` are int. Values of other types would be refused by their receivers."""
LEAST = {
    "heartbeat_ms": 5,
    "election_ms": 50,
    "storage_timeout_ms": 100,
    "session_ttl_ms": 500,
    "batch_entries_max": 1,
    "batch_bytes_max": 1,
    "window_max": 1,
    "uncommitted_max": 1,
    "uncommitted_bytes_max": 1,
    "sessions_max": 1,
    "snapshot_chunk_bytes": 1024,
    "command_bytes_max": 1024,
    "snapshot_factor": 1,
}
"""Others may be 0. A round trip and a sync take milliseconds: a session or an election that ends sooner never
achieves anything."""
NUMBER_MAX = (1 << 53) - 1
HOUR_MS = 3_600_000
MOST = dict.fromkeys(
    ("heartbeat_ms", "election_ms", "clock_drift_margin_ms", "storage_timeout_ms", "transfer_timeout_ms"),
    HOUR_MS,
)
