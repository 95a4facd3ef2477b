"""The actor that writes for all members of a node, with one synced transaction a turn."""

from collections import deque
from typing import Any

from thespian.actors import ActorExitRequest, ThespianWatch, WatchMessage

from fleet.actors.messages.local import AwaitWrites, StartDisk, WriteFailed, WritesDone
from fleet.actors.runtime.actor import GuardedActor, log
from fleet.actors.runtime.turn import EndTurn, TurnEnd
from fleet.errors import StoreFull
from fleet.interfaces import (
    Chore,
    ChoreDone,
    Completion,
    CreateGroups,
    DropGroup,
    PutMeta,
    RaiseVersion,
    Renew,
    StoreWriter,
    Write,
)
from fleet.raft.events import Persisted, SnapshotFailed, SnapshotStored


class Disk(GuardedActor):
    """Takes `Write`s and answers each sender with `Persisted(seq)`, or once with `WriteFailed`.

    Passes the writes of a turn to the writer together, at its end. They are synced off the loop, while the
    next ones collect.
    """

    def __init__(self) -> None:
        super().__init__()
        self.writer: StoreWriter | None = None
        self.turn_end = TurnEnd(self)
        self.gathered: list[tuple[Any, Write]] = []
        self.waiting: dict[tuple[int, bool], list[Any]] = {}
        """By group and whether they are aside, the senders of the writes under way, which are few. A former
        actor of the member has its own sequence numbers."""
        self.failed_members: dict[int, Any] = {}
        """By group, a member whose write failed and that may not know it yet: its later writes are
        ignored."""
        self.requesters: deque[Any] = deque()
        """The sender of each chore under way, in order."""
        self.awaited: dict[int, Any] = {}
        """By group, the actor to tell when all its writes are done."""

    def on_start(self, m: StartDisk, sender: Any) -> None:
        self.writer = m.writer
        self.watching = ThespianWatch([m.writer.fileno()])

    def on_write(self, m: Write, sender: Any) -> None:
        if self.failed_members:
            if self.failed_members.get(m.group) == sender:
                return
            self.failed_members.pop(m.group, None)
        self.turn_end.ask()
        self.gathered.append((sender, m))

    def on_end_turn(self, m: EndTurn, sender: Any) -> None:
        self.turn_end.reached()
        assert self.writer is not None
        waiting, submit = self.waiting, self.writer.submit
        for sender, write in self.gathered:
            key = write.group, write.is_aside
            senders = waiting.get(key)
            if senders is None:
                waiting[key] = [sender]
            else:
                senders.append(sender)
            submit(write)
        self.gathered.clear()

    def on_chore(self, m: Chore, sender: Any) -> None:
        assert self.writer is not None
        self.requesters.append(sender)
        self.writer.do(m)

    def on_await(self, m: AwaitWrites, sender: Any) -> None:
        self.awaited[m.group] = sender
        self._tell_if_done(m.group)

    def _tell_if_done(self, group: int) -> None:
        if group not in self.awaited:
            return
        if not {(group, False), (group, True)} & self.waiting.keys():
            if all(write.group != group for _, write in self.gathered):
                self.send(self.awaited.pop(group), WritesDone(group))

    def on_watch(self, m: WatchMessage, sender: Any) -> None:
        if self.writer is None:
            return
        for completion in self.writer.completed():
            if isinstance(completion, ChoreDone):
                self.send(self.requesters.popleft(), completion)
            else:
                self._tell(completion)

    def _tell(self, completion: Completion) -> None:
        newest: dict[int, list[tuple[Any, int]]] = {}
        for write in completion.writes:
            sender = self._take_sender(write.group, write.is_aside)
            if write.is_aside:
                self._tell_aside(sender, write, completion.error)
                self._tell_if_done(write.group)
                continue
            told = newest.setdefault(write.group, [])
            if told and told[-1][0] == sender:
                told.pop()
            told.append((sender, write.seq))
        for group, senders in newest.items():
            for sender, seq in senders:
                if completion.error is None:
                    self.send(sender, Persisted(seq))
                else:
                    self._fail(group, sender, completion.error)
            self._tell_if_done(group)

    def _tell_aside(self, sender: Any, write: Write, error: Exception | None) -> None:
        if error is None:
            assert write.snapshot is not None
            self.send(sender, SnapshotStored(write.snapshot.meta.index))
        else:
            log.error("a snapshot of group number %d was not written: %s", write.group, error)
            self.send(sender, SnapshotFailed())

    def _take_sender(self, group: int, is_aside: bool) -> Any:
        """Writes of one group complete in order, and those aside in order among themselves."""
        waiting = self.waiting[group, is_aside]
        if len(waiting) > 1:
            return waiting.pop(0)
        del self.waiting[group, is_aside]
        return waiting[0]

    def _fail(self, group: int, member: Any, error: Exception) -> None:
        """Drop the member's collected writes: the writer would append them after the gap."""
        if self.failed_members.get(group) == member:
            return
        self.failed_members[group] = member
        self.gathered = [one for one in self.gathered if one[0] != member or one[1].group != group]
        log.error("writing for group number %d failed: %s", group, error)
        self.send(member, WriteFailed(group, str(error), isinstance(error, StoreFull)))

    def on_exit(self, m: ActorExitRequest, sender: Any) -> None:
        self.watching = None
        if self.writer is not None:
            self.writer.close()
            self.writer = None

    handlers = {
        StartDisk: on_start,
        Write: on_write,
        EndTurn: on_end_turn,
        PutMeta: on_chore,
        CreateGroups: on_chore,
        DropGroup: on_chore,
        Renew: on_chore,
        RaiseVersion: on_chore,
        AwaitWrites: on_await,
        WatchMessage: on_watch,
        ActorExitRequest: on_exit,
    }
