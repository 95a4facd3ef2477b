"""The time that a leader stamps commands with: its wall clock, kept near the other voters' clocks (S85).

A clock that is a day ahead would otherwise advance the group's time by a day, and, since that never goes
back, freeze it for a day under the next leader.
"""

from collections.abc import Sequence
from typing import Final

from fleet.raft.ids import Millis

SKEW_MAX_MS: Final[Millis] = 5000
"""How far a stamp may be from the median of the voters' clocks; more than a message and a write take."""


def stamp(own: Millis, others: Sequence[Millis], may_wait: bool) -> Millis:
    """`own`, or the nearest time within SKEW_MAX_MS of the median of all clocks.

    Of an even number of clocks the median is the middle one nearer to `own`: of two clocks, either may be
    wrong. `may_wait`: other voters are about to report theirs; until then it is the earlier of the two, since
    time that has advanced never goes back.
    """
    clocks = sorted((own, *others))
    low, high = clocks[(len(clocks) - 1) // 2], clocks[len(clocks) // 2]
    middle = low if may_wait or own - low <= high - own else high
    return min(max(own, middle - SKEW_MAX_MS), middle + SKEW_MAX_MS)
