"""Who may import whom. A new edge is an edit here, made on purpose."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {"fleet": ROOT / "fleet", "fleet.actors": ROOT / "actors", "fleet.storage": ROOT / "storage"}
FOLDERS["fleet.sim"] = ROOT / "sim"
CORE_STDLIB = {"collections", "dataclasses", "random", "typing", "zlib"}
PURE = ("fleet.errors", "fleet.raft", "fleet.ports", "fleet.placement", "fleet.healing")
DATA = ("fleet.payload", "fleet.context", "fleet.calls", "fleet.hooks", "fleet.data", "fleet.machine")
FLEET = ("fleet.cluster", "fleet.founding", "fleet.seed_words")
HOST = (*PURE, *DATA, *FLEET)

# package or module -> what of ours it may import, and which other packages
RULES: dict[str, tuple[tuple[str, ...], set[str]]] = {
    "fleet.errors": ((), set()),
    "fleet.raft": (("fleet.raft", "fleet.errors"), {"msgspec"}),
    "fleet.ports": (("fleet.raft",), {"msgspec"}),
    "fleet.placement": (("fleet.raft", "fleet.errors"), {"msgspec"}),
    "fleet.healing": (("fleet.raft",), {"msgspec"}),
    "fleet.blocking": (("fleet.errors",), set()),
    "fleet.payload": (("fleet.blocking", "fleet.errors"), {"cloudpickle", "msgspec"}),
    "fleet.hooks": (("fleet.errors", "fleet.payload", "fleet.ports"), {"msgspec"}),
    "fleet.context": (("fleet.errors", "fleet.ports"), set()),
    "fleet.calls": (("fleet.blocking", "fleet.context", "fleet.errors", "fleet.payload"), {"msgspec"}),
    "fleet.data": (("fleet.calls", "fleet.context", "fleet.errors", "fleet.hooks"), {"msgspec"}),
    "fleet.machine": (("fleet.errors", "fleet.ports", *DATA), {"msgspec"}),
    "fleet.cluster": (HOST, {"msgspec"}),
    "fleet.seed_words": (("fleet.errors", "fleet.raft"), {"msgspec"}),
    "fleet.founding": (("fleet.errors", "fleet.raft", "fleet.seed_words"), {"msgspec"}),
    "fleet.secret": (("fleet.errors",), set()),
    "fleet.storage": (("fleet.storage", "fleet.raft", "fleet.ports", "fleet.errors"), {"lmdb", "msgspec"}),
    "fleet.actors.base": (
        ("fleet.actors.base", "fleet.blocking", "fleet.errors"),
        {"thespian", "msgspec", "cloudpickle"},
    ),
    "fleet.actors": ((*HOST, "fleet.actors", "fleet.storage"), {"thespian", "msgspec"}),
    "fleet.sim": ((*HOST, "fleet.sim", "fleet.actors", "fleet.storage"), {"thespian", "msgspec"}),
    "fleet.sim.explore": (("fleet.raft", "fleet.sim"), {"msgspec", "rich"}),
    "fleet.testing": (("fleet",), {"msgspec", "cloudpickle", "hypothesis"}),
    "fleet": (("fleet",), {"thespian", "msgspec", "cloudpickle", "click", "rich"}),
}
OUTSIDE_OF_WORLDS = {"fleet.sim.explore"}
"""It drives worlds in real time, and is in none."""
SIM_NEVER = {"lmdb", "socket", "time", "select", "threading", "asyncio", "fleet.storage.lmdb_store"}


def modules() -> Iterator[tuple[str, Path]]:
    for package, folder in FOLDERS.items():
        for path in sorted(folder.rglob("*.py")):
            if any(parent.is_symlink() for parent in path.parents if parent != folder):
                continue
            parts = path.relative_to(folder).with_suffix("").parts
            name = ".".join((package, *parts)).removesuffix(".__init__")
            yield name, path


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield node.module or ""


MODULES = [pytest.param(name, path, id=name) for name, path in modules()]


def belongs(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def rule_of(module: str) -> tuple[tuple[str, ...], set[str]]:
    return RULES[max((package for package in RULES if belongs(module, package)), key=len)]


@pytest.mark.parametrize(("module", "path"), MODULES)
def test_imports_point_one_way(module: str, path: Path) -> None:
    ours, others = rule_of(module)
    for name in imports(path):
        if belongs(name, "fleet"):
            assert any(belongs(name, package) for package in ours), f"{module} imports {name}"
        else:
            top = name.partition(".")[0]
            assert top in others or top in sys.stdlib_module_names, f"{module} imports {name}"


@pytest.mark.parametrize(("module", "path"), MODULES)
def test_the_core_knows_no_clock_and_the_simulator_no_real_world(module: str, path: Path) -> None:
    for name in imports(path):
        top = name.partition(".")[0]
        if belongs(module, "fleet.raft"):
            assert top in CORE_STDLIB | {"fleet", "msgspec"}, f"{module} imports {name}"
        if belongs(module, "fleet.sim") and module not in OUTSIDE_OF_WORLDS:
            assert top not in SIM_NEVER and name not in SIM_NEVER, f"{module} imports {name}"


def test_each_rule_is_about_something() -> None:
    names = [name for name, _ in modules()]
    for package in RULES:
        assert any(belongs(name, package) for name in names), package
