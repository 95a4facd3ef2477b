"""How many bytes of entries a leader has under way to one peer.

All that two nodes say to each other goes over one connection, in order: entries that are sent ahead over a
slow link delay the heartbeats of all groups. So a leader measures how much longer an append takes than the
shortest round trip. In time: the window grows by what was acknowledged, as TCP's does at first. Late: it
shrinks to what the link carries in time, and grows slowly from then on. The windows of several groups come to
share a link so, without knowing of each other. Where the link is fast a window is soon no limit.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from fleet.raft.ids import Index, Millis

BYTES_MIN: Final = 4 << 10
BYTES_FIRST: Final = 16 << 10
EARLY_MS: Final[Millis] = 100
LATE_MS: Final[Millis] = 200
"""Appends that take so much longer than the shortest round trip are too many: heartbeats wait behind them.
Those that take longer by no more than the former may be more."""
STEP_BYTES: Final = 1 << 10
"""How much a window grows in a round trip, at least: the same for all, so that they come to equal shares."""
PARTS: Final = 4
"""Appends that fill a window: the link goes on while the first of them is acknowledged."""


@dataclass(slots=True)
class AppendWindow:
    """Invariant: `under_way` is the size of all `appends`."""

    bytes_max: int = BYTES_FIRST
    """What may be under way, except for one append that is bigger alone."""
    under_way: int = 0
    appends: deque[tuple[Index, int, int]] = field(default_factory=deque)
    """Those under way, in order: last index, bytes, and what was under way when it had left."""
    quickest_ms: Millis = 0
    """The shortest time until a reply; 0: none is known."""
    was_late: bool = False
    """It grows slowly from then on."""

    def room(self, appends_max: int) -> int:
        """How many bytes the next append may carry."""
        part = self.bytes_max // PARTS
        if self.appends and (self.under_way + part > self.bytes_max or len(self.appends) >= appends_max):
            return 0
        return part

    def sent(self, last: Index, size: int) -> None:
        self.under_way += size
        self.appends.append((last, size, self.under_way))

    def answered(self, took_ms: Millis) -> None:
        """Any reply has come, so long after the message that it answers had left."""
        if took_ms < self.quickest_ms or not self.quickest_ms:
            self.quickest_ms = max(took_ms, 1)

    def accepted(self, index: Index, took_ms: Millis) -> None:
        """The peer has everything up to `index`, by a reply that took so long."""
        appends, acknowledged, used = self.appends, 0, 0
        while appends and appends[0][0] <= index:
            _, size, used = appends.popleft()
            acknowledged += size
        self.under_way -= acknowledged
        if 2 * used >= self.bytes_max:  # else it is not the window that bounds what is under way
            self._adapt(acknowledged, used, took_ms)

    def _adapt(self, acknowledged: int, used: int, took_ms: Millis) -> None:
        late_ms = self.quickest_ms + LATE_MS
        if took_ms > late_ms:
            self.was_late = True
            if self.bytes_max == BYTES_MIN:  # the round trip may have become longer
                self.quickest_ms += max(1, (took_ms - self.quickest_ms) // 64)
            self.bytes_max = max(BYTES_MIN, min(self.bytes_max, used * late_ms // took_ms))
        elif self.was_late or took_ms > self.quickest_ms + EARLY_MS:
            self.bytes_max += acknowledged * max(STEP_BYTES, self.bytes_max // 32) // self.bytes_max
        else:
            self.bytes_max += acknowledged

    def clear(self) -> None:
        """What was under way is not waited for any more."""
        self.appends.clear()
        self.under_way = 0
