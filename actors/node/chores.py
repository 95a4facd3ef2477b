"""Chores of a node's disk: one after the other, off the loop where there is a disk writer."""

from collections import deque
from collections.abc import Callable

from fleet.actors.node.surroundings import Node
from fleet.actors.runtime.actor import log
from fleet.interfaces import Chore, ChoreDone, DropGroup, PutMeta
from fleet.storage.writer import carry_out


class Chores:
    def __init__(self, node: Node) -> None:
        self.node = node
        self.under_way: deque[Callable[[ChoreDone], None] | None] = deque()
        """Who is to hear of each chore; the disk does them in order."""

    def carry_out(self, chore: Chore, done: Callable[[ChoreDone], None] | None = None) -> None:
        """Off the loop: a disk that hangs must not stop the node. `done` hears of it, else a failure is
        logged."""
        node = self.node
        self.under_way.append(done)
        if node.disk is not None:
            node.send(node.disk, chore)
        else:
            self.on_done(carry_out(node.store, chore))

    def on_done(self, m: ChoreDone) -> None:
        """What was not written is written with the next change; what was not dropped goes after a restart."""
        done = self.under_way.popleft()
        if done is not None:
            done(m)
        elif m.error is not None:
            match m.chore:
                case PutMeta(key):
                    log.error("node=%s could not write its %s: %s", self.node.start.name, key, m.error)
                case DropGroup(number):
                    log.error("group number %d: its data stays for now: %s", number, m.error)
