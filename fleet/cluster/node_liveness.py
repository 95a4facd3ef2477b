"""Which nodes are alive, for members that sleep: one heartbeat a pair of nodes instead of one a group.

A sleeping member (`fleet/raft/sleeping.py`) hears nothing from its peers. Its node therefore sends heartbeats
to the peers' nodes and expects theirs, four in the shortest election timeout of its sleepers, and tells a
member when a peer's node has been silent for that member's election timeout. Nodes whose members do not sleep
together send each other nothing.

A node also says how many members of the other node sleep as far as their leaders here know. If more members
there rely on leaders of this node, for seconds, some of these lead no more, or what one of the two said was
lost: the members check.

And it says which heartbeat it has heard last, and which of its members slept then under leaders of the other
node, as one number. If these are exactly the members that the leaders there know to sleep, each of them
refuses to elect another leader for its election timeout, counted from that heartbeat: what a lease needs.

`step(now, event)` takes an event and returns its effects; a `Tick` is due at `deadline`.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final, TypeAlias

from msgspec import Struct

from fleet.raft.ids import MemberId, Millis, NodeName, node_of

HEARTBEATS: Final = 4
"""In an election timeout."""
DOUBT_MS: Final[Millis] = 5000
"""For how long more members may rely on leaders of a node than these know of. Then they check, and again
after twice as long each time."""
BOND_MASK: Final = (1 << 64) - 1
DOUBT_MS_MAX: Final[Millis] = 320_000


# -- events ----------------------------------------------------------------------------------------------


class Sleeper(Struct, frozen=True):
    """A member of this node sleeps, or offers to: then its peers' nodes need heartbeats, and it hears for
    itself."""

    member: MemberId
    leader: MemberId
    nodes: tuple[NodeName, ...]
    """Of its leader or, for a leader, of its peers."""
    election_ms: Millis
    is_asleep: bool = True
    followers: tuple[MemberId, ...] = ()
    """A leader's; once it sleeps, only those that it knows to sleep."""

    @property
    def bonds(self) -> list[tuple[NodeName, MemberId, MemberId]]:
        """Followers and leaders that sleep together as far as this member knows, with the other's node."""
        if not self.is_asleep:
            return []
        if self.leader == self.member:
            return [(node_of(follower), follower, self.member) for follower in self.followers]
        return [(node_of(self.leader), self.member, self.leader)]


class Woke(Struct, frozen=True):
    member: MemberId


class HeartbeatReceived(Struct, frozen=True):
    node: NodeName
    run: int
    """Of its process."""
    leaders: int
    """How many members of this node that node's sleepers lead (`Sleeper.followers`)."""
    sent_at: Millis = 0
    """By that node's clock."""
    heard_run: int = 0
    heard_at: Millis = 0
    """Which heartbeat of this node it had heard last: the run of the process, and `sent_at`; 0: none."""
    sleepers: int = 0
    """Its members that slept then under leaders of this node, as the sum of their `bond_number`s."""


class Tick(Struct, frozen=True):
    """`deadline` may have passed."""


Event: TypeAlias = Sleeper | Woke | HeartbeatReceived | Tick


# -- effects ---------------------------------------------------------------------------------------------


class SendHeartbeat(Struct, frozen=True):
    """The fields are those of `HeartbeatReceived`."""

    node: NodeName
    leaders: int
    sent_at: Millis
    heard_run: int
    heard_at: Millis
    sleepers: int


class TellSilent(Struct, frozen=True):
    """Tell the member that the node is silent."""

    member: MemberId
    node: NodeName


class TellToCheck(Struct, frozen=True):
    """Tell the member to ask its leader whether it still leads."""

    member: MemberId


Effect: TypeAlias = SendHeartbeat | TellSilent | TellToCheck


@dataclass(slots=True)
class Watched:
    """A node on which sleepers of this node have peers. `members` and `told` are ordered sets of those
    sleepers: all, and those that know of the present silence."""

    heard_at: Millis
    run: int = 0
    sent_at: Millis = 0
    """When the newest heartbeat of that run left there."""
    sleepers: int = 0
    """Members here that sleep under leaders there, as a sum of `bond_number`s."""
    known: int = 0
    """Members there that are known to sleep under leaders here, likewise."""
    confirmed_from: Millis = 0
    """When the newest heartbeat left which that node heard before it said that exactly these sleep."""
    confirmed_at: Millis = -1
    """When that was received."""
    doubted_since: Millis | None = None
    """Since when more members here rely on its leaders than these know of."""
    patience: Millis = DOUBT_MS
    leaders: int = 0
    """Members that lead."""
    led: int = 0
    """Members of that node that those lead."""
    members: dict[MemberId, None] = field(default_factory=dict)
    told: dict[MemberId, None] = field(default_factory=dict)


