"""Members that were made room for and never brought in: whoever asked for them died or wants none."""

from typing import TYPE_CHECKING

from fleet.actors.client.router import Question
from fleet.actors.messages.operator import AddMember, GetStatus, GroupRequest, MemberStatus, OpReply, OpValue
from fleet.actors.node.hosted_members import Hosting
from fleet.actors.runtime.actor import log
from fleet.errors import FleetError
from fleet.raft.ids import Millis

if TYPE_CHECKING:
    from fleet.actors.node.manager import NodeManager

STRAY_MS: Millis = 5000
"""Whoever is to be brought in hears of its leader sooner."""
ASK_MS: Millis = 2000


class Strays:
    """A stray asks its group to let it in. Then it is a member like any other, which the healer makes a
    voter or lets go of: it leaves on committed proof, and never because nobody spoke to it."""

    def __init__(self, manager: "NodeManager") -> None:
        self.manager = manager
        self.looked_at: dict[int, Hosting] = {}
        """Members asked how they are, by token."""

    def round(self) -> None:
        manager = self.manager
        self.looked_at.clear()
        for hosting in manager.hostings.by_number.values():
            if hosting.is_seated or hosting.is_dropped or hosting.address is None:
                continue
            if hosting.spec.founded is None and manager.now() - hosting.started_at >= STRAY_MS:
                token = manager.next_token()
                self.looked_at[token] = hosting
                request = GroupRequest(token, manager.myAddress, hosting.spec.name, GetStatus())
                manager.send(hosting.address, request)

    def on_reply(self, reply: OpReply) -> bool:
        """False: it answers no question of this."""
        hosting = self.looked_at.pop(reply.token, None)
        if hosting is None:
            return False
        if isinstance(reply.value, MemberStatus):
            hosting.is_seated = reply.value.last_index > 0
            if not hosting.is_seated:
                self._ask_in(hosting)
        return True

    def _ask_in(self, hosting: Hosting) -> None:
        manager, spec = self.manager, hosting.spec
        log.info("group=%s %s was never brought in: it asks to be", spec.name, hosting.member)

        def finish(value: OpValue | None, error: FleetError | None) -> None:
            if error is not None:
                log.info("group=%s %s is not brought in yet: %s", spec.name, hosting.member, error)

        op = AddMember(hosting.member, manager.start.address, spec.uid)
        deadline = manager.now() + ASK_MS
        manager.citizen.requests.ask(Question(op, spec.name, "", deadline, finish, repeats=False))
