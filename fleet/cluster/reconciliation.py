"""Reconciles the groups led from one node with their placement, one membership change at a time.

Each group has one request open: for its status, then for the step that `fleet.cluster.healing` names. A group
continues at once after a step that succeeded, otherwise in the next round. `step(now, event)` takes an event
and returns the requests to be made, each with a token that its answer repeats.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from fleet.cluster.healing import (
    AddLearner,
    Demote,
    Promote,
    Remove,
    Situation,
    Transfer,
    Wanted,
    living_members,
    next_step,
)
from fleet.cluster.reconciliation_events import (
    Admit,
    AnswerUseless,
    AnyChanged,
    AskChange,
    AskForMembers,
    AskStatus,
    AskToHost,
    Effect,
    Event,
    GroupChanged,
    Leads,
    LeadsNoMore,
    LogLine,
    Look,
    MemberHosted,
    MembersReceived,
    NoteClass,
    NoteConfig,
    Round,
    StatusReceived,
    StepDone,
    StepRefused,
    WakeIn,
)
from fleet.cluster.state import CLUSTER_GROUP
from fleet.cluster.view import ClusterView
from fleet.raft.ids import MemberId, Millis, disk_of, node_of

GIVE_UP_MS: Final[Millis] = 5000
"""A request without an answer is repeated after this."""
AGAIN_MS: Final[Millis] = 20
"""A step that was not possible yet (a learner still lags) is tried again after this."""
MOVES_MAX: Final = 8
"""Groups that may add a member at the same time: catching up uses disk and network."""
SWEEP_ROUNDS: Final = 60
"""One to two times so many rounds lie between two checks of a group that is as it is wanted, unless an event
tells of a change."""
LOOK_ROUNDS_MAX: Final = 4
"""The longest pause between checks of a group that is not as it is wanted."""
REFUSED_ROUNDS: Final = 10
"""The pause after a step that was refused for good."""
SILENT_ROUNDS: Final = 3
"""After this many rounds of silence a learner's node is asked whether it holds it."""
FOUNDERS_MS: Final[Millis] = 10_000
"""How long a founder of the cluster may take to join before it counts as unknown."""


@dataclass(slots=True)
class Open:
    """The open request of a group."""

    number: int
    since: Millis
    moves: bool
    """Whether it adds a member."""
    about: MemberId
    """The member that its node is asked for; "" in other requests."""


