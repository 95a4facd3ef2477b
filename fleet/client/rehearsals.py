"""Has the past of a group executed by a class that is to follow the one in force."""

import os

from fleet.actors.messages.group_states import HistoryPart, ReadState
from fleet.client.node_api import NodeOperations
from fleet.client.recordings import Kept, kept_by_members, read, read_state
from fleet.errors import ConfigError, FleetError, NotKept
from fleet.objects.applied_state import dumped_object
from fleet.objects.class_refs import encode_class, version_of
from fleet.objects.declare import Data, shape_of
from fleet.objects.recording import HEAD_BYTES, RecordedBase, Recording, place_in
from fleet.objects.rehearsed import PastOutcome, Rehearsal
from fleet.raft.ids import Revision

NOTHING_KEPT = (
    "nothing could be executed again: the group keeps no past; `fleet config change GROUP keep=7d` begins to"
)
WAY_BACK = "a way back is not rehearsed: an older version of the class cannot load the states that are kept"
BYTES_MAX = 64 << 20
"""Of states that the group has kept, to be compared."""


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
    from fleet.testing.rehearsal import rehearse  # clients need not import it

    if not keeps:
        return Rehearsal(unknown=NOTHING_KEPT)
    encoded, shape = encode_class(data_class), shape_of(data_class)
    kept = kept_by_members(client, group, timeout)[0]
    present = _present(client, group, kept, timeout)
    again = kept_by_members(client, group, timeout)  # with all that has led to the present state
    kept = next((one for one in again if one.address == kept.address), kept)
    in_force = kept.history.bases[-1].data_class
    if in_force and version_of(in_force)[0] > version_of(encoded)[0]:
        return Rehearsal(unknown=WAY_BACK)
    recording = _longest(client, group, kept, timeout)
    try:
        states = [*_states(client, group, kept, recording.base.revision, timeout), *present]
        return rehearse(recording, encoded, states, former, [*shape.commands, *shape.reminders])
    finally:
        recording.close()


def _present(client: NodeOperations, group: str, kept: Kept, timeout: float | None) -> list[PastOutcome]:
    """The state as it is now; none if it is too big, or cannot be had."""
    try:
        value = client._ask(ReadState(), group, kept.address, timeout)
    except FleetError:
        return []
    assert isinstance(value, HistoryPart)
    index, revision = place_in(value.data[:HEAD_BYTES])
    return [PastOutcome(index, revision, state=dumped_object(value.data))]


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
