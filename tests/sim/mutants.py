"""Bugs that others had, planted as patches at run time: the simulator has to find each in few seeds."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from msgspec.structs import replace

from fleet.actors.member import Member
from fleet.raft import candidate, follower, leader, leader_requests, quorum, table
from fleet.raft.apply import Applier
from fleet.raft.events import Query
from fleet.raft.log import Log
from fleet.raft.ready import PersistRequest
from fleet.raft.sessions import EXECUTE, EXPIRED, SessionTable

Patches = list[Any]


def ack_before_fsync() -> Patches:
    """What depends on a write leaves with it."""

    def hold(self: Any, seq: int, messages: list[Any]) -> None:
        for message in messages:
            self._post(message)
        self._flush()

    return [patch.object(Member, "_hold", hold)]


def vote_not_persisted() -> Patches:
    """Term and vote are taken for written and are not."""
    write: Callable[..., None] = Member._write

    def forget(self: Any, request: PersistRequest) -> None:
        write(self, replace(request, hard=None))

    return [patch.object(Member, "_write", forget)]


def majority_off_by_one() -> Patches:
    return [patch.object(quorum, "majority", lambda count: max(1, count // 2))]


def older_term_by_counting() -> Patches:
    """Figure 8."""

    def advance(core: Any, role: Any) -> None:
        log = core.log
        match = {peer: progress.match for peer, progress in role.progress.items()}
        voters = core.membership.current.voters
        index = quorum.reached_by_quorum(quorum.pick(match, voters, core.id, log.durable))
        if index > log.commit:
            log.commit_to(index)

    return [patch.object(leader, "advance_commit", advance)]


def suffix_is_kept() -> Patches:
    """A conflicting entry is overwritten in its place; what stood after it stays."""
    merge = Log.merge

    def keep(self: Log, entries: Any) -> Any:
        before = list(self.entries)
        new = merge(self, entries)
        kept = before[len(self.entries) :]
        self.entries.extend(kept if new and kept and kept[0].term >= self.last_term else [])
        return new

    return [patch.object(Log, "merge", keep)]


def commit_unclamped() -> Patches:
    """A follower believes its leader's commit index beyond what the message has verified (S03)."""
    on_append = follower.on_append

    def believe(core: Any, role: Any, m: Any) -> None:
        on_append(core, role, m)
        core.log.commit_to(min(m.commit, core.log.last_index))

    return [_handler(follower.on_append, believe)]


def dedup_dropped() -> Patches:
    """A command that is asked for again is executed again."""

    def always(self: Any, command: Any) -> Any:
        session = self.sessions.get(command.session)
        return (EXPIRED, None, None) if session is None else (EXECUTE, session, None)

    return [
        patch.object(SessionTable, "admit", always),
        patch.object(SessionTable, "record", lambda self, session, seq, result: None),
    ]


def sessions_not_in_snapshots() -> Patches:
    restore = Applier.restore

    def forget(self: Any, *args: Any, **kwargs: Any) -> None:
        restore(self, *args, **kwargs)
        self.sessions.sessions.clear()
        self.sessions.clients.clear()

    return [patch.object(Applier, "restore", forget)]


def stale_snapshot_accepted() -> Patches:
    """A snapshot older than what is committed replaces it (S35)."""
    install = follower.on_install_snapshot

    def accept(core: Any, role: Any, m: Any) -> None:
        if core.log.commit > m.meta.index and m.offset == 0 and len(m.data) == m.meta.size:
            core.log.commit = m.meta.index - 1
            follower.install(core, m, m.data)
        else:
            install(core, role, m)

    return [_handler(follower.on_install_snapshot, accept)]


def read_without_round() -> Patches:
    """A leader answers from what it has, without asking whether it still leads, nor for its own term."""

    def at_once(core: Any, role: Any, m: Query) -> None:
        core.ready.reads.append(m.token)

    return [_handler(leader_requests.on_query, at_once)]


def own_write_not_waited_for() -> Patches:
    """A leader counts itself before its own disk has the entries."""

    def advance(core: Any, role: Any) -> None:
        core.log.durable = core.log.last_index
        true_advance(core, role)

    true_advance = leader.advance_commit
    return [patch.object(leader, "advance_commit", advance)]


def any_vote_reply_counts() -> Patches:
    """Any answer to a vote counts as a grant."""
    reply = candidate.on_vote_reply

    def take(core: Any, role: Any, m: Any) -> None:
        reply(core, role, replace(m, granted=True))

    return [_handler(candidate.on_vote_reply, take)]


def half_of_a_failed_command_stays() -> Patches:
    return [patch.object(Applier, "roll_back", lambda self: None)]


MUTANTS: dict[str, tuple[Callable[[], Patches], int]] = {
    "ack before fsync": (ack_before_fsync, 60),
    "vote not persisted": (vote_not_persisted, 60),
    "majority off by one": (majority_off_by_one, 60),
    "commit unclamped": (commit_unclamped, 60),
    "dedup dropped": (dedup_dropped, 60),
    "sessions not in snapshots": (sessions_not_in_snapshots, 60),
    "read without round": (read_without_round, 60),
    "own write not waited for": (own_write_not_waited_for, 60),
    "half of a failed command stays": (half_of_a_failed_command_stays, 60),
    "older term by counting": (older_term_by_counting, 3000),
    "suffix is kept": (suffix_is_kept, 3000),
    "stale snapshot accepted": (stale_snapshot_accepted, 3000),
    "any vote reply counts": (any_vote_reply_counts, 3000),
}
RARE = 1000
"""A bug with a budget above this needs a rare order of events: looked for in long runs only."""


def _handler(true: Any, planted: Any) -> Any:
    """In the table of handlers, wherever the true one stands."""
    return _InTable(true, planted)


class _InTable:
    def __init__(self, true: Any, planted: Any) -> None:
        self.true, self.planted = true, planted

    def _swap(self, one: Any, other: Any) -> None:
        for handlers in table.HANDLERS.values():
            for event, handler in handlers.items():
                if handler is one:
                    handlers[event] = other

    def __enter__(self) -> None:
        self._swap(self.true, self.planted)

    def __exit__(self, *_: object) -> None:
        self._swap(self.planted, self.true)


@contextmanager
def planted(name: str) -> Iterator[None]:
    with ExitStack() as stack:
        for one in MUTANTS[name][0]():
            stack.enter_context(one)
        yield
