"""What happens to a simulated fleet, as plain values: drawn from a seed, kept, made smaller, done again."""

from collections.abc import Container, Iterator
from typing import TypeAlias

import msgspec
from msgspec import Struct

from fleet.sim.faults.classes import Deploy, Upgrade
from fleet.sim.faults.clocks import Jump, JumpWall, Rate
from fleet.sim.faults.disks import Err, Flip, Full, Hang, SlowDisk, Wipe
from fleet.sim.faults.executors import FatalCode, HangingCode, KillExecutor
from fleet.sim.faults.fault import Fault, moment
from fleet.sim.faults.network import BreakLinks, OneWay, Partial, Resolve, Slow, Split, Straggle
from fleet.sim.faults.operators import (
    AddGroup,
    Calm,
    Configure,
    Drain,
    Pin,
    Prefer,
    Purge,
    PurgeWindow,
    RemoveGroup,
    Replicas,
    Transfer,
)
from fleet.sim.faults.processes import (
    BadCode,
    Busy,
    Fail,
    Fork,
    Kill,
    KillAll,
    Pause,
    Power,
    Rolling,
    SlowCode,
)
from fleet.sim.world.timeline import S

AnyFault: TypeAlias = (
    Split
    | OneWay
    | Partial
    | Slow
    | Straggle
    | BreakLinks
    | Resolve
    | Kill
    | Power
    | KillAll
    | Rolling
    | Pause
    | Busy
    | Fail
    | Fork
    | SlowCode
    | BadCode
    | KillExecutor
    | HangingCode
    | FatalCode
    | Deploy
    | Upgrade
    | Err
    | Full
    | Hang
    | SlowDisk
    | Flip
    | Wipe
    | Rate
    | Jump
    | JumpWall
    | Transfer
    | Configure
    | Drain
    | Purge
    | PurgeWindow
    | AddGroup
    | RemoveGroup
    | Replicas
    | Pin
    | Prefer
    | Calm
)
KINDS: dict[str, type[Fault]] = {str(kind.__struct_config__.tag): kind for kind in AnyFault.__args__}
"""By name, in the order in which seeds draw their weights."""


class Occurrence(Struct, frozen=True, array_like=True):
    at: int
    """Microseconds since the faults began."""
    fault: AnyFault

    def words(self, began: int = 0) -> str:
        """A sentence; times count from the world's first moment if `began` says when the faults did."""
        now = began + self.at
        return f"at {moment(now)} {self.fault.words(now)}"

    def milder(self) -> "Iterator[Occurrence]":
        for fault in self.fault.milder():
            yield Occurrence(self.at, fault)


class Plan(Struct, frozen=True):
    """What an episode is made of. Of what is None as much is drawn as the seed gives."""

    seed: int
    duration_us: int = 15 * S
    nodes: int | None = None
    groups: tuple[str, ...] | None = None
    """Those to keep of the drawn ones."""
    clients: int | None = None
    has_weather: bool = True
    """Slow disks, and what the network does by itself to messages."""
    faults: tuple[Occurrence, ...] | None = None
    salt: int = 0
    """Another draw of everything that is left to chance once the faults begin: the same days, other luck."""

    def to_json(self) -> str:
        return msgspec.json.encode(self).decode()

    @classmethod
    def of_json(cls, text: str | bytes) -> "Plan":
        """Raises `msgspec.MsgspecError` for anything else."""
        return msgspec.json.decode(text, type=cls)

    def settings_in_words(self) -> list[str]:
        """What is not as the seed gives it, apart from who takes part."""
        says = []
        if self.duration_us != Plan.__struct_defaults__[0]:
            says.append(f"faults for {moment(self.duration_us)} only")
        if not self.has_weather:
            says.append("a quick network that loses nothing by itself, and quick disks")
        if self.salt:
            says.append(f"another draw of chance ({self.salt})")
        return says


def among(faults: tuple[Occurrence, ...], nodes: Container[str]) -> Iterator[Occurrence]:
    """What is left of them in a fleet of these nodes."""
    for one in faults:
        fault = one.fault.among(nodes)
        if fault is not None:
            yield Occurrence(one.at, fault)
