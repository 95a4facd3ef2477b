"""One seed of a recipe: clients use it while nodes fail, and what they were told is judged.

Faults, weather and settings are drawn anew for each seed; some seeds have none. A class's own promise is
judged by the functions of `tests.recipes.judges`, from calls and answers alone.
"""

import random
from collections.abc import Callable
from typing import Any, ClassVar
from unittest.mock import patch

from msgspec.structs import replace

import fleet
from fleet.recipes import lease
from fleet.recipes.plans import Ask, Pause, Plan
from fleet.sim.faults.settings import draw_config
from fleet.testing import Faults, Sim
from fleet.testing.faults import KINDS
from tests.recipes.party import Party

SKEW_S = 1.0
"""The wall clocks of simulated hosts differ by up to this, and so does the time of two leaders."""
EPISODE_S = 12.0
SETTLE_S = 60.0
GROUP = "g"


class Episode:
    """Subclasses say which class is used, what its clients do, and what must hold."""

    data_class: ClassVar[type[fleet.Data]]
    clients: ClassVar[int] = 4

    def __init__(self, seed: int, data_class: type[fleet.Data] | None = None) -> None:
        self.rng = rng = random.Random(f"recipes/{type(self).__name__}/{seed}")
        kinds = tuple(kind for kind in KINDS if rng.random() < 0.5)
        self.sim = Sim(seed, rng.choice([3, 3, 4]), faults=Faults(kinds, rng.choice([0.1, 0.3, 0.6])))
        config = replace(draw_config(rng), session_ttl_ms=3_600_000)
        cls = data_class or self.data_class
        self.names = [f"c{number}" for number in range(1, self.clients + 1)]
        self.handles: dict[str, Any] = {
            name: self.sim.group(GROUP, cls, config=config, client=name) for name in self.names
        }
        self.party = Party(self.sim)
        self.sim.weather(
            late=rng.choice([0.0, 0.05]),
            breaks=rng.choice([0.0, 0.0, 0.002]),
            twice=rng.choice([0.0, 0.05]),
            reorder=rng.choice([0.0, 0.05]),
        )

    def run(self) -> None:
        """Raises AssertionError, or Broken of the simulation."""
        with patch.object(lease, "new_owner", self._next_owner):
            self._run()

    def _next_owner(self) -> str:
        """One seed is one history."""
        return f"{self.rng.getrandbits(64):016x}"

    def _run(self) -> None:
        for name in self.names:
            self.begin(name)
        end = self.sim.now + EPISODE_S
        while self.sim.now < end:
            self.party.run(self.rng.choice([0.1, 0.5, 1.0]))
            self.sim.maybe_fault()
            self.disturb()
        self.sim.heal()
        self.sim.weather()
        self.calm()
        over = self.party.run(SETTLE_S, lambda: not self.party.doing)
        assert over, f"these do not end: {[(one.client, one.asked) for one in self.party.doing]}"
        self.judge()
        assert self.sim.states_equal(GROUP), "members hold different states in the end"
        self.sim.world.close()

    def disturb(self) -> None:
        """A client stands still, for longer than its time to live perhaps, or dies."""
        if self.party.doing and self.rng.random() < 0.15:
            self.rng.choice(self.party.doing).freeze(self.rng.uniform(0.1, 5.0))

    def begin(self, client: str) -> None:
        raise NotImplementedError

    def calm(self) -> None:
        """All faults are over: let the clients come to their end."""
        self.is_calm = True

    def judge(self) -> None:
        raise NotImplementedError

    is_calm = False


def ask(call: Any, *args: Any) -> Plan[Any]:
    """A plan of one call, whose error is no error of the plan."""
    try:
        return (yield Ask(call, args))
    except fleet.FleetError:
        return None


def repeated(episode: Episode, act: Callable[[], Plan[Any]], pause_s: float = 0.3) -> Plan[None]:
    """`act` again and again, until all faults are over."""
    while not episode.is_calm:
        yield from act()
        yield Pause(episode.rng.uniform(0.0, 2 * pause_s))