def bond_number(follower: MemberId, leader: MemberId) -> int:
    digest = blake2b(f"{follower} {leader}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


class NodeLiveness:
    def __init__(self, run: int = 0) -> None:
        self.run = run
        """Of this node's process."""
        self.sleepers: dict[MemberId, tuple[Sleeper, Millis]] = {}
        """Each with the time since when it does."""
        self.watched: dict[NodeName, Watched] = {}
        self.timeouts: Counter[Millis] = Counter()
        """The election timeouts of the sleepers."""
        self.deadline: Millis | None = None
        self._effects: list[Effect] = []

    def step(self, now: Millis, event: Event) -> list[Effect]:
        """Take one event. Returns its effects, in order. `now`: milliseconds on any monotonic clock."""
        self._table[type(event)](self, now, event)
        effects, self._effects = self._effects, []
        return effects

    # -- members of this node ----------------------------------------------------------------------------

    def _on_sleeper(self, now: Millis, event: Sleeper) -> None:
        before = self.sleepers.get(event.member)
        self.sleepers[event.member] = event, now
        self.timeouts[event.election_ms] += 1
        new = [node for node in event.nodes if node not in self.watched]
        self.watched.update((node, Watched(now)) for node in new)
        for watched in map(self.watched.__getitem__, event.nodes):
            watched.members[event.member] = None
            watched.leaders += event.leader == event.member
        self._count(event, 1)
        if before is not None:
            self._forget(before[0], kept=event.nodes)
        for node in new:
            self._send(now, node, self.watched[node])
        at = now + self._interval
        self.deadline = at if self.deadline is None else min(self.deadline, at)

    def _on_woke(self, now: Millis, event: Woke) -> None:
        found = self.sleepers.pop(event.member, None)
        if found is not None:
            self._forget(found[0])

    def _forget(self, sleeper: Sleeper, kept: tuple[NodeName, ...] = ()) -> None:
        self.timeouts[sleeper.election_ms] -= 1
        if not self.timeouts[sleeper.election_ms]:
            del self.timeouts[sleeper.election_ms]
        self._count(sleeper, -1)
        for node in sleeper.nodes:
            watched = self.watched[node]
            watched.told.pop(sleeper.member, None)
            watched.leaders -= sleeper.leader == sleeper.member
            if node in kept:
                continue
            watched.members.pop(sleeper.member)
            if not watched.members:
                del self.watched[node]
        if not self.sleepers:
            self.deadline = None

    def _count(self, sleeper: Sleeper, sign: int) -> None:
        for follower in sleeper.followers:
            self.watched[node_of(follower)].led += sign
        for node, follower, leader in sleeper.bonds:
            watched, number = self.watched[node], sign * bond_number(follower, leader)
            if leader == sleeper.member:
                watched.known = (watched.known + number) & BOND_MASK
            else:
                watched.sleepers = (watched.sleepers + number) & BOND_MASK

    def confirmed(self, member: MemberId) -> dict[NodeName, Millis]:
        """For a leader that sleeps: from when on, by this node's clock, its followers on each node refuse to
        elect another leader, for their election timeout."""
        sleeper, since = self.sleepers.get(member, (None, 0))
        if sleeper is None or not sleeper.is_asleep or sleeper.leader != member:
            return {}
        found = {node: self.watched[node] for node in sleeper.nodes}
        return {node: one.confirmed_from for node, one in found.items() if one.confirmed_at > since}

    # -- other nodes -------------------------------------------------------------------------------------

    def _on_heartbeat(self, now: Millis, event: HeartbeatReceived) -> None:
        watched = self.watched.get(event.node)
        if watched is None:
            return
        if watched.run not in (0, event.run):
            self._effects += [TellSilent(member, event.node) for member in self._followers(watched)]
        is_newer = event.run != watched.run or event.sent_at > watched.sent_at
        watched.sent_at = event.sent_at if is_newer else watched.sent_at
        watched.heard_at, watched.run = now, event.run
        watched.told.clear()
        is_ours = event.heard_run == self.run and max(1, watched.confirmed_from) <= event.heard_at <= now
        if is_ours and event.sleepers == watched.known:
            watched.confirmed_from, watched.confirmed_at = event.heard_at, now
        self._compare(now, watched, event.leaders)

    def _compare(self, now: Millis, watched: Watched, leaders: int) -> None:
        """The two nodes wake and put to sleep at slightly different times, so that only a difference that
        lasts says something."""
        if len(watched.members) - watched.leaders <= leaders:
            watched.doubted_since, watched.patience = None, DOUBT_MS
        elif watched.doubted_since is None:
            watched.doubted_since = now
        elif now - watched.doubted_since >= watched.patience:
            watched.doubted_since, watched.patience = now, min(2 * watched.patience, DOUBT_MS_MAX)
            self._effects += map(TellToCheck, self._followers(watched))

    def _followers(self, watched: Watched) -> list[MemberId]:
        return [member for member in watched.members if self.sleepers[member][0].leader != member]

    def _on_tick(self, now: Millis, event: Tick) -> None:
        if self.deadline is None or now < self.deadline:
            return
        if now - self.deadline >= self._interval:
            for watched in self.watched.values():  # this process stood still, and heard nobody meanwhile
                watched.heard_at = now
        self.deadline = now + self._interval
        shortest = min(self.timeouts)
        for node, watched in self.watched.items():
            self._send(now, node, watched)
            if now - watched.heard_at >= shortest:
                self._tell_silent(now, node, watched)

    def _send(self, now: Millis, node: NodeName, watched: Watched) -> None:
        self._effects.append(
            SendHeartbeat(node, watched.led, now, watched.run, watched.sent_at, watched.sleepers)
        )

    def _tell_silent(self, now: Millis, node: NodeName, watched: Watched) -> None:
        for member in watched.members:
            if member in watched.told:
                continue
            sleeper, since = self.sleepers[member]
            if sleeper.is_asleep and now - max(watched.heard_at, since) >= sleeper.election_ms:
                watched.told[member] = None
                self._effects.append(TellSilent(member, node))

    @property
    def _interval(self) -> Millis:
        return min(self.timeouts) // HEARTBEATS

    _table: dict[type, Callable[[Any, Millis, Any], None]] = {
        Sleeper: _on_sleeper,
        Woke: _on_woke,
        HeartbeatReceived: _on_heartbeat,
        Tick: _on_tick,
    }
