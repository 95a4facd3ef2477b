"""`ctx`: the inputs of a running command beyond its arguments; the same on every member."""

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Final

from fleet.errors import ImpureCommand
from fleet.interfaces import Context


class _Running(threading.local):
    """The call that this thread executes now. The executor sets it around each call."""

    context: Context | None = None
    seeded: tuple[Context, Random] | None = None
    is_strict: bool = False
    """A test runs: commands of every class are strict (`fleet.objects.strict`)."""


RUNNING = _Running()
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
def executing(context: Context) -> Iterator[None]:
    """Give `ctx` a context, to test a class on a plain instance."""
    before = RUNNING.context
    RUNNING.context = context
    try:
        yield
    finally:
        RUNNING.context = before
