"""The members of one node: started from the disk, restarted when they fail, dropped when they have left.

Of a member in memory only the disk has its number and its spec, so that it is known after a restart of the
node, is not started, and its id is never used again.
"""

from collections.abc import Sequence

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from thespian.actors import ActorAddress, ActorExitRequest

from fleet.actors.member.actor import Member
from fleet.actors.messages.local import (
    AwaitWrites,
    ClassInForce,
    MemberGone,
    MemberHalted,
    MemberLost,
    MemberStopped,
    MemberVotes,
    StartMember,
)
from fleet.actors.messages.operator import CONFLICT, DAMAGED, DISK_FULL, LOST, MemberInfo
from fleet.actors.messages.values import GroupSpec
from fleet.actors.node.diverged import DivergedMembers
from fleet.actors.node.hosted_member import Coming, Created, HostedMember
from fleet.actors.node.lost_members import LostMembers
from fleet.actors.node.parts import Node
from fleet.actors.node.records import read_record
from fleet.actors.node.timers import RestartMember
from fleet.actors.runtime.actor import log
from fleet.cluster.state import CLUSTER_GROUP
from fleet.errors import FleetError, StorageFault, Unavailable
from fleet.interfaces import ChoreDone, CreateGroups, DropGroup, GroupRecord, PutMeta
from fleet.raft.ids import GroupName, MemberId, Millis, member_id
from fleet.storage.memory_store import MemoryStore

BACK_OFF_MS: tuple[Millis, Millis] = (100, 30_000)
"""The shortest and the longest pause before a failed member is started again."""
STABLE_MS: Millis = 60_000
"""After a member ran this long its earlier failures no longer count."""
FULL_MS: Millis = 60_000
"""How long a member counts as out of space after a write failed; it tries again sooner."""
LEFT_KEY = "left"
HALTED_KEY = "halted"
LOST_WITH_RESTART = "the group is in memory only, and the node was restarted since"
WAITING_MAX = 16
"""Requests that wait for one member to be created."""


class Halted(Struct, frozen=True, array_like=True):
    """A member that is not started, also after a restart of the node."""

    member: MemberId
    ill: str
    why: str


