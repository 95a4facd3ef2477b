"""The faults of a simulated fleet, and how often they happen."""

import random

from msgspec import Struct

from fleet.errors import ConfigError
from fleet.testing.stage import Stage

KINDS = ("partition", "kill", "power", "pause", "slow", "hang", "transfer", "restart", "heal")


class Faults(Struct, frozen=True):
    """`weight` is the probability of a fault before a step, `kinds` the faults to draw from.

    partition: some nodes are cut off from the others. kill, power: a node dies, or its host loses power.
    pause: a process stops for up to 3 s. slow: its links take up to 500 ms longer. hang: its disk hangs for
    up to 3 s. transfer: the leadership moves. restart: a node stops in good order and starts. heal: all
    faults end. A majority of the nodes always has power.
    """

    kinds: tuple[str, ...] = ()
    weight: float = 0.0

    def __post_init__(self) -> None:
        unknown = [kind for kind in self.kinds if kind not in KINDS]
        if unknown:
            raise ConfigError(f"no fault is called {unknown[0]!r}; there are {', '.join(KINDS)}")
        if not 0 <= self.weight <= 1:
            raise ConfigError(f"weight is a probability from 0 to 1, not {self.weight!r}")

    @classmethod
    def none(cls) -> "Faults":
        return cls()

    @classmethod
    def all(cls, weight: float = 0.1) -> "Faults":
        return cls(KINDS, weight)

    @classmethod
    def only(cls, *kinds: str, weight: float = 0.1) -> "Faults":
        return cls(kinds, weight)

    def strike(self, stage: Stage, rng: random.Random) -> str | None:
        """Draw and carry out a fault, or none; returns it in words."""
        if not self.kinds or rng.random() >= self.weight:
            return None
        kind = rng.choice(self.kinds)
        return f"{kind} {_fault(kind, stage, rng)}".strip()


def _fault(kind: str, stage: Stage, rng: random.Random) -> str:
    names = list(stage.nodes)
    name = rng.choice(names)
    match kind:
        case "partition":
            side = sorted(rng.sample(names, rng.randint(1, max(1, len(names) // 2))))
            stage.partition(*side)
            return " ".join(side)
        case "kill" | "power":
            if 2 * (sum(map(stage.is_up, names)) - stage.is_up(name)) <= len(names):
                return "nobody: too few would be left"
            stage.kill(name, power=kind == "power")
        case "pause":
            stage.pause(name, rng.randint(1, 3000) / 1000)
        case "slow":
            stage.slow(name, rng.randint(1, 500) / 1000)
        case "hang":
            stage.hang(name, rng.randint(1, 3000) / 1000)
        case "transfer":
            return stage.hand_over(rng)
        case "restart":
            if stage.is_up(name):
                stage.stop(name)
            stage.restart(name)
        case "heal":
            stage.heal()
            return ""
    return name
