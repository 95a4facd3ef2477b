"""Creates a member's core: of a founder of a group, of a newcomer, or from its disk."""

import random
from collections.abc import Sequence

from fleet.raft.config import GroupConfig
from fleet.raft.core import Core
from fleet.raft.entries import ConfigChanged, Entry, Founded, HardState, SnapshotMeta
from fleet.raft.halting import remember_proposals
from fleet.raft.ids import MemberId, Millis
from fleet.raft.membership import Membership
from fleet.raft.messages import PreVoteReply
from fleet.raft.transitions import reset_election_deadline


def start_core(
    member: MemberId,
    now: Millis,
    rng: random.Random,
    hard: HardState = HardState(),
    snapshot: SnapshotMeta | None = None,
    entries: Sequence[Entry] = (),
) -> Core:
    """The member that wrote this state, as if it had only been slow (Raft figure 2, persistent state).

    `entries` may begin before the snapshot's end. Without any state it is a newcomer, which learns everything
    from the leader that added it.
    """
    core = Core(member, GroupConfig(), rng, now=now, started_at=now)
    core.life = rng.getrandbits(31)
    core.term, core.vote, core.durable_hard = hard.term, hard.vote, hard
    log = core.log
    if snapshot is not None:
        core.snapshot, core.config = snapshot, snapshot.config
        core.membership = Membership([(snapshot.index, snapshot.members)])
        log.base_index, log.base_term = snapshot.index, snapshot.term
        log.commit = log.applied = snapshot.index
        if entries and entries[0].index <= snapshot.index:
            log.base_index, log.base_term = entries[0].index, entries[0].term
            entries = entries[1:]
    for entry in entries:
        log.append(entry)
    core.noted = log.applied
    log.durable = core.restarted_with = log.last_index
    core.note_special(log.entries)
    remember_proposals(core)
    core.unconfirmed, core.held_after = True, log.applied
    known = core.membership.changed_at
    core.membership.append([entry for entry in entries if entry.index > known])
    if log.entries and isinstance(log.entries[0].body, Founded):
        core.config, core.first_class = log.entries[0].body.config, log.entries[0].body.data_class
    core.committed_before = min(hard.commit, log.last_index)
    core.bytes_since_snapshot = log.bytes_after(snapshot.index if snapshot else 0)
    protect_possible_lease(core)
    reset_election_deadline(core)
    if core.membership.current.voters == (member,):
        core.deadline = now
    return core


def first_class(snapshot: SnapshotMeta | None, entries: Sequence[Entry]) -> bytes:
    """The class that executes the first of a restarted member's entries; b"": it is not known from these."""
    if snapshot is not None:
        return snapshot.data_class
    first = entries[0].body if entries else None
    return first.data_class if isinstance(first, Founded) else b""


def protect_possible_lease(core: Core) -> None:
    """A leader's lease may rely on this member, which does not remember it: refuse elections for as long as
    any configuration that may be in force requires."""
    changed = [entry.body.config for entry in core.log.entries if isinstance(entry.body, ConfigChanged)]
    configs = [core.config, *changed]
    if core.term > 1 and any(config.lease_reads for config in configs):  # nobody leads in term 1
        longest = max(config.election_ms for config in configs)
        core.heard_at = core.now + longest - core.config.election_ms


def join_founding(core: Core, founded: Founded) -> None:
    """Make a newcomer one of the founders of its group. Nobody leads in term 1.

    The first founder campaigns at once. The others grant it the pre-vote unasked: whichever of the two
    starts later reaches the other, so the election does not wait for a retry. A pre-vote promises nothing.
    """
    assert core.log.last_index == 0 and core.term == 0, f"{core.id} is no newcomer"
    assert core.id in (founded.member, *(member for member, _ in founded.others))
    core.term = 1
    core.merge((Entry(1, 1, founded),))
    reset_election_deadline(core)
    if core.id == founded.member:
        core.deadline = core.now
    else:
        core.send(PreVoteReply(core.term + 1, core.id, founded.member, True))
