"""Planted in applying, sessions and snapshots."""

from collections import deque
from typing import Any
from unittest.mock import patch

import msgspec
from msgspec.structs import replace

from fleet.actors.client.refusals import on_refusal
from fleet.actors.client.session_state import SessionState
from fleet.actors.executor.hosted_object import HostedObject
from fleet.actors.member.actor import Member
from fleet.actors.messages.executor import DumpObject
from fleet.objects.applied_state import decode_state, encode_state
from fleet.objects.applier import Applier
from fleet.raft import follower, restoring
from fleet.raft.entries import Founded
from fleet.raft.events import Persisted
from fleet.raft.keys import KeyTable
from fleet.raft.messages import InstallSnapshot
from fleet.raft.ready import PersistRequest
from fleet.raft.sessions import DONE, EXECUTE, EXPIRED, Session, SessionTable
from fleet.raft.state import CoreState
from tests.sim.planted.patches import Handler, InHandlers, Patches


def dedup_dropped() -> Patches:
    """A command that is asked for again is executed again."""

    def always(self: Any, command: Any) -> Any:
        session = self.sessions.get(command.session)
        return (EXPIRED, None, None) if session is None else (EXECUTE, session, None)

    return [
        patch.object(SessionTable, "admit", always),
        patch.object(SessionTable, "record", lambda self, session, seq, result: None),
    ]


def results_in_one_queue() -> Patches:
    """W4, S42: the last three results of all clients together are kept; what fell out runs again."""
    kept: dict[int, deque[Any]] = {}

    def admit(self: SessionTable, command: Any) -> Any:
        session = self.sessions.get(command.session)
        if session is None:
            return EXPIRED, None, None
        for one, seq, result in kept.get(id(self), ()):
            if (one, seq) == (command.session, command.seq):
                return DONE, session, result
        return EXECUTE, session, None

    def record(self: SessionTable, session: Any, seq: int, result: Any) -> None:
        kept.setdefault(id(self), deque(maxlen=3)).append((session.id, seq, result))

    return [patch.object(SessionTable, "admit", admit), patch.object(SessionTable, "record", record)]


def sessions_not_in_snapshots() -> Patches:
    """Whoever restores a snapshot forgets the sessions of all clients."""
    restore = Applier.restore

    def forget(self: Any, *args: Any, **kwargs: Any) -> None:
        restore(self, *args, **kwargs)
        self.sessions.sessions.clear()
        self.sessions.clients.clear()

    return [patch.object(Applier, "restore", forget)]


def keys_not_in_snapshots() -> Patches:
    """W4, RV17: whoever restores a snapshot forgets which keys of clients were executed."""
    restore = Applier.restore

    def forget(self: Any, *args: Any, **kwargs: Any) -> None:
        restore(self, *args, **kwargs)
        self.keys = KeyTable()

    return [patch.object(Applier, "restore", forget)]


def keys_of_one_client() -> Patches:
    """RV17: what another client executed under a key is executed again."""
    execute = Applier._execute_keyed

    def apart(self: Any, session: Session, seq: int, call: Any, why: Any, tell: Any) -> None:
        own = call and replace(call, key=f"{session.client} {call.key}")
        execute(self, session, seq, own, why, tell)

    return [patch.object(Applier, "_execute_keyed", apart)]


def sessions_expire_by_own_clock() -> Patches:
    """S44: each member ages sessions by its own wall clock."""
    carry_out, advance = Member._carry_out, SessionTable.advance
    now = [0]

    def note(self: Any, ready: Any) -> None:
        now[0] = self.start.clock.wall_ms()
        carry_out(self, ready)

    def age(self: SessionTable, wall_ms: int, ttl_ms: int, count_max: int) -> None:
        advance(self, now[0], ttl_ms, count_max)

    return [patch.object(Member, "_carry_out", note), patch.object(SessionTable, "advance", age)]


def loss_is_a_refusal() -> Patches:
    """S45: what was proposed when the leadership was lost is told as if it had never been."""

    def forget(state: SessionState, now: Any, m: Any) -> None:
        for seq in m.seqs if m.lost and m.session == state.session_id else ():
            if seq in state.inflight:
                state.inflight[seq].sends = ()
        on_refusal(state, now, m)

    return [patch("fleet.actors.client.group_session.on_refusal", forget)]


