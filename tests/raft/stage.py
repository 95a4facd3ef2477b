"""What a conversation of cores needs besides them: disks, links, one clock, and what is told."""

from collections import deque
from dataclasses import dataclass, field

import msgspec

from fleet.raft.config import GroupConfig
from fleet.raft.core import Core
from fleet.raft.entries import Commands
from fleet.raft.events import LocalEvent, Persisted, SnapshotLost, SnapshotStored, SnapshotTaken
from fleet.raft.ids import MemberId, Millis, member_id, node_of
from fleet.raft.messages import InstallSnapshot, PeerMessage
from fleet.raft.ready import PersistRequest, Ready
from tests.raft.host import Disk
from tests.raft.telling import NEW, state_of, told


def member(name: str) -> MemberId:
    return member_id(name, "disk", 1)


@dataclass
class Player:
    """One member: its disk, its core while it runs, and what it was when it was last told of."""

    name: str
    disk: Disk
    core: Core | None = None
    holds: bool = False
    writes: deque[PersistRequest] = field(default_factory=deque)
    waiting: list[tuple[int, PeerMessage]] = field(default_factory=list)
    """Messages that leave when a write is durable, by its number."""
    told: dict[str, str] = field(default_factory=dict)

    def crash(self) -> None:
        self.core, self.holds, self.told = None, False, NEW
        self.writes.clear()
        self.waiting.clear()


class Stage:
    """Members that run until they ask for nothing more; their messages wait in links."""

    def __init__(self) -> None:
        self.now: Millis = 0
        self.config = GroupConfig()
        self.players: dict[str, Player] = {}
        self.links: dict[tuple[str, str], deque[PeerMessage]] = {}
        self.cut: set[tuple[str, str]] = set()
        self.asked: list[str] = []
        """Requests; a token is a position in here."""
        self.lines: list[str] = []
        self.leaders: dict[int, str] = {}

    def step(self, name: str, event: PeerMessage | LocalEvent) -> None:
        player = self.players[name]
        if player.core is None:
            self.lines.append(f"{name} is down")
            return
        player.core.step(self.now, event)
        self.pump(player)

    def pump(self, player: Player) -> None:
        """Carry out what the core asks for until it asks for nothing more."""
        while (core := player.core) is not None:
            ready = core.take_ready()
            if ready is not None:
                self.carry_out(player, core, ready)
            elif player.writes and not player.holds:
                write = player.writes.popleft()
                player.disk.carry_out(write)
                core.step(self.now, Persisted(write.seq))
                for _, message in [due for due in player.waiting if due[0] <= write.seq]:
                    self.send(message)
                player.waiting = [due for due in player.waiting if due[0] > write.seq]
            else:
                self.tell_changes(player, core)
                return

    def carry_out(self, player: Player, core: Core, ready: Ready) -> None:
        self.tell_changes(player, core)
        for message in ready.send_now:
            self.send(message)
        for chunk in ready.chunks:
            self.send_chunk(player, core, chunk)
        if ready.write is not None:
            player.writes.append(ready.write)
        player.waiting += [(ready.after_seq, message) for message in ready.send_after]
        if ready.restore is not None:
            self.lines.append(f"{player.name}: replaces its state by the snapshot {told(ready.restore[0])}")
        for entry in ready.apply:
            if isinstance(entry.body, Commands):
                self.lines.append(f"{player.name}: applies {told(entry)}")
        if ready.take_snapshot:
            self.lines.append(f"{player.name}: takes a snapshot at {ready.take_snapshot}")
            core.step(self.now, SnapshotTaken(ready.take_snapshot, b"state at %d" % ready.take_snapshot))
        if ready.save is not None:
            player.disk.save(ready.save)
            core.step(self.now, SnapshotStored(ready.save.meta.index))
        for tokens, why in (ready.reads, "confirmed by a round"), (ready.lease_reads, "under its lease"):
            self.lines += [f"{player.name}: may {self.asked[token]}, {why}" for token in tokens]
        for answer in ready.answers:
            self.lines.append(f"{player.name}: answers {self.asked[answer.token]}: {answer.error or 'done'}")
        if ready.removed:
            self.lines.append(f"{player.name}: is removed, and stops")
            player.crash()

    def send(self, message: PeerMessage) -> None:
        src, dst = str(node_of(message.src)), str(node_of(message.dst))
        is_cut = (src, dst) in self.cut or dst not in self.players
        self.lines.append(("lost: " if is_cut else "") + told(message))
        if not is_cut:
            self.links.setdefault((src, dst), deque()).append(message)

    def send_chunk(self, player: Player, core: Core, chunk: InstallSnapshot) -> None:
        disk = player.disk
        if disk.snapshot is None or disk.snapshot.index != chunk.meta.index:
            core.step(self.now, SnapshotLost(chunk.dst))
        else:
            data = disk.data[chunk.offset : chunk.offset + self.config.snapshot_chunk_bytes]
            self.send(msgspec.structs.replace(chunk, data=data))

    # -- telling and checking ---

    def tell_changes(self, player: Player, core: Core) -> None:
        now = state_of(core)
        changed = [f"{key}={value}" for key, value in now.items() if player.told[key] != value]
        if changed:
            self.lines.append(f"{player.name}: " + " ".join(changed))
        player.told = now

    def check(self) -> None:
        cores = [player.core for player in self.players.values() if player.core is not None]
        for core in cores:
            if core.is_leader:
                assert self.leaders.setdefault(core.term, core.id) == core.id, f"two leaders of {core.term}"
            for other in cores:
                for index in range(1, min(core.log.commit, other.log.commit) + 1):
                    terms = core.log.term_at(index), other.log.term_at(index)
                    assert None in terms or terms[0] == terms[1], (
                        f"{core.id} and {other.id} differ at {index}"
                    )
