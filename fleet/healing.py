"""What a group needs next: one step, a pure function of what is wanted and what its leader sees."""

from collections.abc import Collection
from typing import TypeAlias

from msgspec import Struct

from fleet.raft.ids import MemberId, NodeName, node_of


class Host(Struct, frozen=True):
    """Ask the node to make room for a member, then add that."""

    node: NodeName


class Promote(Struct, frozen=True):
    member: MemberId


Step: TypeAlias = Host | Promote


def next_step(
    wanted: Collection[NodeName],
    voters: Collection[MemberId],
    learners: Collection[MemberId],
    reachable: Collection[NodeName],
) -> Step | None:
    """Learners become voters before anybody else is added, so that quorums stay as small as they can."""
    for learner in learners:
        if node_of(learner) in wanted:
            return Promote(learner)
    present = {node_of(member) for member in (*voters, *learners)}
    for node in wanted:
        if node not in present and node in reachable:
            return Host(node)
    return None
