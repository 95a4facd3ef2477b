"""Members found on the disk wait until other nodes had time to say that the directory is an older copy."""

from collections.abc import Iterable

from fleet.actors.messages.values import NodeInfo
from fleet.actors.node.parts import Node
from fleet.actors.node.timers import StartHeldMembers
from fleet.raft.ids import Millis

HELD_MS: Millis = 300


class HeldStart:
    """Only other nodes can know that this directory is an older copy (S83). Members found in it therefore
    run, vote and acknowledge only after all nodes known to this one (from its disk, --join or --founder) have
    answered the first hello of this process, or after HELD_MS. A node that remembers a later start of the
    directory answers that it is an older copy, and then none of its members runs.

    So an older copy casts no vote if one node that remembers the later start is known to the copy, runs, and
    answers within HELD_MS. It may vote if all such nodes are down, unreachable, slower, or unknown to it,
    until it hears from the first of them; and if the directory was not started since the copy was made, since
    then the two cannot be told apart.

    New members are not held: they have made no promises.
    """

    def __init__(self, manager: Node) -> None:
        self.manager = manager
        self.unheard: set[str] = set()
        """Names and addresses of nodes that have not answered yet."""

    @property
    def is_on(self) -> bool:
        return bool(self.unheard)

    def begin(self, names: Iterable[str], addresses: Iterable[str]) -> None:
        self.unheard = {*names, *addresses} - {self.manager.start.name, self.manager.start.address}
        if self.unheard:
            self.manager.wake_in(HELD_MS, StartHeldMembers())

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
