"""Who may import whom. A new edge is an edit here, made on purpose."""

import ast
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {"fleet": ROOT / "fleet", "fleet.actors": ROOT / "actors", "fleet.storage": ROOT / "storage"}
FOLDERS["fleet.sim"] = ROOT / "sim"
CORE_STDLIB = {"collections", "dataclasses", "heapq", "random", "typing", "zlib"}
PURE = ("fleet.errors", "fleet.raft", "fleet.interfaces", "fleet.versions")
HOST = (*PURE, "fleet.objects", "fleet.cluster", "fleet.blocking")

# package or module -> what of ours it may import, and which other packages
RULES: dict[str, tuple[tuple[str, ...], set[str]]] = {
    "fleet.errors": (("fleet.errors",), set()),
    "fleet.blocking": (("fleet.errors",), set()),
    "fleet.versions": ((), {"msgspec"}),
    "fleet.files": (("fleet.system",), set()),
    "fleet.system": (("fleet.system",), set()),
    "fleet.roles": (("fleet.errors",), {"msgspec"}),
    "fleet.secret": (
        (
            "fleet.errors",
            "fleet.roles",
            "fleet.actors.base.certificates",
            "fleet.actors.base.keyring",
            "fleet.actors.base.role_secrets",
            "fleet.files",
            "fleet.system.disk",
        ),
        set(),
    ),
    "fleet.raft": (("fleet.raft", "fleet.errors"), {"msgspec"}),
    "fleet.interfaces": (("fleet.raft", "fleet.errors"), {"msgspec"}),
    "fleet.objects": ((*PURE, "fleet.objects", "fleet.blocking"), {"msgspec"}),
    "fleet.objects.code_digest": ((), set()),
    "fleet.objects.fingerprint": (("fleet.errors", "fleet.objects"), {"cloudpickle"}),
    "fleet.objects.module_codes": ((), set()),
    "fleet.objects.sources": (("fleet.objects.module_codes", "fleet.objects.reach"), set()),
    "fleet.objects.reach": (("fleet.objects.statements",), set()),
    "fleet.objects.statements": (("fleet.objects.syntax",), set()),
    "fleet.objects.syntax": ((), set()),
    "fleet.objects.by_value": (("fleet.objects.code_digest",), {"cloudpickle", "msgspec"}),
    "fleet.objects.described": (("fleet.errors",), set()),
    "fleet.objects.plain_pickle": ((), set()),
    "fleet.objects.payload": (
        (
            "fleet.errors",
            "fleet.objects.by_value",
            "fleet.objects.described",
            "fleet.objects.plain_pickle",
        ),
        {"cloudpickle", "msgspec"},
    ),
    "fleet.objects.class_refs": (
        (
            "fleet.errors",
            "fleet.blocking",
            "fleet.objects.by_value",
            "fleet.objects.described",
            "fleet.objects.fingerprint",
            "fleet.objects.payload",
            "fleet.objects.typed",
        ),
        {"msgspec"},
    ),
    "fleet.cluster": ((*PURE, "fleet.objects", "fleet.cluster"), {"msgspec"}),
    "fleet.cluster.placement": (("fleet.raft", "fleet.errors"), {"msgspec"}),
    "fleet.cluster.healing": (("fleet.raft",), {"msgspec"}),
    "fleet.cluster.founding": (
        ("fleet.errors", "fleet.raft", "fleet.cluster.founding_messages", "fleet.cluster.founding_proposal"),
        {"msgspec"},
    ),
    "fleet.cluster.founding_proposal": (("fleet.raft", "fleet.cluster.founding_messages"), {"msgspec"}),
    "fleet.cluster.founding_messages": (("fleet.errors", "fleet.raft"), {"msgspec"}),
    "fleet.storage": (("fleet.storage", "fleet.files", "fleet.system", *PURE), {"lmdb", "msgspec"}),
    "fleet.actors.base": (
        ("fleet.actors.base", "fleet.blocking", "fleet.errors", "fleet.system", "fleet.versions"),
        {"thespian", "msgspec"},
    ),
    "fleet.actors.base.certificates": ((), {"cryptography", "msgspec"}),
    "fleet.actors.base.keyring": (("fleet.errors",), set()),
    "fleet.actors.base.role_secrets": (
        ("fleet.errors", "fleet.actors.base.certificates"),
        {"cryptography", "msgspec"},
    ),
    "fleet.actors": (
        (*HOST, "fleet.actors", "fleet.storage", "fleet.system", "fleet.roles"),
        {"thespian", "msgspec"},
    ),
    "fleet.actors.executor.process": ((*HOST, "fleet.actors", "fleet.system"), {"msgspec", "setproctitle"}),
    "fleet.sim": ((*HOST, "fleet.sim", "fleet.actors", "fleet.storage"), {"thespian", "msgspec"}),
    "fleet.sim.search.explore": (("fleet.actors", "fleet.storage", "fleet.sim"), {"msgspec", "rich"}),
    "fleet.testing": (("fleet",), {"msgspec", "cloudpickle", "hypothesis"}),
    "fleet.recipes": (("fleet",), set()),
    "fleet.stock.seal": (("fleet.actors.base.rare_log",), {"cryptography", "msgspec"}),
    # For type checkers, which have it in the box.
    "fleet.recipes.job_queue": (("fleet",), {"typing_extensions"}),
    "fleet": (("fleet",), {"thespian", "msgspec", "cloudpickle", "click", "rich", "setproctitle"}),
}
OUTSIDE_OF_WORLDS = {"fleet.sim.search.explore"}
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


# -- circles: imports for types only count, too ------------------------------------------------------


def imported_modules() -> dict[str, set[str]]:
    """By module of ours, those that it imports; `from package import module` is an import of the module."""
    paths = dict(modules())
    graph: dict[str, set[str]] = {name: set() for name in paths}
    for name, path in paths.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found = {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                inner = {f"{node.module}.{alias.name}" for alias in node.names}
                found = (inner & paths.keys()) | ({node.module or ""} if inner - paths.keys() else set())
            else:
                continue
            graph[name] |= found & paths.keys() - {name}
    return graph


def circles(graph: Mapping[str, set[str]]) -> list[set[str]]:
    """The sets of nodes that all reach each other."""
    reached = {name: reach(graph, name) for name in graph}
    found: list[set[str]] = []
    for name in graph:
        if name in reached[name] and not any(name in circle for circle in found):
            found.append({other for other in reached[name] if name in reached[other]})
    return found


def reach(graph: Mapping[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    waiting = list(graph[start])
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting.extend(graph[name])
    return seen


def folders(graph: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """By folder, those that its modules import. The `__init__` of a folder may gather what the folders in it
    have: that is no dependency of its other modules."""
    packages = {name for name, path in modules() if path.name == "__init__.py"}
    found: dict[str, set[str]] = {}
    for name, targets in graph.items():
        folder = name if name in packages else name.rpartition(".")[0]
        arrows = found.setdefault(folder, set())
        for target in targets:
            other = target if target in packages else target.rpartition(".")[0]
            if other not in (folder, "fleet") and not (name in packages and belongs(other, folder)):
                arrows.add(other)
    return found


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circles(imported_modules()) == []


def test_folders_import_each_other_one_way() -> None:
    assert circles(folders(imported_modules())) == []


def test_a_circle_is_found_where_there_is_one() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set()}) == [{"b", "c"}]
    assert circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []
