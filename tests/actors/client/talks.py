"""A session of a client with a group, told by events and moments alone, and what its callers were told."""

import random
from dataclasses import dataclass, field
from typing import Any

from fleet.actors.base.addresses import remote_address
from fleet.actors.client.calls import ClientCall
from fleet.actors.client.cluster_pin import ClusterPin
from fleet.actors.client.endpoints import Endpoints
from fleet.actors.client.group_session import Event, GroupSession
from fleet.actors.client.session_events import (
    Effect,
    Send,
    Settle,
    SettleLate,
    TurnEnded,
    Woken,
)
from fleet.actors.messages.client import Answers, ClientReply, ClientRequest, Refusal
from fleet.actors.messages.well_known import REGISTRY
from fleet.errors import (
    FleetError,
)
from fleet.objects.applier import Outcomes
from fleet.objects.outcomes import CallOutcome, Impatient, Succeeded
from fleet.objects.payload import ErrorRecord

ME = remote_address("client:1", "me")
A, B, C = (remote_address(address, REGISTRY) for address in ("a:1", "b:1", "c:1"))
SESSION = 77
NOBODY = Impatient(lambda outcome: None)


def endpoints(*addresses: str) -> Endpoints:
    known = Endpoints(random.Random(1), ClusterPin(lambda: 0))
    for address in addresses:
        known.learn(address)
    return known


@dataclass
class Talk:
    """A session and what its callers were told, by the payload of their call."""

    session: GroupSession = field(
        default_factory=lambda: GroupSession("g", "client", ME, endpoints("a:1", "b:1", "c:1"))
    )
    told: dict[bytes, list[CallOutcome]] = field(default_factory=dict)
    late: dict[bytes, list[CallOutcome]] = field(default_factory=dict)
    now: int = 1000

    def step(self, event: Event) -> list[Effect]:
        effects = self.session.step(self.now, event)
        for effect in effects:
            match effect:
                case Settle(outcomes):
                    for call, outcome in outcomes:
                        self.told.setdefault(call.payload, []).append(outcome)
                case SettleLate(call, end):
                    self.late.setdefault(call.payload, []).append(end)
        return effects

    def requests(self, event: Event) -> list[ClientRequest]:
        return [effect.message for effect in self.step(event) if isinstance(effect, Send)]

    def submit(self, *payloads: bytes, is_query: bool = False, timeout_ms: int = 10_000) -> None:
        deadline = self.now + timeout_ms
        self.session.add(ClientCall("g", is_query, payload, deadline, NOBODY) for payload in payloads)

    def request(self) -> ClientRequest | None:
        (request,) = self.requests(TurnEnded()) or (None,)
        return request

    def sent(self) -> list[tuple[int, bytes]]:
        request = self.request()
        return [] if request is None else numbered(request)

    def requests_again(self) -> list[ClientRequest]:
        """What leaves when the pause of another try is over."""
        assert self.session.resend_at is not None
        self.now = max(self.now, self.session.resend_at)
        return self.requests(Woken())

    def resent(self) -> list[tuple[int, bytes]]:
        return [one for request in self.requests_again() for one in numbered(request)]

    def reply(self, *results: tuple[int, str, bytes], session: int = 0, opened: int = 0) -> None:
        records = tuple(
            Outcomes(session or SESSION, seq, status, 5, (value,)) for seq, status, value in results
        )
        self.step(ClientReply("g", opened, records, (), ()))

    def answer(self, *answers: tuple[int, bytes]) -> None:
        told = tuple(Answers(number, (value,)) for number, value in answers)
        self.step(ClientReply("g", 0, (), told, ()))

    def refuse(
        self, error: FleetError, *seqs: int, lost: bool = False, leader: str = "", **fields: Any
    ) -> list[Effect]:
        """Of the newest request, unless `number` names another."""
        given = {"opens": False, "session": SESSION, "queries": (), "number": self.session.number, **fields}
        refusal = Refusal(ErrorRecord.of(error), lost, "", leader, seqs=seqs, **given)
        return self.step(ClientReply("g", 0, (), (), (refusal,)))

    def pass_time(self, period_ms: int) -> None:
        self.now += period_ms
        self.step(Woken())

    def values(self) -> dict[bytes, list[Any]]:
        """The value that each was told, or the type of the error."""
        return {payload: [value_of(one) for one in told] for payload, told in self.told.items()}

    def late_values(self) -> dict[bytes, list[Any]]:
        return {payload: [value_of(one) for one in told] for payload, told in self.late.items()}


def numbered(request: ClientRequest) -> list[tuple[int, bytes]]:
    return list(enumerate(request.commands, request.first))


def value_of(outcome: CallOutcome) -> Any:
    return outcome.value if isinstance(outcome, Succeeded) else type(outcome.error)
