"""Planted between members and executors: objects that are lost and made again, commands that halt."""

from typing import Any
from unittest.mock import patch

import msgspec
from msgspec.structs import replace

from fleet.actors.executor.actor import Executors
from fleet.actors.executor.hosted_object import HostedObject
from fleet.actors.member import member_object, object_halts
from fleet.actors.member.member_object import MemberObject
from fleet.actors.messages.executor import ApplyEntries, CloseObject, DumpObject, LoadState
from fleet.actors.runtime.turn import EndTurn
from fleet.errors import Damaged
from fleet.objects.applied_state import decode_state, encode_state
from fleet.objects.applier import Applier
from fleet.objects.executor import ObjectExecutor
from fleet.raft import halting, leader
from fleet.raft.messages import DIVERGED, REPAIRING
from fleet.raft.quorum import has_quorum
from fleet.raft.sessions import SessionTable
from tests.sim.planted.patches import Handler, InHandlers, Patches, in_modules


def batch_twice_after_a_loss() -> Patches:
    """What an object executes again, after its executor was lost, it does not remember: asked again, it runs
    twice."""
    handle = HostedObject._apply

    def forget(self: HostedObject, entry: Any, is_known: bool) -> None:
        if not is_known:
            handle(self, entry, is_known)
            return
        with patch.object(SessionTable, "record", lambda self, session, results, config: None):
            handle(self, entry, is_known)

    return [patch.object(HostedObject, "_apply", forget)]


