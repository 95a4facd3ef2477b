"""A client as the source of a watch."""

from collections.abc import Callable
from typing import Any

from fleet.actors.client.watching import CloseWatch, OpenWatch, ResumeWatch, Watching
from fleet.objects.watch import EventQueue
from fleet.raft.ids import Millis


class WatchedGroup:
    """A `fleet.objects.watch.EventSource`."""

    def __init__(self, group: str, put: Callable[[Any], None], deadline: Callable[[], Millis]) -> None:
        """`put`: takes messages to the client actor. Raises ClientClosed."""
        self._group = group
        self._put = put
        self._deadline = deadline

    def open(self, queue: EventQueue) -> None:
        queue.watching = Watching(self._group, queue, queue.kinds, queue.since, self._deadline())
        self._put(OpenWatch(queue.watching))

    def resume(self, queue: EventQueue) -> None:
        self._put(ResumeWatch(queue.watching))

    def close(self, queue: EventQueue) -> None:
        self._put(CloseWatch(queue.watching))
