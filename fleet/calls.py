"""The methods of a handle: called, submitted or awaited; and those of a plain instance, which just run."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import (
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

from fleet.context import RUNNING
from fleet.errors import ConfigError, ImpureCommand, NoSuchGroup, WouldDeadlock
from fleet.payload import decode_result, encode_call

P = ParamSpec("P")
R = TypeVar("R")
Kind: TypeAlias = Literal["command", "query"]
Function: TypeAlias = Callable[..., Any]


class CallOptions(Struct, frozen=True, gc=False):
    timeout: float | None = None
    """Seconds; None is the client's default."""

    def __post_init__(self) -> None:
        if self.timeout is not None and not self.timeout > 0:
            raise ConfigError(f"timeout must be more than 0 seconds, not {self.timeout!r}")


class Reply(Future[R]):
    """A future whose `set_result` takes the encoded result. It is decoded once, by the first to ask
    for it and in that thread, so the client's loop never runs a user's unpickling.

    It is on its way and cannot be cancelled; whoever awaits it may give up.
    """

    revision: int = 0
    """The log index at which the command took effect."""
    later: "Reply[R]"
    """Set with OutcomeUnknown: gets the outcome if it comes after all."""
    _opened = False
    _value: R
    _failure: BaseException | None = None

    def __init__(self) -> None:
        super().__init__()
        self.set_running_or_notify_cancel()

    def raw(self, timeout: float | None = None) -> bytes:
        return cast(bytes, super().result(timeout))

    def result(self, timeout: float | None = None) -> R:
        if not self._opened:
            self._open(self.raw(timeout))
        if self._failure is not None:
            raise self._failure
        return self._value

    def exception(self, timeout: float | None = None) -> BaseException | None:
        error = super().exception(timeout)
        if error is None and not self._opened:
            self._open(self.raw(0))
        return error or self._failure

    def _open(self, data: bytes) -> None:
        try:
            self._value = decode_result(data)
        except Exception as error:  # it is the outcome, and told to whoever asks
            self._failure = error
        self._opened = True


class Caller(Protocol):
    """What a handle needs of a client."""

    def submit(self, group: str, kind: Kind, method: str, payload: bytes, options: CallOptions) -> Reply[Any]:
        """Send and return at once. Later `set_result(result record)` or `set_exception(FleetError)`."""

    def wait(self, reply: Reply[Any], options: CallOptions) -> bytes:
        """Block until it is done: `reply.raw(timeout)`, a late one told as the client tells it."""


class Call(Generic[P, R]):
    """A method of a handle: call it, `.submit` it, await its `.aio`, or set `.options` first."""

    __slots__ = ("_caller", "_group", "_name", "_options")
    kind: ClassVar[Kind]

    def __init__(self, caller: Caller, group: str, name: str, options: CallOptions) -> None:
        self._caller = caller
        self._group = group
        self._name = name
        self._options = options

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        if RUNNING.context is not None:
            raise WouldDeadlock(f"{self!r} is called from inside a command or query")
        caller, options = self._caller, self._options
        payload = encode_call(self._name, args, kwargs)
        reply = caller.submit(self._group, self.kind, self._name, payload, options)
        return cast(R, decode_result(caller.wait(reply, options)))

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        if RUNNING.context is not None:
            raise ImpureCommand(f"{self!r} is submitted from inside a command; every member would send it")
        payload = encode_call(self._name, args, kwargs)
        return self._caller.submit(self._group, self.kind, self._name, payload, self._options)

    def aio(self, *args: P.args, **kwargs: P.kwargs) -> Awaitable[R]:
        return asyncio.wrap_future(self.submit(*args, **kwargs))

    def options(self, *, timeout: float | None = None) -> Self:
        """The same call with other options; what is not given stays."""
        timeout = self._options.timeout if timeout is None else timeout
        return type(self)(self._caller, self._group, self._name, CallOptions(timeout))

    def __repr__(self) -> str:
        return f"<{self.kind} {self._name} of group {self._group!r}>"


class CommandCall(Call[P, R]):
    __slots__ = ()
    kind = "command"


class QueryCall(Call[P, R]):
    __slots__ = ()
    kind = "query"


class LocalCall:
    """The method of a plain instance. Runs here; there is no group to submit to."""

    __slots__ = ("_function", "_instance")

    def __init__(self, function: Function, instance: object) -> None:
        self._function = function
        self._instance = instance

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._function(self._instance, *args, **kwargs)

    def submit(self, *args: Any, **kwargs: Any) -> NoReturn:
        method = f"{type(self._instance).__name__}.{self._function.__name__}"
        raise NoSuchGroup(f"{method}: a plain local object is no handle of a group; call it directly")

    aio = options = submit
