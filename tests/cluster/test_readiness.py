"""When a node says that it can serve."""

import pytest

from fleet.cluster.readiness import why_not_ready
from fleet.cluster.state import ACTIVE, INACTIVE, LEAVING, NodeRecord
from fleet.cluster.view import ClusterView
from fleet.raft.ids import NodeName

N1, N2, N3 = NodeName("n1"), NodeName("n2"), NodeName("n3")


def view(state: str = ACTIVE, disk: str = "disk1", rev: int = 9) -> ClusterView:
    records = [NodeRecord(name, f"disk{name[1]}", name, "", 1.0, ACTIVE) for name in (N2, N3)]
    own = NodeRecord(N1, disk, N1, "", 1.0, state)
    return ClusterView(rev=rev, nodes={one.name: one for one in (own, *records)})


@pytest.mark.parametrize("state", [ACTIVE, INACTIVE])
@pytest.mark.parametrize("heard", [(N2,), (N3,), (N2, N3)])
def test_a_node_that_hears_a_majority_is_ready(state: str, heard: tuple[NodeName, ...]) -> None:
    assert why_not_ready(N1, "disk1", view(state), heard, 0) == ()


@pytest.mark.parametrize(
    ("seen", "heard", "starting", "says"),
    [
        (ClusterView(), (N2, N3), 0, "it belongs to no cluster yet"),
        (view(state=LEAVING), (N2, N3), 0, "it is leaving the cluster"),
        (view(disk="other"), (N2, N3), 0, "it is not a node of its cluster yet, or was purged"),
        (view(), (), 0, "it hears 1 of the cluster group's 3 voters, 2 are needed: n2, n3 are silent"),
        (view(), (N2,), 7, "7 of its members are being started"),
    ],
)
def test_why_a_node_is_not_ready(
    seen: ClusterView, heard: tuple[NodeName, ...], starting: int, says: str
) -> None:
    (why,) = why_not_ready(N1, "disk1", seen, heard, starting)
    assert why.startswith(says)


def test_a_node_alone_needs_to_hear_nobody() -> None:
    alone = ClusterView(rev=1, nodes={N1: NodeRecord(N1, "disk1", "", "", 1.0, ACTIVE)})
    assert why_not_ready(N1, "disk1", alone, (), 0) == ()


def test_a_purged_node_is_not_ready() -> None:
    purged = ClusterView(rev=1, nodes={N2: NodeRecord(N2, "disk2", "", "", 1.0, ACTIVE)})
    assert why_not_ready(N1, "disk1", purged, (N2,), 0) == (
        "it is not a node of its cluster yet, or was purged",
    )
