"""A caller whose group is an object in the same process."""

import asyncio
from collections.abc import Awaitable
from typing import Any, ClassVar, Final

from fleet.errors import (
    Reject,
)
from fleet.interfaces import Context
from fleet.objects.declare import Data, command, query
from fleet.objects.executor import ObjectExecutor
from fleet.objects.handles import CallOptions, Kind
from fleet.objects.outcomes import Succeeded
from fleet.objects.replies import Reply


class Counter(Data):
    value: int = 0
    notes: dict[str, list[int]] = {"all": []}
    STEP: ClassVar[int] = 1
    LIMIT: Final = 100

    @command
    def add(self, n: int = 1) -> int:
        """Add, and tell the sum."""
        if n < 0:
            raise Reject("n must not be negative")
        self.value += n
        self.notes["all"].append(n)
        return self.value

    @query
    def get(self) -> int:
        return self.value

    def helper(self) -> int:
        return self.value


class Direct:
    """A caller with the group in the same process. Answers at once."""

    def __init__(self, cls: type) -> None:
        self.executor = ObjectExecutor(cls)
        self.calls: list[tuple[str, Kind, str, float | None]] = []
        self.options = CallOptions()
        """Of the last call."""

    def submit(self, group: str, kind: Kind, method: str, payload: bytes, options: CallOptions) -> Reply[Any]:
        self.calls.append((group, kind, method, options.timeout))
        self.options = options
        index = len(self.calls)
        if kind == "command":
            (result,), _ = self.executor.apply(world(index), (payload,))
        else:
            (result,), _ = self.executor.query((payload,))
        reply: Reply[Any] = Reply()
        reply.settle(Succeeded(result, index))
        return reply

    def submit_aio(
        self, group: str, kind: Kind, method: str, payload: bytes, options: CallOptions
    ) -> Awaitable[Any]:
        return asyncio.wrap_future(self.submit(group, kind, method, payload, options))

    def wait(self, reply: Reply[Any], options: CallOptions) -> bytes:
        return reply.raw(options.timeout)


def world(index: int = 1, now_ms: int = 1_700_000_000_500, session: int = 7, seq: int = 3) -> Context:
    return Context(revision=index, now_ms=now_ms, session=session, seq=seq, client="c1")
