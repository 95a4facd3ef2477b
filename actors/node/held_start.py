"""Members that are found on the disk wait until the nodes that may know better were asked."""

from collections.abc import Iterable

from fleet.actors.messages.values import NodeInfo
from fleet.actors.node.surroundings import Node
from fleet.raft.ids import Millis

HELD_MS: Millis = 300


class HeldStart:
    """Whether this directory is an older copy, only others know (S83). So the members that a start finds in
    it run, and vote and acknowledge, only when every node that this one knows (by its disk, its --join, its
    founders) has answered the first hello of this process, or after HELD_MS. Whoever remembers a later start
    of the directory answers that it is an older copy instead, and then none of them runs.

    So an older copy votes for nothing as long as one node that remembers the later start is known to the
    copy, runs, and answers within HELD_MS. It may vote where all of those are down, cut off, slower than
    that, or unknown to it, until the first of them is heard; and where the directory was not started since
    the copy was made, for then the two cannot be told apart.

    Members that are new are not held: they have promised nothing.
    """

    def __init__(self, manager: Node) -> None:
        self.manager = manager
        self.unheard: set[str] = set()
        """Names and addresses of those that may still answer."""

    @property
    def is_on(self) -> bool:
        return bool(self.unheard)

    def begin(self, names: Iterable[str], addresses: Iterable[str]) -> None:
        self.unheard = {*names, *addresses} - {self.manager.start.name, self.manager.start.address}
        if self.unheard:
            self.manager.wake_in(HELD_MS, "held")

    def on_answer(self, node: NodeInfo) -> None:
        if self.unheard:
            self.unheard -= {node.name, node.address}
            self._start_if_all_were_heard()

    def on_time(self) -> None:
        if self.unheard:
            self.unheard.clear()
            self._start_if_all_were_heard()

    def _start_if_all_were_heard(self) -> None:
        if not self.unheard:
            self.manager.hosted_members.start_held()
