"""How the listed founders found exactly one cluster: single-decree Paxos among the addresses that every host
lists (`--founder`). A node at such an address is a listed node; those that took part are the founders.

The value decided is the set of founders, a majority of the listed nodes at least. Each founder starts its
member of the cluster group with that same initial membership, so once it is decided no one waits for the
proposer. All other nodes join. The smallest name proposes first, which only avoids contention.

An acceptor is a listed address. A node with another disk there has forgotten its promises: an address where
two disks were ever seen does not vote, and every message carries the disks that its sender knows of.
Two assumptions remain. Until the founding is done, no listed node loses its disk and returns, empty or with
an older copy, to others that never heard of the first disk; and later, a majority of the listed nodes never
starts empty while no node that knows the cluster is reachable. Neither can be told from a first start.

Source: Lamport, "Paxos Made Simple", section 2.
"""

import random
from collections import Counter, deque
from collections.abc import Sequence
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
    FoundingHello,
    FoundingMessage,
    Join,
    ListedMessage,
    Outcome,
    Persisted,
    PersistRequest,
    Prepare,
    Promise,
    Ready,
    Record,
    Refused,
    Tick,
    Vote,
    cluster_id,
    outcome_of,
    restored,
)
from fleet.cluster.founding_proposal import NEVER, Proposal
from fleet.raft.ids import Millis

GRACE_MS: Final = 500
"""How long a majority waits for the other listed nodes before it founds without them."""
HELLO_MS: Final = 500
"""Between two hellos to every other listed address."""
HEARD_MS: Final = 3000
"""A node that was not heard for this long counts as down: its turn is skipped."""
TURN_MS: Final = 1000
"""Between the turns of two nodes to propose, by name."""
BALLOT_MS: Final = 2500
"""A ballot without a majority by then is abandoned. Until then no other node proposes."""
RESEND_MS: Final = 200
BACKOFF_MS: Final = 200
JOIN_AFTER_MS: Final = 5000
"""A node that promised may be a founder: when it hears of a cluster, it waits this long for the decision."""


