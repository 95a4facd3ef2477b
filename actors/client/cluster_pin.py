"""The cluster that a client or node keeps to, and the addresses that belong to other clusters."""

from collections.abc import Callable

from fleet.actors.runtime.actor import log
from fleet.errors import WrongCluster
from fleet.raft.ids import Millis

LOG_EVERY_MS: Millis = 60_000


def uid_text(uid: int) -> str:
    """A cluster's uid as text, for people; "none" for 0."""
    return f"{uid:014x}" if uid else "none"


def wrong_cluster(address: str, theirs: int, ours: int) -> WrongCluster:
    what = f"{address} belongs to cluster {uid_text(theirs)}, not to {uid_text(ours)}"
    return WrongCluster(what, address=address, theirs=uid_text(theirs), ours=uid_text(ours))


class ClusterPin:
    """`uid` is 0 until the first answer that names a cluster, and never changes after it.

    Args:
        now: milliseconds on a clock that never goes back.
    """

    def __init__(self, now: Callable[[], Millis]) -> None:
        self.now = now
        self.uid = 0
        self.foreign: dict[str, int] = {}
        """Addresses of other clusters, and their uids."""
        self._logged_at: dict[str, Millis] = {}

    def admits(self, address: str, uid: int) -> bool:
        """Whether a node at `address` that belongs to cluster `uid` is one of ours. Pins the first."""
        self.uid = self.uid or uid
        if uid == self.uid:
            self.foreign.pop(address, None)
            return True
        self.foreign[address] = uid
        now = self.now()
        if now - self._logged_at.get(address, -LOG_EVERY_MS) >= LOG_EVERY_MS:
            self._logged_at[address] = now
            error = self.error(address)
            log.error("%s - %s", error.what, error.hint)
        return False

    def error(self, address: str) -> WrongCluster:
        return wrong_cluster(address, self.foreign.get(address, 0), self.uid)
