"""`ctx`: what a running command may know of the world, the same on every member."""

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Final

from fleet.errors import ImpureCommand
from fleet.interfaces import Context


class _Running(threading.local):
    """What this thread executes now. The machine sets it around a call."""

    context: Context | None = None
    seeded: tuple[Context, Random] | None = None


RUNNING = _Running()
QUERYING: Final = Context(index=0, now_ms=0, session=0, seq=0, client="")
"""Stands in `RUNNING.context` while a query runs: something runs, but there is no world to ask."""


class Ctx:
    """The deterministic world of the running command: the same on every member."""

    __slots__ = ()

    @property
    def now(self) -> float:
        """Seconds since the epoch, stamped by the leader; never goes back."""
        return _context("now").now_ms / 1000

    @property
    def index(self) -> int:
        """The revision that this command makes."""
        return _context("index").index

    @property
    def client(self) -> str:
        return _context("client").client

    @property
    def random(self) -> Random:
        """Goes on from call to call inside one command, and begins anew in the next."""
        context = _context("random")
        seeded = RUNNING.seeded
        if seeded is None or seeded[0] is not context:
            seeded = (context, Random(f"{context.index}/{context.session}/{context.seq}"))
            RUNNING.seeded = seeded
        return seeded[1]

    def uuid(self) -> uuid.UUID:
        _context("uuid")
        return uuid.UUID(int=self.random.getrandbits(128), version=4)

    def __reduce__(self) -> str:
        return "ctx"  # a method sent by value finds the one of its node


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
def executing(context: Context) -> Iterator[None]:
    """Lend `ctx` a world, to test a class on a plain instance."""
    before = RUNNING.context
    RUNNING.context = context
    try:
        yield
    finally:
        RUNNING.context = before
