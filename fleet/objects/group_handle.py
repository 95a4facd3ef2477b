"""A group, seen as an object of its data class."""

import inspect
from typing import Any, NoReturn, TypeVar, cast

from fleet.objects.client_side import is_client_side
from fleet.objects.declare import shape_of
from fleet.objects.handles import Caller, CallOptions, CommandCall, QueryCall
from fleet.objects.methods import Reminder
from fleet.objects.type_arguments import class_of

D = TypeVar("D")


class Handle:
    """A group, seen as an object of its data class: the commands and queries, without state.

    An instance of the class for `isinstance` and for the type checker. The calls are plain attributes,
    so that finding one is a dictionary look-up.
    """

    def __init__(self, data_class: Any, group: str, caller: Caller) -> None:
        cls: type = class_of(data_class)
        shape, options = shape_of(cls), CallOptions()
        calls: dict[str, Any] = {}
        calls |= {name: CommandCall(caller, group, name, options, cls, data_class) for name in shape.commands}
        calls |= {name: QueryCall(caller, group, name, options, cls, data_class) for name in shape.queries}
        self.__dict__.update(calls, _fleet_class=cls, _fleet_group=group, _fleet_caller=caller)
        self.__dict__["__origin__"] = cls  # what help() describes instead

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return cast(type, self.__dict__["_fleet_class"])

    def __getattr__(self, name: str) -> Any:
        cls = self.__dict__["_fleet_class"]
        found = inspect.getattr_static(cls, name, None)
        if is_client_side(found):
            return found.__get__(self)
        if isinstance(found, Reminder):
            why = "it is a @fleet.reminder, which its group calls when it is due"
        elif inspect.isfunction(found):
            why = "it is neither a @fleet.command nor a @fleet.query, nor @fleet.client_side"
        else:
            why = "the state lives in the group; ask by a @fleet.query"
        raise AttributeError(f"a handle of {cls.__name__} has no {name!r}: {why}", name=name)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        why = "the state lives in the group; change it by a @fleet.command"
        raise AttributeError(f"cannot set {name!r} on a handle: {why}", name=name)

    def __delattr__(self, name: str) -> NoReturn:
        self.__setattr__(name, None)

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{self!r} belongs to this client and cannot be sent; send the group's name")

    def __repr__(self) -> str:
        return f"<handle of group {self._fleet_group!r}, a {self._fleet_class.__name__}>"


def bind(cls: type[D], group: str, caller: Caller) -> D:
    """The handle of `group`. Costs 0.5 us a method: keep it instead of binding for each call. Of a class such
    as `JobQueue[Email]`, it checks arguments by what the type variables stand for."""
    return cast(D, Handle(cls, group, caller))


def group_of(handle: object) -> str:
    if type(handle) is not Handle:
        raise TypeError(f"{handle!r} is not a handle of a group")
    return cast(str, handle.__dict__["_fleet_group"])
