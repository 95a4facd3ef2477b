"""Whole groups on a virtual network with virtual disks: deterministic, one seed is one history.

Time is a number that only the world moves. A disk keeps what completed and loses the rest in a crash.
"""

import heapq
import random
from collections.abc import Callable
from typing import Any

import msgspec

from fleet.objects.applier import Applier, Opened, Outcomes
from fleet.raft.codec import decode_messages, encode_messages
from fleet.raft.config import GroupConfig
from fleet.raft.entries import (
    Commands,
    EffectsDone,
    Entry,
    Founded,
    HardState,
    MemberAdded,
    MemberPromoted,
    RemindersDue,
)
from fleet.raft.events import (
    LocalEvent,
    Persisted,
    Propose,
    ReadQuery,
    SnapshotLost,
    SnapshotStored,
    SnapshotTaken,
    Tick,
    Transfer,
)
from fleet.raft.ids import MemberId, Millis, member_id
from fleet.raft.messages import InstallSnapshot, PeerMessage
from fleet.raft.ready import Answer, Ready
from fleet.raft.restart import start_core
from fleet.raft.state import NEVER
from tests.raft.host import Disk, Host, Weather
from tests.raft.ledger import Ledger
from tests.raft.witness import Witness

QUICK = GroupConfig(heartbeat_ms=50, election_ms=300, storage_timeout_ms=600, transfer_timeout_ms=400)


def member(number: int, life: int = 1) -> MemberId:
    return member_id(f"n{number}", "disk", life)


