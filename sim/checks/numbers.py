"""Numbers of commands: exactly-once rests on them, since a result is found by session and number alone."""

from fleet.raft.entries import Commands
from fleet.raft.ids import SessionId


class Numbers:
    """Of one group: within a session, a number names one command for ever."""

    def __init__(self) -> None:
        self.payloads: dict[tuple[SessionId, int], bytes] = {}

    def objection(self, body: Commands) -> str:
        """To these, which are committed; "" if there is none."""
        for seq, payload in enumerate(body.payloads, body.first):
            known = self.payloads.setdefault((body.session, seq), payload)
            if known != payload:
                return f"command {seq} of session {body.session} names {known!r} and {payload!r}"
        return ""