def half_a_batch_is_acknowledged() -> Patches:
    """Of a batch the first half is executed, and all of it is told as done."""
    execute = ObjectExecutor.apply

    def half(self: ObjectExecutor, context: Any, payloads: Any, bytes_max: int) -> Any:
        values, is_clean = execute(self, context, payloads[: (len(payloads) + 1) // 2], bytes_max)
        if is_clean and len(payloads) > 1:
            values = [*values, *[values[-1]] * (len(payloads) - len(values))]
        return values, is_clean

    return [patch.object(ObjectExecutor, "apply", half)]


def results_of_batches_swapped() -> Patches:
    """Two batches that are told together get each other's results."""
    told = HostedObject._tell

    def swap(self: HostedObject, is_amid: bool = False) -> None:
        if len(self.outcomes) > 1 and len(self.outcomes[0].values) == len(self.outcomes[1].values):
            one, other, *rest = self.outcomes
            self.outcomes = [replace(one, values=other.values), replace(other, values=one.values), *rest]
        told(self, is_amid)

    return [patch.object(HostedObject, "_tell", swap)]


def skip_by_a_majority() -> Patches:
    """A command is skipped when a majority of the voters has halted there, whatever the others did."""
    agreed = halting.skip_if_agreed

    def by_majority(core: Any, role: Any) -> None:
        halt = core.halt
        if halt is not None:
            place, voters = (halt.index, halt.place), core.membership.current.voters
            halted = {core.id, *(peer for peer, one in role.progress.items() if one.halted == place)}
            proposal = halting.proposal_of(core, place)
            if has_quorum(halted, voters):
                for peer, progress in role.progress.items():
                    if peer not in halted:
                        progress.halted, progress.halted_with = place, proposal
        agreed(core, role)

    return in_modules("skip_if_agreed", by_majority, halting, leader)


def halted_command_is_tried_at_once() -> Patches:
    """A halted member executes its command again at once, also when a leader may be about to skip it."""
    return [
        patch.object(object_halts, "TRY_MS", (50, 50)),
        *in_modules("may_retry", lambda core: core.halt is not None, halting, object_halts),
        patch.object(halting, "proposed_at", lambda core: {}),
    ]


def reopened_without_its_snapshot() -> Patches:
    """An object that is made again is sent the entries behind the snapshot, and not the snapshot."""
    restore, send = MemberObject._restore, MemberObject._send

    def without(self: MemberObject) -> None:
        with patch.object(MemberObject, "_send", all_but_states):
            restore(self)

    def all_but_states(self: MemberObject, m: Any) -> None:
        if type(m) is not LoadState:
            send(self, m)

    return [patch.object(MemberObject, "_restore", without)]


def hooks_hear_twice() -> Patches:
    """The hooks of an object that is made again hear of everything behind the snapshot again."""
    execute = MemberObject._apply

    def as_new(self: MemberObject, entries: Any, known: int) -> None:
        execute(self, entries, 0)

    restore = MemberObject._restore

    def first(self: MemberObject) -> None:
        if self.term:
            self._tell_leads()
        restore(self)

    return [patch.object(MemberObject, "_apply", as_new), patch.object(MemberObject, "_restore", first)]


def queries_overtake_entries() -> Patches:
    """Queries leave for the executor before the entries of the same turn."""
    flush = Executors.on_end_turn

    def overtake(self: Executors, m: Any, sender: Any) -> None:
        for slot in self.slots:
            channel: Any = slot.channel
            if channel is not None:
                channel._gathered.sort(key=lambda one: type(one) is ApplyEntries)
        flush(self, m, sender)

    return [InHandlers(Executors, EndTurn, overtake)]


def dump_behind_later_entries() -> Patches:
    """A snapshot is taken when the object has time, and holds entries behind the index that it ends with."""
    on_apply, on_dump = HostedObject.handlers[ApplyEntries], HostedObject.handlers[DumpObject]

    def later(self: Any, m: Any) -> None:
        self.planted = m

    def apply_first(self: Any, m: Any) -> None:
        on_apply(self, m)
        asked, self.planted = getattr(self, "planted", None), None
        if asked is None:
            return
        if self.failed or self.applier.index <= asked.index:
            on_dump(self, replace(asked, index=self.applier.index))
            return
        dump = Applier.dump

        def said(applier: Applier) -> bytes:
            return encode_state(msgspec.structs.replace(decode_state(dump(applier)), index=asked.index))

        index, self.applier.index = self.applier.index, asked.index
        with patch.object(Applier, "dump", said):
            on_dump(self, asked)
        self.applier.index = index

    return [patch.dict(HostedObject.handlers, {ApplyEntries: apply_first, DumpObject: later})]


def skip_leaves_who_executed() -> Patches:
    """A member that executed what an operator skips keeps the state that it has."""

    def passes(held: MemberObject, bodies: Any, handed: int) -> bool:
        places = {(body.index, body.place) for body in bodies}
        if held.halt is not None and (held.halt.index, held.halt.place) in places:
            held.open_again()
            return True
        return False

    return [patch.object(member_object, "passes", passes)]


def who_has_executed_what_is_skipped_ends() -> Patches:
    """Seed 9204983: a member whose snapshot has what its group skips ended, to be replaced, and with it a
    majority."""

    def end(self: MemberObject, index: int, cause: str, place: int = DIVERGED) -> None:
        if place == REPAIRING:
            self.told.on_failed(Damaged(cause), False)
        else:
            diverge(self, index, cause, place)

    diverge = MemberObject.diverge
    return [patch.object(MemberObject, "diverge", end)]


def moved_without_a_word() -> Patches:
    """Objects that move to another executor are not told: their members wait for the old one."""

    def move(self: Executors, slot: Any, placed: Any) -> None:
        if slot.channel is not None:
            slot.channel.send(CloseObject(placed.number, placed.run))
            self.turn_end.ask()
        placed.is_lost = True

    return [patch.object(Executors, "_move", move)]


def repeated_halts_agree() -> Patches:
    """A member agrees to skip a command that an earlier run of its object executed."""
    report = halting.on_execution_halted

    def forget(core: Any, role: Any, m: Any) -> None:
        report(core, role, replace(m, halt=replace(m.halt, is_repeated=False)))

    return [Handler(report, forget)]


def lost_while_it_opens() -> Patches:
    """Seed 5036: an object that is lost while it is opened again, after a halt, stays closed."""
    lost = MemberObject.on_lost

    def stay(self: MemberObject, m: Any) -> None:
        if self.halt is not None and m.run == self.run and not (m.index or m.is_final or m.token):
            return
        lost(self, m)

    return [patch.object(MemberObject, "on_lost", stay)]


def gone_object_hangs_on() -> Patches:
    """Seed 5146: a command of an object that is gone has no limit of time."""
    return [patch("fleet.actors.executor.slots.GONE_LIMIT_MS", 0)]
