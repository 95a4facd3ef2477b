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
    NamedTuple,
    NoReturn,
    ParamSpec,
    Protocol,
    Self,
    TypeAlias,
    TypeVar,
    cast,
)

from msgspec import Struct
from msgspec.structs import replace

from fleet.blocking import check_may_block
from fleet.errors import ConfigError, ImpureCommand, NoSuchGroup, WouldDeadlock
from fleet.objects.arguments import Check, check_of
from fleet.objects.context import RUNNING
from fleet.objects.keyed import EncodeCall, check_keep, check_key, keyed_encoder
from fleet.objects.payload import Codec, ReadResult, decode_result
from fleet.objects.replies import Reply
from fleet.raft.ids import Millis, Revision

P = ParamSpec("P")
R = TypeVar("R")
Kind: TypeAlias = Literal["command", "query"]
Function: TypeAlias = Callable[..., Any]
AGE_MAX = 1_000_000
"""Seconds."""
REVISION_MAX = 1 << 62
NEAREST_AGE_MS: Millis = 2000
"""How old the state may be that `nearest` sees, without another limit."""


class CallOptions(Struct, frozen=True, gc=False):
    """Options of a call; None: as the client was opened."""

    timeout: float | None = None
    """Seconds."""
    wait_when_full: bool | None = None
    """When the client is at its limits: wait within the timeout (True), or raise Overloaded (False)."""
    max_age_ms: Millis | None = None
    """Of a query that any member may answer: how old its state may be; below 0: however old. None: the leader
    answers, and proves that nothing is newer."""
    at_least: Revision = 0
    """Such a query sees this revision or a later one."""
    nearest: bool = False
    """Whether the client has to know its zone."""
    with_revision: bool = False
    """Whether a result that is awaited comes with its revision."""
    key: str | None = None
    """Of a command that is to be executed once, whoever sends it."""
    keep: float | None = None
    """How long the group keeps the key, in seconds; None: as the class says."""
    read: ReadResult = decode_result
    """What makes a value of the result."""

    def __post_init__(self) -> None:
        if self.key is not None:
            check_key(self.key)
        if self.keep is not None:
            check_keep("keep", self.keep)
            if self.key is None:
                raise ConfigError("keep says how long a key is kept: give a key, too")
        if self.timeout is not None and not (isinstance(self.timeout, int | float) and self.timeout > 0):
            raise ConfigError(f"timeout must be more than 0 seconds, not {self.timeout!r}")


class AtRevision(NamedTuple, Generic[R]):
    """A result, and the group's revision that it is of: a command's own, or that of the state a query saw."""

    value: R
    revision: Revision


