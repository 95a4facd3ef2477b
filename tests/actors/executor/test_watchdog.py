"""When the others of an executor move, and when it is ended."""

import pytest

from fleet.actors.executor.watchdog import (
    LOAD_LIMIT_MS,
    SLOW_MS,
    Action,
    EndIt,
    ExecutorSeen,
    MoveOthers,
    PrepareSpare,
    Watchdog,
)
from fleet.objects.progress import COMMAND, IDLE, OTHER, QUERY, Doing

LIMIT_MS = 10_000


def seen(
    kind: int = COMMAND, index: int = 5, steps: int = 1, others: int = 3, sent: int = 9, taken: int = 9
) -> ExecutorSeen:
    return ExecutorSeen(Doing(kind, 7, 1, index, 0, 1, steps, taken), sent, LIMIT_MS, others)


def actions(*looks: tuple[int, ExecutorSeen]) -> list[tuple[int, Action]]:
    """All that it asks for, each with the time."""
    watchdog = Watchdog()
    return [(now, action) for now, look in looks for action in watchdog.step(now, look)]


ENDED = EndIt("did not return within 10 s")
ENDED_LOADING = EndIt("did not return within 30 s")
HALF = SLOW_MS // 2
TABLE: dict[str, tuple[list[tuple[int, ExecutorSeen]], list[tuple[int, Action]]]] = {
    "idle for long": ([(0, seen(IDLE)), (99_000, seen(IDLE))], []),
    "a spare, once": (
        [(0, seen()), (HALF - 1, seen()), (HALF, seen()), (HALF + 1, seen())],
        [(HALF, PrepareSpare())],
    ),
    "others move": (
        [(0, seen()), (HALF, seen()), (SLOW_MS, seen())],
        [(HALF, PrepareSpare()), (SLOW_MS, MoveOthers(7))],
    ),
    "others move from a class that is loaded": (
        [(0, seen(OTHER)), (HALF, seen(OTHER)), (SLOW_MS, seen(OTHER))],
        [(HALF, PrepareSpare()), (SLOW_MS, MoveOthers(7, is_loading=True))],
    ),
    "many short commands of one entry are slow together": (
        [(0, seen(steps=1)), (SLOW_MS, seen(steps=900))],
        [(SLOW_MS, PrepareSpare()), (SLOW_MS, MoveOthers(7))],
    ),
    "short commands of many entries are not": (
        [(0, seen(index=5)), (SLOW_MS, seen(index=6)), (2 * SLOW_MS, seen(index=7))],
        [],
    ),
    "alone it may be slow": ([(0, seen(others=0)), (LIMIT_MS - 1, seen(others=0))], []),
    "but not for ever": ([(0, seen(others=0)), (LIMIT_MS, seen(others=0))], [(LIMIT_MS, ENDED)]),
    "many commands, each within the limit": (
        [(0, seen(others=0, steps=1)), (9000, seen(others=0, steps=2)), (18_000, seen(others=0, steps=2))],
        [],
    ),
    "the second of which hangs": (
        [(0, seen(others=0, steps=1)), (9000, seen(others=0, steps=2)), (19_000, seen(others=0, steps=2))],
        [(19_000, ENDED)],
    ),
    "a query hangs": (
        [(0, seen(QUERY, others=0)), (LIMIT_MS, seen(QUERY, others=0))],
        [(LIMIT_MS, ENDED)],
    ),
    "loading has a limit of its own": (
        [(at, seen(OTHER, others=0)) for at in (0, LIMIT_MS, LOAD_LIMIT_MS - 1, LOAD_LIMIT_MS)],
        [(LOAD_LIMIT_MS, ENDED_LOADING)],
    ),
    "it does not read what it is sent": (
        [(0, seen(IDLE, taken=8)), (LOAD_LIMIT_MS, seen(IDLE, taken=8))],
        [(LOAD_LIMIT_MS, ENDED_LOADING)],
    ),
    "it reads": ([(0, seen(IDLE, taken=7)), (LOAD_LIMIT_MS, seen(IDLE, taken=8))], []),
    "what was before a pause does not count": (
        [(0, seen()), (HALF - 1, seen(IDLE)), (SLOW_MS, seen())],
        [],
    ),
}


@pytest.mark.parametrize("case", TABLE)
def test_what_it_asks_for(case: str) -> None:
    looks, expected = TABLE[case]
    assert actions(*looks) == expected


def test_no_limit_is_no_limit() -> None:
    look = ExecutorSeen(Doing(COMMAND, 7, 1, 5, 0, 1, 1, 9), 9, 0, 0)
    assert actions((0, look), (10**9, look)) == []


def test_it_is_looked_at_while_it_works() -> None:
    watchdog = Watchdog()
    assert not list(watchdog.step(0, seen())) and watchdog.is_busy
    assert not list(watchdog.step(1, seen(IDLE))) and not watchdog.is_busy


def test_patience_is_for_what_is_loaded_and_not_for_commands() -> None:
    watchdog = Watchdog(patience_ms=4 * SLOW_MS)
    looks = [(at, action) for at in (0, SLOW_MS, 4 * SLOW_MS) for action in watchdog.step(at, seen(OTHER))]
    assert looks == [(4 * SLOW_MS, PrepareSpare()), (4 * SLOW_MS, MoveOthers(7, is_loading=True))]
    watchdog = Watchdog(patience_ms=4 * SLOW_MS)
    assert [action for at in (0, SLOW_MS) for action in watchdog.step(at, seen())] == [
        PrepareSpare(), MoveOthers(7)
    ]  # fmt: skip
