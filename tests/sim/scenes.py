"""A group on simulated nodes: what scenarios and their helpers have in common."""

from typing import Any

import fleet
from fleet.actors.messages.operator import TransferLeader
from fleet.raft.ids import MemberId, node_of
from fleet.testing import Sim

FAST = {"heartbeat_ms": 30, "election_ms": 300, "storage_timeout_ms": 600, "clock_drift_margin_ms": 60}


class Log(fleet.Data):
    values: list[int] = []

    @fleet.command
    def append(self, value: int) -> int:
        self.values.append(value)
        return len(self.values)

    @fleet.command
    def put(self, value: bytes) -> None:
        self.big = value

    @fleet.query
    def all(self) -> tuple[int, ...]:
        return tuple(self.values)


def config(**settings: Any) -> fleet.GroupConfig:
    return fleet.GroupConfig(**(FAST | settings))


def member(sim: Sim, node: str, group: str = "g") -> Any:
    return next(m for m in sim.world.members_of(group) if node_of(m.core.id) == node)


def terms(sim: Sim, group: str = "g") -> set[int]:
    return {m.core.term for m in sim.world.members_of(group)}


def others(sim: Sim, *nodes: str | None) -> list[str]:
    return [name for name in sim.nodes if name not in nodes]


def leader_of(sim: Sim, group: str = "g") -> str:
    assert sim.run("10s", lambda: sim.leader(group) is not None)
    leader = sim.leader(group)
    assert leader is not None
    return leader


def wait_for_leader_but(sim: Sim, old: str) -> str:
    assert sim.run("10s", lambda: sim.leader("g") not in (None, old)), "nobody else is elected"
    return leader_of(sim)


def agree(sim: Sim) -> None:
    sim.heal()
    assert sim.states_equal("g")
    assert sim.explain("g") is None


def ask(sim: Sim, op: Any, group: str = "g", address: str = "") -> None:
    """An operator's request; without a group it is for the node at `address`."""
    sim.client.in_turn(lambda: sim.client.ask(op, group, address, lambda value, error: None))


def ask_cluster(sim: Sim, method: str, *args: Any) -> None:
    """An operator's command, until it is done."""
    sim._ask_cluster(method, args)


def hand_over(sim: Sim, node: str, group: str = "g") -> None:
    if leader_of(sim, group) != node:
        ask(sim, TransferLeader(member(sim, node, group).core.id), group)
        assert sim.run("10s", lambda: sim.leader(group) == node)


def voters(sim: Sim) -> tuple[MemberId, ...]:
    leader = sim.leader("g")
    return member(sim, leader).core.membership.current.voters if leader is not None else ()
