"""How a group begins with a state that it did not execute: that of a backup.

Its founders are named as those of any group, and start as newcomers: they know nothing, not even that they
vote, so that none of them campaigns. The first founder alone is given the state. It takes it for a snapshot
of term 1, in which nobody leads, and appends the entry `Founded` behind it; then it campaigns as a first
founder does. A newcomer votes for whoever asks, and learns state and entry from the leader like any member
that lags. The group commits nothing before a majority of its founders has both on disk.

Only the first founder may ever be given a state: two states would be two groups of one name.
"""

from fleet.raft.entries import Entry, Members, SnapshotMeta
from fleet.raft.events import StateGiven
from fleet.raft.follower import install
from fleet.raft.membership import after_change
from fleet.raft.state import CoreState, Follower


def is_blank(core: CoreState) -> bool:
    """Whether this member knows nothing of a group yet."""
    return core.log.last_index == 0 and not core.membership.current.everyone


def on_state_given(core: CoreState, role: Follower, m: StateGiven) -> None:
    """Ignored by a member that has begun already."""
    founded = m.founded
    if not is_blank(core) or founded.member != core.id:
        return
    members = after_change(Members(), founded)
    about = m.index, 1, members, founded.config, len(m.data), m.crc, founded.data_class
    core.term = max(core.term, 1)
    install(core, SnapshotMeta(*about), m.data)
    core.merge((Entry(1, m.index + 1, founded),))
    core.deadline = core.now
