"""Python source as text that is the same for the same code, in every version of Python from 3.11 on.

It is written from the syntax tree. Positions, comments, docstrings, and statements without effect are left
out, methods of a class are in the order of their names, and so is what the parser of one version has and that
of another has not: fields that are empty, and where the constants in an f-string are divided.

Standard library only: the tests run this file by itself under other versions of Python.
"""

import ast
from collections.abc import Iterator, Sequence
from typing import Any, Final

_SKIPPED: Final = frozenset({"ctx", "kind", "type_comment", "type_ignores"})
_BODIES: Final = frozenset({"body", "orelse", "finalbody"})
_DEFINITIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)


def text_of(node: ast.AST) -> str:
    """Raises RecursionError for a tree that is too deep."""
    parts: list[str] = []
    _write(node, parts)
    return "".join(parts)


def _write(node: ast.AST, parts: list[str]) -> None:
    kind = type(node)
    if kind is ast.Constant:
        parts.append(_constant(node.value))  # type: ignore[attr-defined]
        return
    parts.append(f"{kind.__name__}(")
    for name in kind._fields:
        value = getattr(node, name, None)
        if name in _SKIPPED or value is None:
            continue
        if type(value) is list:
            value = _items(node, name, value)
            if value:
                parts.append(f"{name}=[")
                for one in value:
                    _write_value(one, parts)
                    parts.append(",")
                parts.append("]")
        elif name != "format_spec" or value.values:
            parts.append(f"{name}=")
            _write_value(value, parts)
            parts.append(",")
    parts.append(")")


def _write_value(value: Any, parts: list[str]) -> None:
    if isinstance(value, ast.AST):
        _write(value, parts)
    else:
        parts.append(value if type(value) is str else _constant(value))  # a name, or a number of the grammar


def _items(node: ast.AST, name: str, values: list[Any]) -> Sequence[Any]:
    if type(node) is ast.JoinedStr:
        return list(_joined(values))
    if name not in _BODIES:
        return values
    statements = [one for one in values if not has_no_effect(one)]
    if type(node) is not ast.ClassDef:
        return statements
    methods = [one for one in statements if isinstance(one, _DEFINITIONS)]
    rest = [one for one in statements if not isinstance(one, _DEFINITIONS)]
    return rest + sorted(methods, key=lambda one: one.name)  # stable: a setter stays behind its property


def has_no_effect(statement: ast.AST) -> bool:
    """`pass`, `...`, or a text that stands by itself, such as a docstring."""
    is_value = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return is_value or isinstance(statement, ast.Pass)


def _joined(values: list[ast.expr]) -> Iterator[ast.expr]:
    """With neighbouring constants as one: versions of Python divide them differently."""
    text = ""
    for one in values:
        if isinstance(one, ast.Constant):
            text += str(one.value)
            continue
        if text:
            yield ast.Constant(text)
        text = ""
        yield one
    if text:
        yield ast.Constant(text)


def _constant(value: object) -> str:
    """No repr of texts, which depends on the version's tables of characters; numbers without a limit."""
    if isinstance(value, str):
        return f"str{len(value)}:{value}"
    if isinstance(value, bytes):
        return f"bytes:{value.hex()}"
    if type(value) is int:
        return f"int:{value:x}"
    return f"{type(value).__name__}:{value!r}"