def refused_command_leaves_traces() -> Patches:
    """S46: what a failed command had changed already stays changed on the leader alone."""
    return [patch.object(Applier, "roll_back", lambda self: None)]


def stale_snapshot_accepted() -> Patches:
    """S35: a snapshot older than what is committed replaces it."""
    install = follower.on_install_snapshot

    def accept(core: Any, role: Any, m: Any) -> None:
        if core.log.commit > m.meta.index and m.offset == 0 and len(m.data) == m.meta.size:
            core.log.commit = m.meta.index - 1
            follower.install(core, m.meta, m.data)
        else:
            install(core, role, m)

    return [Handler(follower.on_install_snapshot, accept)]


def snapshot_installed_unchecked() -> Patches:
    """Chunks are put together in the order in which they come, and no checksum is asked."""
    install = follower.on_install_snapshot

    def take(core: CoreState, role: Any, m: InstallSnapshot) -> None:
        incoming = core.incoming
        if incoming is not None and incoming.meta == m.meta and m.offset != incoming.size:
            m = replace(m, offset=incoming.size)
        install(core, role, m)

    return [
        Handler(follower.on_install_snapshot, take),
        patch.object(follower, "crc32", _AnyChecksum()),
    ]


class _AnyChecksum:
    def __call__(self, data: bytes) -> Any:
        return _Equal()


class _Equal(int):
    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = int.__hash__


def snapshot_index_is_off() -> Patches:
    """The bytes of a snapshot lack the last entry that its index stands for."""
    dump = Applier.dump

    def late(self: Applier) -> bytes:
        data = getattr(self.executor, "planted_before", None)
        true = dump(self)
        state = decode_state(true)
        if data is None:
            return true
        former: bytes = encode_state(msgspec.structs.replace(state, data=data))
        return former

    execute = Applier._commands

    def remember(self: Applier, body: Any, tell: Any) -> Any:
        self.executor.planted_before = self.executor.dump()  # type: ignore[attr-defined]
        return execute(self, body, tell)

    return [
        patch.object(Applier, "_commands", remember),
        patch.dict(HostedObject.handlers, {DumpObject: _dump(late)}),
    ]


def _dump(dump: Any) -> Any:
    on_dump = HostedObject.on_dump

    def dump_late(self: HostedObject, m: Any) -> None:
        with patch.object(Applier, "dump", dump):
            on_dump(self, m)

    return dump_late


def snapshot_in_two_writes() -> Patches:
    """S34: the log is emptied in one write, and the snapshot that stands for it comes in the next."""
    submit, on_persisted = Member._write, Member.on_persisted

    def write(self: Any, request: PersistRequest) -> None:
        if not request.reset:
            submit(self, request)
            return
        self.planted = replace(request, entries=(), reset=False, hard=None)
        submit(self, replace(request, snapshot=None, snapshot_data=b"", seq=request.seq - 1))

    def persisted(self: Any, m: Persisted, sender: Any) -> None:
        later = getattr(self, "planted", None)
        if later is not None and m.seq == later.seq - 1:
            self.planted = None
            submit(self, later)
        on_persisted(self, m, sender)

    return [patch.object(Member, "_write", write), InHandlers(Member, Persisted, persisted)]


def sessions_of_a_backup_are_kept() -> Patches:
    """A restored group goes on with the sessions of the one that was saved."""
    apply_entry = Applier.apply

    def keep(self: Applier, entry: Any, *tell: Any) -> Any:
        before = self.sessions
        opened = apply_entry(self, entry, *tell)
        if type(entry.body) is Founded and entry.index > 1:
            self.sessions = before
        return opened

    return [patch.object(Applier, "apply", keep)]


def state_is_given_in_memory_alone() -> Patches:
    """The first founder of a restored group does not write the state that it is given."""

    def forget(core: Any, role: Any, m: Any) -> None:
        restoring.on_state_given(core, role, m)
        core.installing = None

    return [Handler(restoring.on_state_given, forget)]
