"""The sources of modules, where the code in memory is what they compile to.

A file may be replaced after it was imported. Of a module that has defined a data class the code is known, and
compared as a whole with what the source compiles to. Of other modules their functions are compared, and their
constants in capitals.
"""

import ast
import inspect
import sys
import warnings
from collections.abc import Iterator, Mapping
from functools import cached_property
from types import CodeType, FunctionType, ModuleType
from typing import Any

from fleet.objects.module_codes import code_of
from fleet.objects.reach import Source

SOURCE_CHARS_MAX = 500_000
"""A larger source is not parsed, which takes a second or two; its code objects count instead."""


class CompiledSource(Source):
    """A source with what it compiles to here. Raises as Source."""

    def __init__(self, text: str, file: str) -> None:
        super().__init__(text)
        self.file = file
        self.code = compile(text, file, "exec", dont_inherit=True)
        self.functions = set(_nested(self.code))


_sources: dict[str, CompiledSource] = {}
"""By the module's name: the last one that was found to run."""


def source_of_class(cls: type) -> CompiledSource | None:
    """Of the module that has defined it. None: there is no source, or it is another one by now."""
    code = code_of(cls)
    if code is None:
        return None
    source = _sources.get(cls.__module__)
    if source is None or source.code != code:
        source = _compiled(sys.modules.get(cls.__module__))
        if source is None or source.code != code:
            return None
        _sources[cls.__module__] = source
    return source


def source_of_module(module: ModuleType) -> CompiledSource | None:
    """As for a class."""
    source = _sources.get(module.__name__)
    if source is None or not _runs(source, module):
        source = _compiled(module)
        if source is None or not _runs(source, module):
            return None
        _sources[module.__name__] = source
    return source


def _compiled(module: ModuleType | None) -> CompiledSource | None:
    try:
        spec = getattr(module, "__spec__")
        text = spec.loader.get_source(spec.name)
        if text is None or len(text) > SOURCE_CHARS_MAX:
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they were shown when it was imported
            return CompiledSource(text, spec.origin)
    except Exception:  # whatever somebody's loader raises; or it is too deep
        return None


def _nested(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _nested(constant)


# -- what a module holds --------------------------------------------------------------------------------


def _runs(source: CompiledSource, module: ModuleType) -> bool:
    if getattr(module.__spec__, "origin", None) != source.file:
        return False
    return _has_constants(source, vars(module)) and all(
        code in source.functions
        for code in _codes(vars(module), module.__name__)
        if code.co_filename == source.file  # else it was made by a tool, as the methods of a dataclass
    )


def _codes(space: Mapping[str, Any], module: str) -> Iterator[CodeType]:
    for value in list(space.values()):
        if isinstance(value, type):
            if value.__module__ == module:
                yield from _codes(vars(value), module)
        else:
            for function in _functions(value):
                if function.__module__ == module:
                    yield function.__code__


def _functions(value: Any) -> Iterator[FunctionType]:
    """In a function, or in a method of some kind. Nothing of the value's own is called."""
    if isinstance(value, FunctionType):
        yield value
    if isinstance(value, property):
        for part in filter(None, (value.fget, value.fset, value.fdel)):
            yield from _functions(part)
    elif isinstance(value, cached_property):
        yield from _functions(value.func)
    elif isinstance(value, staticmethod | classmethod):
        yield from _functions(value.__func__)
    else:
        wrapped = inspect.getattr_static(value, "__wrapped__", None)
        if isinstance(wrapped, FunctionType):
            yield from _functions(wrapped)


def _has_constants(source: Source, space: Mapping[str, Any]) -> bool:
    """Whether those in capitals are as in the text."""
    for statement in source.statements:
        value = statement.node.value if isinstance(statement.node, ast.Assign) else None
        if isinstance(value, ast.Constant):
            for name in filter(str.isupper, statement.binds):
                held = space.get(name)
                is_as_written = type(held) is type(value.value) and held == value.value
                if len(source.binders[name]) == 1 and not is_as_written:
                    return False
    return True
