"""Changes to a node's store beside the members' writes: in order, and off the loop if there is a disk
writer."""

from collections import deque
from collections.abc import Callable

from fleet.actors.node.parts import Node
from fleet.actors.runtime.actor import log
from fleet.interfaces import Chore, ChoreDone, DropGroup, PutMeta
from fleet.storage.writer import carry_out


class Chores:
    def __init__(self, node: Node) -> None:
        self.node = node
        self.under_way: deque[Callable[[ChoreDone], None] | None] = deque()
        """The callback of each chore under way; the disk does them in order."""

    def carry_out(self, chore: Chore, done: Callable[[ChoreDone], None] | None = None) -> None:
        """Start the chore; a disk that hangs must not stop the node. Calls `done` with the result; without
        it, a failure is logged."""
        node = self.node
        self.under_way.append(done)
        if node.disk is not None:
            node.send(node.disk, chore)
        else:
            self.on_done(carry_out(node.store, chore))

    def on_done(self, m: ChoreDone) -> None:
        """A failure without a callback is harmless: the next change writes the record again, and data that
        was not deleted is deleted after a restart."""
        done = self.under_way.popleft()
        if done is not None:
            done(m)
        elif m.error is not None:
            match m.chore:
                case PutMeta(key):
                    log.error("node=%s cannot write its %s: %s", self.node.start.name, key, m.error)
                case DropGroup(number):
                    log.error("group number %d: its data is not deleted yet: %s", number, m.error)
