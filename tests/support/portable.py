"""What fleet does where Linux's own calls are missing, shown on Linux."""

import os
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from typing import Any
from unittest import mock

ROOT = Path(__file__).resolve().parents[2]
WITHOUT_LINUX = Path(__file__).parent / "without_linux"


def portable(name: str) -> Any:
    """The portable side of a module of fleet.system, beside the one that is in use."""
    spec = find_spec(f"fleet.system.{name}")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    with mock.patch("fleet.system.PORTABLE", True):
        spec.loader.exec_module(module)
    return module


def environment() -> dict[str, str]:
    """Of a process without what only Linux has, in fleet and in Python."""
    return {
        **os.environ,
        "FLEET_PORTABLE": "1",
        "PYTHONPATH": os.pathsep.join((str(WITHOUT_LINUX), str(ROOT))),
    }