class Reconciliation:
    def __init__(self, first_token: int = 1) -> None:
        self.token = first_token - 1
        self.led: dict[int, Leads] = {}
        """Groups that are led from this node, by number."""
        self.questions: dict[int, Open] = {}
        """By token."""
        self.asked: set[int] = set()
        """Groups with an open request."""
        self.unsettled: dict[int, None] = {}
        """Groups that may need a step, in the order in which they are handled."""
        self.rounds = 0
        self.due: dict[int, int] = {}
        """By group, the round in which it is checked if nothing changes before."""
        self.fruitless: dict[int, int] = {}
        """By group, how many checks in a row found it not as it is wanted, with nothing to be done."""
        self.is_waking = False
        self.silent: dict[int, dict[MemberId, int]] = {}
        """By group, its silent learners, each with the round when it fell silent or its node was last
        asked."""
        self.refused: dict[int, str] = {}
        """By group, why its last step was refused for good: to log it once."""
        self._effects: list[Effect] = []

    def step(self, now: Millis, event: Event) -> list[Effect]:
        """Take one event. Returns its effects, in order. `now`: milliseconds on any monotonic clock."""
        self._table[type(event)](self, now, event)
        effects, self._effects = self._effects, []
        return effects

    # -- which groups may need a step --------------------------------------------------------------

    def _on_leads(self, now: Millis, event: Leads) -> None:
        self.led[event.number] = event
        self._notice(event.number)
        self._look(now)

    def _on_leads_no_more(self, now: Millis, event: LeadsNoMore) -> None:
        for known in (self.led, self.due, self.fruitless):
            known.pop(event.number, None)

    def _on_group_changed(self, now: Millis, event: GroupChanged) -> None:
        self._notice(event.number)

    def _on_any_changed(self, now: Millis, event: AnyChanged) -> None:
        for number in sorted(self.led):
            self._notice(number)

    def _on_round(self, now: Millis, event: Round) -> None:
        self.rounds += 1
        for number, at in self.due.items():
            if at <= self.rounds and number not in self.asked:
                self.unsettled.setdefault(number)
        for token in [token for token, one in self.questions.items() if now - one.since > GIVE_UP_MS]:
            self._notice(self._close(token).number)
        self._look(now)

    def _on_look(self, now: Millis, event: Look) -> None:
        self._look(now)

    def _look(self, now: Millis) -> None:
        """Ask for the status of every group that may need a step and has no open request."""
        self.is_waking = False
        for number in list(self.unsettled):
            if number not in self.asked:
                del self.unsettled[number]
                if number in self.led:
                    self._ask_status(now, number)

    def _notice(self, number: int) -> None:
        if number in self.led:
            self.unsettled.setdefault(number)
            self.fruitless.pop(number, None)

    def _check_later(self, number: int, is_in_place: bool) -> None:
        if is_in_place:
            self.fruitless.pop(number, None)
            pause = SWEEP_ROUNDS + number * 7919 % SWEEP_ROUNDS  # not all in one round
        else:
            checks = self.fruitless[number] = self.fruitless.get(number, 0) + 1
            pause = min(checks, LOOK_ROUNDS_MAX)
        self.due[number] = self.rounds + pause

    def _again(self, number: int) -> None:
        """Look at the group again soon; one wakeup serves all groups."""
        self._notice(number)
        if not self.is_waking:
            self.is_waking = True
            self._effects.append(WakeIn(AGAIN_MS))

    # -- requests and answers ----------------------------------------------------------------------

    def _open(self, now: Millis, number: int, moves: bool = False, about: MemberId = MemberId("")) -> int:
        self.token += 1
        self.questions[self.token] = Open(number, now, moves, about)
        self.asked.add(number)
        return self.token

    def _close(self, token: int) -> Open:
        question = self.questions.pop(token)
        self.asked.discard(question.number)
        return question

    def _ask_status(self, now: Millis, number: int) -> None:
        self.due[number] = self.rounds + 1
        self._effects.append(AskStatus(self._open(now, number), number))

    def _ask_change(
        self, now: Millis, number: int, change: Admit | Promote | Demote | Remove | Transfer
    ) -> None:
        token = self._open(now, number, moves=isinstance(change, Admit | Promote))
        self._effects.append(AskChange(token, number, change))

    def _on_answer(self, now: Millis, event: Any) -> None:
        """Ignores answers to requests that were given up, and for groups that are no longer led here."""
        if event.token not in self.questions:
            return
        question = self._close(event.token)
        group = self.led.get(question.number)
        if group is not None:
            self._answers[type(event)](self, now, group, question, event)

    def _on_room(self, now: Millis, group: Leads, question: Open, event: MemberHosted) -> None:
        if event.address is not None:
            self._ask_change(now, group.number, Admit(event.member, event.address))

    def _on_members(self, now: Millis, group: Leads, question: Open, event: MembersReceived) -> None:
        """A disk that does not hold the member never uses its id again: the member is gone for good."""
        member = question.about
        if event.disk == disk_of(member) and member not in event.members:
            self._tell(group, f"removes {member}, which its node does not hold")
            self._ask_change(now, group.number, Remove(member))
        else:
            self._again(group.number)

    def _on_done(self, now: Millis, group: Leads, question: Open, event: StepDone) -> None:
        self._ask_status(now, group.number)

    def _on_refused(self, now: Millis, group: Leads, question: Open, event: StepRefused) -> None:
        """Try again soon if that may help; else the next change or check does, once an operator has acted."""
        self.due[group.number] = self.rounds + REFUSED_ROUNDS
        if event.retry:
            self._again(group.number)
        elif self.refused.get(group.number) != event.why:
            self.refused[group.number] = event.why
            self._tell(group, f"cannot be reconciled with its placement: {event.why}", "error")

    def _on_useless(self, now: Millis, group: Leads, question: Open, event: AnswerUseless) -> None:
        pass  # the next round asks again

    def _tell(self, about: Leads, text: str, level: str = "info") -> None:
        self._effects.append(LogLine(f"group={about.group} {text}", level, about.group))

    # -- steps -------------------------------------------------------------------------------------

    def _on_status(self, now: Millis, group: Leads, question: Open, event: StatusReceived) -> None:
        if not event.leads:
            return
        self._note_settings(group, event)
        wanted = wanted_of(group, event.view)
        if wanted is None or is_founding(now, group, event):
            return
        step = next_step(wanted, event.seen, world_of(event))
        self._check_later(group.number, step is None and is_in_place(group, wanted, event))
        if isinstance(step, AddLearner):
            self._add_member(now, group, event, step)
        elif step is not None:
            if isinstance(step, Remove):
                self._tell(group, f"removes {step.member}")
            self._ask_change(now, group.number, step)
        elif not self._ask_for_silent(now, group, event):
            seats = event.seen.seats
            if any(not seat.votes and node_of(seat.member) in wanted.voters for seat in seats):
                self._again(group.number)

    def _note_settings(self, group: Leads, event: StatusReceived) -> None:
        """The cluster's state shows each group's configuration and class as its leader has them."""
        shown = event.view.groups.get(group.group)
        if shown is None or shown.uid != group.uid:
            return
        if shown.config != event.config:
            self._effects.append(NoteConfig(group.group, group.uid, event.config, event.applied))
        if event.data_class not in (b"", shown.data_class):
            self._effects.append(NoteClass(group.group, group.uid, event.data_class, event.applied))

    def _add_member(self, now: Millis, group: Leads, event: StatusReceived, step: AddLearner) -> None:
        is_own = group.group == CLUSTER_GROUP
        if not is_own and sum(question.moves for question in self.questions.values()) >= MOVES_MAX:
            self._again(group.number)
        else:
            token = self._open(now, group.number, moves=True)
            self._effects.append(AskToHost(token, group.number, step.node, event.removed))

    def _ask_for_silent(self, now: Millis, group: Leads, event: StatusReceived) -> bool:
        """Ask the node of a silent learner whether it holds it: an earlier leader that did not know the
        learner may have had it removed there. True if a node was asked."""
        learners = [seat.member for seat in event.seen.seats if not seat.votes and not seat.responsive]
        others = event.reachable - {node_of(event.seen.leader)}
        before = self.silent.pop(group.number, {})
        silent = {member: before.get(member, self.rounds) for member in learners if node_of(member) in others}
        if silent:
            self.silent[group.number] = silent
        for member, since in silent.items():
            if self.rounds - since >= SILENT_ROUNDS:
                silent[member] = self.rounds
                token = self._open(now, group.number, about=member)
                self._effects.append(AskForMembers(token, node_of(member)))
                return True
        return False

    _answers: dict[type, Callable[..., None]] = {
        StatusReceived: _on_status,
        MemberHosted: _on_room,
        MembersReceived: _on_members,
        StepDone: _on_done,
        StepRefused: _on_refused,
        AnswerUseless: _on_useless,
    }
    _table: dict[type, Callable[..., None]] = {
        Leads: _on_leads,
        LeadsNoMore: _on_leads_no_more,
        GroupChanged: _on_group_changed,
        AnyChanged: _on_any_changed,
        Look: _on_look,
        Round: _on_round,
        **dict.fromkeys(_answers, _on_answer),
    }


