"""A member as the requests to it see it, around a core that the test steps."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import msgspec

from fleet.actors.member.operator_requests import OperatorRequests
from fleet.actors.messages.local import StartMember
from fleet.actors.messages.operator import OpReply
from fleet.actors.messages.values import GroupSpec
from fleet.interfaces import GroupRecord
from fleet.objects.class_refs import encode_class
from fleet.objects.hooks import HookRunner
from fleet.raft.config import GroupConfig
from fleet.raft.core import Core
from fleet.raft.ids import GroupName, MemberId
from fleet.storage.memory_store import MemoryStore
from tests.support.classes import Counter
from tests.support.clocks import HandClock

SPEC = GroupSpec("g", encode_class(Counter), GroupConfig(), uid=7)
REGISTRY: Any = "registry"
MANAGER: Any = "manager"


def start_of(
    member: MemberId, clock: HandClock, hooks: HookRunner | None = None, has_store: bool = True
) -> StartMember:
    record = GroupRecord(1, GroupName(SPEC.name), msgspec.msgpack.encode(SPEC))
    store = MemoryStore("c", "n1") if has_store else None
    return StartMember(record, member, REGISTRY, MANAGER, clock, 1, store, None, hooks=hooks)


@dataclass
class Requested:
    """`RequestedMember` as far as operators' requests need it. `told` is what it has answered."""

    core: Core
    spec: GroupSpec = SPEC
    told: list[OpReply] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.start = start_of(self.core.id, HandClock(self.core.now))
        halts = SimpleNamespace(other_code=None, offer=b"")
        self.object: Any = SimpleNamespace(data_class=self.spec.data_class, halts=halts, is_open=True)
        self.operators = OperatorRequests(self, lambda: 1)  # type: ignore[arg-type]

    def send(self, target: Any, message: OpReply) -> None:
        self.told.append(message)
