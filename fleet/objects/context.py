"""`ctx`: the inputs of a running command beyond its arguments; the same on every member."""

import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any, Final, NamedTuple

from fleet.errors import ConfigError, ImpureCommand, NotEncodable
from fleet.interfaces import Context
from fleet.objects.asks import Asks
from fleet.objects.payload import FATAL, encode_value
from fleet.objects.weights import weight_of
from fleet.raft.group_events import EVENT_OVERHEAD, GroupEvent


class _Running(threading.local):
    """The call that this thread executes now. The executor sets it around each call."""

    context: Context | None = None
    seeded: tuple[Context, Random] | None = None
    asks: Asks
    """What it asks for goes here; set together with a context of a command."""
    emitted: list[GroupEvent]
    """By the commands that run together. It is there while a command runs."""
    encode_event: Callable[[Any], bytes] = staticmethod(encode_value)
    """As the class of the object does it."""
    is_strict: bool = False
    """A test runs: commands of every class are strict (`fleet.objects.strict`)."""


RUNNING = _Running()
KIND_MAX: Final = 255
"""Characters of an event's kind."""
QUERYING: Final = Context(revision=0, now_ms=0, session=0, seq=0, client="")
"""Stands in `RUNNING.context` while a query runs, which has no context of its own."""


class Ctx:
    """Time, randomness and identity for the running command, the same on every member.

    Raises ImpureCommand outside of a command.
    """

    __slots__ = ()

    @property
    def now(self) -> float:
        """Seconds since the epoch, stamped by the leader; never goes back within a group."""
        return _context("now").now_ms / 1000

    @property
    def index(self) -> int:
        """The revision at which this command takes effect."""
        return _context("index").revision

    @property
    def client(self) -> str:
        """The id of the calling client, one per `fleet.connect`."""
        return _context("client").client

    @property
    def random(self) -> Random:
        """A random generator that each command starts anew, with its own seed."""
        context = _context("random")
        seeded = RUNNING.seeded
        if seeded is None or seeded[0] is not context:
            seeded = (context, Random(f"{context.revision}/{context.session}/{context.seq}"))
            RUNNING.seeded = seeded
        return seeded[1]

    def uuid(self) -> uuid.UUID:
        """A UUID of version 4, drawn from `random`."""
        _context("uuid")
        return uuid.UUID(int=self.random.getrandbits(128), version=4)

    def emit(self, kind: str, value: Any = None) -> None:
        """Make an event of the group, which watchers are told once the command has succeeded: those of a
        command that rejects or fails are none.

        `kind`: a text of 1 to 255 characters, to choose by. `value`: what results may be; it is encoded at
        once, so that changing it later changes nothing. Raises: ConfigError, NotEncodable.
        """
        context = _context("emit")
        check_kind(kind)
        emitted = RUNNING.emitted
        number = 0
        if emitted and emitted[-1].revision == context.revision:
            number = emitted[-1].number + 1
        encoded, weight = _encoded(kind, value), EVENT_OVERHEAD + len(kind) + weight_of(value)
        emitted.append(GroupEvent(context.revision, number, kind, encoded, weight))

    def remind(
        self,
        name: str,
        /,
        *args: object,
        key: str | None = None,
        after: float | None = None,
        at: float | None = None,
        every: float | None = None,
    ) -> None:
        """Have the group call its `@fleet.reminder(name)` with these arguments: `after` seconds, `at` seconds
        since the epoch, and then again `every` so many seconds.

        It is called once each time, in the group's own order, after the time in the group's clock
        (`ctx.now`), whoever leads by then and whatever was restarted meanwhile; late, if nobody led. Nothing
        is set if the command fails. `key`: the reminder replaces an earlier one of that name and key.

        Raises: ConfigError: no such reminder, arguments that do not fit it, or no such time. NotEncodable: an
        argument cannot be encoded. A command that would leave the group with too many reminders fails with
        RemindersFull when it returns.
        """
        context = _context("remind")
        RUNNING.asks.remind(context.now_ms, name, args, key, after, at, every)

    def forget(self, name: str, /, key: str | None = None) -> None:
        """Take back the reminder of this name and key; without a key, all of this name. One that does not
        exist, or that was called already, is none. Raises ConfigError: no such reminder."""
        _context("forget")
        RUNNING.asks.forget(name, key)

    def __reduce__(self) -> str:
        return "ctx"  # a method that arrives by value refers to its node's


ctx: Final = Ctx()


def _context(name: str) -> Context:
    context = RUNNING.context
    if context is None:
        where = "while a command runs; in a test: `with fleet.testing.executing():`"
        raise ImpureCommand(f"ctx.{name} is only there {where}")
    if context is QUERYING:
        raise ImpureCommand(f"ctx.{name} is not there in a query; pass it in, or keep it in the state")
    return context


def check_kind(kind: object) -> None:
    """Raises ConfigError."""
    if type(kind) is not str or not 0 < len(kind) <= KIND_MAX:
        raise ConfigError(f"the kind of an event is a text of 1 to {KIND_MAX} characters, not {kind!r:.60}")
    try:
        kind.encode()
    except UnicodeEncodeError as error:
        raise ConfigError(f"the kind of an event is UTF-8 text: {error.reason}") from None


def _encoded(kind: str, value: Any) -> bytes:
    try:
        return RUNNING.encode_event(value)
    except FATAL:
        raise
    except Exception as error:  # its own text differs by version and encoder
        what = f"the value of the event {kind!r} ({type(value).__qualname__}) cannot be encoded"
        raise NotEncodable(what) from error


@contextmanager
def strict(is_strict: bool = True) -> Iterator[None]:
    """Make commands strict in this thread, those of objects that are created meanwhile too; or not."""
    before = RUNNING.is_strict
    RUNNING.is_strict = is_strict
    try:
        yield
    finally:
        RUNNING.is_strict = before


class Collected(NamedTuple):
    """What commands of a plain instance have asked for."""

    asks: Asks
    emitted: list[GroupEvent]


@contextmanager
def executing(context: Context) -> Iterator[Collected]:
    """Give `ctx` a context, to test a class on a plain instance. Yields what its commands ask for."""
    running = vars(RUNNING)
    before = {name: running.get(name) for name in ("context", "asks", "emitted")}
    before["encode_event"] = RUNNING.encode_event
    RUNNING.context, RUNNING.asks, RUNNING.emitted = context, Asks(), []
    RUNNING.encode_event = encode_value
    try:
        yield Collected(RUNNING.asks, RUNNING.emitted)
    finally:
        running.update(before)
