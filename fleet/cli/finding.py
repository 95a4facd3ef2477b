"""Something that is wrong with a cluster, and how names are listed in what is said of it."""

from collections.abc import Iterable

from msgspec import Struct

from fleet.cluster.state import CLUSTER_GROUP

NAMES_SHOWN = 8


class Finding(Struct, frozen=True):
    kind: str
    """no-majority, no-leader, two-clusters, purged, unreachable, not-running, disk-full, damaged, conflict,
    clone, halted, diverged, not-compared, other-code, not-restored, not-finalized, few-replicas, lost,
    lost-members."""
    subjects: tuple[str, ...]
    """Groups or nodes."""
    what: str
    why: str
    next: str
    """What is safe to do, with the command."""


def group_names(groups: Iterable[str]) -> str:
    return listed("the cluster's own" if group == CLUSTER_GROUP else group for group in groups)


def listed(named: Iterable[str]) -> str:
    every = sorted(named)
    more = len(every) - NAMES_SHOWN
    return ", ".join(every[:NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")
