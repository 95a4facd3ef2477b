"""Methods of a handle, which are called, submitted or awaited, and of a plain instance, which run at once."""

import inspect
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Generic,
    Literal,
    NoReturn,
    ParamSpec,
    Protocol,
    Self,
    TypeAlias,
    TypeVar,
    cast,
)

from msgspec import Struct

from fleet.blocking import check_may_block
from fleet.errors import ConfigError, ImpureCommand, NoSuchGroup, WouldDeadlock
from fleet.objects.arguments import Check, check_of
from fleet.objects.context import RUNNING
from fleet.objects.payload import decode_result
from fleet.objects.replies import Reply

P = ParamSpec("P")
R = TypeVar("R")
Kind: TypeAlias = Literal["command", "query"]
Function: TypeAlias = Callable[..., Any]


class CallOptions(Struct, frozen=True, gc=False):
    """Options of a call; None: as the client was opened."""

    timeout: float | None = None
    """Seconds."""
    wait_when_full: bool | None = None
    """When the client is at its limits: wait within the timeout (True), or raise Overloaded (False)."""

    def __post_init__(self) -> None:
        if self.timeout is not None and not self.timeout > 0:
            raise ConfigError(f"timeout must be more than 0 seconds, not {self.timeout!r}")


class Caller(Protocol):
    """What a handle needs from a client."""

    def submit(self, group: str, kind: Kind, method: str, payload: bytes, options: CallOptions) -> Reply[Any]:
        """Send, and return at once what will be settled.

        Raises Overloaded; with `wait_when_full`, waits for room first.
        """

    def submit_aio(
        self, group: str, kind: Kind, method: str, payload: bytes, options: CallOptions
    ) -> Awaitable[Any]:
        """As `submit`, but awaiting it waits for room and gives the decoded result."""

    def wait(self, reply: Reply[Any], options: CallOptions) -> bytes:
        """Block until it is done and return the encoded result. Raises OutcomeUnknown after the timeout."""


class _Described:
    """Lets `help` and `inspect` describe the user's method, without `self`."""

    __slots__ = ()

    def _described(self) -> Function:
        raise NotImplementedError

    def __get__(self, instance: object, owner: type[Any] | None = None) -> Self:
        return self  # with a __get__, `help` shows it as a method

    if not TYPE_CHECKING:  # a type checker would accept every name

        def __getattr__(self, name: str) -> Any:
            if name in ("__wrapped__", "__name__", "__qualname__", "__signature__"):
                function = self._described()
                if name == "__wrapped__":
                    return function
                if name != "__signature__":
                    return getattr(function, name)
                signature = inspect.signature(function)
                return signature.replace(parameters=list(signature.parameters.values())[1:])
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name)


def _doc(described: _Described) -> str | None:
    return described._described().__doc__


class Call(_Described, Generic[P, R]):
    """A method of a handle: call it, `.submit` it, await its `.aio`, or set `.options` first.

    Raises (all three ways): the errors of `fleet.errors`: NotDone, OutcomeUnknown, Rejected, CommandFailed,
    QueryFailed, ImpureQuery, NotDecodable; WouldDeadlock or ImpureCommand inside a command.
    """

    __slots__ = ("_caller", "_group", "_name", "_options", "_class", "_encode", "_check")
    kind: ClassVar[Kind]

    def __init__(self, caller: Caller, group: str, name: str, options: CallOptions, cls: type[Any]) -> None:
        self._caller = caller
        self._group = group
        self._name = name
        self._options = options
        self._class = cls
        self._encode = cls.__fleet_codec__.encode_call
        self._check: Check | None = None

    def _described(self) -> Function:
        return cast(Function, inspect.getattr_static(self._class, self._name).__wrapped__)

    def _first_check(self) -> Check:
        check = self._check = check_of(self._class, self._name)
        return check

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        if RUNNING.context is not None:
            raise WouldDeadlock(f"{self!r} is called from inside a command or query")
        check_may_block("a call")
        caller, options = self._caller, self._options
        (self._check or self._first_check())(args, kwargs)
        payload = self._encode(self._name, args, kwargs)
        reply = caller.submit(self._group, self.kind, self._name, payload, options)
        return cast(R, decode_result(caller.wait(reply, options)))

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        if RUNNING.context is not None:
            raise ImpureCommand(f"{self!r} is submitted from inside a command; every member would send it")
        (self._check or self._first_check())(args, kwargs)
        payload = self._encode(self._name, args, kwargs)
        return self._caller.submit(self._group, self.kind, self._name, payload, self._options)

    def aio(self, *args: P.args, **kwargs: P.kwargs) -> Awaitable[R]:
        if RUNNING.context is not None:
            raise ImpureCommand(f"{self!r} is awaited inside a command; every member would send it")
        (self._check or self._first_check())(args, kwargs)
        payload = self._encode(self._name, args, kwargs)
        return self._caller.submit_aio(self._group, self.kind, self._name, payload, self._options)

    def options(self, *, timeout: float | None = None, wait_when_full: bool | None = None) -> Self:
        """The same method with other options; options that are not given stay as they are.

        `timeout`: seconds. `wait_when_full`: whether to wait for room within the timeout when the client is
        at its limits, or raise Overloaded. Raises: ConfigError: `timeout` is not above 0.
        """
        had = self._options
        timeout = had.timeout if timeout is None else timeout
        waits = had.wait_when_full if wait_when_full is None else wait_when_full
        return type(self)(self._caller, self._group, self._name, CallOptions(timeout, waits), self._class)

    def __repr__(self) -> str:
        return f"<{self.kind} {self._name} of group {self._group!r}>"


class CommandCall(Call[P, R]):
    __doc__ = cast(str, property(_doc))
    __slots__ = ()
    kind = "command"


class QueryCall(Call[P, R]):
    __doc__ = cast(str, property(_doc))
    __slots__ = ()
    kind = "query"


class LocalCall(_Described):
    # The method of a plain instance: runs here, since there is no group to submit to.
    __doc__ = cast(str, property(_doc))
    __slots__ = ("_function", "_instance")

    def __init__(self, function: Function, instance: object) -> None:
        self._function = function
        self._instance = instance

    def _described(self) -> Function:
        method = inspect.getattr_static(type(self._instance), self._function.__name__, self._function)
        return cast(Function, getattr(method, "__wrapped__", self._function))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._function(self._instance, *args, **kwargs)

    def submit(self, *args: Any, **kwargs: Any) -> NoReturn:
        method = f"{type(self._instance).__name__}.{self._function.__name__}"
        raise NoSuchGroup(f"{method}: a plain local object is no handle of a group; call it directly")

    aio = options = submit
