"""Planted in replication, commit and the log on disk."""

from collections import deque
from typing import Any
from unittest.mock import patch

from fleet.actors.member.outbox import PeerOutbox
from fleet.errors import Damaged
from fleet.raft import follower, leader, quorum, transitions
from fleet.raft.log import Log
from fleet.raft.messages import AppendEntries, AppendReply
from fleet.raft.state import CoreState
from fleet.storage.keys import ENTRY
from fleet.storage.records import unseal
from fleet.storage.store import Store
from tests.sim.planted.patches import Handler, Patches, in_modules


def older_term_by_counting() -> Patches:
    """S04, figure 8: entries of earlier terms are committed by counting their copies."""

    def advance(core: Any, role: Any) -> None:
        log = core.log
        match = {peer: progress.match for peer, progress in role.progress.items()}
        voters = core.membership.current.voters
        index = quorum.reached_by_quorum(quorum.pick(match, voters, core.id, log.durable))
        if index > log.commit:
            log.commit_to(index)

    return [patch.object(leader, "advance_commit", advance)]


def suffix_is_kept() -> Patches:
    """A conflicting entry is overwritten in its place; what stood after it stays (in memory)."""
    merge = Log.merge

    def keep(self: Log, entries: Any) -> Any:
        before = list(self.entries)
        new = merge(self, entries)
        if new:
            self.entries.extend(before[len(self.entries) :])
        return new

    return [patch.object(Log, "merge", keep)]


def suffix_is_acknowledged() -> Patches:
    """W1: everything that a follower has counts as verified, also what the leader never sent."""
    send_durably = CoreState.send_durably

    def send(self: CoreState, message: Any) -> None:
        if type(message) is AppendReply and message.ok:
            message = AppendReply(
                message.term, message.src, message.dst, True, self.log.last_index, 0, 0,
                message.round, message.sent_at,
            )  # fmt: skip
        send_durably(self, message)

    return [patch.object(CoreState, "send_durably", send)]


def missing_entry_matches() -> Patches:
    """W1, S02: what stands before an append is compared only where there is something."""

    def on_append(core: CoreState, role: Any, m: AppendEntries) -> None:
        mine = core.log.term_at(m.prev_index)
        if mine is None and m.prev_index > core.log.commit and not m.entries:
            transitions.follow(core, m.src)
            core.send_durably(
                AppendReply(core.term, core.id, m.src, True, m.prev_index, 0, 0, m.round, m.sent_at)
            )
            return
        true_append(core, role, m)

    true_append = follower.on_append
    return [Handler(follower.on_append, on_append)]


def matching_entries_are_truncated() -> Patches:
    """S07: a short late append takes away what follows it."""
    merge = Log.merge

    def cut(self: Log, entries: Any) -> Any:
        last = entries[-1] if entries else None
        if last is not None and self.commit < last.index and self.term_at(last.index) == last.term:
            self._truncate(last.index + 1)
        return merge(self, entries)

    return [patch.object(Log, "merge", cut)]


def commit_unclamped() -> Patches:
    """S03: a follower believes its leader's commit index beyond what the message has verified."""
    on_append = follower.on_append

    def believe(core: Any, role: Any, m: Any) -> None:
        on_append(core, role, m)
        core.log.commit_to(min(m.commit, core.log.last_index))

    return [Handler(follower.on_append, believe)]


def ack_before_fsync() -> Patches:
    """What depends on a write leaves with it."""

    def hold(self: PeerOutbox, seq: int, messages: list[Any]) -> None:
        for message in messages:
            self.post(message)
        self.flush()

    return [patch.object(PeerOutbox, "hold", hold)]


def held_mail_is_no_queue() -> Patches:
    """What waits for a later write leaves with the completion of an earlier one."""
    release = PeerOutbox.release

    def release_all(self: PeerOutbox, seq: int) -> None:
        self.held = deque((0, messages) for _, messages in self.held)
        release(self, seq)

    return [patch.object(PeerOutbox, "release", release_all)]


def own_write_not_waited_for() -> Patches:
    """A leader counts itself before its own disk has the entries."""

    def advance(core: Any, role: Any) -> None:
        core.log.durable = core.log.last_index
        true_advance(core, role)

    true_advance = leader.advance_commit
    return [patch.object(leader, "advance_commit", advance)]


def learners_are_counted() -> Patches:
    """A learner's copy stands for a voter's."""

    def pick(values: Any, voters: Any, own: Any, own_value: int) -> list[int]:
        everyone = [own_value, *values.values()]
        return sorted(everyone, reverse=True)[: max(1, len(tuple(voters)))]

    return in_modules("pick", pick, leader)


def rotten_tail_is_cut_off() -> Patches:
    """W6, S37: entries from a damaged one on are forgotten at the start, and the member votes on."""
    load = Store.load

    def cut(self: Any, number: int) -> Any:
        try:
            return load(self, number)
        except Damaged:
            part, rotten = self.image[number], False
            for key in sorted(key for key in part if key[4] == ENTRY):
                rotten = rotten or not _is_sound(key, part[key])
                if rotten:
                    del part[key]
            return load(self, number)

    return [patch.object(Store, "load", cut)]


def _is_sound(key: bytes, record: bytes) -> bool:
    try:
        unseal(key, record)
    except Damaged:
        return False
    return True
