"""The statements of a module, and what each of them binds, names, calls and changes, as told from its text.

Standard library only, as `fleet.objects.syntax`.
"""

import ast
from collections.abc import Iterable, Iterator
from functools import cached_property
from hashlib import blake2b
from typing import Final

from fleet.objects.syntax import has_no_effect, text_of

_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)
_DEFINITIONS: Final = (*_FUNCTIONS, ast.ClassDef)
_DISPLAYS: Final = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)
_CONSTANT: Final = (
    ast.Constant,
    ast.Tuple,
    ast.UnaryOp,
    ast.BinOp,
    ast.operator,
    ast.unaryop,
    ast.expr_context,
)
_NOT_CODE: Final = frozenset({"hooks", "check_arguments"})
"""Keywords of a data class that no execution of a command depends on."""


class Statement:
    """One statement of a module; of an import, one name."""

    def __init__(self, node: ast.stmt, place: int) -> None:
        self.node = node
        self.place = place
        self.binds: set[str] = set()
        """In the module's own scope, now or by functions that declare it global."""
        self.names: set[str] = set()
        """Anywhere, also in functions that are called later; their own variables, too."""
        self.attributes: set[str] = set()
        """Also what an import takes from another module."""
        self._read()

    def _read(self) -> None:
        self.binds.update(_bound(self.node))
        for node in ast.walk(self.node):
            if isinstance(node, ast.Name):
                self.names.add(node.id)
            elif isinstance(node, ast.Attribute):
                self.attributes.add(node.attr)
            elif isinstance(node, ast.arg | ast.AnnAssign):
                self.names.update(_quoted(node.annotation))
            elif isinstance(node, _FUNCTIONS):
                self.names.update(_quoted(node.returns))
            elif isinstance(node, ast.Global):
                self.names.update(node.names)
                self.binds.update(node.names)
            elif isinstance(node, ast.alias):
                self.attributes.add(node.name)

    @cached_property
    def digest(self) -> bytes:
        text = text_of(self.node)
        return blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()

    @property
    def is_import(self) -> bool:
        return isinstance(self.node, ast.Import | ast.ImportFrom)

    @property
    def is_definition(self) -> bool:
        return isinstance(self.node, _DEFINITIONS)

    @cached_property
    def decorators(self) -> frozenset[str]:
        found = getattr(self.node, "decorator_list", ())
        return frozenset(name for one in found for name in _words(one))

    @cached_property
    def bases(self) -> frozenset[str]:
        """Of a class, with its metaclass."""
        if not isinstance(self.node, ast.ClassDef):
            return frozenset()
        return frozenset(name for one in (*self.node.bases, *self.node.keywords) for name in _words(one))

    @cached_property
    def learning(self) -> frozenset[str]:
        """Of a class: itself, if it learns of its subclasses; and its metaclass, which does."""
        if not isinstance(self.node, ast.ClassDef):
            return frozenset()
        hooks = (one for one in self.node.body if isinstance(one, _FUNCTIONS))
        found = self.binds if any(one.name == "__init_subclass__" for one in hooks) else set()
        metas = (one for one in self.node.keywords if one.arg == "metaclass")
        return frozenset(found).union(*map(_words, metas))

    @cached_property
    def calls(self) -> frozenset[str]:
        """What it names in calls that happen while the module is imported, and in decorators."""
        return frozenset(_called(self.node))

    @cached_property
    def changes(self) -> frozenset[str]:
        """What it changes in place while the module is imported."""
        return frozenset(_changed(self.node))

    @cached_property
    def value(self) -> ast.expr | None:
        """What it assigns, if that may be changed in place."""
        value = self.node.value if isinstance(self.node, ast.Assign | ast.AnnAssign) else None
        is_constant = value is None or all(isinstance(one, _CONSTANT) for one in ast.walk(value))
        return None if is_constant else value

    @property
    def makes_container(self) -> bool:
        return isinstance(self.value, _DISPLAYS)

    @property
    def maker(self) -> str:
        """The name of the function or class that makes the value which it assigns, or ""."""
        value = self.value
        if not isinstance(value, ast.Call):
            return ""
        function = value.func
        return function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")


def statements_of(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Those that an import executes, or a type checker: each imported name by itself."""
    for node in body:
        if isinstance(node, ast.Import):
            yield from (ast.Import([alias]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (ast.ImportFrom(node.module, [alias], node.level) for alias in node.names)
        elif isinstance(node, ast.If) and _tests(node, "TYPE_CHECKING"):
            yield from statements_of([*node.body, *node.orelse])
        elif isinstance(node, ast.ClassDef):
            yield _without_settings(node)
        elif not (has_no_effect(node) or (isinstance(node, ast.If) and _tests(node, "__name__"))):
            yield node


def _tests(node: ast.If, name: str) -> bool:
    test = node.test.left if isinstance(node.test, ast.Compare) else node.test
    return name in (getattr(test, "id", ""), getattr(test, "attr", ""))


def _without_settings(node: ast.ClassDef) -> ast.ClassDef:
    node.keywords = [one for one in node.keywords if one.arg not in _NOT_CODE]
    return node


# -- what it binds and names ----------------------------------------------------------------------------


def _bound(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.alias):
        yield node.asname or node.name.partition(".")[0]
    elif isinstance(node, _DEFINITIONS):
        yield node.name
        return
    elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
        yield node.id
    elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
        yield node.name
    elif isinstance(node, ast.MatchMapping) and node.rest:
        yield node.rest
    if not isinstance(node, ast.Lambda):
        for child in ast.iter_child_nodes(node):
            yield from _bound(child)


def _words(node: ast.AST) -> Iterator[str]:
    return (one.id for one in ast.walk(node) if isinstance(one, ast.Name))


def _quoted(annotation: ast.expr | None) -> Iterator[str]:
    """The names in its texts."""
    for one in ast.walk(annotation) if annotation is not None else ():
        if isinstance(one, ast.Constant) and isinstance(one.value, str):
            try:
                yield from _words(ast.parse(one.value, mode="eval"))
            except (SyntaxError, ValueError, RecursionError):  # no annotation, but a text in Literal, say
                continue


# -- what it does while the module is imported ----------------------------------------------------------


def _run(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes in it that an import evaluates."""
    yield node
    if isinstance(node, (*_FUNCTIONS, ast.Lambda)):
        children: Iterable[ast.AST] = [*node.args.defaults, *filter(None, node.args.kw_defaults)]
    elif isinstance(node, ast.AnnAssign):
        children = filter(None, (node.target, node.value))
    else:
        children = ast.iter_child_nodes(node)
    for child in children:
        yield from _run(child)


def _called(node: ast.AST) -> Iterator[str]:
    for inner in _run(node):
        if isinstance(inner, ast.Call):
            yield from _words(inner)
        for decorator in getattr(inner, "decorator_list", ()):
            yield from _words(decorator)


def _changed(node: ast.AST) -> Iterator[str]:
    for inner in _run(node):
        if isinstance(inner, ast.Attribute | ast.Subscript) and not isinstance(inner.ctx, ast.Load):
            yield from _words(inner)
        elif isinstance(inner, ast.AugAssign):
            yield from _words(inner.target)
