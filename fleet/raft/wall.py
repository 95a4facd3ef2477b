"""What a leader stamps commands with: its wall clock, kept near those of the other voters (S85).

One clock that is a day ahead would otherwise move the group's time on by a day, and, since that never
goes back, freeze it for a day under the next leader.
"""

from collections.abc import Sequence
from typing import Final

from fleet.raft.ids import Millis

SKEW_MAX_MS: Final[Millis] = 5000
"""How far a stamp may be from the middle of the voters' clocks. More than a message and a write take."""


def stamp(own: Millis, others: Sequence[Millis], may_wait: bool) -> Millis:
    """`own`, or the nearest time that is within SKEW_MAX_MS of the middle one of all clocks.

    Of an even number the middle one of the two that is nearer to `own`: of two clocks nobody can say which
    is wrong. `may_wait`: other voters are about to say theirs; until then the earlier of the two, since
    time that was moved on is never moved back.
    """
    clocks = sorted((own, *others))
    low, high = clocks[(len(clocks) - 1) // 2], clocks[len(clocks) // 2]
    middle = low if may_wait or own - low <= high - own else high
    return min(max(own, middle - SKEW_MAX_MS), middle + SKEW_MAX_MS)
