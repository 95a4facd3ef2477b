"""What clients of one run asked and were told: the input of the linearizability checker."""

from collections.abc import Hashable
from typing import Any, Final

from msgspec import UNSET, Struct

from fleet.sim.checks.revisions import Revisions

UNKNOWN: Final = "<unknown>"
"""The output of an operation whose client never learned what became of it. It may have taken effect at any
moment after its call, even after the client gave up, or never. Compared by identity."""

Moment = int


class Operation(Struct, frozen=True):
    """One call of one client on one object. `output` is what the client was told, UNKNOWN if nothing.

    Two operations are ordered only if one's `return_at` is smaller than the other's `call_at`; equal
    moments count as overlapping, so give every event a moment of its own (as `History` does).
    """

    process: Hashable
    key: Hashable
    call_at: Moment
    return_at: Moment | None
    input: Any
    output: Any

    @property
    def is_known(self) -> bool:
        return self.return_at is not None and self.output is not UNKNOWN

    def __str__(self) -> str:
        if self.is_known:
            return f"{self.process} {self.input} -> {self.output!r} [{self.call_at}, {self.return_at}]"
        return f"{self.process} {self.input} -> never known [{self.call_at}, ...]"


class RecordedCall(Struct, eq=False):
    """A call under way."""

    process: Hashable
    key: Hashable
    call_at: Moment
    input: Any
    return_at: Moment | None = None
    output: Any = UNSET


class History:
    """Collects operations of a run in the order in which they happen.

    Moments are thousandths of the caller's unit, and each event gets one of its own: what happened one
    after the other in the same virtual millisecond stays ordered.
    """

    def __init__(self) -> None:
        self.revisions = Revisions()
        self._calls: list[RecordedCall] = []
        self._last = -1

    def call(
        self, process: Hashable, key: Hashable, input: Any, now: int, since: int | None = None
    ) -> RecordedCall:
        """`since`: of a query that may be told the state of that time, as if it had been called then."""
        moment = self._moment(now) if since is None else since * 1000
        call = RecordedCall(process, key, moment, input)
        self._calls.append(call)
        return call

    def done(self, call: RecordedCall, output: Any, now: int) -> None:
        assert call.output is UNSET, f"{call} ends twice"
        call.output, call.return_at = output, self._moment(now)

    def lost(self, call: RecordedCall) -> None:
        """The outcome is unknown, and may be decided later still."""
        assert call.output is UNSET, f"{call} ends twice"
        call.output = UNKNOWN

    def failed(self, call: RecordedCall) -> None:
        """Definitely not executed: it has no place in the history, and no effect of it may be seen."""
        assert call.output is UNSET, f"{call} ends twice"
        self._calls.remove(call)

    def operations(self) -> list[Operation]:
        """All of it; a call that is still under way has an unknown outcome."""
        return [
            Operation(
                call.process,
                call.key,
                call.call_at,
                call.return_at,
                call.input,
                UNKNOWN if call.output is UNSET else call.output,
            )
            for call in self._calls
        ]

    def _moment(self, now: int) -> Moment:
        self._last = max(self._last + 1, now * 1000)
        return self._last
