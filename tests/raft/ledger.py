"""A data object for tests: an ordered list of every command that was executed."""

from collections.abc import Sequence

import msgspec

from fleet.interfaces import RESULTS_BYTES_MAX, Context
from fleet.raft.group_events import GroupEvent
from fleet.raft.reminders import ReminderTable

FAIL = b"fail"


class Ledger:
    """Executing a command appends its payload and answers how long the list has become."""

    keep_ms = 60_000
    wants_effects = False
    effects_room = 0, 0
    weight = 8
    events_max, events_bytes_max = 100, 100_000

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.reminders = ReminderTable()

    def apply(
        self,
        context: Context,
        payloads: Sequence[bytes],
        bytes_max: int = RESULTS_BYTES_MAX,
        is_due: bool = False,
        weigh: bool = False,
    ) -> tuple[list[bytes], bool]:
        values: list[bytes] = []
        for payload in payloads:
            self.lines.append(payload)
            if payload.startswith(FAIL):
                return [*values, b"failed"], False
            values.append(b"%d" % len(self.lines))
            bytes_max -= len(values[-1])
            if bytes_max < 0:
                break
        return values, True

    def take_events(self) -> tuple[GroupEvent, ...]:
        return ()

    def replay(self, context: Context, payloads: Sequence[bytes], is_due: bool = False) -> None:
        values, is_clean = self.apply(context, payloads)
        assert is_clean and len(values) == len(payloads)

    def check(self, payload: bytes) -> str | None:
        return None

    def query(self, payloads: Sequence[bytes]) -> tuple[list[bytes], bool]:
        if FAIL not in payloads:
            return [b"%d" % len(self.lines) for _ in payloads], True
        self.lines.append(FAIL)
        return ([b"failed"] if len(payloads) == 1 else []), False

    def dump(self, version: int = 0) -> bytes:
        return msgspec.msgpack.encode(self.lines)

    def load(self, state: bytes | None) -> None:
        self.lines = [] if state is None else msgspec.msgpack.decode(state, type=list[bytes])

    def trouble(self) -> None:
        return None
