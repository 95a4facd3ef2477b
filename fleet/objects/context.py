"""`ctx`: the inputs of a running command beyond its arguments; the same on every member."""

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any, Final

from fleet.errors import ConfigError, ImpureCommand, NotEncodable
from fleet.interfaces import Context
from fleet.objects.payload import FATAL, encode_value
from fleet.raft.group_events import GroupEvent


class _Running(threading.local):
    """The call that this thread executes now. The executor sets it around each call."""

    context: Context | None = None
    seeded: tuple[Context, Random] | None = None
    emitted: list[GroupEvent]
    """By the commands that run together. It is there while a command runs."""
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
        emitted.append(GroupEvent(context.revision, number, kind, _encoded(kind, value)))

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
        return encode_value(value)
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


@contextmanager
def executing(context: Context) -> Iterator[list[GroupEvent]]:
    """Give `ctx` a context, to test a class on a plain instance. Yields what is emitted meanwhile."""
    before, emitted_before = RUNNING.context, vars(RUNNING).get("emitted", [])
    RUNNING.context, RUNNING.emitted = context, []
    try:
        yield RUNNING.emitted
    finally:
        RUNNING.context, RUNNING.emitted = before, emitted_before
