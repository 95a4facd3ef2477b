"""The work of a client, inside any actor: calls to groups, and requests to nodes and members."""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from thespian.actors import ActorAddress, ActorSystemConventionUpdate, WakeupMessage

from fleet.actors.base.addresses import remote_address
from fleet.actors.base.transport import LinkRefused
from fleet.actors.client.cluster_pin import ClusterPin
from fleet.actors.client.group_session import NEVER, PAYLOAD_BYTES_MAX, SILENCE_MS, ClientCall, GroupSession
from fleet.actors.messages.client import ClientReply
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
    Nodes,
    OpReply,
    OpValue,
)
from fleet.actors.messages.values import NodeInfo
from fleet.actors.messages.well_known import MANAGER, REGISTRY
from fleet.actors.runtime.timer import Timer
from fleet.actors.runtime.turn import TurnEnd
from fleet.errors import (
    ClientClosed,
    FleetError,
    NoSuchGroup,
    OutcomeUnknown,
    TooLarge,
    Unavailable,
    WrongCluster,
    WrongSecret,
)
from fleet.interfaces import Clock
from fleet.raft.ids import Millis

LOOKS = (ListNodes, ListMembers, GetCluster, GetStatus, CheckClass, AwaitMembers)
"""Requests that change nothing."""
ASK_AGAIN_MS: Millis = 250
KNOCK_MS: Millis = 100
REFRESH_MS: Millis = 100
"""Which nodes there are is not asked more often."""
NOWHERE_MS: Millis = 500
"""How long a group may be unknown to every node asked: a node that has just started, or a client that
has not heard of a new node, will know better by then."""
PASSING = ("timeout", "closed")
"""What may be another answer a moment later, from a node that is there."""
REFUSALS: dict[str, type[FleetError]] = {"wrong secret": WrongSecret, "wrong cluster id": WrongCluster}


@dataclass(slots=True)
class Question:
    """An operator's request: repeated, and sent on to the leader, until it is answered or too late."""

    op: NodeOp | GroupOp
    group: str
    """"" for a question to the node at `address`."""
    address: str
    deadline: Millis
    finish: Callable[[OpValue | None, FleetError | None], None]
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


