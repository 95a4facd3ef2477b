"""Members of this node whose states were found to differ, which must not be forgotten by a restart."""

import msgspec

from fleet.actors.node.hosted_member import HostedMember
from fleet.actors.node.parts import Node
from fleet.actors.node.records import read_record
from fleet.interfaces import PutMeta
from fleet.raft.comparing import OF_STATE
from fleet.raft.ids import Index

DIVERGED_KEY = "diverged"


class DivergedMembers:
    """A crash amid a repair may leave the record and the leader's state, or neither. A member that has halted
    takes no snapshots, so a newer one than its own is its leader's. One whose record is lost is found to
    differ at a later point again."""

    def __init__(self, manager: Node) -> None:
        self.manager = manager
        self.by_number: dict[int, Index] = {}
        """From which log entry on a snapshot is its leader's."""

    def load(self) -> None:
        """Raises Damaged."""
        data = self.manager.store.get_meta(DIVERGED_KEY)
        if data:
            self.by_number = read_record(data, dict[int, Index], DIVERGED_KEY)

    def at(self, hosted: HostedMember) -> Index:
        """0: its state was not found to differ."""
        return self.by_number.get(hosted.record.number, 0)

    def note(self, hosted: HostedMember, own_snapshot: Index) -> None:
        """Where it has halted was told, or that it has not."""
        halt, number = hosted.halt, hosted.record.number
        if halt is not None and halt.place in OF_STATE:
            if number not in self.by_number:
                self.by_number[number] = own_snapshot + 1
                self._write()
        else:
            self.forget(hosted)

    def forget(self, hosted: HostedMember) -> None:
        if self.by_number.pop(hosted.record.number, 0):
            self._write()

    def _write(self) -> None:
        self.manager.carry_out(PutMeta(DIVERGED_KEY, msgspec.msgpack.encode(self.by_number)))
