"""A client as the source of a watch."""

from collections.abc import Callable
from typing import Any

from fleet.actors.client.watches import CloseWatch, OpenWatch, ResumeWatch, Watching
from fleet.objects.watch import Mailbox
from fleet.raft.ids import Millis


class WatchedGroup:
    """A `fleet.objects.watch.Source`."""

    def __init__(self, group: str, put: Callable[[Any], None], deadline: Callable[[], Millis]) -> None:
        """`put`: takes messages to the client actor. Raises ClientClosed."""
        self._group = group
        self._put = put
        self._deadline = deadline

    def open(self, mailbox: Mailbox) -> None:
        mailbox.watching = Watching(self._group, mailbox, mailbox.kinds, mailbox.since, self._deadline())
        self._put(OpenWatch(mailbox.watching))

    def resume(self, mailbox: Mailbox) -> None:
        self._put(ResumeWatch(mailbox.watching))

    def close(self, mailbox: Mailbox) -> None:
        self._put(CloseWatch(mailbox.watching))
