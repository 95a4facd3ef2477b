"""Losses of power on three real nodes under load, each drawn from a seed."""

import random
import threading
from collections.abc import Callable
from pathlib import Path

from tests.support.classes import Ledger
from tests.support.waiting import eventually

from .disk import Chance
from .journal import SYNC_US
from .nodes import CONFIG, NAMES, WAIT_S, Callers, PoweredFleet

GROUPS = 6
CHECK_EVERY = 10
TOGETHER = (1, 1, 1, 2, 3, 3)
"""How many nodes lose power at once."""
MOMENT_S_MAX = 0.3
FOUNDING_S_MAX = 4.0


class Totals:
    def __init__(self) -> None:
        self.losses = self.nodes = self.all_at_once = self.while_starting = 0
        self.amid_writes = self.lost = self.torn = 0
        self.acknowledged = 0
        self.unknown = 0

    def words(self) -> str:
        return (
            f"{self.losses} losses of power of {self.nodes} nodes, {self.all_at_once} of all three at once, "
            f"{self.while_starting} while they started; {self.amid_writes} met writes that were not "
            f"synced: {self.lost} of these were lost, {self.torn} torn. {self.acknowledged} commands were "
            f"acknowledged, {self.unknown} times it was not known at first."
        )


class Campaign:
    """For planted faults: `plant` has lines that each node runs before it starts, `deaf` names a sync that
    does nothing on its disk, which takes `sync_us` for one, and `chance` draws what a loss leaves."""

    def __init__(
        self,
        home: Path,
        library: Path,
        seed: int,
        groups: int = GROUPS,
        plant: str = "",
        deaf: str = "",
        sync_us: int = SYNC_US,
        chance: Callable[[random.Random], Chance] = Chance.drawn,
    ) -> None:
        self.rng = random.Random(seed)
        self.fleet = PoweredFleet(home, library)
        self.groups = [f"g{number}" for number in range(groups)]
        self.totals = Totals()
        self.chance = chance
        for node in self.fleet.nodes.values():
            node.plant, node.deaf, node.sync_us = plant, deaf, sync_us

    def run(
        self,
        losses: int,
        together: tuple[int, ...] = TOGETHER,
        while_founding: int = 0,
        check_every: int = CHECK_EVERY,
        on_each_member: bool = True,
        say: Callable[[str], None] = lambda words: None,
    ) -> Totals:
        """`losses` under load, after `while_founding` of all three before the first command. Raises
        AssertionError if what was acknowledged is gone, was executed twice, or a node does not start."""
        for _ in range(while_founding):
            for node in self.fleet.nodes.values():
                node.launch()
            self._wait(FOUNDING_S_MAX)
            self._lost(list(NAMES))
        self.fleet.start()
        client = self.fleet.connect()
        eventually(lambda: len(client.nodes()) == len(NAMES), WAIT_S, "the nodes to know each other")
        client.create_groups(self.groups, Ledger, config=CONFIG)
        with Callers(client, self.groups) as callers:
            try:
                for number in range(1, losses + 1):
                    callers.await_more(self.rng.randint(1, 12))
                    self._lose(self.rng.choice(together))
                    if number % check_every == 0:
                        callers.check()
                        say(f"{number}: {callers.acknowledged()} acknowledged")
                callers.await_more(1)
            except BaseException:
                callers.abandon()
                raise
        callers.check()
        if on_each_member:
            self._check_each_member(callers)
        self.totals.acknowledged, self.totals.unknown = callers.acknowledged(), callers.unknown
        return self.totals

    def _lose(self, count: int) -> None:
        """These may lose power again while they start."""
        names = self.rng.sample(NAMES, count)
        self._wait(MOMENT_S_MAX)
        self._lost(names)
        for name in names:
            self.fleet.nodes[name].launch()
        if self.rng.random() < 0.15:
            self._wait(4 * MOMENT_S_MAX)
            self._lost(names)
            self.totals.while_starting += 1
            for name in names:
                self.fleet.nodes[name].launch()
        for name in names:
            self.fleet.nodes[name].await_start()

    def _wait(self, most_s: float) -> None:
        """The power goes at any moment: this waits for no condition."""
        threading.Event().wait(self.rng.uniform(0, most_s))

    def _lost(self, names: list[str]) -> None:
        self.totals.losses += 1
        self.totals.all_at_once += len(names) == len(NAMES)
        for loss in self.fleet.lose_power(names, self._draw_chance):
            self.totals.nodes += 1
            self.totals.amid_writes += loss.unsynced > 0
            self.totals.lost += loss.lost
            self.totals.torn += loss.torn

    def _draw_chance(self) -> Chance:
        """From a source of its own: how much it draws depends on what was under way."""
        return self.chance(random.Random(self.rng.random()))

    def _check_each_member(self, callers: Callers) -> None:
        """Each node leads each group once, and answers then what was acknowledged."""
        for name in NAMES:
            for group in self.groups:
                callers.client.transfer_leader(group, name)
            callers.check()

    def close(self) -> None:
        self.fleet.close()
