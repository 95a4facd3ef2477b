"""`ctx` for a command that runs on a plain instance."""

from collections.abc import Iterator
from contextlib import contextmanager

from fleet.interfaces import Context
from fleet.objects.context import executing as lent
from fleet.objects.context import strict as strictly


@contextmanager
def executing(
    *, now: float = 0.0, index: int = 1, client: str = "test", strict: bool = True
) -> Iterator[None]:
    """Give `fleet.ctx` a context, to call commands of a plain instance that use it.

    `now`: seconds since the epoch. `index`: what `ctx.index` says; random numbers follow from it too.
    `strict`: whether these commands raise ImpureCommand when they read time, chance, the environment, files
    or sockets.
    """
    with (
        strictly(strict),
        lent(Context(revision=index, now_ms=round(now * 1000), session=1, seq=index, client=client)),
    ):
        yield
