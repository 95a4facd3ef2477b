"""The states of one object at points that are the same on every member: their digests, and what they hold.

A point is after every `compare_every`th log entry; of a big state after a power of two times as many, since
its digest costs more, and taken by a forked child. Members that take its size for another one still have
points in common.
"""

import logging
from functools import partial
from typing import Any, Final, Protocol

import msgspec
from msgspec import Struct

from fleet.actors.executor.kept_states import fits
from fleet.actors.executor.state_dumps import StateDumps
from fleet.actors.messages.executor import PartsShown, ShowParts, StatePointTaken
from fleet.errors import BadArguments, FleetError
from fleet.interfaces import Dump
from fleet.objects.applier import Applier
from fleet.objects.executor import ObjectExecutor
from fleet.objects.payload import ErrorRecord
from fleet.objects.state_digest import digests_of, joined
from fleet.objects.state_parts import (
    StatePart,
    decode_outline,
    encode_outline,
    outline_of,
    parts_shown,
)
from fleet.raft.ids import Index, Revision

log = logging.getLogger("fleet.actors")

SIZE_BYTES: Final = 8 * 1024
"""A state up to this has a digest at every point; one twice as big at every other one, and so on."""
LOG_FACTOR: Final = 8
"""A state that was small when it was encoded may be big after so many times its size of commands."""


class _Taken(Struct, frozen=True, array_like=True, gc=False):
    """By a child."""

    digest: bytes
    outline: bytes


_encode = msgspec.msgpack.Encoder().encode
_read_taken = msgspec.msgpack.Decoder(_Taken).decode


class PointsOwner(Protocol):
    """The object, as its executor holds it."""

    host: Any
    number: int
    run: int
    group: str
    member: str
    applier: Applier
    dumps: StateDumps


class StatePoints:
    def __init__(self, owner: PointsOwner, executor: ObjectExecutor) -> None:
        self.owner = owner
        self.executor = executor
        self.digesting: tuple[Index, Revision, Dump] | None = None
        """Of the child that takes a digest."""
        self.told = ""
        """Why there is none, as it was logged last."""

    def is_point(self, index: Index, every: int) -> bool:
        size = max(self.executor.encoded_bytes, self.owner.applier.journal.base_bytes)
        return index % (every << max(0, (size // SIZE_BYTES).bit_length())) == 0

    def take(self, index: Index) -> None:
        """The entry `index` was applied last."""
        owner, applier = self.owner, self.owner.applier
        revision, limit = applier.revision, owner.host.fork_above_bytes
        if limit and (
            self.executor.encoded_bytes > limit or applier.journal.bytes_about() > LOG_FACTOR * limit
        ):
            self._take_in_child(index, revision)
            return
        try:
            digest = self._digest(revision)
        except FleetError as error:
            self._tell(index, revision, b"", error)
            return
        self._keep(index, revision)
        self._tell(index, revision, digest, None)

    def _digest(self, revision: Revision) -> bytes:
        """Raises FleetError."""
        try:
            return joined(digests_of(self.executor.comparable_state()), revision)
        except FleetError:
            raise
        except Exception as error:  # the codec's, or the user's
            raise FleetError(f"the state cannot be compared: {type(error).__name__}: {error}") from error

    def _digest_and_outline(self, revision: Revision) -> bytes:
        """Raises FleetError."""
        return _encode(_Taken(self._digest(revision), self._outline()))

    def _outline(self) -> bytes:
        return encode_outline(outline_of(self.executor.comparable_state()))

    def _take_in_child(self, index: Index, revision: Revision) -> None:
        """One at a time, and none beside a snapshot: the next point will do."""
        owner = self.owner
        if owner.dumps.under_way is not None or self.digesting is not None:
            return
        try:
            dump = owner.host.fork(partial(self._digest_and_outline, revision))
        except OSError:
            return
        self.digesting = index, revision, dump
        owner.host.wait_for(owner, dump)

    def on_done(self) -> bool:
        """A descriptor was reported. Whether it was that of a digest."""
        if self.digesting is None:
            return False
        if not self.digesting[2].is_done():
            return True
        (index, revision, dump), self.digesting = self.digesting, None
        self.owner.host.wait_for(self.owner, None)
        try:
            data, _ = dump.take()
        except FleetError as error:
            self._tell(index, revision, b"", error)
        except (OSError, MemoryError):
            pass
        else:
            taken = _read_taken(data)
            dump.release()
            self.owner.host.kept.keep(self.owner.number, index, revision, taken.outline, is_outline=True)
            self._tell(index, revision, taken.digest, None)
        return True

    def cancel(self) -> None:
        if self.digesting is not None:
            self.digesting[2].cancel()
            self.digesting = None
            self.owner.host.wait_for(self.owner, None)

    def _tell(self, index: Index, revision: Revision, digest: bytes, error: FleetError | None) -> None:
        owner = self.owner
        record = ErrorRecord.of(error) if error is not None else None
        if error is not None and self.told != str(error):
            self.told = str(error)
            log.warning("group=%s member=%s cannot be compared: %s", owner.group, owner.member, error)
        owner.host.answer(StatePointTaken(owner.number, owner.run, index, revision, digest, record))

    # -- what is kept ------------------------------------------------------------------------------

    def _keep(self, index: Index, revision: Revision) -> None:
        """The state, or what it was like if that is too big."""
        keep, number = self.owner.host.kept.keep, self.owner.number
        try:
            state = self.executor.dump() if fits(self.owner.applier.journal.bytes_about()) else None
        except FleetError:
            return
        if state is not None and fits(len(state)):
            keep(number, index, revision, state)
        else:
            keep(number, index, revision, self._outline(), is_outline=True)

    def pin(self, index: Index) -> None:
        """A difference was found there."""
        self.owner.host.kept.pin(self.owner.number, index)

    def forget(self) -> None:
        """The state was replaced, or the object is closed."""
        self.cancel()
        self.owner.host.kept.forget(self.owner.number)

    # -- what is shown -----------------------------------------------------------------------------

    def show(self, m: ShowParts) -> None:
        owner, applier, states = self.owner, self.owner.applier, self.owner.host.kept
        index, revision = m.index or applier.index, applier.revision
        parts: list[StatePart] = []
        record = None
        try:
            kept = states.at(owner.number, m.index)
            if m.index in (0, applier.index):
                parts = parts_shown(self.executor.comparable_state(), m.path)
            elif kept is None:
                raise BadArguments(f"the state after entry {m.index} is not kept here")
            elif kept.is_outline:
                revision, parts = kept.revision, decode_outline(kept.state).at(m.path)
            else:
                revision, parts = kept.revision, parts_shown(self.executor.decoded(kept.state), m.path)
        except Exception as error:
            told = error if isinstance(error, FleetError) else FleetError(f"{type(error).__name__}: {error}")
            record = ErrorRecord.of(told)
        indexes = states.of(owner.number)
        about = owner.number, owner.run, m.token, index, revision
        owner.host.answer(PartsShown(*about, tuple(parts), indexes, record))
