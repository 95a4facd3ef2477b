"""The consensus core of one member: `step(now, event)` in, `take_ready()` out.

It never reads a clock, a random source or a socket; persistence is asked for in one output and reported
done in a later input. What a member knows stands in `state.py`; roles and terms change in
`transitions.py` only; what happens on which event in which role stands in `table.py`.
"""

from dataclasses import dataclass
from typing import Final
from zlib import crc32

from fleet.raft.comparing import must_serve_state
from fleet.raft.entries import Commands, Entry, SnapshotMeta
from fleet.raft.events import LocalEvent, Persisted
from fleet.raft.freshness import settle_proof
from fleet.raft.halting import update_hold
from fleet.raft.ids import Index, Millis
from fleet.raft.leader import (
    is_sending_snapshot,
    leader_lease_until,
    lets_send,
    replicate,
    settle_reads,
)
from fleet.raft.messages import AppendReply, PeerMessage
from fleet.raft.promises import is_kept_already
from fleet.raft.ready import Ready
from fleet.raft.state import LAST_INDEX, CoreState, Leader
from fleet.raft.switching import class_at, held_for_switch
from fleet.raft.table import dispatch
from fleet.raft.transitions import note_committed

ACKNOWLEDGEMENTS: Final = frozenset((AppendReply, Persisted))
APPLY_MAX: Final = 4096
"""Commands handed out for applying in one Ready, so that other groups of the node get their turn."""


@dataclass(slots=True)
class Core(CoreState):
    """One member's consensus, as its driver sees it."""

    is_settled: bool = False
    """Whether nothing has happened since the last `take_ready`."""

    def step(self, now: Millis, event: PeerMessage | LocalEvent) -> None:
        """Take one event. `now` is milliseconds on a clock that never goes back."""
        assert now >= self.now, f"time goes back from {self.now} to {now}"
        self.now = now
        if self.is_settled and type(event) in ACKNOWLEDGEMENTS:
            self._acknowledge(event)
        else:
            self.is_settled = False
            dispatch(self, event)

    def _acknowledge(self, event: PeerMessage | LocalEvent) -> None:
        """One of the acknowledgements that a leader gets for an entry, from its disk and from its peers,
        commits it. The others leave nothing to do, and neither does that of a follower's disk."""
        term, commit = self.term, self.log.commit
        dispatch(self, event)
        self.is_settled = (
            self.log.commit == commit
            and self.term == term
            and self.saving is None
            and not self.ready.asks_for_anything()
            and not (type(self.role) is Leader and lets_send(self, self.role, event))
        )

    def take_ready(self) -> Ready | None:
        """What has to be done since the last call; None for nothing. See `Ready` for the order."""
        if self.is_settled:
            return None
        if type(self.role) is Leader:
            replicate(self, self.role)
        self.finish_write()
        if self.saving is not None:
            self.finish_save()
        ready = self.ready
        if self.skips or self.switches or self.unconfirmed or self.held_after != LAST_INDEX:
            update_hold(self)
        if self.has_more():
            ready.apply = self.log.take_committed(APPLY_MAX, self.held_after)
            self._note_up_to(self.log.applied)
        if self.log.applied == self.held_after:
            self._note_up_to(self.log.commit)
        if self.proof is not None:
            settle_proof(self)
        self.is_settled = not ready.apply or self._settles_with(ready.apply)
        if self._snapshot_is_due():
            self._ask_for_snapshot(ready)
        if type(self.role) is Leader and self.role.reads:
            settle_reads(self)
        if not ready.asks_for_anything():
            return None
        if ready.send_after:
            self._release(ready)
        self.ready = Ready()
        return ready

    def _settles_with(self, entries: list[Entry]) -> bool:
        """Whether nothing is left to look at once these are handed out, as after commands."""
        if self.skips or self.switches or self.unconfirmed or self.has_more():
            return False
        if self.held_after != LAST_INDEX:
            return False
        return all(type(entry.body) is Commands for entry in entries)

    def _release(self, ready: Ready) -> None:
        """Send messages at once whose promises are durable already: the answer to a heartbeat does not wait
        for a long write."""
        messages, ready.send_after = ready.send_after, []
        for message in messages:
            if self.writes and not is_kept_already(self, message):
                ready.send_after.append(message)
            else:
                ready.send_now.append(message)
        if ready.send_after:
            ready.after_seq = self.seq

    def has_more(self) -> bool:
        """Whether committed entries still wait for the next `take_ready`, which may hand them out."""
        return self.log.applied < min(self.log.commit, self.held_after)

    def lease_holds(self, now: Millis) -> bool:
        """Whether a leader's lease covers `now`: ask again after executing a read under it (S19)."""
        return type(self.role) is Leader and now < leader_lease_until(self, self.role)

    # -- applying ----------------------------------------------------------------------------------

    def _note_up_to(self, index: Index) -> None:
        if index > self.noted:
            for entry in self.log.slice(self.noted + 1, index):
                note_committed(self, entry)
            self.noted = index

    def _ask_for_snapshot(self, ready: Ready) -> None:
        index = self.log.applied
        term = self.log.term_at(index)
        assert term is not None
        members, data_class = self.membership.at(index), class_at(self, index)
        self.taking = SnapshotMeta(index, term, members, self.config, 0, 0, data_class)
        ready.take_snapshot = index

    def _snapshot_is_under_way(self) -> bool:
        """One at a time, until it is durable."""
        own = self.taking is not None or self.saving is not None or self.storing is not None
        return own or self.is_installing

    def _snapshot_is_due(self) -> bool:
        config = self.config
        if self.halt is not None:
            return False  # the state is not that of the entries that were handed out
        if self.switches and self.log.applied == held_for_switch(self):
            return not self._snapshot_is_under_way() and self.now >= self.snapshot_not_before
        if type(self.role) is Leader and must_serve_state(self, self.role):
            return not self._snapshot_is_under_way() and self.now >= self.snapshot_not_before
        if self.bytes_since_snapshot <= config.snapshot_floor_bytes or self._snapshot_is_under_way():
            return False
        if self.now < self.snapshot_not_before:
            return False
        taken_at = self.snapshot.index if self.snapshot else 0
        if self.log.applied <= taken_at:
            return False
        due = config.snapshot_factor * (self.snapshot.size if self.snapshot else 0)
        due = min(max(due, config.snapshot_floor_bytes), config.snapshot_ceiling_bytes)
        if is_sending_snapshot(self):
            due = 4 * config.snapshot_ceiling_bytes
        return self.bytes_since_snapshot > due * (1 + self._delay_of_snapshot(taken_at))

    def _delay_of_snapshot(self, taken_at: Index) -> float:
        """0 to 0.5, different for each member, so that a group's members do not all write at once."""
        return crc32(f"{self.id} {taken_at}".encode()) / (1 << 33)
