"""Clients that wait for a new group to be complete: its leader answers once it hears from all members."""

from thespian.actors import ActorAddress

from fleet.actors.messages.operator import AwaitMembers, GroupRequest, NodeRequest, OpReply
from fleet.actors.node.parts import Node
from fleet.errors import FleetError, Overloaded, Unavailable
from fleet.objects.payload import ErrorRecord

WAITING_MAX = 10_000


class Arrivals:
    """Holds each request until this node's view has the group, then passes it to the member on this node."""

    def __init__(self, manager: Node) -> None:
        self.manager = manager
        self.waiting: list[GroupRequest] = []

    def take(self, m: NodeRequest, op: AwaitMembers, reply_to: ActorAddress) -> None:
        request = GroupRequest(m.token, reply_to, op.group, op)
        if self._hand_over(request, op):
            return
        if len(self.waiting) >= WAITING_MAX:
            self._refuse(request, Overloaded("too many clients wait for groups here", group=op.group))
        else:
            self.waiting.append(request)

    def look(self) -> None:
        """Try again: the view of the cluster, or the members of this node, have changed."""
        waiting, self.waiting = self.waiting, []
        for request in waiting:
            assert isinstance(request.op, AwaitMembers)
            if not self._hand_over(request, request.op):
                self.waiting.append(request)

    def _hand_over(self, request: GroupRequest, op: AwaitMembers) -> bool:
        """Pass the request on or refuse it. False: the group is not known here yet."""
        manager = self.manager
        hosted = manager.hosted_members.by_name.get(op.group)
        if hosted is not None and hosted.spec.uid == op.uid and hosted.address is not None:
            manager.send(hosted.address, request)
        elif manager.view.rev < op.uid or op.group in manager.hosted_members.coming:
            return False
        else:
            where = {"group": op.group, "node": manager.start.name}
            self._refuse(request, Unavailable("no member of the group runs on this node", **where))
        return True

    def _refuse(self, request: GroupRequest, error: FleetError) -> None:
        self.manager.send(request.reply_to, OpReply(request.token, None, ErrorRecord.of(error)))
