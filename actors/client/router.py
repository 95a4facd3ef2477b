"""The work of a client, inside any actor: passes what arrives to the decisions of `group_session` and
`questions`, and carries out what they want.

What is asked for within a turn leaves together at its end, one message a group.
"""

import random
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from thespian.actors import ActorAddress, ActorSystemConventionUpdate, WakeupMessage

from fleet.actors.base.addresses import remote_address
from fleet.actors.base.transport import LinkRefused
from fleet.actors.client.calls import ClientCall
from fleet.actors.client.cluster_pin import ClusterPin
from fleet.actors.client.endpoints import KNOCK_MS, Endpoints
from fleet.actors.client.group_session import Event, GroupSession
from fleet.actors.client.messages import KnownAddresses, LearnAddresses, Leave, ListAddresses, NoteLeader
from fleet.actors.client.questions import Answered, NobodyThere, Question, Questions, TellAsker
from fleet.actors.client.questions import Event as QuestionEvent
from fleet.actors.client.routed_watches import OF_WATCHES, OfWatches, RoutedWatches
from fleet.actors.client.session_events import (
    Abandoned,
    ClusterPinned,
    Effect,
    ForeignNode,
    LeaderNoted,
    Leaving,
    LinkLost,
    LinkMade,
    LookForNodes,
    NodesLearned,
    Send,
    Settle,
    SettleLate,
    TurnEnded,
    WakeAt,
    Woken,
)
from fleet.actors.client.session_state import NEVER
from fleet.actors.messages.client import ClientReply
from fleet.actors.messages.operator import ListNodes, NodeRequest, Nodes, OpReply, OpValue
from fleet.actors.messages.well_known import MANAGER, REGISTRY
from fleet.actors.runtime.timer import Timer
from fleet.actors.runtime.turn import EndTurn, TurnEnd
from fleet.errors import ClientClosed, FleetError, Unavailable, WrongCluster, WrongSecret, WrongVersion
from fleet.interfaces import Clock
from fleet.objects.outcomes import Unsettled
from fleet.raft.ids import Millis

REFRESH_MS: Millis = 100
"""Which nodes there are is not asked more often."""
ASK_NODES_MS: Millis = 5000
PASSING = ("timeout", "closed")
"""What may be another answer a moment later, from a node that is there."""
_WRONG = {"wrong secret": WrongSecret, "wrong cluster id": WrongCluster, "wrong version": WrongVersion}


def refusal_kind(reason: str) -> type[FleetError] | None:
    """The error for a link that is refused for good."""
    return _WRONG.get(reason.partition(":")[0])


