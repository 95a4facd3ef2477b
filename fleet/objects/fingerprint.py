"""Which code a data class is: the same on each member that runs the same, another one where it is another."""

import inspect
import sys
from collections.abc import Iterator
from hashlib import blake2b
from importlib import import_module
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary

import cloudpickle

from fleet.errors import ConfigError
from fleet.objects.code_digest import partial_digest_of
from fleet.objects.declare import shape_of
from fleet.objects.described import message_of
from fleet.objects.hooks import wants_effects
from fleet.objects.reach import Source, digest_of, reached_from
from fleet.objects.sources import source_of_class, source_of_module
from fleet.objects.statements import Statement

_known: WeakKeyDictionary[type, str] = WeakKeyDictionary()


def fingerprint_of(cls: type[Any]) -> str:
    """32 hexadecimal digits, of the class's version, its codec, the signatures of its commands, queries
    and reminders, its code, and what that reaches by name in its own module and in `cls.fingerprint_modules`.

    It is taken from the source, so that it is the same in every version of Python, and comments, docstrings,
    blank lines and the places of functions do not count. Where the source is not what runs (it was replaced
    since, there is none, a tool has rewritten it, the class travels by value) it is taken from the code
    objects, which differ between minor versions of Python, and from values as they are at first.

    Costs 40 us for each line of the module once, and a few us for a class that was asked for before.

    Raises: ConfigError: `fingerprint_modules` is wrong, or one of them cannot be imported; it says which.
    """
    is_by_value = _is_by_value(cls)
    known = None if is_by_value else _known.get(cls)
    if known is not None:
        return known
    modules = _modules(cls)
    code = None if is_by_value else _source_digest(cls, modules)
    if code is None:
        return _of_code(cls, modules)
    _known[cls] = _hashed(cls, code)
    return _known[cls]


def has_fingerprint(cls: type[Any], fingerprint: str) -> bool:
    """Whether it is the code that had this fingerprint, perhaps where its source was not what ran, as in a
    test module that pytest has rewritten. Raises as `fingerprint_of`."""
    return fingerprint == fingerprint_of(cls) or fingerprint == _of_code(cls, _modules(cls))


def _of_code(cls: type[Any], modules: list[ModuleType]) -> str:
    """It is computed each time: what the class reaches may be defined again, as in a notebook."""
    return _hashed(cls, f"code {partial_digest_of(cls, [one.__name__ for one in modules])}")


def _hashed(cls: type[Any], code: str) -> str:
    hashed = blake2b(digest_size=16)
    for text in (*_facts(cls), code):
        data = text.encode(errors="surrogatepass")
        hashed.update(len(data).to_bytes(8) + data)
    return hashed.hexdigest()


def _facts(cls: type[Any]) -> Iterator[str]:
    yield f"version {cls.__fleet_version__}, codec {cls.__fleet_codec__.name}, strict {cls.__fleet_strict__}"
    yield f"keep_keys {cls.__fleet_keep_keys__}"
    yield f"events_kept {cls.__fleet_events_kept__}, {cls.__fleet_events_bytes_kept__} bytes"
    if sys.flags.optimize:
        yield "without assertions"
    if wants_effects(cls):  # what the group keeps depends on it
        yield "on_effect"
    shape = shape_of(cls)
    by_kind = {"command": shape.commands, "query": shape.queries, "reminder": shape.reminders}
    for kind, methods in by_kind.items():
        for name, function in sorted(methods.items()):
            parameters = inspect.signature(function).parameters.values()
            yield f"{kind} {name}({', '.join(map(_in_words, parameters))})"


def _in_words(parameter: inspect.Parameter) -> str:
    default = "" if parameter.default is parameter.empty else "="
    return f"{parameter.kind.name} {parameter.name}{default}"


def _is_by_value(cls: type) -> bool:
    """Then it has the fingerprint that it has where it arrives."""
    if cls.__module__ == "__main__" or cls.__module__ in cloudpickle.list_registry_pickle_by_value():
        return True
    found: Any = sys.modules.get(cls.__module__)
    for part in cls.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is not cls


def _modules(cls: type[Any]) -> list[ModuleType]:
    what = f"{cls.__qualname__}.fingerprint_modules"
    names = getattr(cls, "fingerprint_modules", ())
    if not isinstance(names, list | tuple) or not all(type(one) is str for one in names):
        raise ConfigError(f"{what} must be a list of modules' names, not {names!r}")
    modules = []
    for name in names:
        try:
            modules.append(import_module(name))
        except Exception as error:  # the module is the user's and may raise anything
            why = f"{type(error).__name__}: {message_of(error)}"
            instead = "correct the name, install the module on every node, or take it out"
            raise ConfigError(f"{what} names {name!r}, which cannot be imported: {why}; {instead}") from error
    return modules


def _source_digest(cls: type, modules: list[ModuleType]) -> str | None:
    sources = {cls.__module__: source_of_class(cls)}
    sources |= {one.__name__: source_of_module(one) for one in modules if one.__name__ != cls.__module__}
    known = {name: source for name, source in sources.items() if source is not None}
    if len(known) < len(sources):
        return None
    try:
        reached = reached_from(known, cls.__module__, cls.__qualname__.partition(".")[0])
        if not reached or any(_has_unseen(known[name], found, name) for name, found in reached.items()):
            return None
        return f"source {digest_of(known, reached)}"
    except RecursionError:
        return None


def _has_unseen(source: Source, reached: set[Statement], module: str) -> bool:
    """Whether it names what the module has and the text does not bind: code that is not read here made it,
    by `exec`, say. A package has the modules that somebody has imported."""
    if "*" in source.binders:
        return False
    space = vars(sys.modules[module])
    names = {name for one in reached for name in one.names} & space.keys() - source.binders.keys()
    return any(not (name.startswith("__") or isinstance(space[name], ModuleType)) for name in names)
