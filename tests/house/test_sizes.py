"""No module is over 400 lines and no function over 50, in the package, the simulator and the tests."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("fleet", "actors", "storage", "sim", "tests")
MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 50


def sources() -> Iterator[Path]:
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if not any(parent.is_symlink() for parent in path.parents):
                yield path


def long_functions(source: str) -> list[str]:
    """The names of the functions over the limit, counted from `def` to the last line."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            if node.end_lineno - node.lineno + 1 > FUNCTION_LINES_MAX:
                found.append(node.name)
    return found


PATHS = [pytest.param(path, id=str(path.relative_to(ROOT))) for path in sources()]


@pytest.mark.parametrize("path", PATHS)
def test_no_module_or_function_is_too_long(path: Path) -> None:
    source = path.read_text()
    assert len(source.splitlines()) <= MODULE_LINES_MAX
    assert long_functions(source) == []


def test_a_function_over_the_limit_is_found() -> None:
    body = "    pass\n" * FUNCTION_LINES_MAX
    assert long_functions(f"def fits():\n{body[len('    pass') + 1 :]}") == []
    assert long_functions(f"class C:\n  async def grows():\n{body}") == ["grows"]
