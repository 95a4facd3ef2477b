"""Members of a group have equal states after equal entries, and none halts because its own differs: but for
those whose object a fault has changed."""

from typing import Any, NoReturn, Protocol
from zlib import crc32

from msgspec.structs import replace

from fleet.objects.applied_state import decode_state, encode_state
from fleet.objects.executor import ObjectExecutor
from fleet.objects.state_digest import digests_of, joined
from fleet.raft.comparing import OF_STATE
from fleet.raft.core import Core
from fleet.raft.entries import Members, Skipped
from fleet.raft.ids import Index, MemberId
from fleet.sim.checks.appliers import applier_of

STATES_EVERY = 8
"""The state is compared at each index that is a multiple of this."""


class JudgedGroup(Protocol):
    name: str
    states: dict[tuple[Index, int], tuple[int, MemberId]]
    members: dict[Index, Members]


class JudgingWorld(Protocol):
    def violated(self, sentence: str) -> NoReturn: ...

    def need(self, holds: bool, sentence: str) -> None: ...

    def mark(self, name: str) -> None: ...


class States:
    def __init__(self, world: JudgingWorld) -> None:
        self.world = world
        self.spoiled: set[MemberId] = set()
        """Members whose object a fault has changed, at any time."""
        self.mistaken: set[MemberId] = set()
        """Those that had what was skipped: started again, one may halt before it has the `Skipped` again."""

    def spoil(self, member: Any, change: Any) -> bool:
        """Have `change` alter the object of a member behind everybody's back. False: it has none now."""
        applier = applier_of(member)
        if applier is None or not isinstance(applier.executor, ObjectExecutor):
            return False
        self.spoiled.add(member.core.id)
        change(applier.executor._object)
        applier.executor._dump = None
        return True

    def look(self, past: JudgedGroup, member: Any) -> None:
        """The member has changed."""
        halt, who = member.core.halt, member.core.id
        if halt is None or halt.place not in OF_STATE or who in self.spoiled:
            return
        if who in self.mistaken or has_what_was_skipped(member.core):
            self.mistaken.add(who)
            self.world.mark("a member waits for another state, since its group skips what it executed")
        else:
            self.world.violated(f"{past.name}: {who} halts for its state, which is right")

    def compare(self, past: JudgedGroup, member: Any) -> None:
        """It has executed entries."""
        applier = applier_of(member)
        if applier is None or applier.index % STATES_EVERY or applier.index < member.core.log.base_index:
            return  # perhaps it is being made again
        if not isinstance(applier.executor, ObjectExecutor) or member.core.id in self.spoiled:
            return  # it has other code, or a fault has changed it
        index, state = applier.index, crc32(comparable(applier.dump(), applier.executor))
        version = getattr(applier.executor.data_class, "__fleet_version__")
        first, who = past.states.setdefault((index, version), (state, member.core.id))
        self.world.need(first == state, f"{past.name}: {who} and {member.core.id} differ at {index}")
        members = member.core.membership.at(index)
        known = past.members.setdefault(index, members)
        if known is not members and known != members:
            self.world.violated(f"{past.name}: at {index} {member.core.id} has {members}, there was {known}")


def has_what_was_skipped(core: Core) -> bool:
    """Whether its own snapshot has the effects of a command that was skipped behind it."""
    taken = core.snapshot.index if core.snapshot is not None else 0
    return any(type(one.body) is Skipped and one.body.index <= taken < one.index for one in core.skips)


def comparable(dump: bytes, executor: ObjectExecutor) -> bytes:
    """All that is replicated, with the object's digest in its place: the order of a pickled set shows whether
    it was loaded from a snapshot."""
    state = decode_state(dump)
    digest = joined(digests_of(executor.comparable_state()), state.revision)
    return encode_state(replace(state, data=digest))
