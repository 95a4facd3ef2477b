"""One call to a group on its way."""

from msgspec import Struct

from fleet.actors.messages.client import ReadBound
from fleet.errors import TooStale
from fleet.objects.handles import NEAREST_AGE_MS, CallOptions
from fleet.objects.outcomes import Receiver
from fleet.raft.ids import Millis


class Batch(Struct):
    """The calls of one request, which is under way while one of them is."""

    remaining: int = 0
    is_of_reads: bool = False
    """Whether any member may answer them."""


class ClientCall(Struct, eq=False, gc=False):
    """A command or a query. What follows `bound` belongs to the session that sends it."""

    group: str
    is_query: bool
    payload: bytes
    deadline: Millis
    receiver: Receiver
    bound: ReadBound | None = None
    """Of a query that any member may answer."""
    sends: tuple[int, ...] = ()
    """Numbers of the requests that carried it, without those that were refused: while there is one, the
    command may have been executed."""
    is_hopeless: bool = False
    """Permanently refused, but an earlier send may have been executed: it is not sent again, and its
    outcome is waited for."""
    batch: Batch | None = None
    is_unsettled: bool = False
    """Its receiver was told `Unsettled`."""
    too_stale: TooStale | None = None
    """What the member said that refused it, before the leader was asked."""


def bound_of(options: CallOptions) -> ReadBound | None:
    age_ms = options.max_age_ms
    if age_ms is None:
        return ReadBound(NEAREST_AGE_MS, 0) if options.nearest else None
    return ReadBound(age_ms, options.at_least)
