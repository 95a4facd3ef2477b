"""Reconciles the groups led from one node with their placement, one membership change at a time.

Each group has one request open: for its status, then for the step that `fleet.cluster.healing` names. A group
continues at once after a step that succeeded, otherwise in the next round. `step(now, event)` takes an event
and returns the requests to be made, each with a token that its answer repeats.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from fleet.cluster.healing import (
    Demote,
    Host,
    Promote,
    Remove,
    Transfer,
    Wanted,
    World,
    living_members,
    next_step,
)
from fleet.cluster.reconciliation_events import (
    Admit,
    AnswerUseless,
    AnyChanged,
    AskChange,
    AskForMembers,
    AskForRoom,
    AskStatus,
    Effect,
    Event,
    GroupChanged,
    Leads,
    LeadsNoMore,
    Look,
    MembersTold,
    NoteConfig,
    RoomMade,
    Round,
    StatusTold,
    StepDone,
    StepRefused,
    Tell,
    WakeIn,
)
from fleet.cluster.state import CLUSTER_GROUP
from fleet.cluster.view import ClusterView
from fleet.raft.ids import MemberId, Millis, disk_of, node_of

GIVE_UP_MS: Final[Millis] = 5000
"""A request without an answer is repeated after this."""
AGAIN_MS: Final[Millis] = 20
"""A step that could not be done yet (a learner that still lags) is tried again after this."""
MOVES_MAX: Final = 8
"""Groups that add a member at the same time: catching up costs disk and network."""
EVERY_ROUNDS: Final = 10
"""Every so many rounds every group is checked, even if nothing seems to have changed."""
SILENT_ROUNDS: Final = 3
"""A learner that is silent for so many rounds is looked for on its node; a new one had no time yet."""
FOUNDERS_MS: Final[Millis] = 10_000
"""How long a founder of the cluster may take to join before it counts as unknown."""


@dataclass(slots=True)
class Open:
    """The open request of a group."""

    number: int
    since: Millis
    moves: bool
    """Whether a member is being added."""
    about: MemberId
    """Whom its node is asked for, "" where that is not the question."""


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
        """Groups that may need a step, in the order of waiting."""
        self.rounds = 0
        self.is_waking = False
        self.silent: dict[int, dict[MemberId, int]] = {}
        """Group to the learners that say nothing, each with the round since when, or in which its node was
        asked."""
        self.refused: dict[int, str] = {}
        """Group to why its last step was refused for good, so that it is told once."""
        self._effects: list[Effect] = []

    def step(self, now: Millis, event: Event) -> list[Effect]:
        """Effects of the current step, in order."""
        self._table[type(event)](self, now, event)
        effects, self._effects = self._effects, []
        return effects

    # -- when --------------------------------------------------------------------------------------

    def _on_leads(self, now: Millis, event: Leads) -> None:
        self.led[event.number] = event
        self._notice(event.number)
        self._look(now)

    def _on_leads_no_more(self, now: Millis, event: LeadsNoMore) -> None:
        self.led.pop(event.number, None)

    def _on_group_changed(self, now: Millis, event: GroupChanged) -> None:
        self._notice(event.number)

    def _on_any_changed(self, now: Millis, event: AnyChanged) -> None:
        for number in sorted(self.led):
            self._notice(number)

    def _on_round(self, now: Millis, event: Round) -> None:
        self.rounds += 1
        if self.rounds % EVERY_ROUNDS == 0:
            self._on_any_changed(now, AnyChanged())
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

    def _again(self, number: int) -> None:
        """Wake up soon, once for all groups that wait for it."""
        self._notice(number)
        if not self.is_waking:
            self.is_waking = True
            self._effects.append(WakeIn(AGAIN_MS))

    # -- questions ---------------------------------------------------------------------------------

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
        self._effects.append(AskStatus(self._open(now, number), number))

    def _ask_change(
        self, now: Millis, number: int, change: Admit | Promote | Demote | Remove | Transfer
    ) -> None:
        token = self._open(now, number, moves=isinstance(change, Admit | Promote))
        self._effects.append(AskChange(token, number, change))

    def _on_answer(self, now: Millis, event: Any) -> None:
        """Too late: asked again since. Of no use: this node leads the group no more."""
        if event.token not in self.questions:
            return
        question = self._close(event.token)
        group = self.led.get(question.number)
        if group is not None:
            self._answers[type(event)](self, now, group, question, event)

    def _on_room(self, now: Millis, group: Leads, question: Open, event: RoomMade) -> None:
        if event.address is not None:
            self._ask_change(now, group.number, Admit(event.member, event.address))

    def _on_members(self, now: Millis, group: Leads, question: Open, event: MembersTold) -> None:
        """The disk that it lives on does not hold it, and never gives its name again: it is gone for good."""
        member = question.about
        if event.disk == disk_of(member) and member not in event.members:
            self._tell(f"group={group.group} lets go of {member}, which its node does not hold")
            self._ask_change(now, group.number, Remove(member))
        else:
            self._again(group.number)

    def _on_done(self, now: Millis, group: Leads, question: Open, event: StepDone) -> None:
        self._ask_status(now, group.number)

    def _on_refused(self, now: Millis, group: Leads, question: Open, event: StepRefused) -> None:
        """Soon again if that may help, else with the next round: an operator has to act first."""
        if event.retry:
            self._again(group.number)
        elif self.refused.get(group.number) != event.why:
            self.refused[group.number] = event.why
            what = f"group={group.group} cannot be brought where it is wanted: {event.why}"
            self._tell(what, "error")

    def _on_useless(self, now: Millis, group: Leads, question: Open, event: AnswerUseless) -> None:
        pass  # the next round asks again

    def _tell(self, text: str, level: str = "info") -> None:
        self._effects.append(Tell(text, level))

    # -- steps -------------------------------------------------------------------------------------

    def _on_status(self, now: Millis, group: Leads, question: Open, event: StatusTold) -> None:
        if not event.leads:
            return
        self._show_config(group, event)
        wanted = wanted_of(group, event.view)
        if wanted is None or is_founding(now, group, event):
            return
        step = next_step(wanted, event.seen, world_of(event))
        if isinstance(step, Host):
            self._bring_in(now, group, event, step)
        elif step is not None:
            if isinstance(step, Remove):
                self._tell(f"group={group.group} lets go of {step.member}")
            self._ask_change(now, group.number, step)
        elif not self._look_for(now, group, event):
            seats = event.seen.seats
            if any(not seat.votes and node_of(seat.member) in wanted.voters for seat in seats):
                self._again(group.number)

    def _show_config(self, group: Leads, event: StatusTold) -> None:
        """The cluster's state shows each group's configuration as its leader has it."""
        shown = event.view.groups.get(group.group)
        if shown is not None and shown.uid == group.uid and shown.config != event.config:
            self._effects.append(NoteConfig(group.group, group.uid, event.config, event.applied))

    def _bring_in(self, now: Millis, group: Leads, event: StatusTold, step: Host) -> None:
        is_own = group.group == CLUSTER_GROUP
        if not is_own and sum(question.moves for question in self.questions.values()) >= MOVES_MAX:
            self._again(group.number)
        else:
            token = self._open(now, group.number, moves=True)
            self._effects.append(AskForRoom(token, group.number, step.node, event.removed))

    def _look_for(self, now: Millis, group: Leads, event: StatusTold) -> bool:
        """A learner that goes on saying nothing, on a node that answers, may have been told to go by a leader
        that knew nothing of it: its node knows. True: that is asked."""
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
        StatusTold: _on_status,
        RoomMade: _on_room,
        MembersTold: _on_members,
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
    """None: not known, so nothing is changed."""
    if group.group == CLUSTER_GROUP:
        return view.cluster_wanted() if view.nodes else None
    info = view.groups.get(group.group)
    return Wanted(view.wanted(info)) if info is not None and info.uid == group.uid else None


def world_of(event: StatusTold) -> World:
    view = event.view
    members = [seat.member for seat in event.seen.seats]
    return World(living_members(members, view.disks()), event.reachable & view.nodes.keys(), view.staying())


def is_founding(now: Millis, group: Leads, event: StatusTold) -> bool:
    """The members of the cluster's own group are the founders still, and one has not joined yet."""
    if group.group != CLUSTER_GROUP or event.changed_at > 1 or now - group.started_at >= FOUNDERS_MS:
        return False
    return any(node_of(member) not in event.view.nodes for member in event.voters)
