"""What the patterns of a role secret do not cover."""

import pytest

from fleet.actors.messages.client import WatchGroup
from fleet.actors.messages.group_states import TakeCopy
from fleet.actors.messages.operator import GetStatus, GroupRequest, SkipCommand
from fleet.actors.messages.well_known import REGISTRY
from fleet.cluster.state import CLUSTER_GROUP
from fleet.roles import OPERATOR, ROLES
from tests.actors.node.test_gate import ME, cluster, error_of, gate, may, request


@pytest.mark.parametrize("role", ROLES)
def test_no_pattern_covers_the_group_of_the_cluster(role: str) -> None:
    """An operator of `f*` removed its members."""
    whole = gate(role)
    for one in (gate(role, "f*"), gate(role, CLUSTER_GROUP)):
        for message in (
            GroupRequest(1, ME, CLUSTER_GROUP, SkipCommand(1)),
            GroupRequest(1, ME, CLUSTER_GROUP, TakeCopy()),
            WatchGroup(CLUSTER_GROUP, "me", ME, 1, None, None),
            request(CLUSTER_GROUP, (cluster("remove_group", CLUSTER_GROUP),)),
        ):
            assert not may(one, message)
        assert may(one, GroupRequest(1, ME, CLUSTER_GROUP, GetStatus()))
    assert may(whole, GroupRequest(1, ME, CLUSTER_GROUP, SkipCommand(1))) == (role == OPERATOR)
    error = error_of(gate(OPERATOR, "f*")(REGISTRY, ME, GroupRequest(1, ME, CLUSTER_GROUP, SkipCommand(1))))
    assert error is not None and error.facts["needs"] == "operator of all groups"
