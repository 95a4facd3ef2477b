"""Carries out what befalls the fleet. Nothing here is drawn: the same faults in the same world are the same.

A fault lasts until the next calm. What no quorum can survive is not done: at most one node's disk is
ever damaged or lost, as long as its groups have three members.
"""

from collections.abc import Callable, Sequence
from itertools import chain, repeat
from typing import Any

from fleet.actors.messages.operator import TransferLeader
from fleet.cluster.state import CLUSTER_GROUP
from fleet.errors import FleetError
from fleet.objects.payload import encode_class
from fleet.raft.config import GroupConfig
from fleet.raft.ids import node_of
from fleet.sim.faults.failing import Failing, actor_of
from fleet.sim.faults.schedule import MS, Fault, argument
from fleet.sim.world.client import SimClient
from fleet.sim.world.host import SimNode
from fleet.sim.world.objects import Counter
from fleet.sim.world.trace import FAULT, LIFE
from fleet.sim.world.world import World

Step = Sequence[Any]
"""A node, when its turn comes, and perhaps how long it then stands still."""
STILL_US = 100 * MS


def still_us(step: Step) -> int:
    return step[2] if len(step) > 2 else STILL_US


class FaultActions:
    """A method for each of `schedule.FAULTS`."""

    def __init__(self, world: World, admin: SimClient) -> None:
        self.world = world
        self.admin = admin
        self.still_us: Callable[[Step], int] = still_us
        self.spoiled: str | None = None
        """The one node whose disk may be damaged or lost."""
        self.has_drained = False
        """Then groups may be down to two members, and no disk may be lost."""
        self.failing: list[Failing] = []
        """Actors that wait for the message before which they fail."""
        self.is_over = False

    def do(self, fault: Fault) -> bool:
        """False when it must not be done, or can not in this world."""
        names = self.world.nodes
        if not {argument(fault, "node"), argument(fault, "other"), None} <= {None, *names}:
            return False
        return getattr(self, fault.what)(*fault.args) is not False

    # -- the network -------------------------------------------------------------------------------

    def _cut(self, *ways: tuple[str, str]) -> None:
        self.world.network.weather.cut.update(ways)

    def split(self, names: Sequence[str]) -> None:
        """Clients are on either side."""
        everyone = [*self.world.nodes, *self.world.clients]
        for one in names:
            for other in everyone:
                if one in everyone and other not in names:
                    self._cut((one, other), (other, one))

    def one_way(self, one: str, inward: bool) -> None:
        for other in self.world.nodes:
            if other != one:
                self._cut((other, one) if inward else (one, other))

    def partial(self, one: str, other: str) -> None:
        self._cut((one, other), (other, one))

    def slow(self, one: str, extra: int) -> None:
        for other in (*self.world.nodes, *self.world.clients):
            self.world.network.weather.slow_us[one, other] = extra
            self.world.network.weather.slow_us[other, one] = extra

    def resolve(self, name: str, us: int, elsewhere: bool) -> None:
        weather = self.world.network.weather
        weather.names_us[name] = us
        (weather.misled.add if elsewhere else weather.misled.discard)(name)

    def break_links(self, name: str, sides: Sequence[int]) -> None:
        """At this end (0) or at that: one side for each link, in the order in which they were made."""
        one = self.world.nodes[name]
        for end, side in zip(links_of(one), chain(sides, repeat(0))):
            self.world.network.break_link(end.other if side else end)

    # -- processes ---------------------------------------------------------------------------------

    def kill(self, name: str, back_us: int | None, power: bool = False) -> None:
        node = self.world.nodes[name]
        node.kill(power)
        if back_us is not None:
            self.world.after(back_us, self._start, node)

    def power(self, name: str, back_us: int | None) -> None:
        self.kill(name, back_us, power=True)

    def _start(self, node: SimNode) -> None:
        if not node.is_up and not self.is_over:
            node.start()

    def kill_all(self, power: bool, steps: Sequence[Step]) -> None:
        """All at once, and back in any order."""
        for name, back_us in steps:
            if name in self.world.nodes:
                self.kill(name, back_us, power)

    def rolling(self, steps: Sequence[Step]) -> None:
        """One after the other in good order, as for an upgrade."""
        for step in steps:
            if step[0] in self.world.nodes:
                self.world.after(step[1], self._restart, step)

    def _restart(self, step: Step) -> None:
        node = self.world.nodes[step[0]]
        if node.is_up and not self.is_over:
            node.stop()
            self.world.after(self.still_us(step), self._start, node)

    def pause(self, name: str, us: int) -> None:
        node = self.world.nodes[name]
        if node.process is not None:
            node.process.pause()
            self.world.after(us, node.process.resume)

    def busy(self, name: str, us: int) -> None:
        self.world.nodes[name].busy_until = self.world.now + us

    def fail(self, name: str, actor: str, message: str, silently: bool, back_us: int) -> bool:
        node = self.world.nodes[name]
        found = actor_of(node, actor)
        if found is None:
            return False
        node.restart_us = back_us
        self.failing.append(Failing(node, found, message, silently))
        return True

    def fork(self, name: str, chance: float) -> None:
        self.world.nodes[name].forks_fail = chance

    # -- disks -------------------------------------------------------------------------------------

    def err(self, name: str, chance: float) -> None:
        self.world.nodes[name].disk.errs = chance

    def full(self, name: str) -> None:
        self.world.nodes[name].disk.is_full = True

    def hang(self, name: str, us: int) -> None:
        self.world.nodes[name].disk.hangs_until = self.world.now + us

    def may_spoil(self, node: SimNode) -> bool:
        return self.spoiled == node.name or (self.spoiled is None and not self.has_drained)

    def flip(self, name: str, key: str, byte: int, bit: int) -> bool:
        """Bits rot while nobody looks: found when the record is read, at the latest after a restart."""
        node = self.world.nodes[name]
        if not self.may_spoil(node):
            return False
        self.spoiled = name
        return node.disk.flip(bytes.fromhex(key), byte, bit)

    def may_wipe(self, node: SimNode) -> bool:
        """Once, as a second one might come before the first has healed."""
        return self.spoiled is None and self.may_spoil(node)

    def wipe(self, name: str, back_us: int) -> bool:
        node = self.world.nodes[name]
        if not self.may_wipe(node):
            return False
        self.spoiled = name
        node.kill()
        self.replace_disk(node)
        self.world.after(back_us, self._start, node)
        return True

    def replace_disk(self, node: SimNode) -> None:
        """The operator lets the node join as a new one: without an address it would found a cluster."""
        members = self.world.invariants.members_on(node.name)
        say = f"its disk {node.disk.incarnation} is gone for good, with {members} members"
        self.world.trace(LIFE, node.name, say)
        node.replace_disk()
        if not node.founders:
            node.join = tuple(other.endpoint for other in self.world.nodes.values() if other is not node)

    # -- clocks ------------------------------------------------------------------------------------

    def rate(self, name: str, per_mille: int) -> None:
        node = self.world.nodes[name]
        node.clock.set_rate(per_mille)
        clock_moved(node)

    def jump(self, name: str, us: int) -> None:
        node = self.world.nodes[name]
        node.clock.jump(us)
        clock_moved(node)

    def jump_wall(self, name: str, us: int) -> None:
        self.world.nodes[name].clock.jump_wall(us)

    # -- operators ---------------------------------------------------------------------------------

    def command(self, method: str, *args: Any) -> None:
        def told(value: Any, error: FleetError | None) -> None:
            self.world.trace(FAULT, say=f"operator: {method} {args[0]}: {error or 'done'}")

        self.admin.in_turn(lambda: self.admin.call(CLUSTER_GROUP, method, args, False, 5000, told))

    def transfer(self, group: str, name: str) -> bool:
        found = [m.core.id for m in self.world.members_of(group) if node_of(m.core.id) == name]
        if not found:
            return False
        op = TransferLeader(found[0])
        self.admin.in_turn(lambda: self.admin.ask(op, group, "", lambda value, error: None))
        return True

    def may_drain(self, node: SimNode) -> bool:
        others = [other for other in self.world.nodes.values() if other is not node]
        return self.spoiled is None and not any(other.has_left for other in others)

    def drain(self, name: str, state: str) -> bool:
        """One node at a time leaves, or is called back."""
        node = self.world.nodes[name]
        if not self.may_drain(node):
            return False
        self.has_drained = node.has_left = True
        self.command("set_state", name, state)
        return True

    def add_group(self, name: str) -> None:
        self.command("add_group", name, 3, encode_class(Counter), GroupConfig(), ())

    def remove_group(self, name: str) -> None:
        self.command("remove_group", name)

    # -- peace -------------------------------------------------------------------------------------

    def calm(self) -> None:
        """What an operator sees to: everything runs and is connected again."""
        weather = self.world.network.weather
        weather.cut.clear()
        weather.slow_us.clear()
        weather.names_us.clear()
        weather.misled.clear()
        self.world.network.heal()
        while self.failing:
            self.failing.pop().disarm()
        for node in self.world.nodes.values():
            node.busy_until, node.forks_fail = 0, 0.0
            node.disk.errs, node.disk.is_full, node.disk.hangs_until = 0.0, False, 0
            if node.process is not None:
                node.process.resume()
            self._start(node)


def links_of(node: SimNode) -> list[Any]:
    """One end of each, in the order in which they were made."""
    return [end for end in node.world.network.links if node.process in (end.process, end.other.process)]


def clock_moved(node: SimNode) -> None:
    if node.process is not None and node.process.is_alive:
        node.process.clock_moved()
