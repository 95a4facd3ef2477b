"""Arguments for commands and queries, drawn by their annotations."""

import collections.abc
import enum
import inspect
import random
import types
import typing
from collections.abc import Callable
from typing import Any, TypeAlias

from fleet.errors import ConfigError
from fleet.objects.declare import Shape, shape_of

Args: TypeAlias = tuple[Any, ...]
Calls: TypeAlias = dict[str, Callable[[random.Random], Args]]

WORDS = ("", "a", "b", "ab", "zeta", "é", "x" * 40)
SIZE_MAX = 3


class Drawer:
    """`calls` names, for a method, a function of a `random.Random` that returns its arguments."""

    def __init__(self, cls: type[Any], calls: Calls) -> None:
        self.cls = cls
        shape = shape_of(cls)
        unknown = [name for name in calls if name not in shape.commands and name not in shape.queries]
        if unknown:
            raise ConfigError(f"{cls.__qualname__} has no command or query {unknown[0]!r}")
        self.commands = self._drawers(shape, shape.commands, calls)
        self.queries = self._drawers(shape, shape.queries, calls)

    def _drawers(self, shape: Shape, methods: dict[str, Any], calls: Calls) -> Calls:
        return {name: calls.get(name) or self._by_hints(name, one) for name, one in sorted(methods.items())}

    def _by_hints(self, name: str, function: Any) -> Callable[[random.Random], Args]:
        try:
            hints = typing.get_type_hints(function)
        except Exception as error:  # whatever an annotation may raise when it is evaluated
            raise self._cannot(name, f"its annotations cannot be read: {error}") from error
        wanted = []
        for parameter in list(inspect.signature(function).parameters.values())[1:]:
            if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL, parameter.KEYWORD_ONLY):
                if parameter.default is parameter.empty and parameter.kind is parameter.KEYWORD_ONLY:
                    raise self._cannot(name, f"{parameter.name} can only be given by its name")
                continue
            if parameter.name not in hints and parameter.default is parameter.empty:
                raise self._cannot(name, f"{parameter.name} has no annotation")
            if parameter.name in hints:
                wanted.append((parameter, hints[parameter.name]))
        for parameter, hint in wanted:
            try:
                draw(hint, random.Random(0))
            except ConfigError as error:
                if parameter.default is parameter.empty:
                    raise self._cannot(name, f"{parameter.name}: {error}") from None
                wanted = wanted[: wanted.index((parameter, hint))]
                break
        return lambda rng: tuple(draw(hint, rng) for _, hint in wanted)

    def _cannot(self, name: str, why: str) -> ConfigError:
        return ConfigError(
            f"{self.cls.__qualname__}.{name}: {why}; say how to call it: "
            f"check({self.cls.__name__}, calls={{{name!r}: lambda rng: (rng.randint(1, 9),)}})"
        )


def draw(hint: Any, rng: random.Random) -> Any:
    """A value of that type, often small, so that calls use the same keys again."""
    simple = _SIMPLE.get(hint)
    if simple is not None:
        return simple(rng)
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return draw(parts[0], rng)
    if origin in (typing.Union, types.UnionType):
        return draw(rng.choice(parts), rng)
    if origin is typing.Literal:
        return rng.choice(parts)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return rng.choice(list(hint))
    if hasattr(hint, "__supertype__"):
        return draw(hint.__supertype__, rng)
    return _collection(origin or hint, parts, rng)


def _collection(kind: Any, parts: tuple[Any, ...], rng: random.Random) -> Any:
    count = rng.randint(0, SIZE_MAX)
    if kind is tuple and parts and parts[-1] is not Ellipsis:
        return tuple(draw(part, rng) for part in parts)
    one = parts[0] if parts else int
    if kind in (list, collections.abc.Sequence, collections.abc.Iterable, collections.abc.Collection):
        return [draw(one, rng) for _ in range(count)]
    if kind is tuple:
        return tuple(draw(one, rng) for _ in range(count))
    if kind in (set, frozenset, collections.abc.Set):
        return (frozenset if kind is frozenset else set)(draw(one, rng) for _ in range(count))
    if kind in (dict, collections.abc.Mapping):
        key, value = parts or (str, int)
        return {draw(key, rng): draw(value, rng) for _ in range(count)}
    raise ConfigError(f"no value of {kind!r} can be made up")


def _int(rng: random.Random) -> int:
    return rng.choice([0, 1, -1, 2, rng.randint(1, 10), rng.randint(-100, 100), rng.randint(0, 10**6)])


_SIMPLE: dict[Any, Callable[[random.Random], Any]] = {
    int: _int,
    bool: lambda rng: rng.random() < 0.5,
    float: lambda rng: rng.choice([0.0, 0.5, -1.5, round(rng.uniform(-100, 100), 3)]),
    str: lambda rng: rng.choice(WORDS),
    bytes: lambda rng: rng.choice(WORDS).encode(),
    type(None): lambda rng: None,
    Any: _int,
    object: _int,
}
