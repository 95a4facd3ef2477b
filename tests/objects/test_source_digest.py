"""A digest of source is of what a name reaches, and the same in every version of Python."""

import ast
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.objects.reach import Source, digest_of, reached_from
from fleet.objects.syntax import text_of
from tests.support.pythons import find_python

ROOT = Path(__file__).resolve().parents[2]
SYNTAX = '''
"""A bit of all syntax."""
from __future__ import annotations
import os.path as p, sys
from .inner import a as b, c
from typing import *

X: int = 0x_ff
Y = -1.5e-7 + 2j, True, None, ..., b"\\x00\\xff", "\\u1c89 \\udcff \\U0001f600", 10**5, u"old"
BIG = 0x123456789abcdef0123456789abcdef0123456789abcdef
del Y
X += 1
TABLE = {**{"a": 1}, "b": [*"xy"], "c": {1, 2}}
TABLE["d"] = lambda x, /, y=1, *z, k, **w: (x, y, z, k, w)
try:
    import fast
except (ImportError, OSError) as error:
    fast = None
else:
    pass
finally:
    "text"

def outer(a: "Size", /, b: int = 3, *args: Any, c: str = "x", **kwargs: Any) -> "list[Size]":
    """Text."""
    global X, made
    X = made = a
    def inner():
        nonlocal b
        b += 1
        yield from range(b)
        return (yield b)
    x = y = [i for i in range(3) if i if i > 1 for j in "ab"]
    z = {k: v async for k, v in args} if a else {k for k in b}
    while (n := next(x, None)) is not None and not n:
        if n < 1 <= 2 != 3:
            continue
        elif n in x or n not in y:
            break
        else:
            ...
    else:
        raise ValueError(f"{x!r:>{y}} {z=} {{}} {n:%Y-%m-%d} {a:}" "more" f"{x}{y}") from None
    with open(p.join(*args)) as f, (f) as (g, h):
        assert f, "message"
    for i, (j, *k) in enumerate(x): print(i, j, k, sep="", **kwargs)
    x[1:2, ::3, ...] = x @ y // 2 % 3 << 1 >> 2 & 3 | 4 ^ ~5 ** -6
    match x:
        case [1, "a", *rest] | (None as rest): return rest
        case {"k": v, **more} if v: return more
        case Size(width=1.5 | -1j, height=p.sep): return
        case _: pass
    try:
        return lambda: (yield)
    except* TypeError:
        raise
    return x.y.z[0](*a, b=c, **d) if x else y

async def gone(a):
    async with a as b: await b
    async for c in b: pass
    return [d async for d in c]

class Size(Base[int], metaclass=Meta, key=1):
    """Text."""
    __slots__ = ("width",)
    width: float
    @property
    def height(self) -> "float": return self.width
    @height.setter
    def height(self, value): self.width = value
    @staticmethod
    def area(): return outer(Size)
    class Inner: ...
'''
GOLDEN = "2f82d74ceea05325d83a571a52a92734"
RUN = """
import sys, types
for name, folder in (("fleet", "fleet"), ("fleet.objects", "fleet/objects")):
    module = sys.modules[name] = types.ModuleType(name)
    module.__path__ = [sys.argv[1] + "/" + folder]
from fleet.objects.reach import Source, digest_of, reached_from
sources = {"m": Source(sys.stdin.read())}
print(digest_of(sources, reached_from(sources, "m", "Size")))
"""


def digest(text: str, name: str) -> str:
    sources = {"m": Source(text)}
    return digest_of(sources, reached_from(sources, "m", name))


def names_reached(text: str, name: str) -> set[str]:
    reached = reached_from({"m": Source(text)}, "m", name)["m"]
    return {bound for one in reached for bound in one.binds}


def test_the_digest_is_what_it_always_was() -> None:
    """Members of different versions of fleet compare theirs."""
    assert digest(SYNTAX, "Size") == GOLDEN


@pytest.mark.parametrize("minor", range(11, 16))
def test_every_version_of_python_has_the_same_digest(minor: int) -> None:
    python = find_python(f"3.{minor}")
    if python is None:
        pytest.skip(f"no python3.{minor} on this machine")
    command = [python, "-c", RUN, str(ROOT)]
    done = subprocess.run(
        command, input=SYNTAX.encode(errors="surrogatepass"), capture_output=True, timeout=60
    )
    assert done.stdout.decode().strip() == GOLDEN, done.stderr


def test_another_layout_of_the_same_code_has_the_same_digest() -> None:
    assert digest(ast.unparse(ast.parse(SYNTAX)), "Size") == GOLDEN


class _Edited(ast.NodeTransformer):
    """Another constant, name or operator in place of one."""

    def __init__(self, place: int) -> None:
        self.place = place
        self.is_done = False

    def generic_visit(self, node: ast.AST) -> ast.AST:
        self.place -= 1
        if self.place <= 0 and not self.is_done:
            if isinstance(node, ast.Name):
                node.id, self.is_done = node.id + "_", True
            elif isinstance(node, ast.Attribute):
                node.attr, self.is_done = node.attr + "_", True
            elif isinstance(node, ast.arg):
                node.arg, self.is_done = node.arg + "_", True
            elif isinstance(node, ast.BinOp):
                node.op, self.is_done = ast.LShift() if isinstance(node.op, ast.Add) else ast.Add(), True
            elif isinstance(node, ast.Constant) and type(node.value) is int:
                node.value, self.is_done = node.value + 1, True
        return super().generic_visit(node)


