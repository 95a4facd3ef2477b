"""What a member has in its own process: its object without an executor, its store where it is alone."""

from typing import Any, Protocol

from thespian.actors import ThespianWatch

from fleet.actors.executor.hook_threads import ThreadRunner
from fleet.actors.executor.hosted_objects import HostedObjects
from fleet.actors.member.member_object import MemberObject
from fleet.actors.messages.executor import ClassTried
from fleet.actors.messages.local import StartMember
from fleet.interfaces import Durable
from fleet.storage.lmdb_store import LmdbStore
from fleet.storage.memory_store import MemoryStore


class OwningMember(Protocol):
    start: StartMember
    object: MemberObject
    operators: Any
    watching: ThespianWatch | None


class OwnObjects(HostedObjects):
    """Answers at once, within the turn. Where the member is a process, a thread of it runs its hooks."""

    def __init__(self, member: OwningMember) -> None:
        start = member.start
        self.owns_hooks = start.store is None
        super().__init__(
            self._answer,
            start.fork,
            fork_above_bytes=start.fork_above_bytes,
            hooks=ThreadRunner(threads_max=1) if self.owns_hooks else start.hooks,
            now=_no_time,
        )
        self.member = member

    def _answer(self, answer: Any) -> None:
        if isinstance(answer, ClassTried):
            self.member.operators.rehearsals.on_tried(answer)
        else:
            self.member.object.take(answer)

    def on_watch(self, filenos: list[int]) -> None:
        """Children have encoded a state. By Thespian's rule a descriptor may be reported twice."""
        for fileno in filenos:
            self.on_dumped(fileno)
        self.watch()

    def watch(self) -> None:
        """Have the member watch what is to be waited for."""
        waits_for, watching = list(self.dumping), self.member.watching
        if (list(watching.filenos) if watching is not None else []) != waits_for:
            self.member.watching = ThespianWatch(waits_for) if waits_for else None

    def close(self) -> None:
        super().close()
        if self.owns_hooks and self.hooks is not None:
            self.hooks.close()


def _no_time() -> float:
    """However long it takes, it answers within the turn."""
    return 0.0


def open_store(m: StartMember) -> tuple[Durable, int]:
    """The member's store, and its number there. A member in a process of its own opens one there: LMDB does
    not survive a fork. Without a directory it is one in memory. Raises StorageFault, Damaged."""
    if m.store is not None:
        return m.store, m.record.number
    if not m.directory:
        memory = MemoryStore(m.record.name, m.member)
        memory.begin(m.record)
        return memory, m.record.number
    store = LmdbStore(m.directory, cluster=m.record.name, node=m.member)
    records = store.groups() or [store.create_group(m.record.name, m.record.spec)]
    return store, records[0].number