class World:
    def __init__(self, seed: int = 0, config: GroupConfig = QUICK) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self.config = config
        self.now = 0
        self.weather = Weather()
        self.hosts: dict[MemberId, Host] = {}
        self.queue: list[tuple[Millis, float, int, str, MemberId, int, Any]] = []
        self.count = 0
        self.messages = 0
        self.answers: dict[int, Answer] = {}
        self.outcomes: dict[int, Outcomes | Opened] = {}
        self.values: dict[int, tuple[bytes, Millis]] = {}
        """Results of reads, and when they were executed."""
        self.listeners: dict[int, Callable[[Any], None]] = {}
        """Called with what became of a token: an Answer, Outcomes of one command, or the value of a read."""
        self.tokens = 0
        self.read_delay_ms = 0
        self.witness = Witness(self)
        self.at_each_step: Callable[[], None] = lambda: None

    # -- members ---

    @classmethod
    def of(cls, count: int, seed: int = 0, config: GroupConfig = QUICK) -> "World":
        """A group of `count` voters that has never been elected; entries up to 2 x count - 1 are durable."""
        world = cls(seed, config)
        entries = [Entry(1, 1, Founded(member(1), "a1", config))]
        for number in range(2, count + 1):
            for body in (MemberAdded(member(number), f"a{number}"), MemberPromoted(member(number))):
                entries.append(Entry(1, len(entries) + 1, body))
        for number in range(1, count + 1):
            disk = Disk(HardState(1, member(1)), None, b"", {entry.index: entry for entry in entries})
            world.start(member(number), disk)
        return world

    def start(self, id: MemberId, disk: Disk | None = None, rate: int = 1000) -> Host:
        disk = disk or Disk()
        old = self.hosts.get(id)
        rate = old.rate if old else rate
        core = start_core(
            id,
            self.now * rate // 1000,
            random.Random(f"{self.seed} {id} {self.count}"),
            disk.hard,
            disk.snapshot,
            disk.log(),
        )
        applier = Applier(Ledger(), self.config)
        if disk.snapshot is not None:
            applier.restore(disk.data)
        host = Host(id, disk, core, applier, life=old.life + 1 if old else 0, rate=rate)
        self.hosts[id] = host
        self.witness.started(host)
        self.pump(host)
        return host

    def kill(self, id: MemberId) -> None:
        """kill -9 and power loss in one: writes that did not complete never happened."""
        host = self.hosts[id]
        host.alive, host.life = False, host.life + 1

    def restart(self, id: MemberId) -> Host:
        if self.hosts[id].alive:
            self.kill(id)
        return self.start(id, self.hosts[id].disk)

    def pause(self, id: MemberId) -> None:
        if self.hosts[id].paused is None:
            self.hosts[id].paused = []

    def resume(self, id: MemberId) -> None:
        host = self.hosts[id]
        missed, host.paused = host.paused or [], None
        for kind, what in missed:
            if host.alive:
                self.handle(host, kind, what)

    def cut(self, *pairs: tuple[MemberId, MemberId]) -> None:
        self.weather.cut.update(pairs)

    def isolate(self, *ids: MemberId) -> None:
        """Split these from all others, both ways."""
        rest = [id for id in self.hosts if id not in ids]
        self.cut(*[(a, b) for a in ids for b in rest], *[(b, a) for a in ids for b in rest])

    def heal(self) -> None:
        self.weather = Weather()
        for host in list(self.hosts.values()):
            if host.paused is not None:
                self.resume(host.id)
            if not host.alive and not host.gone:
                self.restart(host.id)

    # -- time ---

    def later(self, delay: Millis, kind: str, host: Host, what: Any) -> None:
        self.count += 1
        entry = (self.now + delay, self.rng.random(), self.count, kind, host.id, host.life, what)
        heapq.heappush(self.queue, entry)

    def call(self, delay: Millis, what: Callable[[], None]) -> None:
        """Something that happens outside of all members."""
        self.count += 1
        entry = (self.now + delay, self.rng.random(), self.count, "call", MemberId(""), 0, what)
        heapq.heappush(self.queue, entry)

    def run(self, duration: Millis, until: Callable[[], bool] | None = None) -> bool:
        """Let time pass; True as soon as `until` holds."""
        end = self.now + duration
        while True:
            if until is not None and until():
                return True
            wakes = min((host.wakes_at(), host.id) for host in self.hosts.values())
            next_at = self.queue[0][0] if self.queue else NEVER
            at = max(self.now, min(wakes[0], next_at))
            if at > end:
                self.now = end
                return until is None
            self.now = at
            if wakes[0] < next_at:
                self.handle(self.hosts[wakes[1]], "step", Tick())
            else:
                self.deliver()

    def deliver(self) -> None:
        _, _, _, kind, id, life, what = heapq.heappop(self.queue)
        if kind == "call":
            what()
            return
        host = self.hosts.get(id)
        if host is None or not host.alive or (kind != "wire" and life != host.life):
            return
        if host.paused is not None:
            host.paused.append((kind, what))
            return
        self.handle(host, kind, what)

    def handle(self, host: Host, kind: str, what: Any) -> None:
        if kind == "wire":
            (what,) = decode_messages(what)
        elif kind == "write":
            what = host.writes.popleft()
            host.disk.carry_out(what)
            self.witness.written(host)
            what = Persisted(what.seq)
        elif kind == "save":
            host.disk.save(what)
            self.witness.written(host)
            what = SnapshotStored(what.meta.index)
        elif kind == "read":
            self.finish_lease_read(host, *what)
            return
        self.step(host, what)

    def step(self, host: Host, event: PeerMessage | LocalEvent) -> None:
        host.core.step(host.local(self.now), event)
        if host.core.is_settled:
            host.core.is_settled = False  # it says that nothing is to be done: see for ourselves
            assert host.core.take_ready() is None, "there was something to be done"
        if type(event) is Persisted:
            due = [message for seq, message in host.held if seq <= event.seq]
            host.held = [(seq, message) for seq, message in host.held if seq > event.seq]
            for message in due:
                self.send(host, message)
        self.pump(host)
        self.at_each_step()

    # -- carrying out ---

    def pump(self, host: Host) -> None:
        while (ready := host.core.take_ready()) is not None:
            self.witness.stepped(host, ready)
            self.carry_out(host, ready)
        self.witness.settled(host)

    def carry_out(self, host: Host, ready: Ready) -> None:
        for message in ready.send_now:
            self.send(host, message)
        lost = [peer for chunk in ready.chunks for peer in self.send_chunk(host, chunk)]
        if ready.write is not None:
            host.writes.append(ready.write)
            takes = self.rng.randint(*self.weather.disk_ms)
            host.disk_busy_until = max(self.now, host.disk_busy_until) + takes
            self.later(host.disk_busy_until - self.now, "write", host, None)
        if ready.save is not None:
            takes = max(self.now, host.disk_busy_until) - self.now + self.rng.randint(*self.weather.disk_ms)
            self.later(takes, "save", host, ready.save)
        host.held += [(ready.after_seq, message) for message in ready.send_after]
        if ready.restore is not None:
            host.applier.restore(ready.restore[1])
            self.witness.applied(host)
        for entry in ready.apply:
            self.apply(host, entry)
        if ready.take_snapshot:
            data = host.applier.dump()
            self.witness.dumped(ready.take_snapshot, data)
            self.later(self.rng.randint(0, 30), "step", host, SnapshotTaken(ready.take_snapshot, data))
        for token in ready.reads:
            self.finish_read(token, host.applier.query((b"",))[0])
        for token in ready.lease_reads:
            read = token, host.applier.query((b"",))[0]
            self.later(self.rng.randint(0, self.read_delay_ms), "read", host, read)
        for answer in ready.answers:
            self.answers[answer.token] = answer
            self.tell(answer.token, answer)
        host.hooks += ready.hooks
        if ready.removed:
            host.gone = True
            self.kill(host.id)
        for peer in lost:
            host.core.step(host.local(self.now), SnapshotLost(peer))

    def finish_read(self, token: int, value: bytes) -> None:
        self.values[token] = value, self.now
        self.tell(token, value)

    def finish_lease_read(self, host: Host, token: int, value: bytes) -> None:
        """A lease is looked at again after the execution (S19)."""
        if host.core.lease_holds(host.local(self.now)):
            self.finish_read(token, value)
        else:
            self.step(host, ReadQuery(token, lease=False))

    def tell(self, token: int, what: Any) -> None:
        listener = self.listeners.pop(token, None)
        if listener is not None:
            listener(what)

    def send(self, host: Host, message: PeerMessage) -> None:
        self.messages += 1
        self.witness.sent(host, message)
        weather, rng = self.weather, self.rng
        if (message.src, message.dst) in weather.cut or weather.drop(message):
            return
        target = self.hosts.get(message.dst)
        if target is None:
            return
        frame = encode_messages([message])
        for _ in range(2 if rng.random() < weather.twice else 1):
            if rng.random() >= weather.loss:
                delay = rng.randint(*weather.delay_ms)
                if rng.random() < weather.late:
                    delay += rng.randrange(weather.late_ms)
                self.later(delay, "wire", target, frame)

    def send_chunk(self, host: Host, chunk: InstallSnapshot) -> list[MemberId]:
        """Fill in the bytes; names the peer whose snapshot the disk no longer holds."""
        disk = host.disk
        if disk.snapshot is None or disk.snapshot.index != chunk.meta.index:
            return [chunk.dst]
        data = disk.data[chunk.offset : chunk.offset + self.config.snapshot_chunk_bytes]
        self.send(host, msgspec.structs.replace(chunk, data=data))
        return []

    def apply(self, host: Host, entry: Entry) -> None:
        told: list[Outcomes] = []
        opened = host.applier.apply(entry, lambda outcomes, is_new: told.append(outcomes))
        self.witness.applied(host)
        if opened is not None:
            self.settle(host.opening.pop(opened.client, []), opened)
        for outcomes in told:
            for place, value in enumerate(outcomes.values):
                alone = msgspec.structs.replace(
                    outcomes,
                    first=outcomes.first + place,
                    revision=outcomes.revision and outcomes.revision + place,
                    values=(value,),
                )
                self.settle(host.waiting.pop((alone.session, alone.first), []), alone)

    def settle(self, tokens: list[int], outcome: Outcomes | Opened) -> None:
        for token in tokens:
            self.outcomes[token] = outcome
            self.tell(token, outcome)

    # -- asking ---

    def token(self) -> int:
        self.tokens += 1
        return self.tokens

    def ask(
        self,
        id: MemberId,
        make: Callable[[int], LocalEvent],
        listener: Callable[[Any], None] | None = None,
    ) -> int:
        """Step a request into a member; its answer will be found under the token."""
        token = self.token()
        if listener is not None:
            self.listeners[token] = listener
        host = self.hosts[id]
        if host.alive and host.paused is None:
            event = make(token)
            if isinstance(event, Propose) and host.core.is_leader:
                for body in event.bodies:
                    if isinstance(body, Commands):
                        for place in range(len(body.payloads)):
                            key = body.session, body.first + place
                            host.waiting.setdefault(key, []).append(token)
                    elif not isinstance(body, RemindersDue | EffectsDone):
                        host.opening.setdefault(body.client, []).append(token)
            self.step(host, event)
        return token

    @property
    def leader(self) -> Host | None:
        """The leader of the highest term."""
        leading = [host for host in self.hosts.values() if host.alive and host.core.is_leader]
        return max(leading, key=lambda host: host.core.term, default=None)

    def elect(self, within: Millis = 5000) -> Host:
        """Run until a leader has committed in its own term."""

        def is_settled() -> bool:
            host = self.leader
            return host is not None and host.core.log.commit >= getattr(host.core.role, "first_index")

        assert self.run(within, is_settled), f"no leader within {within} ms"
        assert self.leader is not None
        return self.leader

    def make_leader(self, id: MemberId) -> Host:
        """Let this member be the one whose patience ends first."""
        host, leader = self.hosts[id], self.leader
        if leader is None:
            host.core.deadline = max(host.core.now, host.core.heard_at + host.core.config.election_ms)
        elif leader is not host:
            role = leader.core.role
            assert self.run(1000, lambda: role.progress[id].match >= role.first_index)  # type: ignore
            self.ask(leader.id, lambda token: Transfer(token, id))
        log = host.core.log
        assert self.run(3000, lambda: self.leader is host and log.commit == log.last_index)
        return host


def propose(world: World, host: Host, *payloads: bytes) -> list[int]:
    """Sessions do not matter here: every command is appended, and answered as expired."""
    return [
        world.ask(
            host.id,
            lambda token: Propose(token, (Commands(0, 1, 0, 0, (payload,)),)),
        )
        for payload in payloads
    ]
