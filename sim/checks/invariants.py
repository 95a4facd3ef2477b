"""What must hold after every turn of every node, whatever happened to it.

It sees everything and forgets nothing: what a member once promised binds it beyond its restarts.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NoReturn, Protocol

from fleet.actors.base.kernel import Kernel
from fleet.actors.messages.operator import LOST
from fleet.interfaces import Write
from fleet.raft.entries import Commands, ConfigChanged, Entry, Members
from fleet.raft.ids import Index, MemberId, Term, node_of
from fleet.raft.quorum import has_quorum
from fleet.sim.checks import clusters, memory, rare
from fleet.sim.checks.appliers import applier_of
from fleet.sim.checks.numbers import Numbers
from fleet.sim.checks.promises import OnDisk, broken_by
from fleet.sim.checks.states import States


@dataclass(slots=True)
class GroupPast:
    """Everything that is known of one group."""

    name: str
    leaders: dict[Term, MemberId] = field(default_factory=dict)
    known: dict[tuple[Term, Index], tuple[Term, Entry]] = field(default_factory=dict)
    """By term and index: the term before it, and the entry."""
    committed: dict[Index, Entry] = field(default_factory=dict)
    states: dict[tuple[Index, int], tuple[int, MemberId]] = field(default_factory=dict)
    members: dict[Index, Members] = field(default_factory=dict)
    """As of the same indexes."""
    changed_at: Index = 0
    """Where its settings were changed last."""
    numbers: Numbers = field(default_factory=Numbers)


@dataclass(slots=True)
class SeenMember:
    """A member as it was after the last turn in which it changed."""

    member: Any
    core: Any
    log: Any
    commit: Index
    applied: Index = 0
    term: Term = 0
    role: Any = None
    change: Any = None
    """The newest change of the members, committed or not."""


@dataclass(slots=True)
class Observed:
    """What is remembered of one process."""

    homes: dict[int, Any] = field(default_factory=dict)
    """Its members' hosted_members by number in the store, those that are gone too."""
    hosted_members: Any = None
    """Where its node manager keeps those that are not gone, once they were looked at."""
    seen: list[SeenMember] = field(default_factory=list)
    created: int = 0
    """How many actors there were when its members were looked for."""


class ObservedProcess(Protocol):
    kernel: Kernel
    manager: Any
    """The address of its node manager."""
    is_amid: bool
    """Its turn was cut."""
    observed: Observed

    @property
    def name(self) -> str: ...

    @property
    def dumps(self) -> Mapping[int, Any]:
        """Children that encode snapshots, by descriptor."""


class ObservedWorld(Protocol):
    now: int

    @property
    def events(self) -> Any:
        """The trace, or None."""

    @property
    def nodes(self) -> Mapping[str, Any]: ...

    def members_of(self, group: str) -> list[Any]: ...

    def mark(self, name: str) -> None: ...

    def accuse(self, sentence: str) -> None: ...

    def violated(self, sentence: str) -> NoReturn: ...

    def written(self, process: Any, writes: Sequence[Write]) -> None: ...

    def need(self, holds: bool, sentence: str) -> None: ...