class Founding:
    """A listed node's part: acceptor, proposer and learner. Step a Tick at `deadline`, in milliseconds.

    Invariant: every message that leaves reflects a durable record; a message to oneself waits for it, too.
    Keep stepping messages after the outcome: late nodes learn it from the answers.
    """

    def __init__(
        self,
        me: Founder,
        listed: Sequence[str],
        now: Millis,
        rng: random.Random,
        record: Record | None = None,
        grace_ms: Millis = GRACE_MS,
    ) -> None:
        self.me = me
        self.listed = tuple(sorted(listed))
        self.record = restored(record, me, listed)
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
        """The outputs since the last call; None if there are none."""
        if self._is_dirty:
            self._seq += 1
            self._is_dirty = False
            self._ready.write = PersistRequest(self._seq, self.record)
        ready, self._ready = self._ready, Ready()
        return ready if ready.send or ready.write or ready.outcome else None

    def problems(self) -> tuple[str, ...]:
        """What keeps the founding from being decided, for an operator."""
        if self._is_over():
            return ()
        found = [f"{address} has another list of founders" for address in sorted(self._other_lists)]
        addresses = {address for address, _ in self.record.disks}
        for address in sorted(addresses - self._voters()):
            found.append(f"{address} lost its disk, or its disk was copied: it has no vote in this founding")
        names = Counter(node.name for node in self._alive())
        found.extend(f"two founders are called {name!r}" for name, count in names.items() if count > 1)
        if len(self._alive()) < self._majority():
            found.append(f"{len(self._alive())} of {len(self.listed)} founders answer; a majority must")
        return tuple(found)

    # -- durability --------------------------------------------------------------------------------

    def _change(self, **fields: Any) -> None:
        self.record = replace(self.record, **fields)
        self._is_dirty = True

    def _send(self, address: str, message: FoundingMessage) -> None:
        """Send `message` as soon as all writes so far are durable."""
        self._held.append((self._seq + self._is_dirty, address, message))

    def _send_all(self, message: FoundingMessage) -> None:
        for address in self.listed:
            if address != self.me.address:
                self._send(address, message)

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
        return self.me, self.record.list_id, self.record.disks

    # -- messages ----------------------------------------------------------------------------------

    def _on_message(self, m: FoundingMessage) -> None:
        if self._is_over():
            self._answer_late(m)
        elif isinstance(m, Exists):
            self._hear_of_cluster(Join(m.cluster, m.addresses))
        elif isinstance(m, Decided):
            if m.list_id == self.record.list_id:
                self._end(decided=m.founders)
            else:
                addresses = tuple(founder.address for founder in m.founders)
                self._hear_of_cluster(Join(cluster_id(m.founders), addresses))
        elif m.src.address not in self.listed:
            return  # not listed: it asks again, and is told the decision
        elif m.list_id != self.record.list_id:
            self._other_lists.add(m.src.address)
        else:
            self._other_lists.discard(m.src.address)
            self._hear(m)
            self._dispatch(m)

    def _dispatch(self, m: FoundingHello | Prepare | Promise | Refused | Accept | Accepted) -> None:
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
            case FoundingHello():
                pass  # `_hear` has noted its sender

    def _answer_late(self, m: FoundingMessage) -> None:
        if isinstance(m, (Decided, Exists)) or m.src.address == self.me.address:
            return
        if self.record.decided:
            self._send(m.src.address, Decided(*self._from_me(), self.record.decided))
        elif self.record.joined is not None:
            self._send(m.src.address, Exists(self.record.joined.cluster, self.record.joined.addresses))

    def _hear(self, m: ListedMessage) -> None:
        address = m.src.address
        disks = {*self.record.disks, *m.disks, (address, m.src.incarnation)}
        if len(disks) > len(self.record.disks):
            self._change(disks=tuple(sorted(disks)))
        is_new = address not in self._heard
        self._heard[address] = (m.src, self.now)
        if is_new and address != self.me.address:
            self._send(address, FoundingHello(*self._from_me()))
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
        """Addresses at which exactly one disk was seen, and that disk at no other address."""
        at = Counter(address for address, _ in self.record.disks)
        of = Counter(disk for _, disk in self.record.disks)
        return {address for address, disk in self.record.disks if at[address] == of[disk] == 1}

    def _alive(self) -> list[Founder]:
        others = [node for node, at in self._heard.values() if self.now - at < HEARD_MS]
        return [self.me, *(node for node in others if node.address != self.me.address)]

    def _majority(self) -> int:
        return len(self.listed) // 2 + 1

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
            return False  # the promises of an earlier disk at this address are unknown
        if m.ballot < self.record.promised:
            self._send(m.src.address, Refused(*self._from_me(), m.ballot, self.record.promised))
            return False
        if self._proposal is None or self._proposal.ballot != m.ballot:
            self._proposal = None  # another node has a higher ballot: leave it time to finish
            self._propose_at = self.now + BALLOT_MS + self._turn_ms()
        return True

    # -- proposer ----------------------------------------------------------------------------------

    def _turn_ms(self) -> Millis:
        """The delay before this node proposes: 0 for the smallest name, then one turn after another."""
        mine = (self.me.name, self.me.address)
        smaller = [node for node in self._alive() if (node.name, node.address) < mine]
        return len(smaller) * TURN_MS + self.rng.randrange(BACKOFF_MS) if smaller else 0

    def _plan(self) -> None:
        """Propose when a majority answers and it is this node's turn."""
        if len(self._alive()) >= self._majority():
            planned = 0 if self._propose_at == NEVER else self._propose_at
            self._propose_at = max(planned, self.now + self._turn_ms())

    def _propose(self) -> None:
        round = max(self.record.promised.round, self._round_max) + 1
        ballot = Ballot(round, self.me.address, self.me.incarnation)
        self._change(promised=ballot)  # durable before it is sent: no restart uses it again
        self._proposal = Proposal(ballot, self.now + BALLOT_MS, self.now + RESEND_MS)
        self._ask(self._proposal)

    def _ask(self, proposal: Proposal) -> None:
        """Send the current question to every acceptor that has not answered it."""
        if proposal.founders:
            accept = Accept(*self._from_me(), proposal.ballot, proposal.founders)
            for address in proposal.not_accepted():
                self._send(address, accept)
        else:
            for address in proposal.not_promised(self.listed):
                self._send(address, Prepare(*self._from_me(), proposal.ballot))

    def _on_promise(self, m: Promise) -> None:
        proposal = self._proposal
        if proposal is not None and m.ballot == proposal.ballot and not proposal.founders:
            proposal.promises[m.src.address, m.src.incarnation] = m
            self._choose(proposal)

    def _choose(self, proposal: Proposal) -> None:
        """Choose founders once a majority has promised and the other listed nodes had time to."""
        promised = proposal.promised(self._voters())
        if len(promised) < self._majority():
            return
        if proposal.grace_until == NEVER:
            proposal.grace_until = self.now + self.grace_ms
            proposal.until = max(proposal.until, proposal.grace_until + 1)
        if len(promised) < len(self.listed) and self.now < proposal.grace_until:
            return
        proposal.founders = proposal.choice(promised)
        if not proposal.founders:
            self._back_off()
            return
        proposal.until, proposal.resend_at = self.now + BALLOT_MS, self.now + RESEND_MS
        self._ask(proposal)

    def _on_accepted(self, m: Accepted) -> None:
        """Counts only disks that promised: another disk at the same address has not."""
        proposal, disk = self._proposal, (m.src.address, m.src.incarnation)
        if proposal is None or m.ballot != proposal.ballot or disk not in proposal.promises:
            return
        proposal.accepted.add(disk)
        if proposal.votes(self._voters()) >= self._majority():
            self._end(decided=proposal.founders)
            self._send_all(Decided(*self._from_me(), proposal.founders))

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
            self._send_all(FoundingHello(*self._from_me()))
        proposal = self._proposal
        if self.now >= self._join_at:
            self._end(joined=self._elsewhere)
        elif proposal is not None:
            self._drive(proposal)
        elif self.now >= self._propose_at and self._elsewhere is None:
            if len(self._alive()) >= self._majority() and self.me.address in self._voters():
                self._propose()
            else:
                self._propose_at = NEVER  # until a majority is heard again

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
