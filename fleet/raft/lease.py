"""When a leader may answer a read: pure functions of what its peers confirmed (Raft thesis 6.4)."""

from dataclasses import dataclass, field

from fleet.raft.ids import Index, Millis
from fleet.raft.quorum import reached_by_quorum


@dataclass(slots=True)
class ReadRound:
    """Reads that wait for the same confirmation. `index`: the state must be at least this new.

    Round 0 needs none: the lease covers it.
    """

    round: int
    index: Index
    tokens: list[int] = field(default_factory=list)


def lease_until(sent_at: list[Millis], election_ms: Millis, margin_ms: Millis) -> Millis:
    """Until when no other leader can be elected: a majority refuses votes for `election_ms` after it
    received what left at the time given per voter; the margin covers clocks that run at other rates."""
    return reached_by_quorum(sent_at) + election_ms - margin_ms


def is_confirmed(round: int, confirmed: list[int]) -> bool:
    """Whether a majority confirmed this round or a later one."""
    return reached_by_quorum(confirmed) >= round
