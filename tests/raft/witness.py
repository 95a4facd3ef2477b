"""The invariants of the protocol, checked after every step of every member."""

from bisect import bisect_left
from typing import TYPE_CHECKING
from zlib import crc32

from fleet.raft.entries import Body, Entry
from fleet.raft.freshness import fresh_at
from fleet.raft.ids import Index, MemberId, Millis, Term
from fleet.raft.messages import PeerMessage, PreVote, PreVoteReply, Removed, VoteReply, VoteRequest
from fleet.raft.quorum import has_quorum
from fleet.raft.ready import Ready
from fleet.raft.state import Leader
from tests.raft.ledger import Ledger

if TYPE_CHECKING:
    from tests.raft.world import Host, World


class Witness:
    """Sees everything and forgets nothing; what it finds broken is an AssertionError with the seed."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.leaders: dict[Term, MemberId] = {}
        self.known: dict[tuple[Term, Index], tuple[Term | None, Body]] = {}
        self.committed: dict[Index, Entry] = {}
        self.commits: list[tuple[Millis, Index]] = []
        """When an index was first known to be committed, in order."""
        self.proofs = 0
        """How many claims of freshness were looked at."""
        self.states: dict[Index, int] = {}
        self.dumps: dict[Index, bytes] = {}
        self.votes: dict[tuple[MemberId, Term], MemberId] = {}
        self.promised: dict[MemberId, tuple[Term, MemberId | None]] = {}
        self.commit_of: dict[MemberId, Index] = {}

    def need(self, holds: bool, sentence: str) -> None:
        if not holds:
            raise AssertionError(f"seed {self.world.seed}, t={self.world.now}: {sentence}")

    def started(self, host: "Host") -> None:
        self.commit_of[host.id] = host.core.log.commit
        self.applied(host)

    def written(self, host: "Host") -> None:
        """Term never falls on a disk, and a vote in a term is never exchanged."""
        term, vote = host.disk.hard.term, host.disk.hard.vote
        old_term, old_vote = self.promised.get(host.id, (0, None))
        self.need(term >= old_term, f"{host.id}: term falls from {old_term} to {term} on disk")
        kept = term > old_term or old_vote in (None, vote)
        self.need(kept, f"{host.id}: vote {old_vote} of term {term} became {vote}")
        self.promised[host.id] = term, vote
        indexes = sorted(host.disk.entries)
        if indexes:
            self.need(indexes[-1] - indexes[0] + 1 == len(indexes), f"{host.id}: hole in the log on disk")
            base = host.disk.snapshot.index if host.disk.snapshot else 0
            self.need(indexes[0] <= base + 1, f"{host.id}: {indexes[0]} on disk after snapshot {base}")

    def sent(self, host: "Host", message: PeerMessage) -> None:
        """A vote leaves only when it is on disk, and one a term, counting restarts."""
        self.need(message.term <= host.disk.hard.term or not _promises(message), f"{message} before its term")
        if type(message) is VoteReply and message.granted:
            self.voted(host, message.term, message.dst)
        elif type(message) is VoteRequest:
            self.voted(host, message.term, message.src)

    def voted(self, host: "Host", term: Term, candidate: MemberId) -> None:
        disk = host.disk.hard
        is_durable = disk.term > term or (disk.term, disk.vote) == (term, candidate)
        self.need(is_durable, f"{host.id} votes for {candidate} in {term}, its disk says {disk}")
        first = self.votes.setdefault((host.id, term), candidate)
        self.need(first == candidate, f"{host.id} votes for {first} and {candidate} in term {term}")

    def stepped(self, host: "Host", ready: Ready) -> None:
        core = host.core
        if core.is_leader:
            first = self.leaders.setdefault(core.term, core.id)
            self.need(first == core.id, f"{first} and {core.id} lead in term {core.term}")
        if ready.write is not None and ready.write.entries:
            entries = ready.write.entries
            before = core.log.term_at(entries[0].index - 1)
            for entry in entries:
                self.matched(host, entry, before)
                before = entry.term

    def matched(self, host: "Host", entry: Entry, before: Term | None) -> None:
        """Log matching: (term, index) names one entry and, with it, everything before."""
        seen = self.known.setdefault((entry.term, entry.index), (before, entry.body))
        self.need(seen == (before, entry.body), f"{host.id} has another {entry.index} of term {entry.term}")

    def settled(self, host: "Host") -> None:
        log, core = host.core.log, host.core
        self.need(log.base_index <= log.applied <= log.commit <= log.last_index, f"{host.id}: {log}")
        self.need(log.durable <= log.last_index, f"{host.id}: durable beyond the log")
        self.need(log.commit >= self.commit_of[host.id], f"{host.id}: commit went back")
        for index in range(max(log.base_index, self.commit_of[host.id]) + 1, log.commit + 1):
            (entry,) = log.slice(index, index)
            first = self.committed.setdefault(index, entry)
            self.need(first == entry, f"{host.id} commits {entry}, {first} was committed")
        if log.commit > self.commit_of[host.id] and core.is_leader:
            self.is_safe(host)
        self.commit_of[host.id] = log.commit
        if not self.commits or log.commit > self.commits[-1][1]:
            self.commits.append((self.world.now, log.commit))
        self.fresh(host)
        if isinstance(core.role, Leader):
            for peer, progress in core.role.progress.items():
                self.need(progress.match < progress.next, f"{peer}: {progress}")
                self.need(peer != core.id, f"{core.id} sends to itself")
            members = set(core.membership.current.everyone) - {core.id}
            self.need(set(core.role.progress) == members, f"{core.id} follows {set(core.role.progress)}")

    def fresh(self, host: "Host") -> None:
        """What was committed before a member's state is claimed to be fresh is in that state."""
        claimed = fresh_at(host.core)
        if claimed < 0:
            return
        before = bisect_left(self.commits, (claimed * 1000 // host.rate, 0))
        index = self.commits[before - 1][1] if before else 0
        sentence = f"{host.id} claims to have all up to {claimed}, and lacks {index}"
        self.need(host.applier.index >= index, sentence)
        self.proofs += 1

    def is_safe(self, host: "Host") -> None:
        """What a leader commits is on the disks of a majority at that moment."""
        core = host.core
        (entry,) = core.log.slice(core.log.commit, core.log.commit)
        hosts = self.world.hosts
        holding = [id for id, other in hosts.items() if other.disk.holds(entry)]
        voters = core.membership.current.voters
        sentence = f"{host.id} commits {entry.index} held by {holding} of {voters}"
        self.need(has_quorum(holding, voters), sentence)

    def applied(self, host: "Host") -> None:
        """Equal states at equal indexes."""
        ledger = host.applier.executor
        assert isinstance(ledger, Ledger)
        state = crc32(b"%d %s" % (len(ledger.lines), ledger.lines[-1] if ledger.lines else b""))
        first = self.states.setdefault(host.applier.index, state)
        self.need(first == state, f"{host.id}: another state at {host.applier.index}")

    def dumped(self, index: Index, data: bytes) -> None:
        first = self.dumps.setdefault(index, data)
        self.need(first == data, f"snapshots at {index} differ")


def _promises(message: PeerMessage) -> bool:
    """Pre-votes speak of a term that nobody is in yet; `Removed` proves itself."""
    return type(message) not in (PreVote, PreVoteReply, Removed)
