"""Whether the arguments of a call are what the method's annotations say, found out before the call is sent.

An annotation that this module does not understand (a protocol, a name that cannot be resolved, a type
variable of which nothing is said) accepts everything. Values are looked at and never converted.
`msgspec.convert` has other rules: it takes a dict for a dataclass, a text for a date, and no numbers of other
libraries.
"""

import inspect
import types
import typing
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from numbers import Complex, Integral, Real
from reprlib import Repr
from typing import Annotated, Any, Final, Literal, NamedTuple, NewType, TypeAlias, Union, get_args, get_origin
from weakref import WeakKeyDictionary

from fleet.errors import BadArguments
from fleet.objects.type_arguments import class_of, substituted, type_arguments

Check: TypeAlias = Callable[[tuple[Any, ...], dict[str, Any]], None]
"""Raises BadArguments."""
FITTING_MAX = 64
"""A method's calls are recognized by the types of their arguments, where those suffice: so many are kept."""


class Misfit(NamedTuple):
    """The first value in an argument that does not fit."""

    path: str
    """Where in the argument: "", or as "[2]['name']"."""
    value: Any
    annotation: Any


class Expected(NamedTuple):
    """An annotation that is understood."""

    plain: frozenset[type]
    """Values of exactly these types fit."""
    find: Callable[[Any], Misfit | None]


class Parameter(NamedTuple):
    name: str = ""
    expected: Expected | None = None
    """None: everything fits."""
    default: Any = inspect.Parameter.empty

    def misfit(self, value: Any) -> Misfit | None:
        if value is self.default:
            return None
        return _misfit(self.expected, value)

    def is_plain(self, value: Any) -> bool:
        """Whether all values of its type fit."""
        return self.expected is None or type(value) in self.expected.plain


class Parameters(NamedTuple):
    """Of one method, without self."""

    by_place: list[Parameter]
    by_name: dict[str, Parameter]
    more_places: Parameter
    more_names: Parameter


# -- calls ----------------------------------------------------------------------------------------------

_checks: WeakKeyDictionary[Any, dict[str, Check]] = WeakKeyDictionary()


def check_of(data_class: Any, method: str) -> Check:
    """What checks the calls of a command or query of a class, or of one as `JobQueue[Email]`; made once.
    Missing, unknown and surplus arguments are left to the node, whose class decides."""
    checks = _checks.setdefault(data_class, {})
    check = checks.get(method)
    if check is None:
        is_checked = class_of(data_class).__fleet_check_arguments__
        check = checks[method] = _new_check(data_class, method) if is_checked else _accept
    return check


