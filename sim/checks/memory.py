"""Groups in memory only: what binds their members, and when such a group may be lost."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from fleet.actors.messages.operator import LOST
from fleet.interfaces import Write
from fleet.raft.ids import MemberId, disk_of, node_of
from fleet.raft.quorum import has_quorum


class JudgedWorld(Protocol):
    @property
    def nodes(self) -> Mapping[str, Any]: ...

    @property
    def invariants(self) -> Any: ...

    def members(self) -> Iterator[tuple[Any, Any]]: ...


def watch_memory(manager: Any, written: Callable[[Sequence[Write]], None]) -> None:
    """What a member has written to memory binds it as what is on a disk does."""
    memory = manager.hosted_members.memory
    write = memory.write

    def noting(batch: Sequence[Write]) -> None:
        write(batch)
        written(batch)

    memory.write = noting


def objection_to_loss(hosted: Any) -> str:
    """A member is lost only with the process that ran it, and only in memory; "" if so."""
    if hosted.ill == LOST and not hosted.spec.is_in_memory:
        return f"{hosted.member} is lost, and is on a disk"
    if hosted.ill == LOST and hosted.starts:
        return f"{hosted.member} is lost, and this process has run it"
    return ""


def lost_groups(world: JudgedWorld, groups: Mapping[str, Any]) -> list[str]:
    """Which of the cluster's groups have lost a majority: no member that lives can win an election, by the
    members that its own log names. While that is not certain, a group is not lost."""
    return [name for name, group in groups.items() if group.is_in_memory and _is_lost(world, group)]


def is_needed(world: JudgedWorld, node: str) -> bool:
    """Whether some group in memory only would have no majority without that node's process."""
    members = [member for _, member in world.members() if member.spec.is_in_memory]
    living = {member.core.id for member in members if node_of(member.core.id) != node}
    return any(
        any(node_of(voter) == node for voter in voters)
        and not has_quorum([voter for voter in voters if voter in living], voters)
        for voters in (member.core.membership.current.voters for member in members)
    )


def _is_lost(world: JudgedWorld, group: Any) -> bool:
    managers = {name: node.manager for name, node in world.nodes.items()}
    if any(manager is None or not manager.is_serving for manager in managers.values()):
        return False
    here = {
        hosted.member: (hosted, manager)
        for manager in managers.values()
        for hosted in manager.hosted_members.by_number.values()
        if hosted.spec.uid == group.uid
    }
    living = {}
    for member, (hosted, manager) in here.items():
        if hosted.ill or hosted.is_dropped:
            continue
        actor = hosted.address and manager._myRef.kernel.instance(hosted.address)
        if not hasattr(actor, "core"):
            return False  # it is about to start, with what it has kept
        living[member] = actor.core
    founders = [founder for founder, _ in group.initial]
    if any(_is_to_come(world, founder, group.uid) for founder in founders if founder not in here):
        return False
    return not any(_could_win(core, living) for core in living.values())


def _is_to_come(world: JudgedWorld, founder: MemberId, uid: int) -> bool:
    """Whether its node has not created it yet, and has no other member of the group in its place."""
    node = world.nodes.get(node_of(founder))
    if node is None or founder in world.invariants.disks:
        return False
    hosted_members = node.manager.hosted_members
    is_its_disk = node.manager.store.identity.incarnation == disk_of(founder)
    has_other = any(hosted.spec.uid == uid for hosted in hosted_members.by_number.values())
    return is_its_disk and not has_other and uid not in hosted_members.left


def _could_win(core: Any, living: Mapping[MemberId, Any]) -> bool:
    voters = core.membership.current.voters
    newest = core.log.last_term, core.log.last_index
    granting = [
        voter
        for voter in voters
        if voter in living and (living[voter].log.last_term, living[voter].log.last_index) <= newest
    ]
    return core.id in voters and has_quorum(granting, voters)
