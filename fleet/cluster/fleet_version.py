"""The version of the fleet that is in force: what nodes may write, and send to all others.

An operator asks for a later one by `finalize`. Each node then writes it to its directory, which builds that
do not speak it refuse from then on, and reports that. With the last report the version is in force, by the
same committed command: nothing new is written as long as an earlier build could come to read it.
"""

from collections.abc import Iterable

from fleet.cluster.state import NodeRecord
from fleet.raft.ids import NodeName
from fleet.versions import Build, spoken


def newest_of_all(nodes: Iterable[NodeRecord]) -> int:
    """The newest version that every node speaks, by what they have reported; 0 without nodes."""
    return min((node.build.newest for node in nodes), default=0)


def newest_of_any(nodes: Iterable[NodeRecord]) -> int:
    """The newest version that some node speaks; 0 without nodes."""
    return max((node.build.newest for node in nodes), default=0)


def behind(nodes: Iterable[NodeRecord], version: int) -> dict[NodeName, str]:
    """Nodes whose build does not speak the version, and what they run."""
    return {node.name: str(node.build) for node in nodes if not node.build.speaks(version)}


def unwritten(nodes: Iterable[NodeRecord], version: int) -> list[NodeName]:
    """Nodes that have not reported yet that their directory has the version."""
    return sorted(node.name for node in nodes if node.disk_version < version)


def why_unfit(build: Build, in_force: int) -> str:
    """Why a node with this build cannot be in the fleet; "": it can."""
    if not in_force or build.speaks(in_force):
        return ""
    what = f"version {in_force} of the fleet is in force, and this node's build ({build}) does not speak it"
    if build.newest < in_force:
        return f"{what}: install the release that the other nodes run"
    older = f"a release that speaks {spoken(in_force, build.oldest)}"
    return f"{what}: start {older} on every node, and run `fleet finalize`, before this one"
