"""The contract of a class as it is now."""

import dataclasses
import enum
import inspect
import typing
from collections.abc import Iterator
from typing import Any

import msgspec

from fleet.contracts.annotations import text_of
from fleet.contracts.contract import (
    BY_PLACE,
    ClassContract,
    FieldContract,
    MethodContract,
    ParameterContract,
    TypeContract,
)
from fleet.errors import ConfigError
from fleet.objects.declare import Data, shape_of
from fleet.objects.fingerprint import fingerprint_of
from fleet.objects.handles import Function


def contract_of(cls: type[Any]) -> ClassContract:
    """Makes an object of the class. Raises ConfigError: it is no data class, or no object can be made."""
    if not (isinstance(cls, type) and issubclass(cls, Data)):
        raise ConfigError(f"{cls!r} is not a data class; derive it from fleet.Data")
    shape, hints = shape_of(cls), _hints(cls)
    methods = {**shape.commands, **shape.queries}
    in_state, in_calls = _Types(), _Types()
    for name in _fields(cls):
        in_state.add(hints.get(name))
    for function in methods.values():
        for hint in _hints(inspect.unwrap(function)).values():
            in_calls.add(hint)
    for function in shape.reminders.values():  # their arguments are kept with the state
        for hint in _hints(inspect.unwrap(function)).values():
            in_state.add(hint)
    return ClassContract(
        version=cls.__fleet_version__,
        fingerprint=fingerprint_of(cls),
        codec=cls.__fleet_codec__.name,
        migrates=inspect.getattr_static(cls, "migrate") is not Data.__dict__["migrate"],
        commands={name: _method(one) for name, one in sorted(shape.commands.items())},
        queries={name: _method(one) for name, one in sorted(shape.queries.items())},
        state={
            name: FieldContract(text_of(hints[name]) if name in hints else "", name in shape.fields)
            for name in _fields(cls)
        },
        types={
            name: _type(cls, name in in_state.found, name in in_calls.found)
            for name, cls in sorted({**in_state.found, **in_calls.found}.items())
        },
        reminders={name: _method(one) for name, one in sorted(shape.reminders.items())},
    )


def _fields(cls: type[Any]) -> list[str]:
    try:
        return sorted(shape_of(cls).fields.keys() | vars(cls()).keys())
    except Exception as error:  # of somebody's __init__
        raise ConfigError(f"no {cls.__qualname__} can be made: {type(error).__name__}: {error}") from error


def _method(function: Function) -> MethodContract:
    hints = _hints(inspect.unwrap(function))
    signature = inspect.signature(function)
    parameters = [
        ParameterContract(
            parameter.name,
            parameter.kind.description,
            text_of(hints[parameter.name]) if parameter.name in hints else "",
            parameter.default is not parameter.empty,
        )
        for parameter in list(signature.parameters.values())[1:]
    ]
    return MethodContract(parameters, text_of(hints["return"]) if "return" in hints else "")


def _hints(thing: Any) -> dict[str, Any]:
    """Evaluated, or as they are written where that is impossible."""
    try:
        return typing.get_type_hints(thing)
    except Exception:  # whatever evaluating somebody's annotation raises
        return dict(inspect.get_annotations(thing))


# -- types with fields ------------------------------------------------------------------------------------


class _Types:
    """Those in annotations, and in the fields of those."""

    def __init__(self) -> None:
        self.found: dict[str, type] = {}

    def add(self, hint: Any) -> None:
        for part in typing.get_args(hint):
            self.add(part)
        name = f"{getattr(hint, '__module__', '')}:{getattr(hint, '__qualname__', '')}"
        if not isinstance(hint, type) or typing.get_args(hint) or name in self.found:
            return
        if _is_enum(hint) or _has_fields(hint):
            self.found[name] = hint
            for inner in {} if _is_enum(hint) else _hints(hint).values():
                self.add(inner)


def _is_enum(cls: type) -> bool:
    return issubclass(cls, enum.Enum)


def _has_fields(cls: type) -> bool:
    is_tuple = issubclass(cls, tuple) and hasattr(cls, "_fields")
    is_struct = issubclass(cls, msgspec.Struct)
    return (
        dataclasses.is_dataclass(cls) or is_tuple or is_struct or typing.is_typeddict(cls) or _is_model(cls)
    )


def _is_model(cls: type) -> bool:
    """Whether it is one of pydantic, which need not be here."""
    return isinstance(getattr(cls, "model_fields", None), dict) and any(
        base.__module__.partition(".")[0] == "pydantic" for base in cls.__mro__
    )


def _type(cls: type, in_state: bool, in_calls: bool) -> TypeContract:
    if _is_enum(cls):
        members = {name: repr(one.value) for name, one in getattr(cls, "__members__").items()}
        return TypeContract(members=members, in_state=in_state, in_calls=in_calls)
    hints, filled = _hints(cls), set(_filled(cls))
    names, stored = _names(cls, hints), _stored(cls)
    fields = {
        name: FieldContract(text_of(hints.get(name, "")), name in filled)
        for name in (names if stored == BY_PLACE else sorted(names))
    }
    return TypeContract(fields, stored, in_state=in_state, in_calls=in_calls)


def _names(cls: Any, hints: dict[str, Any]) -> list[str]:
    if dataclasses.is_dataclass(cls):
        return [field.name for field in dataclasses.fields(cls)]
    for names in ("__struct_fields__", "_fields", "model_fields"):
        if hasattr(cls, names):
            return list(getattr(cls, names))
    return list(hints)


def _stored(cls: type) -> str:
    if dataclasses.is_dataclass(cls) and "__slots__" in vars(cls):
        return BY_PLACE if "__getstate__" in vars(cls) else "in slots"  # the former, if it is frozen
    if issubclass(cls, msgspec.Struct):
        kinds = {one.kind for one in inspect.signature(cls).parameters.values()}
        return "by name" if inspect.Parameter.KEYWORD_ONLY in kinds else BY_PLACE
    return BY_PLACE if issubclass(cls, tuple) else "by name"


def _filled(cls: Any) -> Iterator[str]:
    """The fields that an instance has although it was stored without them."""
    if dataclasses.is_dataclass(cls):  # its pickle is its __dict__; the default stands in the class
        if "__slots__" not in vars(cls):
            yield from (one.name for one in dataclasses.fields(cls) if one.default is not dataclasses.MISSING)
    elif issubclass(cls, msgspec.Struct):  # its pickle is its arguments
        defaults = len(cls.__struct_defaults__)
        yield from cls.__struct_fields__[len(cls.__struct_fields__) - defaults :]
    elif hasattr(cls, "_field_defaults"):
        yield from cls._field_defaults
    elif typing.is_typeddict(cls):
        yield from cls.__optional_keys__
