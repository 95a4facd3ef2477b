"""A digest of the code of a class: the same in each run of the same script, another when the code is another.

It covers the class, what its methods name in its own module, and constants; not line numbers, and not what is
imported from elsewhere. Between versions of Python it differs, as the code does. Containers and objects count
with what they hold when they are first looked at: code may fill them, such as a cache, and remains the same.
"""

import dataclasses
import dis
import enum
import inspect
import logging
import re
import sys
import types
from collections.abc import Callable, Iterable, Iterator, Set, Sized
from contextlib import suppress
from functools import cached_property, lru_cache
from hashlib import blake2b
from typing import Any

CONSTANTS = (type(None), bool, int, float, complex, str, bytes, type(...))
DEPTH_MAX = 50
VALUES_MAX = 10_000
"""So many values are looked at, that deep within each other."""
PARTIAL_ITEMS_MAX = 1000
_NO_REPR = getattr(object, "__repr__")
_LOOK_UPS = frozenset({"LOAD_GLOBAL", "STORE_GLOBAL", "DELETE_GLOBAL"})
_ADDRESS = re.compile(r" at 0x[0-9A-Fa-f]+")
_NOT_CODE = frozenset(
    {"__doc__", "__module__", "__dict__", "__weakref__", "__firstlineno__", "__static_attributes__"}
)


def digest_of(cls: type) -> str:
    """32 hexadecimal digits. Raises ValueError: there is too much to look at; or what users' code raises."""
    walk = _Walk(cls.__module__)
    walk.add(cls)
    return walk.hash.hexdigest()


def partial_digest_of(cls: type, modules: Iterable[str] = ()) -> str:
    """Also of what it names in these modules. Of a large container its size counts, and where there is too
    much, the rest is left out."""
    walk = _Walk(cls.__module__, frozenset(modules), PARTIAL_ITEMS_MAX)
    with suppress(_TooMuch):
        walk.add(cls)
    return walk.hash.hexdigest()


_held: dict[int, tuple[object, Any]] = {}
"""By identity, each with its owner, so that the identity is not used again."""


class _TooMuch(ValueError):
    pass


