"""One call to a group on its way."""

from msgspec import Struct

from fleet.objects.outcomes import Receiver
from fleet.raft.ids import Millis


class Batch(Struct):
    """The calls of one request, which is under way while one of them is."""

    remaining: int = 0


class ClientCall(Struct, eq=False, gc=False):
    """A command or a query. What follows `receiver` belongs to the session that sends it."""

    group: str
    is_query: bool
    payload: bytes
    deadline: Millis
    receiver: Receiver
    sends: tuple[int, ...] = ()
    """Numbers of the requests that carried it, without those that were refused: while there is one, the
    command may have been executed."""
    is_hopeless: bool = False
    """Permanently refused, but an earlier send may have been executed: it is not sent again, and its
    outcome is waited for."""
    batch: Batch | None = None
    is_unsettled: bool = False
    """Its receiver was told `Unsettled`."""
