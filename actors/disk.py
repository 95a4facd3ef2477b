"""The actor that writes for all members of a node: one synced transaction for whatever a turn gathered."""

from typing import Any

from thespian.actors import ActorExitRequest, ThespianWatch, WatchMessage

from fleet.actors.guard import GuardedActor, log
from fleet.actors.mail import EndTurn, StartDisk, WriteFailed
from fleet.ports import Completion, StoreWriter, Write
from fleet.raft.events import Persisted


class Disk(GuardedActor):
    """Takes `Write`s and answers each writer with `Persisted(seq)`, or once with `WriteFailed`.

    The writes of a turn are handed over together, at its end; while they are synced, off the loop,
    the next ones gather.
    """

    def __init__(self) -> None:
        super().__init__()
        self.writer: StoreWriter | None = None
        self.gathered: list[Write] = []
        self.members: dict[int, Any] = {}
        self.failed_members: dict[int, Any] = {}
        """Members whose write failed and that may not know it yet: nothing is written after it."""

    def on_start(self, m: StartDisk, sender: Any) -> ThespianWatch:
        self.writer = m.writer
        return self._watch()

    def _watch(self) -> ThespianWatch:
        assert self.writer is not None
        return ThespianWatch([self.writer.fileno()])

    def on_write(self, m: Write, sender: Any) -> ThespianWatch:
        if self.failed_members.get(m.group) == sender:
            return self._watch()
        self.failed_members.pop(m.group, None)
        self.members[m.group] = sender
        if not self.gathered:
            self.send(self.myAddress, EndTurn())
        self.gathered.append(m)
        return self._watch()

    def on_end_turn(self, m: EndTurn, sender: Any) -> ThespianWatch:
        assert self.writer is not None
        for write in self.gathered:
            self.writer.submit(write)
        self.gathered.clear()
        return self._watch()

    def on_watch(self, m: WatchMessage, sender: Any) -> ThespianWatch:
        assert self.writer is not None
        for completion in self.writer.completed():
            self._tell(completion)
        return self._watch()

    def _tell(self, completion: Completion) -> None:
        newest = {write.group: write.seq for write in completion.writes}
        for group, seq in newest.items():
            if completion.error is None:
                self.send(self.members[group], Persisted(seq))
            else:
                self.failed_members[group] = self.members[group]
                log.error("writing for group number %d failed: %s", group, completion.error)
                self.send(self.members[group], WriteFailed(group, str(completion.error)))

    def on_exit(self, m: ActorExitRequest, sender: Any) -> None:
        if self.writer is not None:
            self.writer.close()
            self.writer = None

    handlers = {
        StartDisk: on_start,
        Write: on_write,
        EndTurn: on_end_turn,
        WatchMessage: on_watch,
        ActorExitRequest: on_exit,
    }
