"""Bad days: which faults, how often and how long is drawn anew for every seed (swarm testing).

A fault lasts until the next calm. What no quorum can survive is not done: at most one node's disk is
ever damaged or lost, as long as its groups have three members.
"""

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fleet.actors.mail import TransferLeader
from fleet.cluster import ACTIVE, CLUSTER_GROUP, LEAVING
from fleet.errors import Damaged, FleetError
from fleet.payload import encode_class
from fleet.raft.config import GroupConfig
from fleet.sim.host import NodeHost
from fleet.sim.network import Weather
from fleet.sim.workload import Counter

if TYPE_CHECKING:
    from fleet.sim.workload import SimClient
    from fleet.sim.world import World

MS = 1000
S = 1_000_000

DEEDS = (
    "split", "one_way", "partial", "slow", "break_links",
    "kill", "power", "kill_all", "rolling", "pause",
    "err", "full", "hang", "flip", "wipe",
    "rate", "jump", "jump_wall",
    "transfer", "drain", "add_group", "remove_group",
    "calm",
)  # fmt: skip


class Nemesis:
    def __init__(self, world: "World", admin: "SimClient", groups: dict[str, str]) -> None:
        self.world = world
        self.admin = admin
        self.groups = groups
        self.rng = rng = random.Random(world.rng.getrandbits(64))
        self.weights = [rng.choice([0, 0, 0, 1, 3]) for _ in DEEDS]
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
        for node in world.nodes.values():
            node.disk.sync_us = sync_us
        self.spoiled: str | None = None
        """The one node whose disk may be damaged or lost."""
        self.has_drained = False
        """Then groups may be down to two members, and no disk may be lost."""
        self.is_over = False
        self.deeds: list[str] = []

    def begin(self) -> None:
        self.world.network.weather = self.weather
        self._next()

    def _next(self) -> None:
        self.world.after(self.rng.randint(1, 2 * self.pace), self._act)

    def _act(self) -> None:
        if self.is_over:
            return
        (deed,) = self.rng.choices(DEEDS, self.weights)
        what: Callable[[], Any] = getattr(self, deed)
        self._tell(deed, what())
        self._next()

    def _tell(self, deed: str, about: Any) -> None:
        line = f"{self.world.now / S:.3f} {deed} {about or ''}".strip()
        self.deeds.append(line)
        self.world.trace("fault", line)

    def any(self) -> NodeHost:
        """Some node; one that leads a group more often than by chance."""
        rng, nodes = self.rng, list(self.world.nodes.values())
        if rng.random() < 0.5:
            leading = [node for node, member in self.world.members() if member.core.is_leader]
            nodes = leading or nodes
        return rng.choice(nodes)

    # -- the network -------------------------------------------------------------------------------

    def _cut(self, *ways: tuple[str, str]) -> None:
        self.world.network.weather.cut.update(ways)

    def split(self) -> str:
        """Clients are on either side."""
        everyone = [*self.world.nodes, *self.world.clients]
        nodes = list(self.world.nodes)
        some = self.rng.sample(nodes, self.rng.randint(1, max(1, len(nodes) // 2)))
        some += [name for name in self.world.clients if self.rng.random() < 0.5]
        for one in some:
            for other in everyone:
                if other not in some:
                    self._cut((one, other), (other, one))
        return " ".join(some)

    def one_way(self) -> str:
        one = self.any().name
        inward = self.rng.random() < 0.5
        for other in self.world.nodes:
            if other != one:
                self._cut((other, one) if inward else (one, other))
        return f"{one} {'hears nobody' if inward else 'is not heard'}"

    def partial(self) -> str:
        one, other = self.any().name, self.any().name
        self._cut((one, other), (other, one))
        return f"{one} {other}"

    def slow(self) -> str:
        one, extra = self.any().name, self.rng.choice([20, 200, 2000]) * MS
        for other in (*self.world.nodes, *self.world.clients):
            self.world.network.weather.slow_us[one, other] = extra
            self.world.network.weather.slow_us[other, one] = extra
        return f"{one} {extra}"

    def break_links(self) -> str:
        one = self.any()
        for end in list(self.world.network.links):
            if one.process in (end.process, end.other.process):
                self.world.network.break_link(self.rng.choice([end, end.other]))
        return one.name

    # -- processes ---------------------------------------------------------------------------------

    def kill(self, power: bool = False) -> str:
        node = self.any()
        node.kill(power)
        if self.rng.random() < 0.7:
            self.world.after(self.rng.randint(1, 500 * MS), self._start, node)
        return node.name

    def power(self) -> str:
        return self.kill(power=True)

    def _start(self, node: NodeHost) -> None:
        if not node.is_up and not self.is_over:
            node.start()

    def kill_all(self) -> None:
        """All at once, and back in any order."""
        power = self.rng.random() < 0.5
        for node in self.world.nodes.values():
            node.kill(power)
            self.world.after(self.rng.randint(1, 2000 * MS), self._start, node)

    def rolling(self) -> None:
        """One after the other in good order, as for an upgrade."""
        wait = 0
        for node in self.world.nodes.values():
            wait += self.rng.randint(1, 1500 * MS)
            self.world.after(wait, self._restart, node)

    def _restart(self, node: NodeHost) -> None:
        if node.is_up and not self.is_over:
            node.stop()
            self.world.after(self.rng.randint(1, 300 * MS), self._start, node)

    def pause(self) -> str:
        node = self.any()
        if node.process is not None:
            node.process.pause()
            self.world.after(self.rng.randint(1, 6000 * MS), node.process.resume)
        return node.name

    # -- disks -------------------------------------------------------------------------------------

    def err(self) -> str:
        node = self.any()
        node.disk.errs = self.rng.choice([0.1, 1.0])
        return node.name

    def full(self) -> str:
        node = self.any()
        node.disk.is_full = True
        return node.name

    def hang(self) -> str:
        node = self.any()
        node.disk.hangs_until = self.world.now + self.rng.randint(1, 8000 * MS)
        return node.name

    def _may_spoil(self, node: NodeHost) -> bool:
        if self.spoiled is None and not self.has_drained:
            self.spoiled = node.name
        return self.spoiled == node.name

    def flip(self) -> str:
        """Bits rot while nobody looks: found when the record is read, at the latest after a restart."""
        node = self.any()
        if not self._may_spoil(node):
            return "not"
        key = node.disk.flip(self.rng, own=not node.is_up and self.rng.random() < 0.3)
        return f"{node.name} {key}"

    def wipe(self) -> str:
        """Once, as a second one might come before the first has healed."""
        node = self.any()
        if self.spoiled is not None or not self._may_spoil(node):
            return "not"
        node.kill()
        self.replace_disk(node)
        self.world.after(self.rng.randint(1, 2000 * MS), self._start, node)
        return node.name

    def replace_disk(self, node: NodeHost) -> None:
        """The operator lets the node join as a new one: without an address it would found a cluster."""
        self.world.invariants.lost(node.name, node.disk.incarnation)
        node.replace_disk()
        if not node.seeds:
            node.join = tuple(other.endpoint for other in self.world.nodes.values() if other is not node)

    # -- clocks ------------------------------------------------------------------------------------

    def rate(self) -> str:
        node = self.any()
        node.clock.set_rate(self.rng.choice([960, 1000, 1040]))
        self._clock_moved(node)
        return f"{node.name} {node.clock.rate}"

    def jump(self) -> str:
        node = self.any()
        node.clock.jump(self.rng.randint(1, 3000 * MS))
        self._clock_moved(node)
        return node.name

    def jump_wall(self) -> str:
        node = self.any()
        node.clock.jump_wall(self.rng.randint(-3600 * S, 3600 * S))
        return node.name

    def _clock_moved(self, node: NodeHost) -> None:
        if node.process is not None and node.process.is_alive:
            node.process.clock_moved()

    # -- operators ---------------------------------------------------------------------------------

    def command(self, method: str, *args: Any) -> None:
        def told(value: Any, error: FleetError | None) -> None:
            self.world.trace("operator", method, args[:1], error or "done")

        self.admin.in_turn(lambda: self.admin.call(CLUSTER_GROUP, method, args, False, 5000, told))

    def transfer(self) -> str:
        group = self.rng.choice([*self.groups, CLUSTER_GROUP])
        members = self.world.members_of(group)
        if not members:
            return "not"
        op = TransferLeader(self.rng.choice(members).core.id)
        self.admin.in_turn(lambda: self.admin.ask(op, group, "", lambda value, error: None))
        return f"{group} {op.member}"

    def drain(self) -> str:
        """One node at a time leaves, or is called back."""
        node = self.any()
        others = [other for other in self.world.nodes.values() if other is not node]
        if self.spoiled is not None or any(other.has_left for other in others):
            return "not"
        self.has_drained = node.has_left = True
        self.command("set_state", node.name, self.rng.choice([LEAVING, LEAVING, ACTIVE]))
        return node.name

    def add_group(self) -> str:
        name = f"x{self.rng.randint(1, 3)}"
        self.command("add_group", name, 3, encode_class(Counter), GroupConfig(), ())
        return name

    def remove_group(self) -> str:
        name = f"x{self.rng.randint(1, 3)}"
        self.command("remove_group", name)
        return name

    # -- peace -------------------------------------------------------------------------------------

    def calm(self) -> None:
        """What an operator sees to: everything runs and is connected again."""
        weather = self.world.network.weather
        weather.cut.clear()
        weather.slow_us.clear()
        self.world.network.heal()
        for node in self.world.nodes.values():
            node.disk.errs, node.disk.is_full, node.disk.hangs_until = 0.0, False, 0
            if node.process is not None:
                node.process.resume()
            self._start(node)

    def end(self) -> None:
        """No more faults, and clocks that are right again."""
        self.calm()
        self.is_over = True
        self.world.network.weather = Weather()
        self.world.network.heal()
        for node in self.world.nodes.values():
            node.clock.set_rate(1000)
            self._clock_moved(node)
        self.repair()

    def repair(self) -> None:
        """What takes an operator: nodes that do not start, members on rotten records, nodes that left."""
        for node in self.world.nodes.values():
            manager = node.manager
            if manager is not None and node.name == self.spoiled and is_damaged(manager):
                self._tell("replace the disk of", node.name)
                node.kill()
                self.replace_disk(node)
            elif not node.is_up and not node.start():
                self._tell("replace the disk of", node.name)
                self.replace_disk(node)
            elif manager is not None and manager.citizen.has_left and not self._is_known(node):
                node.stop()
                if not node.seeds:
                    node.join = tuple(o.endpoint for o in self.world.nodes.values() if o is not node)
            elif node.has_left and self._is_known(node):
                self.command("set_state", node.name, ACTIVE)
            if not node.is_up:
                node.start()

    def _is_known(self, node: NodeHost) -> bool:
        """Whether the cluster has the node, as far as any other node knows."""
        managers = [other.manager for other in self.world.nodes.values() if other is not node]
        views = [manager.view for manager in managers if manager is not None and hasattr(manager, "nodes")]
        newest = max(views, key=lambda view: int(view.rev), default=None)
        return newest is not None and node.name in newest.nodes


def is_damaged(manager: Any) -> bool:
    """Whether a member found on the disk what was not written."""
    try:
        manager.store.check_own()
    except Damaged:
        return True
    hostings = manager.hostings.by_number.values()
    return any(hosting.address is None and hosting.trouble and "again" not in hosting.trouble
               and not hosting.trouble.startswith("storage:") for hosting in hostings)  # fmt: skip
