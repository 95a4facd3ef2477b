"""Values made up by their types: mostly small, so that calls use the same keys again."""

import collections.abc
import dataclasses
import datetime
import decimal
import enum
import random
import types
import typing
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import msgspec

from fleet.errors import ConfigError

Draw: TypeAlias = Callable[[random.Random], Any]

WORDS: Final = ("", "a", "b", "ab", "zeta", "é", "x" * 40)
SIZE_MAX: Final = 3
DEPTH_MAX: Final = 2
"""Of classes in one another; below it collections are empty."""
TRIES: Final = 50
POOL: Final = 100
"""Values taken from a strategy of hypothesis."""
START: Final = datetime.datetime(2024, 2, 28, 23, 59, 30)


class CannotMake(Exception):
    """`kind`: the type of which no value can be made up; `path`: the fields that lead to it."""

    def __init__(self, kind: Any, path: str = "", why: str = "") -> None:
        super().__init__(kind, path, why)
        self.kind, self.path, self.why = kind, path, why

    def __str__(self) -> str:
        return f"{self.path and self.path + ': '}no value of {name_of(self.kind)} can be made up{self.why}"


def name_of(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) and not typing.get_args(kind) else str(kind)


class Maker:
    """`given` has functions of a `random.Random`, or strategies of hypothesis, for types of their own."""

    def __init__(self, given: Mapping[Any, Any] = types.MappingProxyType({})) -> None:
        self._draws: dict[Any, Draw] = {kind: draw_of(made) for kind, made in given.items()}
        self._depth = 0

    def draw(self, hint: Any) -> Draw:
        """What draws values of this type. Raises CannotMake."""
        if typing.get_origin(hint) is typing.Annotated:
            return self.draw(typing.get_args(hint)[0])
        known = self._draws.get(hint) or _SIMPLE.get(hint)
        if known is not None:
            return known
        self._draws[hint] = lambda rng: made(rng)  # for a type that has itself in a field
        try:
            made = self._made(hint)
        except CannotMake:
            del self._draws[hint]
            raise
        self._draws[hint] = made
        return made

    def _made(self, hint: Any) -> Draw:
        origin, parts = typing.get_origin(hint), typing.get_args(hint)
        if origin in (typing.Required, typing.NotRequired):
            return self.draw(parts[0])
        if origin in (typing.Union, types.UnionType):
            return self._any_of(hint, parts)
        if origin is typing.Literal:
            return lambda rng: rng.choice(parts)
        if isinstance(hint, type) and issubclass(hint, enum.Enum) and len(hint):
            members = list(hint)
            return lambda rng: rng.choice(members)
        for name in ("__supertype__", "__value__"):  # NewType, `type X = ...`
            if hasattr(hint, name):
                return self.draw(getattr(hint, name))
        return self._collection(origin or hint, parts) or self._fields(origin or hint) or strange(hint)

    def _any_of(self, hint: Any, parts: tuple[Any, ...]) -> Draw:
        draws = []
        for part in sorted(parts, key=lambda part: part is not type(None)):
            try:
                draws.append(self.draw(part))
            except CannotMake as error:
                trouble = error
        if not draws:
            raise trouble
        return lambda rng: (draws[0] if self._depth > DEPTH_MAX else rng.choice(draws))(rng)

    def _collection(self, kind: Any, parts: tuple[Any, ...]) -> Draw | None:
        if kind is tuple and parts and parts[-1] is not Ellipsis:
            each = [self.draw(part) for part in parts]
            return lambda rng: tuple(one(rng) for one in each)
        make = _COLLECTIONS.get(kind)
        if make is None:
            return None
        if issubclass(kind, collections.abc.Mapping):
            key, value = map(self.draw, parts or (str, int))
            return lambda rng: make((key(rng), value(rng)) for _ in range(self._size(rng)))
        one = self.draw(parts[0] if parts else int)
        return lambda rng: make(one(rng) for _ in range(self._size(rng)))

    def _size(self, rng: random.Random) -> int:
        return rng.randint(0, SIZE_MAX) if self._depth <= DEPTH_MAX else 0

    # -- classes with typed fields -----------------------------------------------------------------

    def _fields(self, cls: Any) -> Draw | None:
        if not isinstance(cls, type):
            return None
        fields = _fields_of(cls)
        if fields is None:
            return None
        draws: dict[str, Draw] = {}
        for name, (hint, has_default) in fields.items():
            try:
                draws[name] = self.draw(hint)
            except CannotMake as error:
                if not has_default:
                    path = ".".join((cls.__name__, name, *error.path.split(".")[1:]))
                    raise CannotMake(error.kind, path, error.why) from error
        return lambda rng: self._built(cls, draws, rng)

    def _built(self, cls: type, draws: dict[str, Draw], rng: random.Random) -> Any:
        self._depth += 1
        try:
            for _ in range(TRIES):
                fields = {name: one(rng) for name, one in draws.items()}
                try:
                    return cls(**fields)
                except Exception as error:  # of its own checks: other fields may suit it
                    refused = error
        finally:
            self._depth -= 1
        raise ConfigError(
            f"{cls.__name__} accepts none of {TRIES} values made up by its fields ({refused!r}); "
            f"say how: values={{{cls.__name__}: ...}}"
        )


