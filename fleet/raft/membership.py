"""The members of the group. A change is in force as soon as it is appended, before it is committed.

One change at a time, so that the majorities of neighbouring member sets always meet (Raft thesis 4.1).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from fleet.raft.entries import (
    MEMBERSHIP_BODIES,
    Entry,
    Founded,
    MemberAdded,
    MemberChange,
    MemberDemoted,
    MemberPromoted,
    MemberRemoved,
    Members,
)
from fleet.raft.ids import Index, MemberId

REMOVED_KEPT_MAX = 256


def after_change(members: Members, body: Founded | MemberChange) -> Members:
    """The member set after one change. A repeated change leaves it as it is."""
    who = body.member
    voters, learners, addresses, removed = (
        members.voters,
        members.learners,
        members.addresses,
        members.removed,
    )
    match body:
        case Founded():
            founders = ((who, body.address), *body.others)
            return Members(tuple(founder for founder, _ in founders), addresses=dict(founders))
        case MemberAdded():
            if who not in voters and who not in learners:
                learners += (who,)
            addresses = addresses | {who: body.address}
        case MemberPromoted():
            if who in learners:
                learners = _without(learners, who)
                voters += (who,)
        case MemberDemoted():
            if who in voters:
                voters = _without(voters, who)
                learners += (who,)
        case MemberRemoved():
            if who in voters or who in learners:
                removed = (*removed, who)[-REMOVED_KEPT_MAX:]
            voters, learners = _without(voters, who), _without(learners, who)
            addresses = {key: value for key, value in addresses.items() if key != who}
    return Members(voters, learners, addresses, removed)


def _without(members: tuple[MemberId, ...], who: MemberId) -> tuple[MemberId, ...]:
    return tuple(member for member in members if member != who)


@dataclass(slots=True)
class Membership:
    """The member sets that the log describes, by the index that made each.

    Invariant: `history` is never empty and its indexes rise; the first one is at or before the log's base
    or stands for the empty log.
    """

    history: list[tuple[Index, Members]] = field(default_factory=lambda: [(0, Members())])

    @property
    def current(self) -> Members:
        return self.history[-1][1]

    @property
    def changed_at(self) -> Index:
        """The index of the newest change: while it is not committed, no other may follow."""
        return self.history[-1][0]

    def at(self, index: Index) -> Members:
        """The members as of a log index."""
        for changed_at, members in reversed(self.history):
            if changed_at <= index:
                return members
        raise AssertionError(f"members as of {index} are forgotten: {self.history[0][0]} is the oldest")

    def votes_since(self, index: Index, who: MemberId) -> bool:
        """Whether `who` votes as of a log index or after any later change."""
        return who in self.at(index).voters or any(
            who in members.voters for changed_at, members in self.history if changed_at > index
        )

    def voters_since(self, index: Index) -> set[MemberId]:
        """Who voted as of a log index or after any later change."""
        changed = (members.voters for changed_at, members in self.history if changed_at > index)
        return set(self.at(index).voters).union(*changed)

    def knows_since(self, index: Index, who: MemberId) -> bool:
        """Whether `who` belongs to the group as of a log index or after any later change."""
        return who in self.at(index).everyone or any(
            who in members.everyone for changed_at, members in self.history if changed_at > index
        )

    def append(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            body = entry.body
            if isinstance(body, MEMBERSHIP_BODIES):
                assert entry.index > self.changed_at
                self.history.append((entry.index, after_change(self.current, body)))

    def truncate(self, index: Index) -> None:
        """Entries from `index` on were overwritten: roll their changes back (RV9)."""
        while self.history[-1][0] >= index:
            self.history.pop()

    def compact(self, index: Index) -> None:
        """Forget member sets that no remaining log position needs."""
        while len(self.history) > 1 and self.history[1][0] <= index:
            self.history.pop(0)

    def reset(self, index: Index, members: Members) -> None:
        self.history = [(index, members)]
