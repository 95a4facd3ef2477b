"""The simulated fleet, as faults see it: what they are drawn for and done to, and what must not be done.

A fault lasts until the next calm. What no quorum can survive is not done: at most one node's disk is
damaged or lost, and none where groups may be down to fewer members than they should have.
"""

import random
from typing import Any, Protocol

from fleet.cluster.state import CLUSTER_GROUP
from fleet.errors import FleetError
from fleet.raft.ids import node_of
from fleet.sim.checks.memory import is_needed
from fleet.sim.faults.failing import Failing
from fleet.sim.world.client import SimClient
from fleet.sim.world.host import SimNode
from fleet.sim.world.trace import FAULT, LIFE
from fleet.sim.world.world import World

COMMAND_MS = 5000
REDEPLOYED_US = 100_000
"""How long a node is down for new code."""


class Groups(Protocol):
    """The groups of an episode, and who writes down what operators did with them."""

    kinds: dict[str, str]
    """By name, of those that are known to be there."""

    def asks(self, method: str, args: tuple[Any, ...]) -> Any:
        """An operator's command to the cluster begins; the result is for `answered`."""

    def answered(self, call: Any, error: FleetError | None) -> None: ...


class Field:
    def __init__(self, world: World, admin: SimClient, groups: Groups, rng: random.Random) -> None:
        self.world = world
        self.admin = admin
        self.groups = groups
        self.rng = rng
        """For draws."""
        self.spoiled: str | None = None
        """The one node whose disk may be damaged or lost."""
        self.may_shrink = False
        """Groups may have fewer members than three, so that no disk may be lost."""
        self.spares_memory = False
        """No process is killed whose end would lose a group in memory only."""
        self.calls_back = rng.random() < 0.5
        """Nodes that are still leaving in the end are called back; else they leave first."""
        self.failing: list[Failing] = []
        """Actors that wait for the message before which they fail."""
        self.is_over = False

    # -- who there is ------------------------------------------------------------------------------

    @property
    def nodes(self) -> dict[str, SimNode]:
        return self.world.nodes

    @property
    def everyone(self) -> list[str]:
        """Hosts of nodes and of clients."""
        return [*self.world.nodes, *self.world.clients]

    def any(self) -> SimNode:
        """Some node; one that leads a group more often than by chance."""
        rng, nodes = self.rng, list(self.nodes.values())
        if rng.random() < 0.5:
            leading = [node for node, member in self.world.members() if member.core.is_leader]
            nodes = leading or nodes
        return rng.choice(nodes)

    def any_group(self) -> str:
        return self.rng.choice([*self.groups.kinds, CLUSTER_GROUP])

    def any_pair(self) -> tuple[str, str]:
        """The node of a group's leader and that of one of its followers; else any two."""
        rng, members = self.rng, self.world.members_of(self.any_group())
        leading = [node_of(one.core.id) for one in members if one.core.is_leader]
        others = [node_of(one.core.id) for one in members if not one.core.is_leader]
        if not leading or not others or rng.random() < 0.3:
            return self.any().name, self.any().name
        return rng.choice(leading), rng.choice(others)

    # -- what is done ------------------------------------------------------------------------------

    def cut(self, *ways: tuple[str, str]) -> None:
        self.world.network.weather.cut.update(ways)

    def part(self, one: str, other: str) -> None:
        self.cut((one, other), (other, one))

    def slow(self, one: str, extra_us: int) -> None:
        """Everything from and to that host takes longer."""
        for other in self.everyone:
            self.world.network.weather.slow_us[one, other] = extra_us
            self.world.network.weather.slow_us[other, one] = extra_us

    def spares(self, name: str) -> bool:
        return self.spares_memory and is_needed(self.world, name)

    def kill(self, name: str, back_us: int | None, power: bool = False) -> None:
        node = self.nodes[name]
        if self.spares(name):
            return
        node.kill(power)
        if back_us is not None:
            self.world.after(back_us, self.start, node)

    def start(self, node: SimNode) -> None:
        if not node.is_up and not self.is_over:
            node.start()

    def roll(self, name: str, still_us: int) -> None:
        """As one of several that are restarted."""
        if not self.spares(name):
            self.restart(name, still_us)

    def restart(self, name: str, still_us: int) -> None:
        """In good order, unless it is down already."""
        node = self.nodes[name]
        if node.is_up and not self.is_over:
            node.stop()
            self.world.after(still_us, self.start, node)

    def shrink(self) -> bool:
        """False: it must not be, since a disk was lost."""
        self.may_shrink = self.may_shrink or self.spoiled is None
        return self.spoiled is None

    def may_spoil(self, node: SimNode) -> bool:
        return self.spoiled == node.name or (self.spoiled is None and not self.may_shrink)

    def may_wipe(self, node: SimNode) -> bool:
        """Once, as a second one might come before the first has healed."""
        return self.spoiled is None and self.may_spoil(node)

    def replace_disk(self, node: SimNode) -> None:
        """The operator lets the node join as a new one: without an address it would found a cluster."""
        members = self.world.invariants.members_on(node.name)
        say = f"its disk {node.disk.incarnation} is gone for good, with {members} members"
        self.world.trace(LIFE, node.name, say)
        node.replace_disk()
        self.let_join(node)

    def let_join(self, node: SimNode) -> None:
        if not node.founders:
            node.join = tuple(other.endpoint for other in self.nodes.values() if other is not node)

    def command(self, method: str, *args: Any) -> None:
        """An operator asks the cluster."""
        call = self.groups.asks(method, args)

        def told(value: Any, error: FleetError | None) -> None:
            self.groups.answered(call, error)
            self.world.trace(FAULT, say=f"operator: {method} {args[0]}: {error or 'done'}")

        self.admin.in_turn(lambda: self.admin.call(CLUSTER_GROUP, method, args, False, COMMAND_MS, told))

    # -- peace -------------------------------------------------------------------------------------

    def calm(self) -> None:
        """What an operator sees to: everything runs and is connected again."""
        self.world.network.weather.clear()
        self.world.network.heal()
        while self.failing:
            self.failing.pop().disarm()
        for node in self.nodes.values():
            has_bad_code = bool(node.imports) or has_one_code(node)
            node.recover()
            if has_bad_code:
                self.restart(node.name, REDEPLOYED_US)
            self.start(node)


def has_one_code(node: SimNode) -> bool:
    """Whether it, or an executor of it, has only one code of users' classes."""
    executors = node.process.executors.values() if node.process is not None else ()
    return node.code != 0 or any(executor.code for executor in executors)


def links_of(node: SimNode) -> list[Any]:
    """One end of each, in the order in which they were made."""
    return [end for end in node.world.network.links if node.process in (end.process, end.other.process)]


def clock_moved(node: SimNode) -> None:
    if node.process is not None and node.process.is_alive:
        node.process.clock_moved()
