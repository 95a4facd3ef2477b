"""A call to a group, and what became of it, as messages between Thespian actors (`fleet.thespian`)."""

import pickle
from typing import Any, Self

from fleet.errors import BadArguments, ConfigError, FleetError, NotEncodable
from fleet.objects.by_value import PROTOCOL
from fleet.objects.handles import CallOptions, Kind
from fleet.objects.keyed import keep_ms_of, keyed_payload, without_key
from fleet.objects.payload import decode_call, decode_result, encode_call
from fleet.raft.ids import Revision

_KEEP: Any = object()


class LazyTag:
    """A tag, which is loaded by whoever asks for it: no actor that passes it on needs its class, nor fails
    with it."""

    __slots__ = ("_value", "_pickled")

    def __init__(self, value: Any, pickled: bytes | None = None) -> None:
        self._value = value
        self._pickled = pickled

    def get(self) -> Any:
        if self._pickled is not None:
            self._value, self._pickled = pickle.loads(self._pickled), None
        return self._value

    def __reduce__(self) -> tuple[Any, ...]:
        data = pickle.dumps(self._value, PROTOCOL) if self._pickled is None else self._pickled
        return LazyTag, (None, data)


NO_TAG = LazyTag(None)


class Call:
    """A command or a query with its arguments: the message that a group's address takes.

    `Counter.add.call(5)` makes one, with the arguments of `Counter.add`; `Call("add", 5)` and
    `Call.query("get")` need no class. The arguments are encoded at once, so that changing them later changes
    nothing. Each time it is sent, it is another call.

    Raises: NotEncodable: an argument cannot be encoded; BadArguments: the method is no name.
    """

    __slots__ = ("kind", "method", "payload", "lazy_tag", "timeout")
    kind: Kind
    method: str
    payload: bytes
    """The arguments, encoded."""
    lazy_tag: LazyTag
    timeout: float | None
    """Seconds; None: as the actor system was connected."""

    def __init__(self, method: str, /, *args: Any, **kwargs: Any) -> None:
        self._set("command", method, _encoded(method, args, kwargs), NO_TAG, None)

    @classmethod
    def query(cls, method: str, /, *args: Any, **kwargs: Any) -> Self:
        """As `Call(...)`, for a query."""
        return cls._of("query", method, _encoded(method, args, kwargs), NO_TAG, None)

    def options(
        self,
        *,
        tag: Any = _KEEP,
        timeout: float | None = None,
        key: str | None = None,
        keep: float | None = None,
    ) -> Self:
        """The same call with other options; options that are not given stay as they are.

        `tag`: any value that can be pickled, which comes back in the `Result`. `timeout`: seconds. `key`,
        `keep`: of a command that is to be executed once however often it is sent, as of a handle's method.
        Raises: ConfigError: `timeout`, `key` or `keep` is out of range, or a query gets a key.
        """
        options = CallOptions(timeout, key=key, keep=keep)
        lazy_tag = self.lazy_tag if tag is _KEEP else LazyTag(tag)
        payload = self.payload
        if key is not None:
            if self.kind != "command":
                raise ConfigError(f"{self.method}: a key belongs to a command, not to a query")
            payload = without_key(payload)
            payload = keyed_payload(key, keep_ms_of(keep), payload, *decode_call(payload))
        seconds = self.timeout if timeout is None else options.timeout
        return self._of(self.kind, self.method, payload, lazy_tag, seconds)

    @property
    def tag(self) -> Any:
        """Comes back in the `Result`; None without one."""
        return self.lazy_tag.get()

    def check(self) -> None:
        """Raises BadArguments for one that was not made by this class, and ConfigError for its timeout."""
        kinds = (self.kind in ("command", "query"), type(self.method) is str, type(self.payload) is bytes)
        if not (all(kinds) and type(self.lazy_tag) is LazyTag) or type(self.timeout) not in (
            type(None),
            int,
            float,
        ):
            raise BadArguments("not a call that fleet.thespian.Call makes")
        CallOptions(self.timeout)

    @classmethod
    def _of(cls, kind: Kind, method: str, payload: bytes, tag: LazyTag, timeout: float | None) -> Self:
        call = cls.__new__(cls)
        call._set(kind, method, payload, tag, timeout)
        return call

    def _set(self, kind: Kind, method: str, payload: bytes, tag: LazyTag, timeout: float | None) -> None:
        self.kind = kind
        self.method = method
        self.payload = payload
        self.lazy_tag = tag
        self.timeout = timeout

    def __reduce__(self) -> tuple[Any, ...]:
        return _call, (self.kind, self.method, self.payload, self.lazy_tag, self.timeout)

    def __repr__(self) -> str:
        return f"<call of the {self.kind} {self.method}>"


def _call(kind: Kind, method: str, payload: bytes, tag: LazyTag, timeout: float | None) -> Call:
    return Call._of(kind, method, payload, tag, timeout)


def call_of(kind: Kind, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
    """Raises as `Call`."""
    return Call._of(kind, method, _encoded(method, args, kwargs), NO_TAG, None)


def _encoded(method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
    if type(method) is not str or not method:
        raise BadArguments(f"the name of a method is a text that is not empty, not {method!r}")
    try:
        return encode_call(method, args, kwargs)
    except RecursionError as error:
        raise NotEncodable(f"{method}: an argument is nested too deeply", method=method) from error


class Result:
    """What became of one `Call`. Exactly one comes for each.

    Whoever asks first for the value decodes it, so that no actor but the receiver loads users' data.
    """

    __slots__ = ("group", "lazy_tag", "revision", "_encoded", "_failure", "_value", "_is_decoded")
    group: str
    """Its name."""
    lazy_tag: LazyTag
    revision: Revision
    """The group's revision at which the command took effect, or that the query saw; 0 where nothing was
    executed."""

    def __init__(
        self,
        group: str,
        tag: LazyTag = NO_TAG,
        revision: Revision = 0,
        encoded: bytes = b"",
        failure: FleetError | None = None,
    ) -> None:
        self.group = group
        self.lazy_tag = tag
        self.revision = revision
        self._encoded = encoded
        self._failure: Exception | None = failure
        self._value: Any = None
        self._is_decoded = failure is not None

    @property
    def tag(self) -> Any:
        """The call's own."""
        return self.lazy_tag.get()

    @property
    def ok(self) -> bool:
        """Whether the call was executed and returned."""
        return self.error is None

    @property
    def value(self) -> Any:
        """What the method returned; None after an error."""
        self._decode()
        return self._value

    @property
    def error(self) -> Exception | None:
        """What the same call of a handle would raise, of `fleet.errors`: NotDone, OutcomeUnknown, Rejected,
        CommandFailed and others. None after success."""
        self._decode()
        return self._failure

    def get(self) -> Any:
        """The value. Raises the error, where there is one."""
        error = self.error
        if error is not None:
            raise error
        return self._value

    def _decode(self) -> None:
        if not self._is_decoded:
            self._is_decoded = True
            try:
                self._value = decode_result(self._encoded)
            except Exception as error:  # it is the outcome
                self._failure = error

    def __reduce__(self) -> tuple[Any, ...]:
        failure = None if self._encoded else self._failure
        return type(self), (self.group, self.lazy_tag, self.revision, self._encoded, failure)

    def __repr__(self) -> str:
        what = repr(self.value) if self.ok else f"{type(self.error).__name__}: {self.error}"
        return f"<result of group {self.group!r}: {what}>"
