"""The members of one node: started from their disks, started again when they fail, dropped when they left."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct
from thespian.actors import ActorAddress, ActorExitRequest

from fleet.actors.member.actor import Member
from fleet.actors.messages.local import AwaitWrites, MemberGone, MemberStopped, StartMember
from fleet.actors.messages.operator import CONFLICT, DAMAGED, DISK_FULL, MemberInfo
from fleet.actors.messages.values import GroupSpec
from fleet.actors.node.records import read_fact
from fleet.actors.runtime.actor import log
from fleet.errors import StorageFault
from fleet.interfaces import DropGroup, GroupRecord
from fleet.raft.ids import GroupName, MemberId, Millis, member_id

if TYPE_CHECKING:
    from fleet.actors.node.manager import NodeManager

BACK_OFF_MS: tuple[Millis, Millis] = (100, 30_000)
STABLE_MS: Millis = 60_000
"""A member that ran this long is forgiven its earlier failures."""
FULL_MS: Millis = 60_000
"""For so long a member that found no space is said to have none: it tries again sooner than that."""
LEFT_KEY = "left"
HALTED_KEY = "halted"


class Halted(Struct, frozen=True, array_like=True):
    """A member that is not started, also after a restart of the node."""

    member: MemberId
    ill: str
    why: str


@dataclass(slots=True)
class Hosting:
    """One member of this node, running or not."""

    record: GroupRecord
    spec: GroupSpec
    member: MemberId
    address: ActorAddress | None = None
    leads: bool = False
    failures: int = 0
    started_at: Millis = 0
    trouble: str = ""
    """Why it does not run."""
    ill: str = ""
    """As `MemberInfo.ill`."""
    full_at: Millis | None = None
    """When its last write failed for want of space."""
    is_seated: bool = False
    """Known to have heard of its group."""
    is_dropped: bool = False
    """Its data goes as soon as it has stopped."""


class Hostings:
    def __init__(self, manager: "NodeManager") -> None:
        self.manager = manager
        self.by_number: dict[int, Hosting] = {}
        self.by_name: dict[str, Hosting] = {}
        self.by_member: dict[MemberId, Hosting] = {}
        self.left: set[int] = set()
        """Groups that this disk was a founding member of, and left: it does not found them again."""
        self.halted: dict[int, Halted] = {}
        """By number."""

    def load(self) -> None:
        """Everything that the disk holds, as it was."""
        left = self.manager.store.get_meta(LEFT_KEY)
        if left:
            self.left = set(read_fact(left, list[int], LEFT_KEY))
        halted = self.manager.store.get_meta(HALTED_KEY)
        if halted:
            self.halted = read_fact(halted, dict[int, Halted], HALTED_KEY)
        for record in self.manager.store.groups():
            self._add(record)

    def create(self, spec: GroupSpec) -> Hosting:
        """Durable when it returns; raises StorageFault."""
        record = self.manager.store.create_group(GroupName(spec.name), msgspec.msgpack.encode(spec))
        return self._add(record)

    def _add(self, record: GroupRecord) -> Hosting:
        manager = self.manager
        spec: GroupSpec = read_fact(record.spec, GroupSpec, "group record", group=record.name)
        incarnation = manager.store.identity.incarnation
        halted = self.halted.get(record.number)
        member = spec.member or member_id(manager.start.name, incarnation, record.number)
        if halted is not None:
            member = halted.member
        hosting = Hosting(record, spec, member)
        self.by_number[record.number] = self.by_name[spec.name] = self.by_member[member] = hosting
        if halted is None:
            self.start_member(hosting)
        else:
            hosting.trouble, hosting.ill = halted.why, halted.ill
        return hosting

    def start_member(self, hosting: Hosting) -> None:
        manager, number = self.manager, hosting.record.number
        start = manager.start
        hosting.trouble, hosting.started_at = "", manager.now()
        hosting.address = manager.createActor(Member)
        manager.send(
            hosting.address,
            StartMember(
                record=hosting.record,
                member=hosting.member,
                registry=manager.registry,
                manager=manager.myAddress,
                clock=start.clock,
                seed=start.seed * 1_000_003 + number * 1009 + hosting.failures,
                store=start.store,
                disk=manager.disk,
                directory=f"{start.directory}/members/{number}" if start.store is None else "",
                fork_above_bytes=start.fork_above_bytes,
                fork=start.fork,
                hooks=start.hooks,
                is_full=self.is_full(hosting),
            ),
        )

    # -- the end of a member -----------------------------------------------------------------------

    def drop(self, hosting: Hosting) -> None:
        """Stop the member and forget its data. It is gone from here at once."""
        manager = self.manager
        hosting.is_dropped = True
        if hosting.spec.founded is not None:
            self.left.add(hosting.spec.uid)  # from here on: it must not be founded again while it stops
        manager.send(manager.registry, MemberGone(hosting.spec.name, hosting.member))
        if self.by_name.get(hosting.spec.name) is hosting:
            del self.by_name[hosting.spec.name]
        if hosting.address is not None:
            manager.send(hosting.address, ActorExitRequest())
        else:
            self._erase(hosting)

    def _erase(self, hosting: Hosting) -> None:
        manager, spec = self.manager, hosting.spec
        self.by_number.pop(hosting.record.number, None)
        self.by_member.pop(hosting.member, None)
        if self.by_name.get(spec.name) is hosting:
            del self.by_name[spec.name]
        try:
            if spec.founded is not None:
                self.left.add(spec.uid)
                self._remember_left(self.left)
            manager.carry_out(DropGroup(hosting.record.number))
            if hosting.record.number in self.halted:
                del self.halted[hosting.record.number]
                self._remember_halted(self.halted)
        except StorageFault as error:
            log.error("group=%s %s: its data stays for now: %s", spec.name, hosting.member, error)
        log.info("group=%s %s left; its data goes", spec.name, hosting.member)
        manager.citizen.on_dropped(hosting)

    def forget_left(self, uids: set[int]) -> None:
        """Asked for again, as long as they are there: no harm if the disk errs."""
        if not self.left & uids:
            return
        try:
            self._remember_left(self.left - uids)
        except StorageFault as error:
            log.error("node=%s cannot forget the groups it left: %s", self.manager.start.name, error)

    def _remember_left(self, left: set[int]) -> None:
        self.manager.store.put_meta(LEFT_KEY, msgspec.msgpack.encode(sorted(left)))
        self.left = left

    def on_member_stopped(self, m: MemberStopped) -> None:
        hosting = self.by_member.get(m.member)
        if hosting is None:
            return
        hosting.address, hosting.leads = None, False
        if m.removed or hosting.is_dropped:
            self._erase(hosting)
            return
        hosting.ill = m.ill
        hosting.full_at = self.manager.now() if m.is_full else None
        if m.ill == CONFLICT:
            halted = Halted(hosting.member, CONFLICT, m.error)
            try:
                self._remember_halted(self.halted | {hosting.record.number: halted})
            except StorageFault as error:
                log.error("group=%s %s is halted only until a restart: %s", m.member, m.error, error)
        self._trouble(hosting, m.error, m.restart)

    def _remember_halted(self, halted: dict[int, Halted]) -> None:
        self.halted = halted
        self.manager.store.put_meta(HALTED_KEY, msgspec.msgpack.encode(halted))

    def give_up_all(self, why: str) -> None:
        """None of these members runs again: each is removed from its group and replaced (S83). Raises
        StorageFault: they stop all the same, until the next start."""
        manager = self.manager
        for hosting in self.by_number.values():
            if hosting.is_dropped or hosting.ill:
                continue
            hosting.ill, hosting.trouble, hosting.leads = DAMAGED, why, False
            manager.send(manager.registry, MemberGone(hosting.spec.name, hosting.member))
            if hosting.address is not None:
                manager.send(hosting.address, ActorExitRequest())
        halted = {n: Halted(one.member, one.ill, one.trouble) for n, one in self.by_number.items() if one.ill}
        self._remember_halted(self.halted | halted)

    def on_child_exited(self, address: ActorAddress) -> None:
        """A member that was told to go, or one that died without a word."""
        for hosting in list(self.by_number.values()):
            if hosting.address == address:
                hosting.address, hosting.leads = None, False
                if hosting.is_dropped:
                    self._erase(hosting)
                elif not hosting.ill:
                    self._trouble(hosting, "it died", restart=True)

    def _trouble(self, hosting: Hosting, why: str, restart: bool) -> None:
        """Start it again, later each time; not at all when that cannot help."""
        hosting.trouble = why
        if self.manager.now() - hosting.started_at > STABLE_MS:
            hosting.failures = 0
        hosting.failures += 1
        if not restart:
            log.error("group=%s %s does not run: %s", hosting.spec.name, hosting.member, why)
            return
        least, most = BACK_OFF_MS
        delay = min(most, least << min(hosting.failures - 1, 20))
        log.warning("group=%s %s starts again in %d ms: %s", hosting.spec.name, hosting.member, delay, why)
        self.manager.wake_in(delay, ("start", hosting.record.number))

    def on_start_due(self, number: int) -> None:
        """A life begins with what the disk holds: of the former one nothing may be under way to there."""
        if self.manager.disk is None:
            self.on_writes_done(number)
        else:
            self.manager.send(self.manager.disk, AwaitWrites(number))

    def on_writes_done(self, number: int) -> None:
        hosting = self.by_number.get(number)
        if hosting is None or hosting.address is not None or (hosting.ill and not hosting.is_dropped):
            return
        if hosting.is_dropped:
            self._erase(hosting)
        else:
            self.start_member(hosting)

    # -- looking -----------------------------------------------------------------------------------

    def infos(self) -> tuple[MemberInfo, ...]:
        return tuple(map(self.info_of, self.by_number.values()))

    def is_full(self, hosting: Hosting) -> bool:
        return hosting.full_at is not None and self.manager.now() - hosting.full_at < FULL_MS

    def info_of(self, hosting: Hosting) -> MemberInfo:
        """A follower that found no space runs between its tries, and is no use."""
        state = "running" if hosting.address is not None else hosting.trouble or "waiting"
        if self.is_full(hosting) and not hosting.leads:
            state = DISK_FULL
        return MemberInfo(hosting.spec.name, hosting.member, state, hosting.leads, hosting.ill)
