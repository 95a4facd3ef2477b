"""Directed scenarios by name, for bugs that need one order of events."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

MODULES = sorted(path.stem for path in Path(__file__).parent.glob("test_scenarios_*.py"))
SCENARIOS: dict[str, Callable[..., None]] = {}
for module in MODULES:
    for name, test in vars(import_module(f"tests.sim.{module}")).items():
        if name.startswith("test_"):
            assert name not in SCENARIOS, f"two scenarios have the name {name}"
            SCENARIOS[name] = test
