"""Which session each client has, as far as a member knows: a process with a role uses no other one's.

Numbers of sessions can be guessed. A client's name cannot, and it is what a session is opened for.
"""

from fleet.raft.ids import SessionId

_SALT_BITS = 32
"""Above these the number of a session has what all of the group's sessions have in common."""


class OwnSessions:
    """The newest that this member has seen opened. It may have missed some, while others led."""

    def __init__(self) -> None:
        self.known: dict[str, SessionId] = {}

    def note(self, client: str, session: SessionId, count_max: int) -> None:
        self.known.pop(client, None)
        self.known[client] = session
        if len(self.known) > count_max:
            del self.known[next(iter(self.known))]

    def is_of(self, client: str, session: SessionId) -> bool | None:
        """None: it may be, and opening the client's session once more will tell. A session that is older than
        the client's has expired, if it was the client's at all."""
        own = self.known.get(client)
        if own is None or own < session and own >> _SALT_BITS == session >> _SALT_BITS:
            return None
        return own == session