@given(st.integers(1, 600))
def test_text_of_a_tree_tells_trees_apart(place: int) -> None:
    edited = _Edited(place)
    tree = edited.visit(ast.parse(SYNTAX))
    assert (text_of(tree) != text_of(ast.parse(SYNTAX))) is edited.is_done


# -- reach ----------------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_what_counts_is_what_calls_lead_to(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 8))
    calls = [data.draw(st.sets(st.integers(0, count - 1), max_size=3)) for _ in range(count)]
    start = data.draw(st.integers(0, count - 1))
    edited = data.draw(st.integers(0, count - 1))
    order = data.draw(st.permutations(range(count)))
    reached, waiting = set[int](), [start]
    while waiting:
        one = waiting.pop()
        if one not in reached:
            reached.add(one)
            waiting.extend(calls[one])

    def text(number: int, order: list[int]) -> str:
        return "".join(
            f"def f{n}():\n    return {n == number}, {', '.join(f'f{m}()' for m in sorted(calls[n]))}\n"
            for n in order
        )

    before = digest(text(-1, list(range(count))), f"f{start}")
    assert digest(text(-1, order), f"f{start}") == before
    assert (digest(text(edited, order), f"f{start}") != before) is (edited in reached)


LEARN = "def __init_subclass__(cls): ...\n"
PUT = "def put(f):\n    T[f] = f\n"


@pytest.mark.parametrize(
    ("text", "reached"),
    [
        ("A = 1\nB = A\nC = 2\n", {"B", "A"}),
        ("B = {}\nB['x'] = y\nA = 1", {"B"}),
        (
            "T = {}\ndef put(f): T[f] = f\n@put\ndef a(): ...\n@other\ndef b(): ...\nB = lambda: T",
            {"B", "T", "put", "a"},
        ),
        (
            "T = Table()\nclass Table: ...\ndef put(f): T(f)\nx = put(1)\ny = len(2)\ndef B(): T",
            {"B", "T", "Table", "put", "x"},
        ),
        ("log = getLogger()\ndef put(f): log.info(f)\n@put\ndef a(): ...\ndef B(): log", {"B", "log"}),
        ("class B: ...\nB.x = C\nC = 5\nB().y()\n", {"B", "C"}),
        ("LIMIT = 5\nclass A:\n  x = field(LIMIT)\ndef B(): LIMIT", {"B", "LIMIT"}),
        ("def init():\n  global B\n  B = A\nA = 1\nC = 1", {"init", "B", "A"}),
        ("if x:\n  B = 1\n  C = 2\nelse:\n  A = 3", {"A", "B", "C"}),
        ("from a import *\ndef B(): ...", {"B", "*"}),
        ("import a.b, c\ndef B(): a.b", {"B", "a"}),
        ("def B(x: 'A') -> Literal['no name']: ...\nclass A: ...", {"B", "A"}),
        ("if TYPE_CHECKING:\n  from a import A, C\ndef B(x: A): ...", {"B", "A"}),
        ("def main(): T\nT = []\nif __name__ == '__main__':\n  main()\ndef B(): T", {"B", "T"}),
        ("class A(B): ...\nclass B: ...", {"B"}),
        ("B = 1\nB += A\nA = 2", {"B", "A"}),
        (f"class B:\n  {LEARN}class C(B): ...\nclass D(C): ...\nclass E: ...", {"B", "C", "D"}),
        (f"T = []\nclass A:\n  {LEARN}  x = T\nclass C(A): ...\ndef B(): T", {"B", "T", "C", "A"}),
        ("T = []\nclass M(type): T\nclass A(metaclass=M): ...\ndef B(): T", {"B", "T", "M", "A"}),
        ("class A: ...\nclass B(A): ...\nclass C(A): ...", {"A", "B"}),
        ("for k in 'ab':\n  B[k] = A\nA = 1\nB = {}", {"B", "A", "k"}),
    ],
)
def test_what_a_name_reaches(text: str, reached: set[str]) -> None:
    assert names_reached(text, "B") == reached


def test_the_order_of_what_fills_a_table_counts() -> None:
    text = "T = {}\ndef put(f): T[f] = f\n\n@put\ndef a(): ...\n\n@put\ndef b(): ...\n\ndef B(): T\n"
    start, a, b, end = text.split("\n\n")
    assert digest("\n\n".join((start, b, a, end)), "B") != digest(text, "B")
    assert digest("\n\n".join((end, start, a, b)), "B") == digest(text, "B")


def test_a_name_that_is_bound_twice_keeps_its_order() -> None:
    one, two = "def B(): return 1\n", "def B(): return 2\n"
    assert digest(one + two, "B") != digest(two + one, "B")
