"""Testing your own data classes: `check` one by itself, run it on a simulated fleet (`Sim`), and let
hypothesis drive it there (`DataMachine`, `rule`).

Nothing here needs a node, a network or a disk; time is virtual, and one seed is one history.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fleet.testing.checking import check
    from fleet.testing.faults import Faults
    from fleet.testing.histories import NotDecided
    from fleet.testing.reports import CheckFailed
    from fleet.testing.sim import Sim
    from fleet.testing.stateful import DataMachine, rule
    from fleet.testing.world import executing

__all__ = ["CheckFailed", "DataMachine", "Faults", "NotDecided", "Sim", "check", "executing", "rule"]
_ON_DEMAND = {
    "CheckFailed": "reports",
    "DataMachine": "stateful",
    "Faults": "faults",
    "NotDecided": "histories",
    "Sim": "sim",
    "check": "checking",
    "executing": "world",
    "rule": "stateful",
}
"""The processes of `check` need no simulator, which takes most of the time to import; only DataMachine and
rule need hypothesis."""


def __getattr__(name: str) -> Any:
    if name not in _ON_DEMAND:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_ON_DEMAND[name]}"), name)