def _fields_of(cls: type) -> dict[str, tuple[Any, bool]] | None:
    """Type, and whether there is a default, by name; None: its fields are not declared."""
    if issubclass(cls, msgspec.Struct):
        return {one.name: (one.type, not one.required) for one in msgspec.structs.fields(cls)}
    if not (dataclasses.is_dataclass(cls) or hasattr(cls, "_field_defaults") or typing.is_typeddict(cls)):
        return None
    try:
        hints = typing.get_type_hints(cls)
    except Exception as error:  # whatever an annotation may raise when it is evaluated
        raise CannotMake(cls, why=f": {error}") from error
    if dataclasses.is_dataclass(cls):
        absent = dataclasses.MISSING
        return {
            one.name: (hints[one.name], one.default is not absent or one.default_factory is not absent)
            for one in dataclasses.fields(cls)
            if one.init
        }
    defaults = getattr(cls, "_field_defaults", {})
    return {name: (hint, name in defaults) for name, hint in hints.items()}


# -- hypothesis ------------------------------------------------------------------------------------


def draw_of(made: Any) -> Draw:
    """A function of a `random.Random` as it is; or what draws from a strategy of hypothesis."""
    if callable(made):
        return typing.cast(Draw, made)
    pool = examples(made)
    return lambda rng: rng.choice(pool)


def strange(hint: Any) -> Draw:
    """By what hypothesis knows of the type, if it is there. Raises CannotMake."""
    try:
        from hypothesis import strategies as st
    except ImportError:
        raise CannotMake(hint) from None
    try:
        return draw_of(st.from_type(hint))
    except Exception as error:  # hypothesis' own, or what the type's constructor raises
        raise CannotMake(hint) from error


def examples(strategy: Any) -> list[Any]:
    """The same for the same strategy, so that a seed is the same script again."""
    from hypothesis import HealthCheck, Phase, given, seed, settings

    found: list[Any] = []

    @seed(0)
    @settings(
        max_examples=POOL,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(value: Any) -> None:
        found.append(value)

    collect()
    return found


# -- simple types ----------------------------------------------------------------------------------


def _int(rng: random.Random) -> int:
    return rng.choice([0, 1, -1, 2, rng.randint(1, 10), rng.randint(-100, 100), rng.randint(0, 10**6)])


def _timedelta(rng: random.Random) -> datetime.timedelta:
    return datetime.timedelta(seconds=rng.choice([0, 1, 0.5, 60, -1, 86_400, rng.randint(0, 10**8)]))


def _datetime(rng: random.Random) -> datetime.datetime:
    """Half of them with a time zone, as annotations leave that open."""
    return (START + _timedelta(rng)).replace(tzinfo=rng.choice([None, datetime.UTC]))


_SIMPLE: Final[dict[Any, Draw]] = {
    int: _int,
    bool: lambda rng: rng.random() < 0.5,
    float: lambda rng: rng.choice([0.0, 0.5, -1.5, round(rng.uniform(-100, 100), 3)]),
    complex: lambda rng: complex(_int(rng), _int(rng)),
    str: lambda rng: rng.choice(WORDS),
    bytes: lambda rng: rng.choice(WORDS).encode(),
    bytearray: lambda rng: bytearray(rng.choice(WORDS).encode()),
    type(None): lambda rng: None,
    None: lambda rng: None,
    Any: _int,
    object: _int,
    decimal.Decimal: lambda rng: decimal.Decimal(_int(rng)).scaleb(-rng.choice([0, 2])),
    uuid.UUID: lambda rng: uuid.UUID(int=rng.choice([rng.randint(1, 3), rng.getrandbits(128)]), version=4),
    datetime.timedelta: _timedelta,
    datetime.datetime: _datetime,
    datetime.date: lambda rng: _datetime(rng).date(),
    datetime.time: lambda rng: _datetime(rng).timetz(),
}
_COLLECTIONS: Final[dict[Any, Any]] = {
    **dict.fromkeys((list, collections.abc.Sequence, collections.abc.MutableSequence), list),
    **dict.fromkeys((collections.abc.Iterable, collections.abc.Collection), list),
    **dict.fromkeys((set, collections.abc.Set, collections.abc.MutableSet), set),
    **dict.fromkeys((dict, collections.abc.Mapping, collections.abc.MutableMapping), dict),
    frozenset: frozenset,
    tuple: tuple,
    collections.deque: collections.deque,
    collections.OrderedDict: collections.OrderedDict,
}
