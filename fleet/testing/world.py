"""`ctx` for a command that runs on a plain instance."""

from collections.abc import Iterator
from contextlib import contextmanager

from fleet.interfaces import Context
from fleet.objects.context import executing as lent


@contextmanager
def executing(*, now: float = 0.0, index: int = 1, client: str = "test") -> Iterator[None]:
    """Give `fleet.ctx` a context, to call commands of a plain instance that use it.

    `now`: seconds since the epoch. `index`: what `ctx.index` says; random numbers follow from it too.
    """
    with lent(Context(revision=index, now_ms=round(now * 1000), session=1, seq=index, client=client)):
        yield