class HostedMembers:
    def __init__(self, manager: Node) -> None:
        self.manager = manager
        self.by_number: dict[int, HostedMember] = {}
        self.by_name: dict[str, HostedMember] = {}
        self.by_member: dict[MemberId, HostedMember] = {}
        self.coming: dict[str, Coming] = {}
        """Members being created, by group name; they are in no other table yet."""
        self.left: set[int] = set()
        """The uids of groups whose founding member here was dropped: it is not created again."""
        self.halted: dict[int, Halted] = {}
        """Members that are not started, by number."""
        self.memory: MemoryStore
        """What members in memory only keep; it ends with this process."""
        self.diverged = DivergedMembers(manager)
        self.lost = LostMembers(manager)

    def load(self) -> None:
        """Start or hold the members on the disk. Blocks, which is harmless: the node has not started yet."""
        me = self.manager.store.identity
        self.memory = MemoryStore(me.cluster, me.node, incarnation=me.incarnation)
        left = self.manager.store.get_meta(LEFT_KEY)
        if left:
            self.left = set(read_record(left, list[int], LEFT_KEY))
        halted = self.manager.store.get_meta(HALTED_KEY)
        if halted:
            self.halted = read_record(halted, dict[int, Halted], HALTED_KEY)
        self.diverged.load()
        replaced: list[HostedMember] = []
        """Dropped before the newer member was created; the disk failed to delete them."""
        for record in self.manager.store.groups():
            former = self.by_name.get(record.name)
            if former is not None:
                replaced.append(former)
            self._add(record)
        for hosted in replaced:
            self.drop(hosted)
        for hosted in list(self.by_number.values()):
            if hosted.spec.is_in_memory:
                self._lose(hosted)
                self.lost.add(hosted.spec)
            elif hosted.ill:
                continue
            elif self.manager.held.is_on:
                hosted.is_held = True
            else:
                self.start_member(hosted)

    def _lose(self, hosted: HostedMember) -> None:
        """It has forgotten its votes, its promises and its log: it never runs again under its id."""
        hosted.ill, hosted.trouble = LOST, LOST_WITH_RESTART
        log.warning("group=%s member=%s is lost: %s", hosted.spec.name, hosted.member, hosted.trouble)
        self.manager.send(self.manager.registry, MemberLost(hosted.spec.name, hosted.member))

    def start_held(self) -> None:
        """Start the held members, except those that are damaged or dropped."""
        for hosted in self.by_number.values():
            if hosted.is_held:
                hosted.is_held = False
                if not (hosted.ill or hosted.is_dropped):
                    self.start_member(hosted)
        self.manager.arrivals.look()

    def create(
        self, specs: Sequence[GroupSpec], done: Created | None = None, meta: dict[str, bytes] | None = None
    ) -> None:
        """Create members in one transaction, off the loop, together with the node's records `meta`.

        Each starts when it is durable. `done` is called for each, then or when the write has failed. No
        member of these groups may be under creation already.
        """
        if not specs:
            return
        for spec in specs:
            self.coming[spec.name] = Coming(spec, [done] if done is not None else [])
        groups = tuple((GroupName(spec.name), msgspec.msgpack.encode(spec)) for spec in specs)
        self.manager.carry_out(CreateGroups(groups, meta or {}), self._on_created)

    def _on_created(self, m: ChoreDone) -> None:
        assert isinstance(m.chore, CreateGroups)
        error = storage_fault(m.error)
        if error is not None:
            for name, _ in m.chore.groups:
                what = "group=%s: no member was created here: %s"
                self.manager.say(f"group {name}", what, name, error)
                self._tell_created(name, None, error)
        for record in m.records:
            self._begin(record)
        self.manager.arrivals.look()

    def _begin(self, record: GroupRecord) -> None:
        manager, name = self.manager, record.name
        spec = self.coming[name].spec
        if spec.is_in_memory:
            self.memory.begin(record)
        hosted = self._add(record)
        # An older copy would give numbers, and so member ids, a second time.
        if manager.is_renewing or manager.cluster.was_removed(spec):
            self.drop(hosted)
            what = "the group was removed, or the node is being renewed"
            self._tell_created(name, None, Unavailable(what, group=name, node=manager.start.name))
            return
        if name == CLUSTER_GROUP:
            manager.cluster.belong(spec.uid)
        self.start_member(hosted)
        self._tell_created(name, hosted, None)

    def _tell_created(self, name: str, hosted: HostedMember | None, error: FleetError | None) -> None:
        for done in self.coming.pop(name).waiting:
            done(hosted, error)

    def _add(self, record: GroupRecord) -> HostedMember:
        manager = self.manager
        spec: GroupSpec = read_record(record.spec, GroupSpec, "group record", group=record.name)
        incarnation = manager.store.identity.incarnation
        halted = self.halted.get(record.number)
        member = spec.member or member_id(manager.start.name, incarnation, record.number)
        if halted is not None:
            member = halted.member
        hosted = HostedMember(record, spec, member)
        self.by_number[record.number] = self.by_name[spec.name] = self.by_member[member] = hosted
        if halted is not None:
            hosted.trouble, hosted.ill = halted.why, halted.ill
        return hosted

    def start_member(self, hosted: HostedMember) -> None:
        manager, number = self.manager, hosted.record.number
        start, store, disk = manager.start, manager.start.store, manager.disk
        if hosted.spec.is_in_memory:
            if store is None and hosted.starts:  # what it knew has ended with its process
                self._lose(hosted)
                return
            store, disk = self.memory if store is not None else None, None
        hosted.trouble, hosted.started_at = "", manager.now()
        hosted.address = manager.createActor(Member)
        manager.send(
            hosted.address,
            StartMember(
                record=hosted.record,
                member=hosted.member,
                registry=manager.registry,
                manager=manager.myAddress,
                clock=start.clock,
                seed=start.seed * 1_000_003 + number * 1009 + hosted.failures,
                store=store,
                disk=disk,
                directory="" if hosted.spec.is_in_memory or store else f"{start.directory}/members/{number}",
                fork_above_bytes=start.fork_above_bytes,
                fork=start.fork,
                hooks=start.hooks,
                executors=manager.executors,
                run=self._next_run(hosted),
                is_full=self.is_full(hosted),
                diverged=self.diverged.at(hosted),
            ),
        )

    def _next_run(self, hosted: HostedMember) -> int:
        """A range of its own for each start of the member."""
        hosted.starts += 1
        return hosted.starts << 32

    # -- the end of a member -----------------------------------------------------------------------

    def drop(self, hosted: HostedMember) -> None:
        """Stop the member and delete its data. Its group has no member here from now on."""
        manager = self.manager
        hosted.is_dropped = True
        if hosted.spec.founded is not None:
            self.left.add(hosted.spec.uid)  # from now on, so that it is not founded again while it stops
        manager.send(manager.registry, MemberGone(hosted.spec.name, hosted.member))
        if self.by_name.get(hosted.spec.name) is hosted:
            del self.by_name[hosted.spec.name]
        if hosted.address is not None:
            manager.send(hosted.address, ActorExitRequest())
        else:
            self._erase(hosted)

    def _erase(self, hosted: HostedMember) -> None:
        manager, spec = self.manager, hosted.spec
        self.by_number.pop(hosted.record.number, None)
        self.by_member.pop(hosted.member, None)
        if self.by_name.get(spec.name) is hosted:
            del self.by_name[spec.name]
        meta = {}
        if spec.founded is not None:  # in the same transaction: else this disk would found the group again
            self.left.add(spec.uid)
            meta[LEFT_KEY] = self._left_bytes()
        self.diverged.forget(hosted)
        if spec.is_in_memory:
            self.memory.end(hosted.record.number)
        if self.halted.pop(hosted.record.number, None) is not None:
            meta[HALTED_KEY] = msgspec.msgpack.encode(self.halted)
        manager.carry_out(DropGroup(hosted.record.number, meta))
        log.info("group=%s member=%s has left; its data is deleted", spec.name, hosted.member)
        manager.cluster.on_dropped(hosted)

    def forget_left(self, uids: set[int]) -> None:
        """A failed write is harmless: the next one, or one after a restart, forgets them."""
        if self.left & uids:
            self.left -= uids
            self.manager.carry_out(PutMeta(LEFT_KEY, self._left_bytes()))

    def _left_bytes(self) -> bytes:
        return msgspec.msgpack.encode(sorted(self.left))

    def on_member_stopped(self, m: MemberStopped) -> None:
        hosted = self.by_member.get(m.member)
        if hosted is None:
            return
        hosted.has_ended()
        if m.removed or hosted.is_dropped:
            self._erase(hosted)
            return
        hosted.ill = m.ill
        hosted.full_at = self.manager.now() if m.is_full else None
        if m.ill == CONFLICT:
            self.halted[hosted.record.number] = Halted(hosted.member, CONFLICT, m.error)
            self.manager.carry_out(PutMeta(HALTED_KEY, msgspec.msgpack.encode(self.halted)))
        self._trouble(hosted, m.error, m.restart)

    def give_up_all(self, why: str) -> dict[str, bytes]:
        """Stop all members for good: each will be removed from its group and replaced (S83). Returns the
        records to be written for this to hold after a restart."""
        manager = self.manager
        for hosted in self.by_number.values():
            if hosted.is_dropped or hosted.ill:
                continue
            hosted.ill, hosted.trouble, hosted.leads = DAMAGED, why, False
            manager.send(manager.registry, MemberGone(hosted.spec.name, hosted.member))
            if hosted.address is not None:
                manager.send(hosted.address, ActorExitRequest())
        halted = {n: Halted(one.member, one.ill, one.trouble) for n, one in self.by_number.items() if one.ill}
        self.halted.update(halted)
        return {HALTED_KEY: msgspec.msgpack.encode(self.halted)}

    def on_child_exited(self, address: ActorAddress) -> None:
        """A member's actor exited, on request or unexpectedly."""
        for hosted in list(self.by_number.values()):
            if hosted.address == address:
                hosted.has_ended()
                if hosted.is_dropped:
                    self._erase(hosted)
                elif not hosted.ill:
                    self._trouble(hosted, "its actor ended", restart=True)

    def on_votes(self, m: MemberVotes) -> None:
        hosted = self.by_member.get(m.member)
        if hosted is not None:
            hosted.votes = m.votes

    def on_class(self, m: ClassInForce) -> None:
        hosted = self.by_member.get(m.member)
        if hosted is not None:
            hosted.spec = replace(hosted.spec, data_class=m.data_class)

    def on_halted(self, m: MemberHalted) -> None:
        hosted = self.by_member.get(m.member)
        if hosted is not None:
            hosted.halt, hosted.other_code, hosted.comparison = m.halt, m.other_code, m.comparison
            hosted.offer = m.offer
            self.diverged.note(hosted, m.own_snapshot)

    def _trouble(self, hosted: HostedMember, why: str, restart: bool) -> None:
        """Start the member again after a growing pause, unless that cannot help."""
        hosted.trouble = why
        if self.manager.now() - hosted.started_at > STABLE_MS:
            hosted.failures = 0
        hosted.failures += 1
        if not restart:
            log.error("group=%s member=%s does not run: %s", hosted.spec.name, hosted.member, why)
            return
        least, most = BACK_OFF_MS
        delay = min(most, least << min(hosted.failures - 1, 20))
        log.warning(
            "group=%s member=%s starts again in %d ms: %s", hosted.spec.name, hosted.member, delay, why
        )
        self.manager.wake_in(delay, RestartMember(hosted.record.number))

    def on_start_due(self, number: int) -> None:
        """Start the member once no write of its former actor is under way: it starts from what the disk
        holds."""
        if self.manager.disk is None:
            self.on_writes_done(number)
        else:
            self.manager.send(self.manager.disk, AwaitWrites(number))

    def on_writes_done(self, number: int) -> None:
        hosted = self.by_number.get(number)
        if hosted is None or hosted.address is not None or (hosted.ill and not hosted.is_dropped):
            return
        if hosted.is_dropped:
            self._erase(hosted)
        else:
            self.start_member(hosted)

    # -- status ------------------------------------------------------------------------------------

    def infos(self) -> tuple[MemberInfo, ...]:
        return tuple(map(self.info_of, self.by_number.values()))

    def is_full(self, hosted: HostedMember) -> bool:
        return hosted.full_at is not None and self.manager.now() - hosted.full_at < FULL_MS

    def info_of(self, hosted: HostedMember) -> MemberInfo:
        """A follower without space that runs between two tries is shown as out of space."""
        state = "running" if hosted.address is not None else hosted.trouble or "waiting"
        if self.is_full(hosted) and not hosted.leads:
            state = DISK_FULL
        about = (hosted.leads, hosted.ill, hosted.halt, hosted.other_code, hosted.comparison)
        return MemberInfo(hosted.spec.name, hosted.member, state, *about, hosted.votes)


def storage_fault(error: Exception | None) -> FleetError | None:
    """As an error to send to the requester."""
    if error is None or isinstance(error, FleetError):
        return error
    return StorageFault(f"{type(error).__name__}: {error}")
