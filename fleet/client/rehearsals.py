"""Has the past of a group executed by a class that is to follow the one in force."""

import os
import time
from typing import cast
from zlib import crc32

from fleet.actors.messages.group_states import CopyTaken
from fleet.client.copies import ask_for_copy, forget, parts_of
from fleet.client.group_api import GRACE_S, POLL_S
from fleet.client.node_api import NodeOperations
from fleet.client.recordings import Kept, kept_by_members, read, read_state
from fleet.errors import ConfigError, FleetError, NotKept
from fleet.objects.applied_state import dumped_object
from fleet.objects.class_refs import encode_class
from fleet.objects.declare import Data, shape_of
from fleet.objects.recording import RecordedBase, Recording
from fleet.objects.rehearsed import PastOutcome, Rehearsal
from fleet.raft.ids import Index, Revision

NOTHING_KEPT = (
    "nothing could be executed again: the group keeps no past; `fleet config change GROUP keep=7d` begins to"
)
BYTES_MAX = 64 << 20
"""Of states that the group has kept, or has now, to be compared."""
CAUGHT_UP_S = 2.0
"""How long a member is waited for that has not executed yet what is in the present state."""


def check_former(path: str | None) -> None:
    """Raises ConfigError: it is no directory."""
    if path is not None and not os.path.isdir(path):
        raise ConfigError(f"{path} is not a directory: name the one that has the code as it was")


def rehearsed(
    client: NodeOperations,
    group: str,
    keeps: bool,
    data_class: type[Data],
    former: str | None,
    timeout: float | None,
) -> Rehearsal:
    """As `Fleet.rehearse`; `former` was checked."""
    from fleet.testing.rehearsal import is_back, rehearse  # clients need not import it

    if not keeps:
        return Rehearsal(unknown=NOTHING_KEPT)
    encoded, shape = encode_class(data_class), shape_of(data_class)
    present = _present(client, group, timeout or client.timeout)
    kept = _kept(client, group, max((one.index for one in present), default=0), timeout)
    recording = _longest(client, group, kept, timeout)
    try:
        states = [*_states(client, group, kept, recording.base.revision, timeout), *present]
        if is_back(recording, encoded):
            states.clear()  # an older version cannot load them
        return rehearse(recording, encoded, states, former, [*shape.commands, *shape.reminders])
    finally:
        recording.close()


def _present(client: NodeOperations, group: str, seconds: float) -> list[PastOutcome]:
    """The state as it is now; none if it is too big, or cannot be had."""
    try:
        copy = cast(CopyTaken, ask_for_copy(client, group, seconds).result(seconds + GRACE_S))
        if copy.size > BYTES_MAX:
            forget(client, group, copy)
            return []
        state = b"".join(parts_of(client, group, copy))
    except FleetError:
        return []
    if crc32(state) != copy.crc:
        return []
    return [PastOutcome(copy.index, copy.revision, state=dumped_object(state))]


def _kept(client: NodeOperations, group: str, index: Index, timeout: float | None) -> Kept:
    """The longest past of a member, which is waited for a moment until it has executed the entry `index`."""
    until = time.monotonic() + CAUGHT_UP_S
    while True:
        kept = kept_by_members(client, group, timeout)[0]
        if kept.history.applied >= index or time.monotonic() > until:
            return kept
        time.sleep(POLL_S)


def _longest(client: NodeOperations, group: str, kept: Kept, timeout: float | None) -> Recording:
    """From the oldest state after which the class did not change."""
    bases = kept.history.bases
    suited = [one for one in bases if one.data_class == bases[-1].data_class or not one.index]
    for base in suited:
        recording = read(client, group, kept, base, None, timeout)
        if not recording.has_switch:
            return recording
        recording.close()
    raise NotKept("the class has just changed", group=group)


def _states(
    client: NodeOperations, group: str, kept: Kept, after: Revision, timeout: float | None
) -> list[PastOutcome]:
    """Those that the group has kept itself, of the class in force."""
    found: list[RecordedBase] = [one for one in kept.history.bases if one.revision > after]
    states, size = [], 0
    for base in found:
        size += base.size
        if size > BYTES_MAX:
            break
        state = dumped_object(read_state(client, group, kept, base, timeout))
        states.append(PastOutcome(base.index, base.revision, state=state))
    return states