def _accept(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    pass


def _new_check(data_class: Any, method: str) -> Check:
    cls = class_of(data_class)
    base = next(base for base in cls.__mro__ if method in base.__dict__)
    given = type_arguments(data_class, base)
    parameters = _parameters(base.__dict__[method].__wrapped__, base, given)
    called = f"{cls.__qualname__}.{method}"
    fitting: set[tuple[Any, ...]] = set()

    def check(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        key: tuple[Any, ...] = tuple(map(type, args))
        if kwargs:
            key = (key, *kwargs, *map(type, kwargs.values()))
        if key not in fitting and _look(called, parameters, args, kwargs) and len(fitting) < FITTING_MAX:
            fitting.add(key)

    return check


def _look(called: str, parameters: Parameters, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether all arguments of the same types fit."""
    by_place, by_name, more_places, more_names = parameters
    is_plain = True
    for place, value in enumerate(args):
        parameter = by_place[place] if place < len(by_place) else more_places
        is_plain &= parameter.is_plain(value)
        _require(called, parameter.name, parameter.misfit(value))
    for name, value in kwargs.items():
        parameter = by_name.get(name, more_names)
        is_plain &= parameter.is_plain(value)
        _require(called, name, parameter.misfit(value))
    return is_plain


def _require(called: str, name: str, misfit: Misfit | None) -> None:
    if misfit is not None:
        wants = inspect.formatannotation(misfit.annotation)
        got = f"{_repr.repr(misfit.value)} ({type(misfit.value).__qualname__})"
        raise BadArguments(f"{called}: {name}{misfit.path} must be {wants}, not {got}", parameter=name)


_repr = Repr()
_repr.maxstring = _repr.maxother = _repr.maxlong = 80


def _parameters(function: Callable[..., Any], base: type, given: Mapping[Any, Any]) -> Parameters:
    """`given`: what its type variables stand for."""
    found = Parameters([], {}, Parameter(), Parameter())
    is_wrapper = hasattr(function, "__wrapped__")  # it may convert what it passes on
    for p in list(inspect.signature(function, follow_wrapped=False).parameters.values())[1:]:
        unknown = is_wrapper or p.annotation is p.empty
        annotation = Any if unknown else substituted(_resolved(p.annotation, function, base), given)
        expected = expected_of(annotation)
        parameter = Parameter(p.name, expected, p.default)
        if p.kind is p.VAR_POSITIONAL:
            found = found._replace(more_places=parameter)
        elif p.kind is p.VAR_KEYWORD:
            found = found._replace(more_names=parameter)
        else:
            if p.kind is not p.KEYWORD_ONLY:
                found.by_place.append(parameter)
            if p.kind is not p.POSITIONAL_ONLY:
                found.by_name[p.name] = parameter
    return found


def _resolved(annotation: Any, function: Any, base: type) -> Any:
    """With the names in it looked up; Any where that is impossible."""
    known = function.__globals__
    if "<locals>" in function.__qualname__:  # its names may be those of a function that is over
        known = {}
    holder = types.SimpleNamespace(__annotations__={"it": annotation})
    try:
        return typing.get_type_hints(holder, known, dict(vars(base)))["it"]
    except Exception:  # whatever evaluating somebody's annotation raises
        return Any


# -- annotations -------------------------------------------------------------------------------------------

_NUMBERS: Final[dict[type, type]] = {int: Integral, float: Real, complex: Complex}
"""As in PEP 484; these take the numbers of other libraries, too."""
_PLAIN: Final[dict[type, frozenset[type]]] = {
    int: frozenset({int, bool}),
    float: frozenset({float, int, bool}),
    complex: frozenset({complex, float, int, bool}),
    bytes: frozenset({bytes, bytearray}),
}
_LISTS = frozenset({list, tuple, set, frozenset, deque})
_DICTS = frozenset({dict, defaultdict, OrderedDict, Counter})
"""Items are looked at in values of exactly these types: elsewhere, asking for them may change the value."""


_BARE = (typing.Tuple,)  # noqa: UP006
"""No more than its class, though it looks as the annotation of the empty tuple does."""


def expected_of(annotation: Any) -> Expected | None:
    """None: everything fits, or nobody knows."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if annotation is None:
        return _of_class(type(None), annotation)
    if isinstance(annotation, NewType):
        return expected_of(annotation.__supertype__)
    if origin is Annotated:
        return expected_of(inner[0])
    if origin is Union or origin is types.UnionType:
        return _of_union(inner, annotation)
    if origin is Literal:
        return Expected(frozenset(), partial(_find_other, inner, annotation))
    if isinstance(origin, type) and origin is not type:
        return _of_generic(origin, inner, annotation)
    if isinstance(annotation, type):
        return _of_class(annotation, annotation)
    return None


def _misfit(expected: Expected | None, value: Any) -> Misfit | None:
    if expected is None or type(value) in expected.plain:
        return None
    return expected.find(value)


def _of_class(cls: type, annotation: Any) -> Expected | None:
    if cls is object or getattr(cls, "_is_protocol", False):
        return None
    if typing.is_typeddict(cls):
        cls = dict
    plain = _PLAIN.get(cls, frozenset({cls}))
    return Expected(plain, partial(_find_stranger, _NUMBERS.get(cls, cls), annotation))


def _find_stranger(cls: type, annotation: Any, value: Any) -> Misfit | None:
    try:
        if isinstance(value, cls):
            return None
    except Exception:  # of a metaclass: nobody knows
        return None
    for base in type(value).__mro__:
        if (base.__module__, base.__qualname__) == (cls.__module__, cls.__qualname__):
            return None  # from another run of the same script, say
    return Misfit("", value, annotation)


def _of_union(inner: tuple[Any, ...], annotation: Any) -> Expected | None:
    choices = [expected_of(one) for one in inner]
    known = [one for one in choices if one is not None]
    if len(known) < len(choices):
        return None
    plain = frozenset[type]().union(*(one.plain for one in known))

    def find(value: Any) -> Misfit | None:
        fits = any(_misfit(one, value) is None for one in known)
        return None if fits else Misfit("", value, annotation)

    return Expected(plain, find)


def _find_other(choices: tuple[Any, ...], annotation: Any, value: Any) -> Misfit | None:
    fits = any(isinstance(value, type(one)) and value == one for one in choices)
    return None if fits else Misfit("", value, annotation)


def _of_generic(origin: type, inner: tuple[Any, ...], annotation: Any) -> Expected | None:
    outer = _of_class(origin, annotation)
    if outer is None or annotation in _BARE:
        return outer
    items: list[Expected | None] = []
    find: Callable[[Any], Misfit | None] | None = None
    if origin is tuple and inner[-1:] != (Ellipsis,):
        items = [expected_of(one) for one in inner]
        if not any(_is_unpacked(one) for one in inner):
            find = partial(_find_in_tuple, items, annotation)
    elif issubclass(origin, Mapping) and len(inner) == 2:
        items = [expected_of(one) for one in inner]
        find = partial(_find_in_dict, items[0], items[1])
    elif issubclass(origin, Collection) and inner:
        items = [expected_of(inner[0])]
        find = partial(_find_in_list, items[0])
    if find is None or (not any(items) and origin is not tuple):
        return outer
    return Expected(frozenset(), partial(_find_inside, outer, find))


def _find_inside(outer: Expected, find: Callable[[Any], Misfit | None], value: Any) -> Misfit | None:
    stranger = _misfit(outer, value)
    if stranger is not None or type(value) not in _LISTS | _DICTS:
        return stranger
    return find(value)


def _is_unpacked(annotation: Any) -> bool:
    return getattr(annotation, "__unpacked__", False) or get_origin(annotation) is typing.Unpack


def _find_in_tuple(items: list[Expected | None], annotation: Any, value: tuple[Any, ...]) -> Misfit | None:
    if len(value) != len(items):
        return Misfit("", value, annotation)
    misfits = (_at(place, _misfit(*pair)) for place, pair in enumerate(zip(items, value, strict=True)))
    return next(filter(None, misfits), None)


def _find_in_list(item: Expected | None, value: Iterable[Any]) -> Misfit | None:
    if item is None or item.plain.issuperset(map(type, value)):
        return None
    misfits = (_at(place, _misfit(item, one)) for place, one in enumerate(value))
    return next(filter(None, misfits), None)


def _find_in_dict(key: Expected | None, item: Expected | None, value: Mapping[Any, Any]) -> Misfit | None:
    bad_key = _find_in_list(key, value)
    if bad_key is not None:
        return bad_key._replace(path=" key")
    misfits = (_at(name, _misfit(item, one)) for name, one in value.items())
    return next(filter(None, misfits), None)


def _at(place: Any, misfit: Misfit | None) -> Misfit | None:
    return None if misfit is None else misfit._replace(path=f"[{_repr.repr(place)}]{misfit.path}")