class Invariants:
    def __init__(self, world: ObservedWorld) -> None:
        self.world = world
        self.groups: dict[int, GroupPast] = {}
        self.disks: dict[MemberId, OnDisk] = {}
        self.cluster_uids: set[int] = set()
        self.commits = 0
        self.states = States(world)
        self.on_change: Callable[[Any, Members, Members], None] = lambda member, before, after: None
        """Called when a leader has appended a change of the members."""
        self.on_view: Callable[[Any], None] = lambda view: None
        """Called with what a node sees of its cluster, each time that it may have changed."""

    def past(self, spec: Any) -> GroupPast:
        found = self.groups.get(spec.uid)
        if found is None:
            found = self.groups[spec.uid] = GroupPast(spec.name)
        return found

    # -- after a turn ------------------------------------------------------------------------------

    def look_at(self, process: ObservedProcess) -> None:
        observed = process.observed
        if process.kernel.created != observed.created:
            self._find_members(process)
        for last in observed.seen:
            log, core = last.log, last.core
            if (
                last.commit != log.commit
                or last.applied != last.member.object.index
                or last.term != core.term
                or last.role is not core.role
                or last.change is not core.membership.history[-1]
            ) and not last.member.failed:
                self._changed(last.member, core, last)

        if process.dumps and not process.is_amid:
            self._look_at_dumps(process)

    def _look_at_dumps(self, process: ObservedProcess) -> None:
        """A child that encodes a state is waited for, and belongs to one member that runs."""
        waiting = {id(applier_of(one.member)) for one in process.observed.seen if not one.member.failed}
        for child in process.dumps.values():
            if id(child.owner) not in waiting:
                self.world.violated(f"{process.name}: a child encodes a state that nobody waits for")
            waiting.remove(id(child.owner))
            if child.is_over:
                self.world.violated(f"{process.name}: a child has encoded a state, and nobody takes it")

    def _find_members(self, process: ObservedProcess) -> None:
        """Actors were created: some may be members, perhaps in the place of others."""
        kernel = process.kernel
        manager = kernel.instance(process.manager)
        if manager is None or not manager.is_serving:
            return
        if process.observed.hosted_members is None:
            rare.watch_node(manager, self.world.mark)
            clusters.watch_node(manager, self.world.accuse, self.on_view)
            memory.watch_memory(manager, partial(self.world.written, process))
        process.observed.created, process.observed.hosted_members = kernel.created, manager.hosted_members
        before, process.observed.seen = {id(last.member): last for last in process.observed.seen}, []
        for hosted in manager.hosted_members.by_number.values():
            if hosted.ill and hosted.record.number not in process.observed.homes:
                self._is_ill(hosted)
            process.observed.homes[hosted.record.number] = hosted
            member = kernel.instance(hosted.address) if hosted.address is not None else None
            if member is None or member.failed:
                continue
            if not hasattr(member, "core"):
                process.observed.created = 0  # its start waits in the queue: to be looked for again
                continue
            last = before.get(id(member))
            if last is None:
                last = SeenMember(member, member.core, member.core.log, member.core.log.commit)
                self._begins(member, kernel.instance(manager.disk))
                self._changed(member, last.core, last)
            process.observed.seen.append(last)

    def _is_ill(self, hosted: Any) -> None:
        """From the start of its node on."""
        objection = memory.objection_to_loss(hosted)
        if objection:
            self.world.violated(f"{hosted.spec.name}: {objection}")
        if hosted.ill == LOST:
            self.world.mark("a member in memory only is lost with its process")

    def _begins(self, member: Any, writer: Any) -> None:
        rare.watch_member(member, self.world.mark)
        broken = broken_by(member, self.disks.get(member.core.id), writer)
        if broken:
            self.world.violated(f"{member.spec.name}: {member.core.id} {broken}")
        if member.spec.name == "fleet:cluster":
            self.cluster_uids.add(member.spec.uid)
            self.world.need(len(self.cluster_uids) == 1, f"two clusters: {sorted(self.cluster_uids)}")

    def _changed(self, member: Any, core: Any, last: SeenMember) -> None:
        past, log, need = self.past(member.spec), core.log, self.world.need
        if self.world.events is not None:
            self.world.events.changed(self.world.now, member, last)
        who = f"{past.name}: {core.id}"
        need(core.term >= last.term, f"{who}: term falls from {last.term} to {core.term}")
        if not log.base_index <= log.applied <= log.commit <= log.last_index:
            self.world.violated(f"{who}: {log}")  # a sentence about a log costs more than the rest
        need(log.durable <= log.last_index, f"{who}: durable beyond the log")
        need(log.commit >= last.commit, f"{who}: commit falls from {last.commit} to {log.commit}")
        if core.role is not last.role or core.term != last.term:
            self._notice_role(past, core, last)
        if core.is_leader:
            first = past.leaders.setdefault(core.term, core.id)
            need(first == core.id, f"{past.name}: {first} and {core.id} lead in term {core.term}")
        if log.commit > last.commit:
            self.commits += 1
            for entry in log.slice(max(log.base_index, last.commit) + 1, log.commit):
                before = past.committed.get(entry.index)
                if before is None:
                    before = past.committed[entry.index] = entry
                    self._notice_commit(past, entry)
                if before is not entry and before != entry:
                    self.world.violated(f"{who} commits {entry}, {before} was committed")
            if core.is_leader:
                self._is_safe(past, core)
                self._is_of_own_term(past, core, last)
                if last.commit < core.role.first_index <= log.commit:
                    self._no_lease_is_left(past, core)
        change = core.membership.history[-1]
        if change is not last.change:
            if last.change is not None and rare.is_rolled_back(core, last.change):
                self.world.mark("a change of the members is rolled back")
            if core.is_leader and last.role is core.role:
                self._may_change(past, core)
                self.on_change(member, core.membership.history[-2][1], change[1])
        self.states.look(past, member)
        if member.object.index != last.applied:
            self.states.compare(past, member)
        last.commit, last.applied, last.term = log.commit, member.object.index, core.term
        last.role, last.change = core.role, change

    def _notice_role(self, past: GroupPast, core: Any, last: SeenMember) -> None:
        for name in rare.roles(core, last.role, last.term):
            self.world.mark(name)
        if core.is_leader and last.role is not core.role:
            leading = [m for m in self.world.members_of(past.name) if m.core.is_leader]
            if len(leading) > 1:
                self.world.mark("two members lead a group, in different terms")

    def _notice_commit(self, past: GroupPast, entry: Entry) -> None:
        kind = type(entry.body)
        if kind in rare.COMMITTED:
            self.world.mark(rare.COMMITTED[kind])
        if kind is ConfigChanged:
            past.changed_at = entry.index
        objection = past.numbers.objection(entry.body) if isinstance(entry.body, Commands) else ""
        if objection:
            self.world.violated(f"{past.name}: {objection}")

    def _is_safe(self, past: GroupPast, core: Any) -> None:
        """Acknowledged implies durable: what a leader commits is on a majority's disks by then."""
        index = core.log.commit
        term = core.log.term_at(index)
        for members in (core.membership.current, core.membership.at(index)):
            voters = members.voters
            holding = [voter for voter in voters if self._holds(voter, index, term)]
            if has_quorum(holding, voters):
                return  # a change may have been appended in the same turn, after the commit
        self.world.violated(
            f"{past.name}: {core.id} commits {index} of term {term}, held by {holding} of {voters}"
        )

    def _is_of_own_term(self, past: GroupPast, core: Any, last: SeenMember) -> None:
        """What a leader commits, it commits by an entry of its own term (Raft 5.4.2, figure 8)."""
        if last.role is core.role and core.log.commit < core.role.first_index:
            self.world.violated(
                f"{past.name}: {core.id} of term {core.term} commits {core.log.commit} by counting, "
                f"before its own {core.role.first_index}"
            )

    def _may_change(self, past: GroupPast, core: Any) -> None:
        """One change of the members at a time, and none before the leader has committed in its own term:
        otherwise two majorities need not meet (raft-dev 2015)."""
        before = [index for index, _ in core.membership.history[:-1]]
        wanted = max(core.role.first_index, *before, 0)
        if core.log.commit < wanted:
            self.world.violated(
                f"{past.name}: {core.id} changes the members at {core.membership.changed_at}, "
                f"and {wanted} is not committed"
            )
        voters, before_it = core.membership.current.voters, core.membership.history[-2][1].voters
        if not set(before_it) <= set(voters):
            following = [one for one in voters if self._has_term(one, core.term)]
            if not has_quorum(following, voters):
                self.world.violated(
                    f"{past.name}: {core.id} keeps {voters}, of which only {following} know its term"
                )

    def _has_term(self, member: MemberId, term: Term) -> bool:
        disk = self.disks.get(member)
        return disk is None or not disk.term or disk.term >= term  # what was never seen is not known

    def _no_lease_is_left(self, past: GroupPast, core: Any) -> None:
        """When a leader settles in, no earlier one may still believe its lease: it would answer what was
        true once. Only where no clock was ever wrong by more than its rate."""
        if any(node.clock.has_jumped for node in self.world.nodes.values()):
            return
        for other in self.world.members_of(past.name):
            if other.core is not core and other.spec.uid == self._uid_of(past):
                holds = other.core.lease_holds(max(other.core.now, other.start.clock.now_ms()))
                self.world.need(not holds, f"{past.name}: {other.core.id} has a lease, {core.id} leads")

    def _uid_of(self, past: GroupPast) -> int:
        return next(uid for uid, known in self.groups.items() if known is past)

    def _holds(self, member: MemberId, index: Index, term: Term) -> bool:
        disk = self.disks.get(member)
        return disk is not None and disk.holds(index, term)

    # -- after a write -----------------------------------------------------------------------------

    def written(self, process: ObservedProcess, writes: Sequence[Write]) -> None:
        """These are durable now."""
        for write in writes:
            observed = process.observed
            hosted = observed.homes.get(write.group) or observed.hosted_members.by_number.get(write.group)
            if hosted is not None:  # else it came and went within one turn
                self._note(self.past(hosted.spec), hosted.member, write)

    def _note(self, past: GroupPast, member: MemberId, write: Write) -> None:
        need = self.world.need
        disk = self.disks.get(member)
        if disk is None:
            disk = self.disks[member] = OnDisk()
        if write.hard is not None:
            term, vote = write.hard.term, write.hard.vote
            need(term >= disk.term, f"{past.name}: {member}: term {disk.term} becomes {term} on disk")
            kept = term > disk.term or disk.vote in (None, vote)
            need(kept, f"{past.name}: {member}: vote {disk.vote} of term {term} becomes {vote}")
            disk.term, disk.vote = term, vote
        if write.snapshot is not None:
            self._notice_snapshot(past, disk, write)
            disk.base = max(disk.base, write.snapshot.meta.index)
        if write.reset:
            self._forgets(past, member, disk, disk.terms)
            disk.terms.clear()
            disk.last = 0
        if write.entries:
            self._note_entries(past, member, disk, write.entries)

    def _notice_snapshot(self, past: GroupPast, disk: OnDisk, write: Write) -> None:
        mark, snapshot = self.world.mark, write.snapshot
        assert snapshot is not None
        if write.is_aside:
            mark("a member's own snapshot reaches its disk")
        else:
            mark("a snapshot of the leader is installed")
            if snapshot.meta.size > snapshot.meta.config.snapshot_chunk_bytes:
                mark("a snapshot of several chunks is installed")
            if disk.last > disk.base:
                mark("a snapshot replaces entries of a log")
        if 0 < past.changed_at <= snapshot.meta.index:
            mark("a snapshot carries settings that were changed")

    def _note_entries(
        self, past: GroupPast, member: MemberId, disk: OnDisk, entries: Sequence[Entry]
    ) -> None:
        """Log matching: a term and an index name one entry and, with it, everything before."""
        terms = disk.terms
        first = entries[0].index
        if first <= disk.last and terms.get(first, -1) not in (-1, entries[0].term):
            self.world.mark("a suffix of another history is overwritten on a disk")
        before = terms.get(first - 1, -1)
        for index in range(entries[-1].index + 1, disk.last + 1):
            terms.pop(index, None)
        disk.last = entries[-1].index
        for entry in entries:
            known, other = past.known.setdefault((entry.term, entry.index), (before, entry))
            same = (other is entry or other == entry) and (known == before or -1 in (known, before))
            self.world.need(same, f"{past.name}: {member} has another {entry.index} of term {entry.term}")
            terms[entry.index] = entry.term
            before = entry.term

    def _forgets(self, past: GroupPast, member: MemberId, disk: OnDisk, indexes: Iterable[Index]) -> None:
        """What is committed and on a disk stays there, as an entry or in a snapshot."""
        for index in indexes:
            entry = past.committed.get(index)
            if index > disk.base and entry is not None and entry.term == disk.terms[index]:
                self.world.violated(f"{past.name}: {member} forgets {index}, which is committed")

    def members_on(self, node: str) -> int:
        """How many ever had a disk there."""
        return sum(node_of(member) == node for member in self.disks)