class Caller(Protocol):
    """What a handle needs from a client."""

    def submit(self, group: str, kind: Kind, method: str, payload: bytes, options: CallOptions) -> Reply[Any]:
        """Send, and return at once what will be settled.

        Raises Overloaded; with `wait_when_full`, waits for room first.
        """

    def submit_aio(
        self, group: str, kind: Kind, method: str, payload: bytes, options: CallOptions
    ) -> Awaitable[Any]:
        """As `submit`, but awaiting it waits for room and gives the decoded result; with the option
        `with_revision`, as AtRevision."""

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

    __slots__ = ("_caller", "_group", "_name", "_options", "_class", "_typed", "_encode", "_check")
    kind: ClassVar[Kind]

    def __init__(
        self,
        caller: Caller,
        group: str,
        name: str,
        options: CallOptions,
        cls: type[Any],
        typed: Any = None,
    ) -> None:
        """`typed`: the class with what its type variables stand for; None: nothing is said of them."""
        self._caller = caller
        self._group = group
        self._name = name
        codec: Codec = cls.__fleet_codec__
        read = codec.result_reader(name)
        self._options = options if read is None else replace(options, read=read)
        self._class = cls
        self._typed = cls if typed is None else typed
        self._encode: EncodeCall = codec.encode_call
        self._check: Check | None = None

    def _described(self) -> Function:
        return cast(Function, inspect.getattr_static(self._class, self._name).__wrapped__)

    def _first_check(self) -> Check:
        check = self._check = check_of(self._typed, self._name)
        return check

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._waited(self._submitted(args, kwargs))

    def _submitted(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Reply[Any]:
        """Of a call that blocks."""
        if RUNNING.context is not None:
            raise WouldDeadlock(f"{self!r} is called from inside a command or query")
        check_may_block("a call")
        (self._check or self._first_check())(args, kwargs)
        payload = self._encode(self._name, args, kwargs)
        return self._caller.submit(self._group, self.kind, self._name, payload, self._options)

    def _waited(self, reply: Reply[Any]) -> R:
        return cast(R, self._options.read(self._caller.wait(reply, self._options)))

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

    def with_revision(self, *args: P.args, **kwargs: P.kwargs) -> AtRevision[R]:
        """Call it; the result comes with its revision, for `.at_least` of a later query. Raises as a call."""
        reply = self._submitted(args, kwargs)
        return AtRevision(self._waited(reply), reply.revision)

    def aio_with_revision(self, *args: P.args, **kwargs: P.kwargs) -> Awaitable[AtRevision[R]]:
        """`with_revision` for asyncio."""
        return cast(Awaitable[AtRevision[R]], self._changed(with_revision=True).aio(*args, **kwargs))

    def _changed(self, **options: Any) -> Self:
        changed = replace(self._options, **options)
        return type(self)(self._caller, self._group, self._name, changed, self._class, self._typed)

    def options(self, *, timeout: float | None = None, wait_when_full: bool | None = None) -> Self:
        """The same method with other options; options that are not given stay as they are.

        `timeout`: seconds. `wait_when_full`: whether to wait for room within the timeout when the client is
        at its limits, or raise Overloaded. Raises: ConfigError: `timeout` is not above 0.
        """
        had = self._options
        timeout = had.timeout if timeout is None else timeout
        waits = had.wait_when_full if wait_when_full is None else wait_when_full
        return self._changed(timeout=timeout, wait_when_full=waits)

    def __repr__(self) -> str:
        return f"<{self.kind} {self._name} of group {self._group!r}>"


class CommandCall(Call[P, R]):
    __doc__ = cast(str, property(_doc))
    __slots__ = ()
    kind = "command"

    def __init__(
        self,
        caller: Caller,
        group: str,
        name: str,
        options: CallOptions,
        cls: type[Any],
        typed: Any = None,
    ) -> None:
        super().__init__(caller, group, name, options, cls, typed)
        if options.key is not None:
            self._encode = keyed_encoder(self._encode, options.key, options.keep)

    def options(
        self,
        *,
        timeout: float | None = None,
        wait_when_full: bool | None = None,
        key: str | None = None,
        keep: float | None = None,
    ) -> Self:
        """The same method with other options; options that are not given stay as they are.

        `timeout`, `wait_when_full`: as of a query. `key`: a text of your own, such as an invoice's number.
        The group executes one command under each key, whoever sends it, from whatever process, and tells each
        later one what came of the first. `keep`: for how many seconds at least; else as the class says
        (`keep_keys`), a day. Another method or other arguments under that key raise KeyReused, when called.

        Raises: ConfigError: `timeout`, `key` or `keep` is out of range.
        """
        had, with_key = self._options, self
        if key is not None or keep is not None:
            keep = had.keep if keep is None else keep
            with_key = self._changed(key=had.key if key is None else key, keep=keep)
        return super(CommandCall, with_key).options(timeout=timeout, wait_when_full=wait_when_full)


class QueryCall(Call[P, R]):
    __doc__ = cast(str, property(_doc))
    __slots__ = ()
    kind = "query"

    def stale(self, max_age: float | None = 2.0) -> Self:
        """The same query, which any member may answer from its own state, if that is at most `max_age`
        seconds old; None: however old. It never sees an older revision than this client was told of before.

        Where a member cannot prove that its state is so new, the leader is asked, within the timeout; a call
        raises TooStale if that does not answer. Raises: ConfigError: `max_age` is below 0 or no number.
        """
        if max_age is None:
            return self._changed(max_age_ms=-1)
        if not (isinstance(max_age, int | float) and 0 <= max_age < AGE_MAX):
            raise ConfigError(f"max_age must be None, or from 0 to {AGE_MAX} seconds, not {max_age!r}")
        return self._changed(max_age_ms=int(max_age * 1000))

    def at_least(self, revision: Revision) -> Self:
        """The same query, which any member may answer whose state is of this revision or a later one: it sees
        the command of that revision. With `.stale` both must hold.

        Raises TooStale, when called, as `stale`. Raises: ConfigError: `revision` is no whole number from 0.
        """
        if type(revision) is not int or not 0 <= revision < REVISION_MAX:
            raise ConfigError(f"a revision is a whole number from 0, not {revision!r}")
        age_ms = self._options.max_age_ms
        return self._changed(at_least=revision, max_age_ms=-1 if age_ms is None else age_ms)

    def nearest(self) -> Self:
        """The same query, answered by a member on a node of this client's zone (`connect(zone=...)`), as long
        as one there answers; else by any other. With `.stale` and `.at_least` those limits hold; without
        them its state is at most 2 s old.

        Raises ConfigError, when called by a client without a zone, and TooStale as `stale`.
        """
        return self._changed(nearest=True)


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
        emitted = vars(RUNNING).get("emitted")
        count = 0 if emitted is None else len(emitted)
        try:
            return self._function(self._instance, *args, **kwargs)
        except BaseException:
            if emitted is not None:
                del emitted[count:]  # what it emitted is no event
            raise

    def submit(self, *args: Any, **kwargs: Any) -> NoReturn:
        method = f"{type(self._instance).__name__}.{self._function.__name__}"
        raise NoSuchGroup(f"{method}: a plain local object is no handle of a group; call it directly")

    aio = options = with_revision = aio_with_revision = stale = at_least = nearest = submit