class _Walk:
    def __init__(self, module: str, others: Set[str] = frozenset(), items_max: int | None = None) -> None:
        self.others = others
        self.modules = {module} | others
        self.items_max = items_max
        self.hash = blake2b(digest_size=16)
        self.seen: dict[int, int] = {}
        """By identity, in the order of their visits: these refer to each other in circles."""
        self.kept: list[object] = []
        """So that no identity is used again."""
        self.depth = self.count = 0

    def add(self, value: Any) -> None:
        self.count += 1
        if self.count > VALUES_MAX or self.depth > DEPTH_MAX:
            raise _too_much()
        if isinstance(value, CONSTANTS):
            self._text(f"{type(value).__name__} {value!r}")
            return
        if not isinstance(value, tuple | types.CodeType):  # which have no circles, and may be shared or not
            if id(value) in self.seen:
                self._text(f"seen {self.seen[id(value)]}")
                return
            self.seen[id(value)] = len(self.seen)
            self.kept.append(value)
        self.depth += 1
        self._add_new(value)
        self.depth -= 1

    def _text(self, text: str) -> None:
        data = text.encode(errors="surrogatepass")
        self.hash.update(len(data).to_bytes(8) + data)

    def _all(self, values: Iterable[Any]) -> None:
        values = list(values)
        self._text(str(len(values)))
        for value in values:
            self.add(value)

    def _add_new(self, value: Any) -> None:
        if isinstance(value, type):
            self._add_class(value)
        elif isinstance(value, types.FunctionType):
            self._add_function(value)
        elif isinstance(value, types.CodeType):
            self._text(_code_digest(value))
        elif isinstance(value, staticmethod | classmethod):
            self._all([type(value).__name__, value.__func__])
        elif isinstance(value, property):
            self._all([value.fget, value.fset, value.fdel])
        elif isinstance(value, cached_property):
            self.add(value.func)
        elif self._is_large(value):
            self._text(f"{type(value).__name__} of {len(value)}")
        elif isinstance(value, list | tuple):
            self._all([type(value).__name__, *_at_first(value, tuple)])
        elif isinstance(value, dict):
            held = _at_first(value, dict)
            self._all(["dict", *held, *held.values()])
        elif isinstance(value, set | frozenset):
            self._all(["set", *sorted(map(_words, _at_first(value, frozenset)))])
        elif isinstance(value, types.ModuleType):
            self._text(f"module {value.__name__}")
        elif isinstance(value, logging.Logger):  # its level, which it tells, is that of the process
            self._text(f"logger {value.name}")
        elif hasattr(value, "__wrapped__") and not inspect.isroutine(value):
            self._all([type(value).__qualname__, value.__wrapped__])  # a command, a query
        elif getattr(type(value), "__repr__") is _NO_REPR and hasattr(value, "__dict__"):
            self._all([type(value), _at_first(value, _attributes)])
        else:
            self._text(f"{type(value).__qualname__} {_words(value)}")

    def _is_large(self, value: Any) -> bool:
        if self.items_max is None or not isinstance(value, list | tuple | dict | set | frozenset):
            return False
        return id(value) not in _held and len(value) > self.items_max

    def _add_class(self, cls: type) -> None:
        self._text(f"class {cls.__module__}.{cls.__qualname__}")
        if cls.__module__ not in self.modules:
            return
        self._all([type(cls).__qualname__, *cls.__bases__])
        if issubclass(cls, enum.Enum):
            for name, member in cls.__members__.items():
                self._all([name, member.value])
        if dataclasses.is_dataclass(cls):
            self._text(repr(cls.__dataclass_params__))  # type: ignore[attr-defined]
            for field in dataclasses.fields(cls):
                self._text(_words(field))
                if isinstance(field.default_factory, types.FunctionType):
                    self.add(field.default_factory)
        config = getattr(cls, "__struct_config__", None)
        if config is not None:
            names = [name for name in dir(config) if not name.startswith("__")]
            self._all([_words(getattr(config, name)) for name in names])
        for name, value in sorted(vars(cls).items()):
            if name == "__annotations__":
                self._all(f"{key}: {inspect.formatannotation(kind)}" for key, kind in value.items())
            elif name not in _NOT_CODE and (_is_code(value) or not name.startswith("_")):
                self._text(name)
                self.add(value)

    def _add_function(self, function: types.FunctionType) -> None:
        self._text(f"function {function.__module__}.{function.__qualname__}")
        if function.__module__ not in self.modules:
            return
        self.add(function.__code__)
        self._all([function.__defaults__, function.__kwdefaults__])
        self._all(_content(cell) for cell in function.__closure__ or ())
        self._add_named(_globals(function.__code__), function.__globals__, "")
        for module in sorted(self.others & sys.modules.keys()):
            self._add_named(_names(function.__code__), vars(sys.modules[module]), f"{module}.")

    def _add_named(self, names: Set[str], space: dict[str, Any], prefix: str) -> None:
        for name in sorted(names & space.keys()):
            self._text(prefix + name)
            self.add(space[name])

    def add_code(self, code: types.CodeType) -> None:
        self._all([code.co_code, code.co_exceptiontable, code.co_flags, code.co_argcount])
        self._all([code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars, code.co_consts])


@lru_cache(maxsize=1024)
def _code_digest(code: types.CodeType) -> str:
    walk = _Walk("")
    walk.add_code(code)
    return walk.hash.hexdigest()


def _too_much() -> _TooMuch:
    return _TooMuch("there is too much in reach of the class")


def _at_first(value: Any, copy: Callable[[Any], Any]) -> Any:
    """A copy of what it held when this was first asked."""
    if isinstance(value, tuple | frozenset):
        return value
    known = _held.get(id(value))
    if known is None:
        if isinstance(value, Sized) and len(value) > VALUES_MAX:
            raise _too_much()
        known = _held[id(value)] = value, copy(value)
    return known[1]


def _attributes(value: Any) -> dict[str, Any]:
    return dict(vars(value))


def _is_code(value: Any) -> bool:
    return isinstance(value, types.FunctionType | staticmethod | classmethod | property | cached_property)


@lru_cache(maxsize=1024)
def _globals(code: types.CodeType) -> frozenset[str]:
    """What it and the functions in it look up among the globals: no attributes, and no imports of their own,
    since those do not travel with it."""
    found = {one.argval for one in dis.get_instructions(code) if one.opname in _LOOK_UPS}
    return frozenset(found).union(*map(_globals, _inner(code)))


def _names(code: types.CodeType) -> set[str]:
    """Whatever it and the functions in it name, attributes as well."""
    return set(code.co_names).union(*map(_names, _inner(code)))


def _inner(code: types.CodeType) -> Iterator[types.CodeType]:
    return (constant for constant in code.co_consts if isinstance(constant, types.CodeType))


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return "an empty cell"


def _words(value: Any) -> str:
    try:
        return _ADDRESS.sub("", repr(value))
    except Exception:  # of somebody's __repr__
        return type(value).__qualname__
