"""Requests about a group's past: the object at an earlier revision, and who changed it how."""

from collections.abc import Callable
from typing import Any, TypeVar, overload

from fleet.client.node_api import NodeOperations
from fleet.client.recordings import each_past_call, recorded
from fleet.errors import BadArguments
from fleet.objects.declare import Data
from fleet.objects.replay import Replay
from fleet.objects.watchers import Call, FirstTime, FirstTrue, Until
from fleet.raft.ids import Revision

D = TypeVar("D", bound=Data)


class HistoryOperations(NodeOperations):
    """The part of `fleet.Fleet` about the past of groups that keep it (`GroupConfig.keep`). All calls block.

    Commands are executed again in this process, by the class that executed them then, which must be
    importable here unless it was sent by value. `timeout`: seconds for each question; by default the
    client's.
    """

    @overload
    def at(
        self, group: str, revision: Revision, data_class: type[D], *, timeout: float | None = None
    ) -> D: ...

    @overload
    def at(self, group: str, revision: Revision, *, timeout: float | None = None) -> Data: ...

    def at(
        self,
        group: str,
        revision: Revision,
        data_class: type[Any] = Data,
        *,
        timeout: float | None = None,
    ) -> Any:
        """The group's object as it was after the command with that revision: an instance of its own, which is
        no part of the group. `data_class` is for type checkers, and checked.

        Raises:
            NotKept: no member that answers has kept so much, or the group has not come so far.
            CannotReplay: the code that executed those commands is not here.
            NoSuchGroup, Unavailable.
        """
        with recorded(self, group, revision, revision, timeout) as recording:
            replay = Replay(recording, Until(revision))
            replay.run()
            found = replay.object
        if not isinstance(found, data_class):
            is_of = f"{type(found).__module__}.{type(found).__qualname__}"
            raise BadArguments(f"the object was of class {is_of} then, not {data_class.__qualname__}")
        return found

    def past_calls(
        self,
        group: str,
        start: Revision | None = None,
        until: Revision | None = None,
        *,
        timeout: float | None = None,
    ) -> list[Call]:
        """The commands that took effect from revision `start` (default: the oldest that is kept) up to
        `until` (default: now), in order. Nothing is executed. Raises as `at`."""
        return list(each_past_call(self, group, start, until, timeout))

    def bisect(
        self,
        group: str,
        is_so: Callable[[Any], bool],
        start: Revision | None = None,
        *,
        timeout: float | None = None,
    ) -> FirstTrue | None:
        """The first command after which `is_so(object)`, and was not before; from the oldest state that is
        kept on, or from that at revision `start`. What becomes so and later is no more is found, too: every
        state is looked at. None: it never became so. Raises as `at`, and what `is_so` raises."""
        with recorded(self, group, start, None, timeout) as recording:
            found = FirstTime(is_so, start or 0)
            Replay(recording, found).run()
            return found.found
