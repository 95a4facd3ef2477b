"""Bugs about fleets that lost the majority of their disks."""

from typing import Any
from unittest.mock import patch

from fleet.actors.node import greetings, manager
from fleet.actors.node.operator_requests import OperatorRequests
from fleet.cluster import recovery
from fleet.cluster.state import CLUSTER_GROUP
from fleet.storage import Store
from tests.sim.planted.patches import Patches, in_modules


def shortest_log_goes_on() -> Patches:
    """A group that is recovered goes on from the least complete log of those that survive."""
    completeness = recovery._completeness

    class Least:
        def __init__(self, one: Any) -> None:
            self.key = completeness(one)

        def __gt__(self, other: "Least") -> bool:
            return self.key < other.key

    return [
        patch.object(recovery, "_completeness", Least),
        patch.object(recovery, "_has_committed_of", lambda other, source: True),
    ]


def given_up_disk_is_let_in() -> Patches:
    """S32: whoever was recovered does not remember which disks were given up."""
    return [
        *in_modules("applied_recoveries", lambda store: [], greetings),
        *in_modules("given_up_disks", lambda store: frozenset(), greetings, manager),
    ]


def recovery_in_two_transactions() -> Patches:
    """A recovery changes the logs of a directory first, and then its records."""

    def rewrite(self: Any, batch: Any, specs: Any, meta: Any) -> None:
        whole(self, batch, {}, {})
        whole(self, (), specs, meta)

    whole = Store.rewrite
    return [patch.object(Store, "rewrite", rewrite)]


def members_before_their_cluster() -> Patches:
    """Seed 20131 of `recovered`: a new node hosted a group before it knew its cluster, and executed what a
    client of the lost cluster asked for."""
    pin = OperatorRequests._pin_cluster

    def pin_later(self: Any, spec: Any) -> Any:
        return pin(self, spec) if spec.name == CLUSTER_GROUP else {}

    return [patch.object(OperatorRequests, "_pin_cluster", pin_later)]
