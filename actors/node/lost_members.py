"""Members in memory only that were lost with a restart of the node, until new ones vote in their place.

A node that is ready tells its supervisor that the next node may be restarted. A learner is no replacement:
with it the group still has one voter less than it needs to survive that.
"""

from fleet.actors.messages.operator import LOST
from fleet.actors.messages.values import GroupSpec
from fleet.actors.node.hosted_member import HostedMember
from fleet.actors.node.parts import Node
from fleet.raft.ids import Millis

REMOVED_MS: Millis = 30_000
"""How long after the start of the node the removal of its lost members is waited for: a group whose majority
is lost cannot remove them."""
REPLACED_MS: Millis = 600_000
"""How long after the start of the node the votes of the new members are waited for."""


class LostMembers:
    def __init__(self, manager: Node) -> None:
        self.manager = manager
        self.specs: dict[str, GroupSpec] = {}
        """What is not known to be replaced yet, by group name."""

    def add(self, spec: GroupSpec) -> None:
        """The node has found its member lost when it started."""
        self.specs[spec.name] = spec

    def awaited(self) -> set[str]:
        """The groups whose new member here is to come, or does not vote yet."""
        if self.specs:
            self.specs = {name: spec for name, spec in self.specs.items() if not self._is_over(spec)}
        return set(self.specs)

    def _is_over(self, spec: GroupSpec) -> bool:
        node = self.manager
        age = node.now() - node.started_at
        hosted = node.hosted_members.by_name.get(spec.name)
        if hosted is not None and hosted.spec.uid == spec.uid and hosted.ill == LOST:
            return age >= REMOVED_MS
        return age >= REPLACED_MS or self._is_replaced(hosted, spec) or not self._is_wanted(spec)

    def _is_replaced(self, hosted: HostedMember | None, spec: GroupSpec) -> bool:
        """Or cannot be: its new member is ill, too."""
        return hosted is not None and (hosted.spec.uid != spec.uid or hosted.votes or bool(hosted.ill))

    def _is_wanted(self, spec: GroupSpec) -> bool:
        """Not, once the group was removed, or has its members elsewhere. A view that is older than the group
        does not say."""
        view = self.manager.view
        if spec.uid > view.rev:
            return True
        group = view.groups.get(spec.name)
        return group is not None and group.uid == spec.uid and self.manager.start.name in view.wanted(group)