class Router:
    """Lives inside an actor, which passes it what arrives and lends it `send` and `wakeupAfter`.

    What is asked for within a turn leaves together at its end, one message a group.
    """

    def __init__(self, actor: Any, clock: Clock, name: str, seed: int, addresses: list[str]) -> None:
        self.actor = actor
        self.clock = clock
        self.name = name
        self.rng = random.Random(seed)
        self.timer = Timer(actor)
        self.registries: dict[str, ActorAddress] = {}
        self.sessions: dict[str, GroupSession] = {}
        self.dirty: dict[str, GroupSession] = {}
        self.questions: dict[int, Question] = {}
        self.token = 0
        self.turn_end = TurnEnd(actor)
        self.pin = ClusterPin(clock.now_ms)
        self.refused: dict[str, str] = {}
        """Nodes whose links will not come up, and why."""
        self.given: set[str] = set()
        """Names of registries that were handed in as actors: their nodes have no address to ask at."""
        self.down: dict[str, Millis] = {}
        """Nodes whose link was lost, and when they were last tried: a hint to one is not followed yet."""
        self.boots: dict[str, int] = {}
        """The life of each endpoint to which a link was made last."""
        self.infos: dict[str, NodeInfo] = {}
        """Nodes by name, as of their latest start: where they are now."""
        self.refresh_at: Millis = 0
        self.leaving: set[str] = set()
        """Groups that have not heard yet that this client leaves."""
        self.on_left: Callable[[], None] | None = None
        for address in addresses:
            self.learn(address)

    # -- nodes -------------------------------------------------------------------------------------

    def learn(self, address: str, registry: ActorAddress | None = None) -> None:
        if registry is not None:
            self.given.add(address)
        if address in self.pin.foreign and registry is None:
            return
        if address and (registry is not None or address not in self.registries):
            self.registries[address] = registry or remote_address(address, REGISTRY)

    def _learn_node(self, info: NodeInfo) -> None:
        """A node that came back at another address is no longer at the old one."""
        known = self.infos.get(info.name)
        if known is not None and known.started_ms > info.started_ms:
            return
        self.infos[info.name] = info
        self.learn(info.address)
        if known is not None and known.address != info.address:
            self.registries.pop(known.address, None)
            self.down.pop(known.address, None)
            self.refused.pop(known.address, None)

    def _where(self, node: str, hint: str) -> str:
        """A group's log may still say where its leader's node was once."""
        info = self.infos.get(node)
        return info.address if info is not None and info.address else hint

    def _any_registry(self, but: ActorAddress | None) -> ActorAddress:
        """Another node than the one that did not help, where there is one."""
        others = {at: registry for at, registry in self.registries.items() if registry != but}
        choices = [registry for at, registry in others.items() if at not in self.down]
        return self.rng.choice(choices or list(others.values()) or list(self.registries.values()))

    def on_link(self, m: ActorSystemConventionUpdate) -> None:
        """A node's process is gone: whoever waits for it asks another at once."""
        where = m.remoteAdminAddress.addressDetails
        endpoint, boot = getattr(where, "endpoint", ""), getattr(where, "boot", 0)
        now = self.clock.now_ms()
        lost = self.registries.get(endpoint)
        if m.remoteAdded:
            self.boots[endpoint] = boot
            self.refused.pop(endpoint, None)
            self.down.pop(endpoint, None)
            if self.pin.foreign.pop(endpoint, 0):
                self.learn(endpoint)  # another process may be of this cluster
            self._ask_at_once(endpoint, now)
            return
        if lost is None or self.boots.get(endpoint, boot) != boot:
            return  # the link of an earlier life, which was noticed late: the process of now is reached
        self.down[endpoint] = now
        for session in self.sessions.values():
            if session.target == lost:
                session.target = self._any_registry(lost)
                if session.has_asked:
                    session.resend_at = now
        self._wake(now)

    def _ask_at_once(self, endpoint: str, now: Millis) -> None:
        """A node is back that others said leads."""
        for session in self.sessions.values():
            if session.hint == endpoint and session.resend_at is not None:
                session.target, session.resend_at = self.registries.get(endpoint), now
                self._wake(now)

    def _knock(self, now: Millis) -> None:
        """A link is only made for something to send: see whether nodes that were lost are back."""
        for endpoint, tried_at in self.down.items():
            if now - tried_at >= KNOCK_MS:
                self.down[endpoint] = now
                me = self.actor.myAddress
                self.actor.send(remote_address(endpoint, MANAGER), NodeRequest(0, me, ListNodes()))

    # -- the cluster -------------------------------------------------------------------------------

    def belong(self, cluster: int) -> None:
        """Ask no node of another cluster from now on."""
        self.pin.uid = cluster
        for session in self.sessions.values():
            session.cluster = cluster

    def admits(self, address: str, cluster: int) -> bool:
        """Whether the node there may be asked. One of another cluster is not asked again."""
        is_pinned = self.pin.uid != 0
        if self.pin.admits(address, cluster):
            if not is_pinned:
                self.belong(cluster)
            return True
        if list(self.registries) == [address]:  # there is no other to ask
            for session in self.sessions.values():
                session.fail_all(self.pin.error(address))
        else:
            self.registries.pop(address, None)
        return False

    def on_link_refused(self, m: LinkRefused) -> None:
        self.refused[m.endpoint] = m.reason
        self._refresh_soon()
        if m.reason not in PASSING:
            self._give_up(m.endpoint, REFUSALS.get(m.reason, Unavailable)(m.reason, node=m.endpoint))
        if m.reason in REFUSALS and all(self.refused.get(at) in REFUSALS for at in self.registries):
            kind = REFUSALS[m.reason]
            error = kind(f"{m.endpoint} refuses the link: {m.reason}", node=m.endpoint)
            for session in self.sessions.values():
                session.fail_all(error)
            for token in list(self.questions):
                self.questions.pop(token).finish(None, error)

    def _give_up(self, address: str, error: FleetError) -> None:
        for token, question in list(self.questions.items()):
            if question.address == address and not question.is_patient:
                del self.questions[token]
                question.finish(None, error)

    # -- calls -------------------------------------------------------------------------------------

    def submit(self, call: ClientCall) -> None:
        if len(call.payload) > PAYLOAD_BYTES_MAX:
            what = f"arguments of {len(call.payload)} bytes; {PAYLOAD_BYTES_MAX} is the most"
            call.finish(call, None, 0, TooLarge(what, group=call.group))
            return
        session = self._session_of(call.group)
        session.add(call)
        self.dirty[call.group] = session
        self.turn_end.ask()

    def note_leader(self, group: str, address: str) -> None:
        """Where to ask first; whatever nodes answer counts more."""
        session = self._session_of(group)
        if session.target is None:
            self.learn(address)
            session.target = self.registries.get(address)

    def _session_of(self, group: str) -> GroupSession:
        session = self.sessions.get(group)
        if session is None:
            session = self.sessions[group] = GroupSession(group, self.name, self.pin.uid)
        return session

    def on_end_turn(self) -> None:
        self.turn_end.reached()
        now = self.clock.now_ms()
        for session in self.dirty.values():
            self._send(session, session.next_request(now, self.actor.myAddress))
        self._wake_for(self.dirty.values(), now)
        self.dirty.clear()

    def _send(self, session: GroupSession, request: Any) -> None:
        if request is None:
            return
        if session.target is None:
            session.target = self._any_registry(None)
        self.actor.send(session.target, request)

    def on_reply(self, m: ClientReply) -> None:
        session = self.sessions.get(m.group)
        if session is None:
            return
        if self.leaving:
            self._on_left(m.group)
            return
        now = self.clock.now_ms()
        session.on_reply(m, now)
        if m.cluster:
            self._on_other_cluster(session, m)
        for refusal in () if m.cluster else m.refusals:
            leader = self._where(refusal.leader, refusal.leader_address)
            self._follow_hint(session, leader, refusal.error.kind, refusal.error.facts, now)
        if m.refusals and session.is_waiting:
            self._wake(session.due_at())
        if session.queue or session.query_queue:
            self.dirty[m.group] = session
            self.turn_end.ask()

    def _on_other_cluster(self, session: GroupSession, m: ClientReply) -> None:
        """Refused at the door: this client is of another cluster, or has only now heard which there is."""
        address = next((one.error.facts.get("address", "") for one in m.refusals), "")
        if not self.admits(address, m.cluster):
            session.target = self._any_registry(remote_address(address, REGISTRY))
        elif session.resend_at is not None:
            session.resend_at = self.clock.now_ms()

    def _follow_hint(
        self, session: GroupSession, leader: str, kind: str, facts: dict[str, str], now: Millis
    ) -> None:
        """Where the leader is said to be, else anywhere else. When no node at all knows the group,
        there is none."""
        if session.resend_at is None:
            return
        if kind == NoSuchGroup.__name__:
            if not session.nowhere:
                session.nowhere_since = now
            self._refresh_soon()
            session.nowhere.add(facts.get("node", ""))
            is_late = now - session.nowhere_since >= NOWHERE_MS
            if is_late and len(session.nowhere) >= len(self.registries):
                session.nowhere.clear()
                session.fail_all(NoSuchGroup(f"no node has a group {session.group!r}", group=session.group))
                return
        self.learn(leader)
        session.hint = leader
        known = self.registries.get(leader) if leader not in self.down else None
        if known is not None and known != session.target:
            session.target = known
            session.resend_at = now
        elif known is None:
            session.target = self._any_registry(session.target)

    # -- leaving -----------------------------------------------------------------------------------

    def leave(self, done: Callable[[], None]) -> None:
        """Fail every call, and ask each group once to forget this client's session: its results are kept on
        every member otherwise, until the session is old. `done`: each group has answered."""
        self.on_left = done
        for session in self.sessions.values():
            has_session = session.session_id or session.opening
            session.fail_all(ClientClosed("the client was closed"))
            if has_session and session.target is not None:
                self.leaving.add(session.group)
                self.actor.send(session.target, session.closing_request(self.actor.myAddress))
        if not self.leaving:
            done()

    def _on_left(self, group: str) -> None:
        self.leaving.discard(group)
        if not self.leaving and self.on_left is not None:
            self.on_left()
            self.on_left = None

    # -- questions ---------------------------------------------------------------------------------

    def ask(self, question: Question) -> None:
        self.token += 1
        self.questions[self.token] = question
        self._put(self.token, question)
        self._wake(question.due_at())

    def _put(self, token: int, question: Question) -> None:
        question.sends += 1
        question.asked_at = self.clock.now_ms()
        me = self.actor.myAddress
        if question.group:
            self.learn(question.address)
            if question.address not in self.registries:
                question.roams = True
                question.address = self.rng.choice(list(self.registries))
            op: Any = question.op
            request = GroupRequest(token, me, question.group, op, self.pin.uid)
            self.actor.send(self.registries[question.address], request)
        else:
            node = remote_address(question.address, MANAGER)
            self.actor.send(node, NodeRequest(token, me, question.op, self.pin.uid))  # type: ignore[arg-type]

    def on_op_reply(self, m: OpReply) -> None:
        question = self.questions.get(m.token)
        if question is None:
            return
        if m.cluster and not self.admits(question.address, m.cluster):
            if not question.group or question.address in self.registries:
                del self.questions[m.token]
                question.finish(None, self.pin.error(question.address))
            else:
                question.refusals += 1
                question.address = self.rng.choice(list(self.registries))
                self._wake(question.due_at())
            return
        if m.error is None:
            del self.questions[m.token]
            question.finish(m.value, None)
            return
        error = m.error.to_error()
        question.last_error = error
        question.refusals += 1
        if question.group and isinstance(error, Unavailable | NoSuchGroup):
            leader = self._where(m.leader, m.leader_address)
            self.learn(leader)
            others = [address for address in self.registries if address != question.address]
            question.address = leader or self.rng.choice(others or list(self.registries))
            self._wake(question.due_at())
            return
        del self.questions[m.token]
        question.finish(None, error)

    # -- time --------------------------------------------------------------------------------------

    def _wake(self, at: Millis) -> None:
        self.timer.arm(self.clock.now_ms(), at)

    def _wake_for(self, sessions: Iterable[GroupSession], now: Millis) -> None:
        """When the first of these has something to do although nothing arrives."""
        due = NEVER
        for session in sessions:
            if session.is_waiting:
                due = min(due, session.due_at())
        if due < NEVER and self.down:
            due = min(due, min(self.down.values()) + KNOCK_MS)
        for question in self.questions.values():
            due = min(due, question.due_at())
        if due < NEVER:
            self._wake(max(due, now + 1))

    def on_wakeup(self, m: WakeupMessage) -> None:
        if not self.timer.is_due(m.payload):
            return
        now = self.clock.now_ms()
        busy = False
        for session in self.sessions.values():
            if not session.is_waiting:
                continue
            busy = True
            session.expire_calls(now)
            if session.has_asked and session.resend_at is None and now - session.asked_at >= SILENCE_MS:
                session.target = self._any_registry(session.target)
                session.resend_at = now
                self._refresh_soon()
            if session.resend_at is not None and session.resend_at <= now:
                for request in session.whole_requests(now, self.actor.myAddress):
                    self._send(session, request)
            self.dirty[session.group] = session
        for token, question in list(self.questions.items()):
            self._beat_question(token, question, now)
        if self.dirty:
            self.turn_end.ask()
        if busy:
            self._knock(now)
        self._wake_for(self.sessions.values(), now)

    def _beat_question(self, token: int, question: Question, now: Millis) -> None:
        if question.deadline <= now:
            del self.questions[token]
            question.finish(None, question.too_late())
        elif question.may_go_again() and now - question.asked_at >= ASK_AGAIN_MS:
            if question.roams:
                question.address = ""
            self._put(token, question)

    def _refresh_soon(self) -> None:
        """Something is not where it was thought to be."""
        now = self.clock.now_ms()
        if now >= self.refresh_at:
            self.refresh_at = now + REFRESH_MS
            self.refresh_nodes()

    def refresh_nodes(self) -> None:
        """Ask whoever answers which nodes there are."""

        def learn(value: OpValue | None, error: FleetError | None) -> None:
            if isinstance(value, Nodes):
                for info in value.nodes:
                    self._learn_node(info)

        answering = [at for at in self.registries if at not in self.refused] or self.registries
        for address in [at for at in answering if at not in self.given]:
            deadline = self.clock.now_ms() + 5000
            self.ask(Question(ListNodes(), "", address, deadline, learn, repeats=False))