def wanted_of(group: Leads, view: ClusterView) -> Wanted | None:
    """None if unknown: then nothing is changed."""
    if group.group == CLUSTER_GROUP:
        return view.cluster_wanted() if view.nodes else None
    info = view.groups.get(group.group)
    return Wanted(view.wanted(info)) if info is not None and info.uid == group.uid else None


def is_in_place(group: Leads, wanted: Wanted, event: StatusReceived) -> bool:
    """Whether the group has the members that are wanted, on the disks that their nodes have, all of which
    answer, its leader among them, and the cluster shows its configuration. Then only a new event can make a
    step necessary. A member whose disk was replaced may have answered a moment ago."""
    seats, shown = event.seen.seats, event.view.groups.get(group.group)
    voting = {node_of(seat.member) for seat in seats if seat.votes}
    learning = {node_of(seat.member) for seat in seats if not seat.votes}
    is_led = node_of(event.seen.leader) == wanted.voters[0] if wanted.voters else False
    is_shown = shown is None or shown.config == event.config
    is_complete = voting == {*wanted.voters} and learning == {*wanted.learners}
    members = [seat.member for seat in seats]
    is_well = all(seat.responsive for seat in seats) and living_members(members, event.view.disks()) == {
        *members
    }
    return is_led and is_shown and is_complete and is_well


def world_of(event: StatusReceived) -> Situation:
    view = event.view
    members = [seat.member for seat in event.seen.seats]
    return Situation(
        living_members(members, view.disks()), event.reachable & view.nodes.keys(), view.staying()
    )


def is_founding(now: Millis, group: Leads, event: StatusReceived) -> bool:
    """Whether the cluster group's members are still the founders, and one of them has not joined yet."""
    if group.group != CLUSTER_GROUP or event.changed_at > 1 or now - group.started_at >= FOUNDERS_MS:
        return False
    return any(node_of(member) not in event.view.nodes for member in event.voters)
