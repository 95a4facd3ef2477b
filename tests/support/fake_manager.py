"""A node manager that only keeps what its parts do with it."""

from dataclasses import dataclass, field
from typing import Any

from fleet.actors.messages.local import StartMember
from fleet.actors.messages.values import GroupSpec
from fleet.actors.node.arrivals import Arrivals
from fleet.actors.node.chores import Chores
from fleet.actors.node.held_start import HeldStart
from fleet.actors.node.hosted_member import HostedMember
from fleet.actors.runtime.actor import log
from fleet.interfaces import Chore
from fleet.raft.ids import MemberId, NodeName
from fleet.storage.memory_store import MemoryStore
from fleet.storage.writer import carry_out


@dataclass
class Start:
    name: NodeName = NodeName("n1")
    clock: Any = None
    seed: int = 1
    store: Any = None
    directory: str = ""
    fork_above_bytes: int = 0
    fork: Any = None
    hooks: Any = None


@dataclass
class Manager:
    """What hosted_members need of one: members are numbers, and whatever is sent is kept."""

    store: MemoryStore = field(default_factory=lambda: MemoryStore("c", NodeName("n1"), incarnation="a"))
    start: Start = field(default_factory=Start)
    time_ms: int = 0
    created: int = 0
    sent: list[tuple[Any, Any]] = field(default_factory=list)
    wakes: list[tuple[int, Any]] = field(default_factory=list)
    dropped: list[HostedMember] = field(default_factory=list)
    removed: set[int] = field(default_factory=set)
    registry: str = "registry"
    myAddress: str = "manager"
    disk: Any = None
    executors: Any = None
    is_renewing: bool = False

    def __post_init__(self) -> None:
        node: Any = self
        self.work, self.held, self.arrivals = Chores(node), HeldStart(node), Arrivals(node)

    def carry_out(self, chore: Chore, done: Any = None) -> None:
        self.work.carry_out(chore, done)

    @property
    def cluster(self) -> "Manager":
        return self

    def was_removed(self, spec: GroupSpec) -> bool:
        return spec.uid in self.removed

    def on_dropped(self, hosted: HostedMember) -> None:
        self.dropped.append(hosted)

    def now(self) -> int:
        return self.time_ms

    def createActor(self, kind: type) -> int:
        self.created += 1
        return self.created

    def send(self, address: Any, message: Any) -> None:
        self.sent.append((address, message))

    def say(self, about: str, text: str, *args: Any) -> None:
        log.warning(text, *args)

    def wake_in(self, delay: int, payload: Any) -> None:
        self.wakes.append((delay, payload))

    def chores(self) -> list[Chore]:
        return [message for _, message in self.sent if isinstance(message, Chore)]

    def write(self) -> None:
        """What the disk was asked for is done."""
        chores = self.chores()
        self.sent = [(to, message) for to, message in self.sent if not isinstance(message, Chore)]
        for chore in chores:
            self.work.on_done(carry_out(self.store, chore))

    def starts(self) -> list[MemberId]:
        return [message.member for _, message in self.sent if type(message) is StartMember]
