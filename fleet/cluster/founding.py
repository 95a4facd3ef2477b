"""How the listed founders found exactly one cluster: single-decree Paxos among the addresses that every host
lists (`--founder`). An address of that list is called a seed here; founders are those that took part.

What is decided is who the founders are: the seeds that took part, at least a majority of them. Each starts
its member of the cluster group with that same initial membership, so once it is decided nobody waits for the
proposer. Everybody else joins. The smallest name proposes first; that only avoids contention.

An acceptor is a seed's address. A seed with another disk there has forgotten what it promised: an address at
which two disks were ever seen does not vote, and every message carries the disks that its sender knows of.
What remains to be assumed: until the founding is done, no seed loses its disk and comes back empty to others
that never heard of the first one; and never again do a majority of the seeds start empty while nobody who
knows the cluster can be reached. Neither can be told from a first start.

Source: Lamport, "Paxos Made Simple", section 2.
"""

import random
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from msgspec.structs import replace

from fleet.cluster.founding_messages import (
    NO_BALLOT,
    Accept,
    Accepted,
    Ballot,
    Decided,
    Disk,
    Exists,
    Founder,
    FoundingMessage,
    Join,
    Outcome,
    Persisted,
    PersistRequest,
    Prepare,
    Promise,
    Ready,
    Record,
    Refused,
    SeedHello,
    SeedMessage,
    Tick,
    Vote,
    cluster_id,
    outcome_of,
    restored,
)
from fleet.raft.ids import Millis

NEVER: Final[Millis] = 1 << 62
GRACE_MS: Final = 500
"""How long a majority waits for the other seeds before it founds without them."""
HELLO_MS: Final = 500
HEARD_MS: Final = 3000
"""A seed that was not heard for this long counts as down: its turn is skipped."""
TURN_MS: Final = 1000
"""Between the turns of two seeds to propose, by name."""
BALLOT_MS: Final = 2500
"""A ballot without a majority by then is given up. Until then other seeds do not interfere."""
RESEND_MS: Final = 200
BACKOFF_MS: Final = 200
JOIN_AFTER_MS: Final = 5000
"""A seed that promised may be a founder: told of a cluster, it waits this long to hear of what founders."""


@dataclass(slots=True)
class Proposal:
    """A ballot of this seed's own. `founders` is empty while promises are gathered, then what it is for."""

    ballot: Ballot
    until: Millis
    resend_at: Millis
    grace_until: Millis = NEVER
    promises: dict[Disk, Promise] = field(default_factory=dict)
    founders: tuple[Founder, ...] = ()
    accepted: set[Disk] = field(default_factory=set)


