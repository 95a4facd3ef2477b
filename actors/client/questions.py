"""Operators' requests on their way to whoever can answer them: repeated, and sent on to the leader, until
each is answered or too late.

`step(now, event)` takes what happened and returns what is to be done.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

from msgspec import Struct
from thespian.actors import ActorAddress

from fleet.actors.base.addresses import remote_address
from fleet.actors.client.endpoints import Endpoints
from fleet.actors.client.session_events import Abandoned, Send, WakeAt, Woken
from fleet.actors.messages.group_states import (
    ForgetCopy,
    GetHistory,
    ReadBase,
    ReadCopy,
    ReadLog,
    TakeCopy,
)
from fleet.actors.messages.operator import (
    AwaitMembers,
    CheckClass,
    GetCluster,
    GetStatus,
    GroupOp,
    GroupRequest,
    ListMembers,
    ListNodes,
    NodeOp,
    NodeRequest,
    OpReply,
    OpValue,
)
from fleet.actors.messages.well_known import MANAGER
from fleet.errors import FleetError, NoSuchGroup, OutcomeUnknown, Unavailable
from fleet.raft.ids import Millis

LOOKS = (
    *(ListNodes, ListMembers, GetCluster, GetStatus, CheckClass, AwaitMembers),
    *(TakeCopy, ReadCopy, ForgetCopy, GetHistory, ReadBase, ReadLog),
)
"""Requests that change nothing."""
ASK_AGAIN_MS: Millis = 250


@dataclass(slots=True, eq=False)
class Question:
    """An operator's request. What follows `is_patient` belongs to `Questions`."""

    op: NodeOp | GroupOp
    group: str
    """"" for a question to the node at `address`."""
    address: str
    deadline: Millis
    tell: Callable[[OpValue | FleetError], None]
    """Called exactly once, in the client's loop."""
    repeats: bool = True
    """Whether it may be sent more than once."""
    roams: bool = False
    """Whether any node will do; each attempt asks another."""
    is_patient: bool = True
    """Whether to keep asking at an address where no node listens."""
    sends: int = 0
    refusals: int = 0
    asked_at: Millis = 0
    last_error: FleetError | None = None

    def may_go_again(self) -> bool:
        """A request whose every send was refused was never carried out."""
        return self.repeats or self.refusals >= self.sends

    def due_at(self) -> Millis:
        return min(self.deadline, self.asked_at + ASK_AGAIN_MS) if self.may_go_again() else self.deadline

    def too_late(self) -> FleetError:
        """A change that was sent and not refused each time may have been made."""
        where = self.address or None
        if self.refusals < self.sends and not isinstance(self.op, LOOKS):
            reason = str(self.last_error) if self.last_error is not None else None
            return OutcomeUnknown("asked, and not answered in time", node=where, reason=reason)
        return self.last_error or Unavailable("no answer in time", node=where)


class Answered(Struct, frozen=True):
    reply: OpReply
    is_foreign: bool = False
    """It came from a node of another cluster."""


class NobodyThere(Struct, frozen=True):
    """No link can be made to `address`."""

    address: str
    error: FleetError


class TellAsker(Struct, frozen=True):
    question: Question
    outcome: OpValue | FleetError


Event: TypeAlias = Question | Answered | Woken | NobodyThere | Abandoned
Effect: TypeAlias = Send | TellAsker | WakeAt


class Questions:
    """Invariant: each question is told once, and then gone."""

    def __init__(self, me: ActorAddress, endpoints: Endpoints) -> None:
        self.me = me
        self.endpoints = endpoints
        self.by_token: dict[int, Question] = {}
        self.token = 0
        self._effects: list[Effect] = []

    def step(self, now: Millis, event: Event) -> list[Effect]:
        """What is to be done now, in this order."""
        self._table[type(event)](self, now, event)
        effects, self._effects = self._effects, []
        return effects

    def due_at(self, otherwise: Millis) -> Millis:
        """The earliest time at which something has to be done without a message."""
        return min((question.due_at() for question in self.by_token.values()), default=otherwise)

    # -- events ------------------------------------------------------------------------------------

    def _on_question(self, now: Millis, question: Question) -> None:
        self.token += 1
        self.by_token[self.token] = question
        self._send(now, self.token, question)
        self._effects.append(WakeAt(question.due_at()))

    def _on_answered(self, now: Millis, event: Answered) -> None:
        m = event.reply
        question = self.by_token.get(m.token)
        if question is None:
            return
        if event.is_foreign:
            self._on_foreign(m.token, question)
        elif m.error is None:
            assert m.value is not None
            self._tell(m.token, m.value)
        else:
            self._on_error(m, question, m.error.to_error())

    def _on_foreign(self, token: int, question: Question) -> None:
        endpoints = self.endpoints
        if not question.group or question.address in endpoints.registries:
            self._tell(token, endpoints.pin.error(question.address))
            return
        question.refusals += 1
        question.address = endpoints.any_address()
        self._effects.append(WakeAt(question.due_at()))

    def _on_error(self, m: OpReply, question: Question, error: FleetError) -> None:
        question.last_error = error
        question.refusals += 1
        if not question.group or not isinstance(error, Unavailable | NoSuchGroup):
            self._tell(m.token, error)
            return
        endpoints = self.endpoints
        leader = endpoints.address_of(m.leader, m.leader_address)
        endpoints.learn(leader)
        question.address = leader or endpoints.any_address(but=question.address)
        self._effects.append(WakeAt(question.due_at()))

    def _on_woken(self, now: Millis, event: Woken) -> None:
        for token, question in list(self.by_token.items()):
            if question.deadline <= now:
                self._tell(token, question.too_late())
            elif question.may_go_again() and now - question.asked_at >= ASK_AGAIN_MS:
                if question.roams:
                    question.address = ""
                self._send(now, token, question)

    def _on_nobody_there(self, now: Millis, event: NobodyThere) -> None:
        for token, question in list(self.by_token.items()):
            if question.address == event.address and not question.is_patient:
                self._tell(token, event.error)

    def _on_abandoned(self, now: Millis, event: Abandoned) -> None:
        for token in list(self.by_token):
            self._tell(token, event.error)

    # -- what follows ------------------------------------------------------------------------------

    def _tell(self, token: int, outcome: OpValue | FleetError) -> None:
        self._effects.append(TellAsker(self.by_token.pop(token), outcome))

    def _send(self, now: Millis, token: int, question: Question) -> None:
        question.sends += 1
        question.asked_at = now
        endpoints, op = self.endpoints, question.op
        pinned = endpoints.pin.uid
        if not question.group:
            node = remote_address(question.address, MANAGER)
            request: Any = NodeRequest(token, self.me, op, pinned)  # type: ignore[arg-type]
            self._effects.append(Send(node, request))
            return
        endpoints.learn(question.address)
        if question.address not in endpoints.registries:
            question.roams = True
            question.address = endpoints.any_address()
        request = GroupRequest(token, self.me, question.group, op, pinned)  # type: ignore[arg-type]
        self._effects.append(Send(endpoints.registries[question.address], request))

    _table: ClassVar[dict[type, Callable[..., None]]] = {
        Question: _on_question,
        Answered: _on_answered,
        Woken: _on_woken,
        NobodyThere: _on_nobody_there,
        Abandoned: _on_abandoned,
    }
