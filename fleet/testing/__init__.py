"""Testing your own data classes: `check` one by itself, run it on a simulated fleet (`Sim`), and let
hypothesis drive it there (`DataMachine`, `rule`).

Nothing here needs a node, a network or a disk; time is virtual, and one seed is one history.
"""

from typing import TYPE_CHECKING, Any

from fleet.testing.checking import CheckFailed, check
from fleet.testing.faults import Faults
from fleet.testing.histories import NotDecided
from fleet.testing.sim import Sim
from fleet.testing.world import executing

if TYPE_CHECKING:
    from fleet.testing.stateful import DataMachine, rule

__all__ = ["CheckFailed", "DataMachine", "Faults", "NotDecided", "Sim", "check", "executing", "rule"]


def __getattr__(name: str) -> Any:
    """Only these two need hypothesis."""
    if name in ("DataMachine", "rule"):
        from fleet.testing import stateful

        return getattr(stateful, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
