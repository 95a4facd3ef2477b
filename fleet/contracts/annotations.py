"""Annotations as text, the same in every version of Python, and whether one accepts what another does."""

import ast
import types
import typing
from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal, NewType, Union, get_args, get_origin

_ALL: Final = frozenset({"", "Any", "object"})
_WIDER: Final[dict[str, frozenset[str]]] = {
    "bool": frozenset({"int", "float", "complex"}),
    "int": frozenset({"float", "complex"}),
    "float": frozenset({"complex"}),
    "list": frozenset({"MutableSequence", "Sequence", "Collection", "Iterable"}),
    "tuple": frozenset({"Sequence", "Collection", "Iterable"}),
    "set": frozenset({"MutableSet", "Set", "Collection", "Iterable"}),
    "frozenset": frozenset({"Set", "Collection", "Iterable"}),
    "dict": frozenset({"MutableMapping", "Mapping"}),
    "Sequence": frozenset({"Collection", "Iterable"}),
    "MutableSequence": frozenset({"Sequence", "Collection", "Iterable"}),
    "Set": frozenset({"Collection", "Iterable"}),
    "MutableSet": frozenset({"Set", "Collection", "Iterable"}),
    "Collection": frozenset({"Iterable"}),
    "MutableMapping": frozenset({"Mapping"}),
}
"""What takes all values of a class; of further classes nobody knows here."""
_PLAIN_MODULES: Final = frozenset({"builtins", "typing", "collections.abc"})


def text_of(hint: Any) -> str:
    """Of an annotation that was evaluated, or of one that could not be."""
    origin, parts = get_origin(hint), get_args(hint)
    if hint is None or hint is type(None):
        return "None"
    if isinstance(hint, str):
        return hint
    if isinstance(hint, typing.ForwardRef):
        return hint.__forward_arg__
    if isinstance(hint, NewType):
        return text_of(hint.__supertype__)
    if origin is Annotated:
        return text_of(parts[0])
    if origin is Union or origin is types.UnionType:
        return " | ".join(sorted(map(text_of, parts), key=lambda text: (text == "None", text)))
    if origin is Literal:
        return f"Literal[{', '.join(sorted(map(repr, parts)))}]"
    if origin is not None and parts:
        return f"{text_of(origin)}[{', '.join(map(_part, parts))}]"
    if origin is not None:
        return text_of(origin)
    if isinstance(hint, type):
        return (
            hint.__qualname__
            if hint.__module__ in _PLAIN_MODULES
            else f"{hint.__module__}.{hint.__qualname__}"
        )
    return getattr(hint, "__name__", "") or str(hint).removeprefix("typing.")


def _part(hint: Any) -> str:
    if hint is Ellipsis:
        return "..."
    if isinstance(hint, list):
        return f"[{', '.join(map(text_of, hint))}]"
    return text_of(hint)


def accepts(wide: str, narrow: str) -> bool:
    """Whether every value of `narrow` is one of `wide`, as far as the texts tell. "" is no annotation."""
    if wide == narrow or wide in _ALL:
        return True
    if narrow in _ALL:
        return False
    try:
        return _accepts(ast.parse(wide, mode="eval").body, ast.parse(narrow, mode="eval").body)
    except (SyntaxError, ValueError, RecursionError):
        return False


def _accepts(wide: ast.expr, narrow: ast.expr) -> bool:
    wide_choices, narrow_choices = list(_choices(wide)), list(_choices(narrow))
    if len(wide_choices) > 1 or len(narrow_choices) > 1:
        return all(any(_accepts(one, other) for one in wide_choices) for other in narrow_choices)
    wide_name, wide_parts = _name_and_parts(wide)
    narrow_name, narrow_parts = _name_and_parts(narrow)
    if wide_name in _ALL:
        return True
    if narrow_name == "Literal" != wide_name:
        kinds = {type(part.value).__name__ for part in narrow_parts if isinstance(part, ast.Constant)}
        return all(_is_wider(wide_name, kind) for kind in kinds)
    if not _is_wider(wide_name, narrow_name):
        return False
    if not wide_parts:
        return True
    if wide_name == "tuple" == narrow_name:
        return _accepts_tuple(wide_parts, narrow_parts)
    if narrow_name == "tuple":
        narrow_parts = [part for part in narrow_parts if not _is_dots(part)]
        return bool(narrow_parts) and all(_accepts(wide_parts[0], part) for part in narrow_parts)
    return len(wide_parts) == len(narrow_parts) and all(map(_accepts, wide_parts, narrow_parts))


def _choices(node: ast.expr) -> Iterator[ast.expr]:
    """Of a union, or of a Literal, each by itself."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        yield from _choices(node.left)
        yield from _choices(node.right)
        return
    name, parts = _name_and_parts(node)
    if name == "Literal" and len(parts) > 1:
        yield from (ast.Subscript(ast.Name("Literal"), part) for part in parts)
    else:
        yield node


def _name_and_parts(node: ast.expr) -> tuple[str, list[ast.expr]]:
    if not isinstance(node, ast.Subscript):
        return ast.unparse(node), []
    inner = node.slice
    return ast.unparse(node.value), list(inner.elts) if isinstance(inner, ast.Tuple) else [inner]


def _is_wider(wide: str, narrow: str) -> bool:
    return wide == narrow or wide in _ALL or wide in _WIDER.get(narrow, ())


def _accepts_tuple(wide: list[ast.expr], narrow: list[ast.expr]) -> bool:
    if _is_dots(wide[-1]):
        parts = [part for part in narrow if not _is_dots(part)]
        return bool(parts) and all(_accepts(wide[0], part) for part in parts)
    if not narrow or _is_dots(narrow[-1]):
        return False
    return len(wide) == len(narrow) and all(map(_accepts, wide, narrow))


def _is_dots(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is Ellipsis
