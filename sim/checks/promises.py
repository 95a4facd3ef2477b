"""What a member has made durable binds it in its later lives."""

from dataclasses import dataclass, field
from typing import Any

from fleet.raft.ids import Index, MemberId, Term


@dataclass(slots=True)
class OnDisk:
    """What a member has made durable."""

    term: Term = 0
    vote: MemberId | None = None
    base: Index = 0
    """Of its snapshot."""
    terms: dict[Index, Term] = field(default_factory=dict)
    last: Index = 0
    """The highest of `terms`."""

    def holds(self, index: Index, term: Term) -> bool:
        return index <= self.base or self.terms.get(index) == term


def broken_by(member: Any, disk: OnDisk | None, writer: Any) -> str:
    """What is wrong with a member that has just begun: it lacks what its former lives have made durable, or
    one of them still writes (`writer`: the actor that writes for all). "" for nothing."""
    core = member.core
    log = core.log
    if disk is not None:
        last = max(disk.base, disk.last)
        if core.term < disk.term:
            return f"begins in term {core.term}, and its disk had {disk.term}"
        is_as_loaded = log.durable == log.last_index and not core.writes  # later it may have been overruled
        writes_at_once = member.start.disk is None and core.writes  # in memory, and perhaps not told yet
        if (log.durable == 0 < last and not writes_at_once) or (is_as_loaded and log.last_index < last):
            return f"begins with entries up to {log.durable}, and its disk had {last}"
    if writer is not None and any(sender != member.myAddress for sender in _writing(writer, member.number)):
        return "begins while a former life of it still writes"
    return ""


def _writing(writer: Any, number: int) -> list[Any]:
    """Who waits for writes of that group."""
    gathered = [sender for sender, write in writer.gathered if write.group == number]
    waiting = (writer.waiting.get((number, is_aside), ()) for is_aside in (False, True))
    return [*gathered, *(sender for senders in waiting for sender in senders)]
