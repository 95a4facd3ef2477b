"""Looks host names up in separate threads, so that a name server that hangs blocks nothing else."""

import queue
import socket
import threading
from collections.abc import Callable
from typing import Any

LOOKUPS_MAX = 16
"""Lookups under way in this process; a name server that never answers takes no more threads than this."""
LOOKUP_S = 3.0
"""A lookup that takes longer counts as failed; its late result is used all the same."""

_free = threading.Semaphore(LOOKUPS_MAX)


def begin(look_up: Callable[[], None]) -> threading.Thread | None:
    """Run `look_up` in a daemon thread; None: no thread is to be had now."""
    if not _free.acquire(blocking=False):
        return None

    def run() -> None:
        try:
            look_up()
        finally:
            _free.release()

    thread = threading.Thread(target=run, name="fleet-resolve", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # the system has none left
        _free.release()
        return None
    return thread


def resolve(host: str, port: int, turn: int) -> tuple[int, Any]:
    """(family, address) of a name; may block for long. `turn` tries its addresses one after another."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    family, _, _, _, where = found[turn % len(found)]
    return family, where


def addresses(host: str, port: int, within_s: float = LOOKUP_S) -> list[tuple[int, Any]]:
    """Every (family, address) of a name. Raises OSError: none, or not known within that time."""
    done: queue.SimpleQueue[list[Any] | Exception] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            done.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE))
        except (OSError, UnicodeError) as error:
            done.put(error)

    if begin(look_up) is None:
        raise OSError("no thread is left to look it up")
    try:
        found = done.get(timeout=within_s)
    except queue.Empty:
        raise OSError(f"no name server answered within {within_s:g} s") from None
    if isinstance(found, Exception):
        raise OSError(str(found)) from found
    return [(family, where) for family, _, _, _, where in found]
