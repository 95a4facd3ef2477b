"""Looks up host names in separate threads, so that a name server that hangs blocks nothing else."""

import queue
import socket
import threading
from collections.abc import Callable
from typing import Any

LOOKUPS_MAX = 16
"""Concurrent lookups in this process: bounds the threads that a silent name server can occupy."""
LOOKUP_S = 3.0
"""A lookup that takes longer counts as failed, but its late result is used."""

_free = threading.Semaphore(LOOKUPS_MAX)


def begin(look_up: Callable[[], None]) -> threading.Thread | None:
    """Run `look_up` in a daemon thread; None if no thread is free."""
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
    except RuntimeError:  # the system has no threads left
        _free.release()
        return None
    return thread


def resolve(host: str, port: int, turn: int) -> tuple[int, Any]:
    """(family, address) of a name; may block for long. `turn` selects one of several addresses, in turn."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    family, _, _, _, where = found[turn % len(found)]
    return family, where


def addresses(host: str, port: int, within_s: float = LOOKUP_S) -> list[tuple[int, Any]]:
    """All (family, address) of a name. Raises OSError if there are none, or no answer comes in time."""
    done: queue.SimpleQueue[list[Any] | Exception] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            done.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE))
        except (OSError, UnicodeError) as error:
            done.put(error)

    if begin(look_up) is None:
        raise OSError("no thread is free to look it up")
    try:
        found = done.get(timeout=within_s)
    except queue.Empty:
        raise OSError(f"no name server answered within {within_s:g} s") from None
    if isinstance(found, Exception):
        raise OSError(str(found)) from found
    return [(family, where) for family, _, _, _, where in found]
