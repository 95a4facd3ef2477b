"""Damaged members of this node: removed from their groups by a committed change, then replaced."""

from typing import TYPE_CHECKING

from fleet.actors.client.router import Question
from fleet.actors.messages.operator import DAMAGED, OpValue, RemoveMember
from fleet.actors.node.hosted_members import Hosting
from fleet.actors.runtime.actor import log
from fleet.errors import FleetError, NotMember
from fleet.raft.ids import Millis

if TYPE_CHECKING:
    from fleet.actors.node.manager import NodeManager

ASK_MS: Millis = 4000


class Repairs:
    """A damaged member does not run, so it neither votes nor truncates. Its data goes only when the group
    has committed its removal, by a quorum without it; a new member then comes here, under a new id, as a
    learner (S81)."""

    def __init__(self, manager: "NodeManager") -> None:
        self.manager = manager
        self.asked: set[int] = set()
        """Numbers of members whose removal is asked for."""
        self.refused: dict[int, str] = {}
        """Number to why the last try failed, so that it is logged once."""

    def round(self) -> None:
        for number, hosting in self.manager.hostings.by_number.items():
            is_down = hosting.address is None and not hosting.is_dropped
            if hosting.ill == DAMAGED and is_down and number not in self.asked:
                self._ask_for_removal(hosting)

    def _ask_for_removal(self, hosting: Hosting) -> None:
        manager, spec, number = self.manager, hosting.spec, hosting.record.number
        self.asked.add(number)

        def finish(value: OpValue | None, error: FleetError | None) -> None:
            self.asked.discard(number)
            if error is None or isinstance(error, NotMember):
                self.refused.pop(number, None)
                if manager.hostings.by_number.get(number) is hosting and not hosting.is_dropped:
                    log.warning("group=%s %s was damaged and is removed", spec.name, hosting.member)
                    manager.hostings.drop(hosting)
            elif self.refused.get(number) != str(error):
                self.refused[number] = str(error)
                what = "group=%s %s is damaged, and not replaced yet: %s"
                log.warning(what, spec.name, hosting.member, error)

        deadline = manager.now() + ASK_MS
        question = Question(RemoveMember(hosting.member), spec.name, "", deadline, finish)
        manager.cluster.requests.ask(question)