class Router:
    """Lives inside an actor, which passes it what arrives and lends it `send` and `wakeupAfter`.

    `name` must be unique among clients: it identifies its sessions.
    """

    def __init__(
        self, actor: Any, clock: Clock, name: str, seed: int, addresses: Iterable[str], zone: str = ""
    ) -> None:
        self.actor = actor
        self.clock = clock
        self.name = name
        self.pin = ClusterPin(clock.now_ms)
        self.endpoints = Endpoints(random.Random(seed), self.pin, zone)
        self.questions = Questions(actor.myAddress, self.endpoints)
        self.watches = RoutedWatches(name, actor.myAddress, self.endpoints, self._carry_out, self.admits)
        self.sessions: dict[str, GroupSession] = {}
        self.busy: set[str] = set()
        """Groups with calls under way, as of their last reply."""
        self.dirty: dict[str, GroupSession] = {}
        """Those with calls that wait for the end of the turn."""
        self.turn_end = TurnEnd(actor)
        self.timer = Timer(actor)
        self.refresh_at: Millis = 0
        self.leaving: set[str] = set()
        """Groups that have not heard yet that this client leaves."""
        self.tell_left: Callable[[], None] | None = None
        self.release: Callable[[int, int], None] = lambda calls, payload_bytes: None
        """Called with how many calls, and bytes of arguments, have come to their end."""
        for address in addresses:
            self.learn(address)

    def handle(self, m: Any) -> None:
        """A message of another process, of the actor to itself, or of a thread."""
        self._table[type(m)](self, m)

    def handle_all(self, messages: list[Any]) -> None:
        """Messages of threads in their order: many calls, and now and then something else."""
        calls: dict[str, list[ClientCall]] = {}
        for m in messages:
            if type(m) is not ClientCall:
                self._submit_all(calls)
                calls = {}
                self.handle(m)
            elif m.group in calls:
                calls[m.group].append(m)
            else:
                calls[m.group] = [m]
        self._submit_all(calls)

    def _submit_all(self, calls: dict[str, list[ClientCall]]) -> None:
        for group, some in calls.items():
            session = self._session_of(group)
            session.add(some)
            self._mark(session)

    # -- calls and questions -----------------------------------------------------------------------

    def submit(self, call: ClientCall) -> None:
        session = self._session_of(call.group)
        session.add((call,))
        self._mark(session)

    def ask(self, question: Question) -> None:
        self._step_questions(self.clock.now_ms(), question)

    def _session_of(self, group: str) -> GroupSession:
        session = self.sessions.get(group)
        if session is None:
            me = self.actor.myAddress
            session = self.sessions[group] = GroupSession(group, self.name, me, self.endpoints)
        return session

    def _mark(self, session: GroupSession) -> None:
        self.dirty[session.group] = session
        self.busy.add(session.group)
        self.turn_end.ask()

    def on_end_turn(self, m: EndTurn) -> None:
        self.turn_end.reached()
        now = self.clock.now_ms()
        dirty, self.dirty = self.dirty, {}
        ended = TurnEnded(len(self.busy))
        for session in dirty.values():
            self._step(session, now, ended)
        self._wake_for(dirty.values(), now, self.watches.end_turn(now))

    def watch(self, m: OfWatches) -> None:
        due = self.watches.handle(self.clock.now_ms(), m)
        if self.watches.dirty:
            self.turn_end.ask()
        if due < NEVER:
            self._wake(due)

    def note_leader(self, m: NoteLeader) -> None:
        self._step(self._session_of(m.group), self.clock.now_ms(), LeaderNoted(m.address))

    # -- replies -----------------------------------------------------------------------------------

    def on_reply(self, m: ClientReply) -> None:
        session = self.sessions.get(m.group)
        if session is None:
            return
        if self.leaving:
            self._on_left(m.group)
            return
        now = self.clock.now_ms()
        self._step(session, now, m)
        if m.cluster:
            self._on_other_cluster(session, now, m)
        if m.refusals and session.is_waiting:
            self._wake(session.due_at())
        if session.has_queued:
            self._mark(session)
        elif not session.is_waiting:
            self.busy.discard(m.group)

    def _on_other_cluster(self, session: GroupSession, now: Millis, m: ClientReply) -> None:
        address = next((one.error.facts.get("address", "") for one in m.refusals), "")
        is_ours = self.admits(address, m.cluster)
        event = ClusterPinned() if is_ours else ForeignNode(remote_address(address, REGISTRY))
        self._step(session, now, event)

    def on_op_reply(self, m: OpReply) -> None:
        question = self.questions.by_token.get(m.token)
        if question is not None:
            is_foreign = bool(m.cluster) and not self.admits(question.address, m.cluster)
            self._step_questions(self.clock.now_ms(), Answered(m, is_foreign))

    # -- nodes -------------------------------------------------------------------------------------

    def learn(self, address: str, registry: ActorAddress | None = None) -> None:
        """A node listens there, or its registry is that actor."""
        self.endpoints.learn(address, registry)

    def learn_addresses(self, m: LearnAddresses) -> None:
        for address in m.addresses:
            self.learn(address)

    def list_addresses(self, m: ListAddresses) -> None:
        foreign = tuple(self.pin.error(address) for address in self.pin.foreign)
        m.tell(KnownAddresses(tuple(self.endpoints.registries), foreign, self.pin.uid))

    def belong(self, cluster: int) -> None:
        """Ask no node of another cluster from now on."""
        self.pin.uid = cluster

    def admits(self, address: str, cluster: int) -> bool:
        """Whether the node there may be asked. One of another cluster is not asked again."""
        if self.pin.admits(address, cluster):
            return True
        if list(self.endpoints.registries) == [address]:  # there is no other to ask
            self._abandon_calls(self.pin.error(address))
        else:
            self.endpoints.registries.pop(address, None)
        return False

    def on_link(self, m: ActorSystemConventionUpdate) -> None:
        where = m.remoteAdminAddress.addressDetails
        endpoint, boot = getattr(where, "endpoint", ""), getattr(where, "boot", 0)
        now = self.clock.now_ms()
        if m.remoteAdded:
            self.endpoints.link_made(endpoint, boot)
            for session in self.sessions.values():
                self._step(session, now, LinkMade(endpoint))
            return
        lost = self.endpoints.link_lost(endpoint, boot, now)
        if lost is not None:
            for session in self.sessions.values():
                self._step(session, now, LinkLost(lost))
            self.watches.step_all(now, LinkLost(lost))
            self._wake(now)

    def on_link_refused(self, m: LinkRefused) -> None:
        refused = self.endpoints.refused
        refused[m.endpoint] = m.reason
        self._refresh_soon()
        now = self.clock.now_ms()
        kind = refusal_kind(m.reason)
        if m.reason not in PASSING:
            error = (kind or Unavailable)(m.reason, node=m.endpoint)
            self._step_questions(now, NobodyThere(m.endpoint, error))
        if kind is not None and all(refusal_kind(refused.get(at, "")) for at in self.endpoints.registries):
            self.abandon(kind(f"{m.endpoint} refuses the link: {m.reason}", node=m.endpoint))

    def _refresh_soon(self) -> None:
        now = self.clock.now_ms()
        if now >= self.refresh_at:
            self.refresh_at = now + REFRESH_MS
            self.refresh_nodes()

    def refresh_nodes(self) -> None:
        """Ask whoever answers which nodes there are."""
        deadline = self.clock.now_ms() + ASK_NODES_MS
        for address in self.endpoints.answering():
            self.ask(Question(ListNodes(), "", address, deadline, self._learn_nodes, repeats=False))

    def _learn_nodes(self, answer: OpValue | FleetError) -> None:
        if isinstance(answer, Nodes):
            for info in answer.nodes:
                self.endpoints.learn_node(info)
            if self.endpoints.zone:
                for session in self.sessions.values():
                    self._step(session, self.clock.now_ms(), NodesLearned())

    def _knock(self, now: Millis) -> None:
        for endpoint in self.endpoints.to_knock(now):
            me = self.actor.myAddress
            self.actor.send(remote_address(endpoint, MANAGER), NodeRequest(0, me, ListNodes()))

    # -- the end -----------------------------------------------------------------------------------

    def abandon(self, error: FleetError) -> None:
        """No call and no question can succeed."""
        self._abandon_calls(error)
        self._step_questions(self.clock.now_ms(), Abandoned(error))

    def _abandon_calls(self, error: FleetError) -> None:
        now = self.clock.now_ms()
        for session in self.sessions.values():
            self._step(session, now, Abandoned(error))
        self.watches.step_all(now, Abandoned(error))

    def leave(self, m: Leave) -> None:
        self.tell_left = m.tell
        now = self.clock.now_ms()
        leaving = Leaving(ClientClosed("the client was closed"))
        self.watches.step_all(now, leaving)
        for session in self.sessions.values():
            if any(type(effect) is Send for effect in self._step(session, now, leaving)):
                self.leaving.add(session.group)
        if not self.leaving:
            m.tell()

    def _on_left(self, group: str) -> None:
        self.leaving.discard(group)
        if not self.leaving and self.tell_left is not None:
            self.tell_left()
            self.tell_left = None

    # -- time --------------------------------------------------------------------------------------

    def _wake(self, at: Millis) -> None:
        self.timer.arm(self.clock.now_ms(), at)

    def _wake_for(self, sessions: Iterable[GroupSession], now: Millis, watches: Millis) -> None:
        """When the first of these, or of the watches in question, has something to do although nothing
        arrives."""
        due = min((session.due_at() for session in sessions if session.is_waiting), default=NEVER)
        due = min(due, watches)
        if due < NEVER and self.endpoints.down:
            due = min(due, min(self.endpoints.down.values()) + KNOCK_MS)
        due = min(due, self.questions.due_at(otherwise=NEVER))
        if due < NEVER:
            self._wake(max(due, now + 1))

    def on_wakeup(self, m: WakeupMessage) -> None:
        if not self.timer.is_due(m.payload):
            return
        now = self.clock.now_ms()
        waiting = [session for session in self.sessions.values() if session.is_waiting]
        for session in waiting:
            self._step(session, now, Woken())
            self.dirty[session.group] = session
        self._step_questions(now, Woken())
        is_watching = self.watches.due_at() <= now
        if is_watching:
            self.watches.step_all(now, Woken())
        self.busy = {session.group for session in waiting if session.is_waiting}
        if self.dirty or self.watches.dirty:
            self.turn_end.ask()
        if waiting or is_watching:
            self._knock(now)
        self._wake_for(self.sessions.values(), now, self.watches.due_at())

    # -- what is to be done ------------------------------------------------------------------------

    def _step(self, session: GroupSession, now: Millis, event: Event) -> list[Effect]:
        effects = session.step(now, event)
        for effect in effects:
            self._effects[type(effect)](self, effect)
        return effects

    def _carry_out(self, effect: Send | LookForNodes) -> None:
        self._effects[type(effect)](self, effect)

    def _step_questions(self, now: Millis, event: QuestionEvent) -> None:
        for effect in self.questions.step(now, event):
            self._effects[type(effect)](self, effect)

    def _send(self, effect: Send) -> None:
        self.actor.send(effect.to, effect.message)

    def _settle(self, effect: Settle) -> None:
        """Release first: whoever is told may call at once."""
        ended = [len(call.payload) for call, outcome in effect.outcomes if type(outcome) is not Unsettled]
        self.release(len(ended), sum(ended))
        for call, outcome in effect.outcomes:
            call.receiver.settle(outcome)

    def _settle_late(self, effect: SettleLate) -> None:
        self.release(1, len(effect.call.payload))
        effect.call.receiver.settle_late(effect.end)

    def _look_for_nodes(self, effect: LookForNodes) -> None:
        self._refresh_soon()

    def _tell(self, effect: TellAsker) -> None:
        effect.question.tell(effect.outcome)

    def _wake_at(self, effect: WakeAt) -> None:
        self._wake(effect.at)

    _table: ClassVar[dict[type, Callable[["Router", Any], None]]] = {
        ClientCall: submit,
        Question: ask,
        LearnAddresses: learn_addresses,
        NoteLeader: note_leader,
        ListAddresses: list_addresses,
        Leave: leave,
        ClientReply: on_reply,
        OpReply: on_op_reply,
        **dict.fromkeys(OF_WATCHES, watch),
        EndTurn: on_end_turn,
        WakeupMessage: on_wakeup,
        ActorSystemConventionUpdate: on_link,
        LinkRefused: on_link_refused,
    }
    _effects: ClassVar[dict[type, Callable[["Router", Any], None]]] = {
        Send: _send,
        Settle: _settle,
        SettleLate: _settle_late,
        LookForNodes: _look_for_nodes,
        TellAsker: _tell,
        WakeAt: _wake_at,
    }