class Founding:
    """One seed's part: acceptor, proposer and learner. `deadline` says when to step a Tick.

    Invariant: what leaves was true of a durable record; also a message to oneself goes the long way.
    Keep it after the outcome, and step what seeds send: that is how late ones learn.
    """

    def __init__(
        self,
        me: Founder,
        seeds: Sequence[str],
        now: Millis,
        rng: random.Random,
        record: Record | None = None,
        grace_ms: Millis = GRACE_MS,
    ) -> None:
        self.me = me
        self.seeds = tuple(sorted(seeds))
        self.record = restored(record, me, seeds)
        self.rng = rng
        self.now = now
        self.grace_ms = grace_ms
        self.outcome: Outcome | None = outcome_of(self.record)
        self._ready = Ready(outcome=self.outcome)
        self._is_dirty = self.record != record
        self._seq = self._durable = 0
        self._held: deque[tuple[int, str, FoundingMessage]] = deque()
        self._heard: dict[str, tuple[Founder, Millis]] = {}
        self._other_lists: set[str] = set()
        self._proposal: Proposal | None = None
        self._round_max = 0
        self._tries = 0
        self._elsewhere: Join | None = None
        self._join_at = self._propose_at = NEVER
        self._hello_at = now
        self._plan()
        self.deadline = NEVER if self._is_over() else now

    def step(self, now: Millis, event: FoundingMessage | Tick | Persisted) -> None:
        """Take one event. `now` is milliseconds on a clock that never goes back."""
        assert now >= self.now, f"time goes back from {self.now} to {now}"
        self.now = now
        if isinstance(event, Persisted):
            assert event.seq <= self._seq, f"write {event.seq} was never asked for"
            self._durable = max(self._durable, event.seq)
        elif not isinstance(event, Tick):
            self._on_message(event)
        self._release()
        if not self._is_over():
            self._on_time()
            self._release()
        self.deadline = self._next_deadline()

    def take_ready(self) -> Ready | None:
        """What is to be done since the last call, None for nothing."""
        if self._is_dirty:
            self._seq += 1
            self._is_dirty = False
            self._ready.write = PersistRequest(self._seq, self.record)
        ready, self._ready = self._ready, Ready()
        return ready if ready.send or ready.write or ready.outcome else None

    def problems(self) -> tuple[str, ...]:
        """What an operator should know while the founding does not come to its end."""
        if self._is_over():
            return ()
        found = [f"{seed} has another list of founders" for seed in sorted(self._other_lists)]
        addresses = {address for address, _ in self.record.disks}
        for seed in sorted(addresses - self._voters()):
            found.append(f"{seed} lost its disk, or its disk was copied: it has no vote in this founding")
        names = Counter(node.name for node in self._alive())
        found.extend(f"two founders are called {name!r}" for name, count in names.items() if count > 1)
        if len(self._alive()) < self._majority():
            found.append(f"{len(self._alive())} of {len(self.seeds)} founders answer; a majority must")
        return tuple(found)

    # -- durability --------------------------------------------------------------------------------

    def _change(self, **fields: Any) -> None:
        self.record = replace(self.record, **fields)
        self._is_dirty = True

    def _send(self, address: str, message: FoundingMessage) -> None:
        """When all that was written so far is durable."""
        self._held.append((self._seq + self._is_dirty, address, message))

    def _release(self) -> None:
        while self._held and self._held[0][0] <= self._durable:
            _, address, message = self._held.popleft()
            if address == self.me.address:
                self._on_message(message)
            else:
                self._ready.send.append((address, message))
        if self.outcome is None and self._is_over() and not self._is_dirty and self._durable == self._seq:
            self.outcome = self._ready.outcome = outcome_of(self.record)

    def _is_over(self) -> bool:
        return bool(self.record.decided) or self.record.joined is not None

    def _from_me(self) -> tuple[Founder, str, tuple[Disk, ...]]:
        return self.me, self.record.seeds, self.record.disks

    # -- everybody ---------------------------------------------------------------------------------

    def _on_message(self, m: FoundingMessage) -> None:
        if self._is_over():
            self._answer_late(m)
        elif isinstance(m, Exists):
            self._hear_of_cluster(Join(m.cluster, m.addresses))
        elif isinstance(m, Decided):
            if m.seeds == self.record.seeds:
                self._end(decided=m.founders)
            else:
                addresses = tuple(founder.address for founder in m.founders)
                self._hear_of_cluster(Join(cluster_id(m.founders), addresses))
        elif m.src.address not in self.seeds:
            return  # not a seed: it asks again, and is told when something is decided
        elif m.seeds != self.record.seeds:
            self._other_lists.add(m.src.address)
        else:
            self._other_lists.discard(m.src.address)
            self._hear(m)
            self._dispatch(m)

    def _dispatch(self, m: SeedHello | Prepare | Promise | Refused | Accept | Accepted) -> None:
        match m:
            case Prepare():
                self._on_prepare(m)
            case Promise():
                self._on_promise(m)
            case Refused():
                self._on_refused(m)
            case Accept():
                self._on_accept(m)
            case Accepted():
                self._on_accepted(m)
            case SeedHello():
                pass  # hearing it was all

    def _answer_late(self, m: FoundingMessage) -> None:
        if isinstance(m, (Decided, Exists)) or m.src.address == self.me.address:
            return
        if self.record.decided:
            self._send(m.src.address, Decided(*self._from_me(), self.record.decided))
        elif self.record.joined is not None:
            self._send(m.src.address, Exists(self.record.joined.cluster, self.record.joined.addresses))

    def _hear(self, m: SeedMessage) -> None:
        address = m.src.address
        disks = {*self.record.disks, *m.disks, (address, m.src.incarnation)}
        if len(disks) > len(self.record.disks):
            self._change(disks=tuple(sorted(disks)))
        is_new = address not in self._heard
        self._heard[address] = (m.src, self.now)
        if is_new and address != self.me.address:
            self._send(address, SeedHello(*self._from_me()))
        if is_new or self._propose_at == NEVER:
            self._plan()

    def _hear_of_cluster(self, join: Join) -> None:
        if self.record.promised == NO_BALLOT:
            self._end(joined=join)
        elif self._elsewhere is None:
            self._elsewhere, self._join_at = join, self.now + JOIN_AFTER_MS

    def _end(self, **how: Any) -> None:
        self._change(**how)
        self._proposal = None

    def _voters(self) -> set[str]:
        """Addresses at which one disk was ever seen, and at no other address."""
        at = Counter(address for address, _ in self.record.disks)
        of = Counter(disk for _, disk in self.record.disks)
        return {address for address, disk in self.record.disks if at[address] == of[disk] == 1}

    def _alive(self) -> list[Founder]:
        others = [node for node, at in self._heard.values() if self.now - at < HEARD_MS]
        return [self.me, *(node for node in others if node.address != self.me.address)]

    def _majority(self) -> int:
        return len(self.seeds) // 2 + 1

    # -- acceptor ----------------------------------------------------------------------------------

    def _on_prepare(self, m: Prepare) -> None:
        if self._may_vote(m):
            if m.ballot > self.record.promised:
                self._change(promised=m.ballot)
            self._send(m.src.address, Promise(*self._from_me(), m.ballot, self.record.accepted))

    def _on_accept(self, m: Accept) -> None:
        if self._may_vote(m):
            vote = Vote(m.ballot, m.founders)
            if self.record.accepted != vote:
                self._change(promised=m.ballot, accepted=vote)
            self._send(m.src.address, Accepted(*self._from_me(), m.ballot))

    def _may_vote(self, m: Prepare | Accept) -> bool:
        if self.me.address not in self._voters():
            return False  # what the disk here before this one promised is not known
        if m.ballot < self.record.promised:
            self._send(m.src.address, Refused(*self._from_me(), m.ballot, self.record.promised))
            return False
        if self._proposal is None or self._proposal.ballot != m.ballot:
            self._proposal = None  # a higher one of somebody else: leave it alone for a while
            self._propose_at = self.now + BALLOT_MS + self._turn_ms()
        return True

    # -- proposer ----------------------------------------------------------------------------------

    def _turn_ms(self) -> Millis:
        """The smallest name at once, then one after the other."""
        mine = (self.me.name, self.me.address)
        smaller = [node for node in self._alive() if (node.name, node.address) < mine]
        return len(smaller) * TURN_MS + self.rng.randrange(BACKOFF_MS) if smaller else 0

    def _plan(self) -> None:
        """Propose when a majority answers, and it is this seed's turn."""
        if len(self._alive()) >= self._majority():
            planned = 0 if self._propose_at == NEVER else self._propose_at
            self._propose_at = max(planned, self.now + self._turn_ms())

    def _propose(self) -> None:
        round = max(self.record.promised.round, self._round_max) + 1
        ballot = Ballot(round, self.me.address, self.me.incarnation)
        self._change(promised=ballot)  # durable before anybody hears of it: no second life uses it again
        self._proposal = Proposal(ballot, self.now + BALLOT_MS, self.now + RESEND_MS)
        self._ask(self._proposal)

    def _ask(self, proposal: Proposal) -> None:
        """Everybody who has not answered yet."""
        if proposal.founders:
            accept = Accept(*self._from_me(), proposal.ballot, proposal.founders)
            for disk in proposal.promises:
                if disk not in proposal.accepted:
                    self._send(disk[0], accept)
        else:
            answered = {address for address, _ in proposal.promises}
            for seed in self.seeds:
                if seed not in answered:
                    self._send(seed, Prepare(*self._from_me(), proposal.ballot))

    def _on_promise(self, m: Promise) -> None:
        proposal = self._proposal
        if proposal is not None and m.ballot == proposal.ballot and not proposal.founders:
            proposal.promises[m.src.address, m.src.incarnation] = m
            self._choose(proposal)

    def _choose(self, proposal: Proposal) -> None:
        """What the ballot is for, once a majority has promised and the others had time to: what may have been
        chosen already, else everybody who is here."""
        voters = self._voters()
        here = [m.src for (address, _), m in proposal.promises.items() if address in voters]
        if len(here) < self._majority():
            return
        if proposal.grace_until == NEVER:
            proposal.grace_until = self.now + self.grace_ms
            proposal.until = max(proposal.until, proposal.grace_until + 1)
        if len(here) < len(self.seeds) and self.now < proposal.grace_until:
            return
        votes = [m.accepted for m in proposal.promises.values() if m.accepted is not None]
        if votes:
            founders = max(votes, key=lambda vote: vote.ballot).founders
        elif len({node.name for node in here}) < len(here):
            self._back_off()
            return
        else:
            founders = tuple(sorted(here, key=lambda node: node.name))
        proposal.founders = founders
        proposal.until, proposal.resend_at = self.now + BALLOT_MS, self.now + RESEND_MS
        self._ask(proposal)

    def _on_accepted(self, m: Accepted) -> None:
        """Of the disks that promised only: another one at that address has not promised."""
        proposal, disk = self._proposal, (m.src.address, m.src.incarnation)
        if proposal is None or m.ballot != proposal.ballot or disk not in proposal.promises:
            return
        proposal.accepted.add(disk)
        voters = self._voters()
        if sum(address in voters for address, _ in proposal.accepted) >= self._majority():
            self._end(decided=proposal.founders)
            for seed in self.seeds:
                if seed != self.me.address:
                    self._send(seed, Decided(*self._from_me(), proposal.founders))

    def _on_refused(self, m: Refused) -> None:
        self._round_max = max(self._round_max, m.promised.round)
        if self._proposal is not None and self._proposal.ballot == m.ballot:
            self._back_off()

    def _back_off(self) -> None:
        self._proposal = None
        self._tries += 1
        pause = 1 + self.rng.randrange(BACKOFF_MS << min(self._tries, 4))
        self._propose_at = self.now + pause + self._turn_ms()

    # -- time --------------------------------------------------------------------------------------

    def _on_time(self) -> None:
        if self.now >= self._hello_at:
            self._hello_at = self.now + HELLO_MS
            for seed in self.seeds:
                if seed != self.me.address:
                    self._send(seed, SeedHello(*self._from_me()))
        proposal = self._proposal
        if self.now >= self._join_at:
            self._end(joined=self._elsewhere)
        elif proposal is not None:
            self._drive(proposal)
        elif self.now >= self._propose_at and self._elsewhere is None:
            if len(self._alive()) >= self._majority() and self.me.address in self._voters():
                self._propose()
            else:
                self._propose_at = NEVER  # until enough are heard again

    def _drive(self, proposal: Proposal) -> None:
        if not proposal.founders:
            self._choose(proposal)
        if self._proposal is not proposal:
            return
        if self.now >= proposal.until:
            self._back_off()
        elif self.now >= proposal.resend_at:
            proposal.resend_at = self.now + RESEND_MS
            self._ask(proposal)

    def _next_deadline(self) -> Millis:
        if self._is_over():
            return NEVER
        proposal = self._proposal
        times = [self._hello_at, self._join_at]
        if proposal is not None:
            times += [proposal.until, proposal.resend_at]
            if not proposal.founders and proposal.grace_until > self.now:
                times.append(proposal.grace_until)
        elif self._elsewhere is None:
            times.append(self._propose_at)
        return min(times)
