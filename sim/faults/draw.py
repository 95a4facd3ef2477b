"""Bad days: which faults, how often and how long is drawn anew for every seed (swarm testing).

What is drawn is kept as a list of faults, and a list can be given in the place of the draw.
"""

import random
from collections.abc import Callable
from typing import Any

from fleet.cluster.state import ACTIVE, CLUSTER_GROUP, LEAVING
from fleet.errors import Damaged
from fleet.raft.ids import node_of
from fleet.sim.faults.carry_out import FaultActions, Step, clock_moved, links_of, still_us
from fleet.sim.faults.failing import actors_of, messages_of
from fleet.sim.faults.schedule import FAULTS, MS, Fault, Plan, S, argument, what_happens
from fleet.sim.world.client import SimClient
from fleet.sim.world.host import SimNode
from fleet.sim.world.network import Weather
from fleet.sim.world.process import DAY_US
from fleet.sim.world.trace import FAULT
from fleet.sim.world.world import World

FAIR_WEATHER_US = (50, 500)
FAIR_SYNC_US = (200, 1_000)


class FaultInjector:
    """Has a method for each of `FAULTS`, which draws its arguments; None: not now."""

    def __init__(self, world: World, admin: SimClient, groups: dict[str, str], plan: Plan) -> None:
        self.world = world
        self.groups = groups
        self.rng = rng = random.Random(world.rng.getrandbits(64))
        self.weights = [rng.choice([0, 0, 0, 1, 3]) for _ in FAULTS]
        self.weights[-1] += 1
        self.pace = rng.choice([100, 400, 1000]) * MS
        self.weather = Weather(
            delay_us=(50, rng.choice([200, 2_000, 20_000])),
            late=rng.choice([0, 0, 0.02, 0.1]),
            late_us=rng.choice([50, 500]) * MS,
            breaks=rng.choice([0, 0, 0.002, 0.02]),
            twice=rng.choice([0, 0, 0.05]),
            reorder=rng.choice([0, 0, 0.05]),
        )
        sync_us = rng.choice([(200, 1_000), (500, 10_000), (5_000, 100_000)])
        us_per_kb = rng.choice([0, 0, 1_000, 50_000])
        dump_us = rng.choice([(200, 2_000), (200, 1_000_000)])
        if not plan.has_weather:
            self.weather, sync_us, us_per_kb = Weather(delay_us=FAIR_WEATHER_US), FAIR_SYNC_US, 0
        fork_above = rng.choice([0, 1, 1000])
        for node in world.nodes.values():
            node.disk.sync_us, node.disk.us_per_kb = sync_us, us_per_kb
            node.dump_us, node.fork_above_bytes = dump_us, fork_above
        self.actions = FaultActions(world, admin)
        if plan.faults is None:
            self.actions.still_us = self._still_us
        self.planned = None if plan.faults is None else list(plan.faults)
        self.done: list[Fault] = []
        """What was done, in order."""
        self.began = 0

    @property
    def is_over(self) -> bool:
        return self.actions.is_over

    def begin(self) -> None:
        self.world.network.weather = self.weather
        self.began = self.world.now
        self._next()

    def _next(self) -> None:
        if self.planned is None:
            self.world.after(self.rng.randint(1, 2 * self.pace), self._act)
        elif len(self.done) < len(self.planned):
            self.world.at(self.began + self.planned[len(self.done)].at, self._act)

    def _act(self) -> None:
        if self.is_over:
            return
        if self.planned is None:
            self._draw()
        else:
            self._do(self.planned[len(self.done)])
        self._next()

    def _draw(self) -> None:
        (what,) = self.rng.choices(list(FAULTS), self.weights)
        draw: Callable[[], tuple[Any, ...] | None] = getattr(self, what)
        args = draw()
        if args is not None:
            self._do(Fault(self.world.now - self.began, what, args))

    def _do(self, fault: Fault) -> None:
        self.done.append(fault)
        self.world.trace(FAULT, argument(fault, "node") or "", what_happens(fault, self.began))
        if not self.actions.do(fault):
            self.world.trace(FAULT, say="(this is not done: not possible here, or beyond repair)")

    def any(self) -> SimNode:
        """Some node; one that leads a group more often than by chance."""
        rng, nodes = self.rng, list(self.world.nodes.values())
        if rng.random() < 0.5:
            leading = [node for node, member in self.world.members() if member.core.is_leader]
            nodes = leading or nodes
        return rng.choice(nodes)

    # -- draws -------------------------------------------------------------------------------------

    def split(self) -> tuple[Any, ...]:
        nodes = list(self.world.nodes)
        some = self.rng.sample(nodes, self.rng.randint(1, max(1, len(nodes) // 2)))
        some += [name for name in self.world.clients if self.rng.random() < 0.5]
        return (tuple(some),)

    def one_way(self) -> tuple[Any, ...]:
        return self.any().name, self.rng.random() < 0.5

    def partial(self) -> tuple[Any, ...]:
        return self.any().name, self.any().name

    def slow(self) -> tuple[Any, ...]:
        return self.any().name, self.rng.choice([20, 200, 2000]) * MS

    def break_links(self) -> tuple[Any, ...]:
        one = self.any()
        return one.name, tuple(self.rng.choice([0, 1]) for _ in links_of(one))

    def resolve(self) -> tuple[Any, ...]:
        return self.any().name, self.rng.randint(1, 3000 * MS), self.rng.random() < 0.3

    def kill(self) -> tuple[Any, ...]:
        node = self.any()
        comes_back = self.rng.random() < 0.7
        return node.name, self.rng.randint(1, 500 * MS) if comes_back else None

    power = kill

    def kill_all(self) -> tuple[Any, ...]:
        power = self.rng.random() < 0.5
        return power, tuple((name, self.rng.randint(1, 2000 * MS)) for name in self.world.nodes)

    def rolling(self) -> tuple[Any, ...]:
        wait = 0
        steps = []
        for name in self.world.nodes:
            wait += self.rng.randint(1, 1500 * MS)
            steps.append([name, wait])
        return (tuple(steps),)

    def _still_us(self, step: Step) -> int:
        """Drawn when the turn comes, and kept in the fault's own list."""
        assert isinstance(step, list)
        step.append(self.rng.randint(1, 300 * MS))
        return still_us(step)

    def pause(self) -> tuple[Any, ...]:
        node = self.any()
        return node.name, 0 if node.process is None else self.rng.randint(1, 6000 * MS)

    def busy(self) -> tuple[Any, ...]:
        return self.any().name, self.rng.randint(1, 5000 * MS)

    def fail(self) -> tuple[Any, ...] | None:
        """A member of the cluster as often as all others together."""
        node, rng = self.any(), self.rng
        actors = list(actors_of(node))
        if not actors:
            return None
        actor = CLUSTER_GROUP if CLUSTER_GROUP in actors and rng.random() < 0.5 else rng.choice(actors)
        message = rng.choice(messages_of(actor))
        return node.name, actor, message, rng.random() < 0.5, rng.randint(1, 2000 * MS)

    def fork(self) -> tuple[Any, ...]:
        return self.any().name, self.rng.choice([0.1, 0.5, 1.0])

    def err(self) -> tuple[Any, ...]:
        return self.any().name, self.rng.choice([0.1, 1.0])

    def full(self) -> tuple[Any, ...]:
        return (self.any().name,)

    def hang(self) -> tuple[Any, ...]:
        return self.any().name, self.rng.randint(1, 8000 * MS)

    def flip(self) -> tuple[Any, ...] | None:
        node = self.any()
        if not self.actions.may_spoil(node):
            return None
        self.actions.spoiled = node.name
        place = node.disk.draw_bit(self.rng, own=not node.is_up and self.rng.random() < 0.3)
        return None if place is None else (node.name, *place)

    def wipe(self) -> tuple[Any, ...] | None:
        node = self.any()
        return (node.name, self.rng.randint(1, 2000 * MS)) if self.actions.may_wipe(node) else None

    def rate(self) -> tuple[Any, ...]:
        return self.any().name, self.rng.choice([960, 1000, 1040])

    def jump(self) -> tuple[Any, ...]:
        return self.any().name, self.rng.randint(1, 3000 * MS)

    def jump_wall(self) -> tuple[Any, ...]:
        most = self.rng.choice([3600 * S, DAY_US])
        return self.any().name, self.rng.randint(-most, most)

    def transfer(self) -> tuple[Any, ...] | None:
        group = self.rng.choice([*self.groups, CLUSTER_GROUP])
        members = self.world.members_of(group)
        return (group, node_of(self.rng.choice(members).core.id)) if members else None

    def drain(self) -> tuple[Any, ...] | None:
        node = self.any()
        if not self.actions.may_drain(node):
            return None
        return node.name, self.rng.choice([LEAVING, LEAVING, ACTIVE])

    def add_group(self) -> tuple[Any, ...]:
        return (f"x{self.rng.randint(1, 3)}",)

    remove_group = add_group

    def calm(self) -> tuple[Any, ...]:
        return ()

    # -- peace -------------------------------------------------------------------------------------

    def end(self) -> None:
        """No more faults, and clocks that are right again."""
        self.actions.calm()
        self.actions.is_over = True
        self.world.trace(FAULT, say="all faults end")
        self.world.network.weather = Weather()
        self.world.network.heal()
        for node in self.world.nodes.values():
            node.clock.set_rate(1000)
            node.disk.us_per_kb = 0
            clock_moved(node)
        self.repair()

    def _has_left(self, manager: Any) -> bool:
        return manager is not None and manager.is_serving and manager.cluster.membership.has_left

    def repair(self) -> None:
        """What takes an operator: nodes that do not start, members on rotten records, nodes that left."""
        for node in self.world.nodes.values():
            manager = node.manager
            if manager is not None and node.name == self.actions.spoiled and is_damaged(manager):
                node.kill()
                self._replace_disk(node)
            elif not node.is_up and not node.start():
                self._replace_disk(node)
            elif self._has_left(manager) and not self._is_known(node):
                node.stop()
                if not node.founders:
                    node.join = tuple(o.endpoint for o in self.world.nodes.values() if o is not node)
            elif node.has_left and self._is_known(node):
                self.actions.command("set_state", node.name, ACTIVE)
            if not node.is_up:
                node.start()

    def _replace_disk(self, node: SimNode) -> None:
        self.world.trace(FAULT, say=f"an operator replaces the disk of {node.name}")
        self.actions.replace_disk(node)

    def _is_known(self, node: SimNode) -> bool:
        """Whether the cluster has the node, as far as any other node knows."""
        managers = [other.manager for other in self.world.nodes.values() if other is not node]
        views = [manager.view for manager in managers if manager is not None and manager.is_serving]
        newest = max(views, key=lambda view: int(view.rev), default=None)
        return newest is not None and node.name in newest.nodes


def is_damaged(manager: Any) -> bool:
    """Whether the node's own records are not what was written, or a member cannot run for another reason
    than its damaged records: those it replaces by itself."""
    try:
        manager.store.check_own()
    except Damaged:
        return True
    hosted_members = [hosted for hosted in manager.hosted_members.by_number.values() if not hosted.ill]
    return any(hosted.address is None and hosted.trouble and "again" not in hosted.trouble
               and not hosted.trouble.startswith("storage:") for hosted in hosted_members)  # fmt: skip
