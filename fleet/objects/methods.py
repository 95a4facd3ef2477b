"""The methods of a data class that its group executes: commands, queries, reminders."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import (
    Any,
    ClassVar,
    Concatenate,
    Generic,
    Literal,
    ParamSpec,
    Self,
    TypeAlias,
    TypeVar,
    cast,
    overload,
)

from fleet.errors import ConfigError
from fleet.objects.handles import CommandCall, Function, Kind, LocalCall, QueryCall
from fleet.objects.messages import Call, call_of
from fleet.objects.strict import as_executed

P = ParamSpec("P")
R = TypeVar("R")
MethodKind: TypeAlias = Literal["command", "query", "reminder"]


class Method(Generic[P, R]):
    """A method of a data class that its group executes: a command, a query or a reminder."""

    kind: ClassVar[MethodKind]

    def __init__(self, function: Callable[Concatenate[Any, P], R]) -> None:
        _check_function(self.kind, function)
        self.function: Function = function
        self.__name__, self.__qualname__ = function.__name__, function.__qualname__  # for help()
        self.__module__, self.__doc__ = function.__module__, function.__doc__
        self.__wrapped__ = function

    def __call__(self, instance: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return cast(R, self.function(instance, *args, **kwargs))

    def __set_name__(self, owner: type[Any], name: str) -> None:
        self.__name__ = name  # members know it by this one, whatever the function is called

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.__wrapped__,)


class CalledMethod(Method[P, R]):
    """One that clients call."""

    kind: ClassVar[Kind]

    def call(self, *args: P.args, **kwargs: P.kwargs) -> Call:
        """The call as a message to an address of `fleet.thespian.group`. Raises NotEncodable."""
        return call_of(self.kind, self.__name__, args, kwargs)


class Command(CalledMethod[P, R]):
    kind = "command"

    @overload
    def __get__(self, instance: None, owner: type[Any]) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type[Any]) -> CommandCall[P, R]: ...

    def __get__(self, instance: object | None, owner: type[Any]) -> Any:
        if instance is None:
            return self
        return LocalCall(as_executed(type(instance), self.function), instance)


class Query(CalledMethod[P, R]):
    kind = "query"

    @overload
    def __get__(self, instance: None, owner: type[Any]) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type[Any]) -> QueryCall[P, R]: ...

    def __get__(self, instance: object | None, owner: type[Any]) -> Any:
        return self if instance is None else LocalCall(self.function, instance)


def command(function: Callable[Concatenate[Any, P], R]) -> Command[P, R]:
    """Mark a method as a replicated write: every member executes each call once, in the same order.

    Raises: ConfigError: not a plain method, async, a generator, or without self.
    """
    return Command(function)


def query(function: Callable[Concatenate[Any, P], R]) -> Query[P, R]:
    """Mark a method as a read: one member executes it. If it changes the object, the call fails, and the
    change is undone. Raises as `command`."""
    return Query(function)


class Reminder(Method[P, R]):
    """Nobody calls it from outside; on a plain instance it runs at once."""

    kind = "reminder"

    def __init__(self, function: Callable[Concatenate[Any, P], R], name: str = "") -> None:
        super().__init__(function)
        self.name = name
        """As `ctx.remind` names it; "": as the method."""

    @overload
    def __get__(self, instance: None, owner: type[Any]) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type[Any]) -> Callable[P, R]: ...

    def __get__(self, instance: object | None, owner: type[Any]) -> Any:
        return self if instance is None else partial(as_executed(type(instance), self.function), instance)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.__wrapped__, self.name)


def reminder(
    name: str,
) -> Callable[[Callable[Concatenate[Any, P], R]], Reminder[P, R]]:
    """Mark the method that is executed when a reminder is due that a command has set by
    `ctx.remind(name, ...)`: once on every member, in the order of the log, as a command that nobody calls.

    Raises: ConfigError: `name` is no name; else as `command`.
    """
    if type(name) is not str or not name:
        raise ConfigError(f'write @fleet.reminder("name"), with a text for a name, not {name!r}')
    return partial(Reminder, name=name)


def _check_function(kind: MethodKind, function: Any) -> None:
    if not inspect.isfunction(function):
        raise ConfigError(f"@fleet.{kind} goes on a plain method, not on {function!r}")
    name = function.__qualname__
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise ConfigError(f"{name}: a {kind} cannot be async; it must end by itself, without waiting")
    if inspect.isgeneratorfunction(function):
        raise ConfigError(f"{name}: a {kind} cannot be a generator; return a list")
    first = next(iter(inspect.signature(function).parameters.values()), None)
    if first is None or first.kind not in (first.POSITIONAL_ONLY, first.POSITIONAL_OR_KEYWORD):
        raise ConfigError(f"{name}: a {kind} takes self first")


class FunctionalCommand(Command[[Any], Any]):
    """Static `command(state, arg) -> (result, state)` as a method of the object that holds `state`."""

    def __init__(self, pure: Function) -> None:
        def command(self: Any, arg: Any) -> Any:
            result, self.state = pure(self.state, arg)
            return result

        super().__init__(pure)
        self.function = command


class FunctionalQuery(Query[[Any], Any]):
    """Static `query(state, arg) -> result`, likewise."""

    def __init__(self, pure: Function) -> None:
        def query(self: Any, arg: Any) -> Any:
            return pure(self.state, arg)

        super().__init__(pure)
        self.function = query
