"""Arguments for commands and queries, drawn by their annotations."""

import inspect
import random
import typing
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeAlias

from fleet.errors import ConfigError
from fleet.objects.declare import shape_of
from fleet.testing.values import CannotMake, Draw, Maker, draw_of, name_of

Args: TypeAlias = tuple[Any, ...]
Kwargs: TypeAlias = dict[str, Any]
Arguments: TypeAlias = Callable[[random.Random], tuple[Args, Kwargs]]
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class Drawer:
    """`calls` names, for a method, what draws a tuple of all its arguments; `values`, for a type or a
    parameter's name, what draws one. To draw is to call a function of a `random.Random`, or to take from a
    strategy of hypothesis.
    """

    def __init__(self, cls: type[Any], calls: Mapping[str, Any], values: Mapping[Any, Any]) -> None:
        self.cls = cls
        shape = shape_of(cls)
        unknown = [name for name in calls if name not in shape.commands and name not in shape.queries]
        if unknown:
            raise ConfigError(f"{cls.__qualname__} has no command or query {unknown[0]!r}")
        self._by_name = {key: draw_of(made) for key, made in values.items() if isinstance(key, str)}
        self._maker = Maker({key: made for key, made in values.items() if not isinstance(key, str)})
        self._unused = set(self._by_name)
        self.commands = {name: self._drawer(name, one, calls) for name, one in sorted(shape.commands.items())}
        self.queries = {name: self._drawer(name, one, calls) for name, one in sorted(shape.queries.items())}
        if self._unused:
            raise ConfigError(f"no method of {cls.__qualname__} has a parameter {min(self._unused)!r}")

    def _drawer(self, name: str, function: Any, calls: Mapping[str, Any]) -> Arguments:
        if name in calls:
            draw = draw_of(calls[name])
            return lambda rng: (draw(rng), {})
        by_place, by_name = self._by_hints(name, function)
        return lambda rng: (
            tuple(one(rng) for one in by_place),
            {key: one(rng) for key, one in by_name.items()},
        )

    def _by_hints(self, name: str, function: Any) -> tuple[list[Draw], dict[str, Draw]]:
        hints = self._hints(name, function)
        by_place: list[Draw] = []
        by_name: dict[str, Draw] = {}
        is_by_place = True
        for parameter in list(inspect.signature(function).parameters.values())[1:]:
            if parameter.kind in _VARIADIC:
                continue
            one = self._parameter(name, parameter, hints)
            if one is None:
                is_by_place = False  # it keeps its default, and so do those after it, unless named
            elif is_by_place and parameter.kind is not parameter.KEYWORD_ONLY:
                by_place.append(one)
            elif parameter.kind is not parameter.POSITIONAL_ONLY:
                by_name[parameter.name] = one
        return by_place, by_name

    def _hints(self, name: str, function: Any) -> dict[str, Any]:
        try:
            return typing.get_type_hints(function)
        except Exception as error:  # whatever an annotation may raise when it is evaluated
            places = ", ".join(list(inspect.signature(function).parameters)[1:])
            self._fail(name, f"its annotations cannot be read: {error}", f"calls={{{name!r}: ...}}", places)

    def _parameter(self, name: str, parameter: inspect.Parameter, hints: dict[str, Any]) -> Draw | None:
        """What draws it; None: it has a default, and nothing tells what else it may be."""
        if parameter.name in self._by_name:
            self._unused.discard(parameter.name)
            return self._by_name[parameter.name]
        try:
            if parameter.name in hints:
                return self._maker.draw(hints[parameter.name])
            why, key = "it has no annotation", repr(parameter.name)
        except CannotMake as error:
            why = str(error)
            key = name_of(error.kind) if isinstance(error.kind, type) else repr(parameter.name)
        if parameter.default is not parameter.empty:
            return None
        self._fail(name, why, f"values={{{key}: ...}}", parameter.name)

    def _fail(self, method: str, why: str, remedy: str, parameter: str) -> NoReturn:
        cls = self.cls.__name__
        raise ConfigError(
            f"{cls}.{method}: parameter {parameter}: {why}; say how: check({cls}, {remedy}), where ... is a "
            "function such as lambda rng: rng.randint(1, 9), or a strategy of hypothesis"
        )
