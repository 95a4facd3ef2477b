"""Commands that not every node may be able to decode: the leader's executor looks at them before they are
proposed, since what is committed is executed on every member, or halts it."""

from collections import deque
from collections.abc import Callable, Collection, Mapping
from typing import Final, Protocol

from msgspec import Struct

from fleet.actors.member.member_object import MemberObject
from fleet.actors.member.waiters import Waiter
from fleet.actors.messages.client import ClientRequest
from fleet.errors import FleetError
from fleet.objects.keyed import is_keyed
from fleet.objects.payload import may_not_decode
from fleet.raft.core import Core


class Looked(Struct, frozen=True):
    """What was seen in the commands of one request."""

    objections: Mapping[int, str] = {}
    """By its number, why a command cannot be executed."""
    has_keys: bool = False
    """Whether one of them has a key of the client's own."""


NOTHING_SEEN: Final = Looked()


class LookingMember(Protocol):
    core: Core
    object: MemberObject

    def trouble(self) -> FleetError | None: ...


class Proposer(Protocol):
    @property
    def member(self) -> LookingMember: ...

    @property
    def next_token(self) -> Callable[[], int]: ...

    def under_way(self, m: ClientRequest) -> Collection[int]:
        """The numbers of this session's commands that are proposed and not answered."""

    def propose(self, m: ClientRequest, waiter: Waiter, looked: Looked) -> None: ...


class LooksFirst:
    """Requests of one client are proposed in their order: behind one that is looked at, others wait."""

    def __init__(self, clients: Proposer) -> None:
        self.clients = clients
        self.asked: dict[int, tuple[Waiter, ClientRequest, tuple[int, ...]]] = {}
        """By token, what is looked at, and the numbers of those commands."""
        self.held: dict[str, deque[ClientRequest]] = {}
        """By client, what waits behind it."""

    def take(self, m: ClientRequest, waiter: Waiter) -> None:
        held = self.held.get(m.client)
        if held is not None:
            held.append(m)
        elif not self._asks(m, waiter):
            self.clients.propose(m, waiter, NOTHING_SEEN)

    def _asks(self, m: ClientRequest, waiter: Waiter) -> bool:
        clients, member = self.clients, self.clients.member
        if not any(map(may_not_decode, m.commands)):
            return False
        if not member.core.is_leader or member.trouble() is not None:
            return False
        known, numbered = clients.under_way(m), enumerate(m.commands, m.first)
        seqs = tuple(seq for seq, payload in numbered if may_not_decode(payload) and seq not in known)
        if not seqs:
            return False
        token = clients.next_token()
        self.asked[token] = waiter, m, seqs
        self.held[m.client] = deque()
        waiter.pending += 1
        member.object.check(token, tuple(m.commands[seq - m.first] for seq in seqs))
        return True

    def on_checked(self, token: int, objections: Mapping[int, str]) -> None:
        waiter, request, seqs = self.asked.pop(token)
        waiter.pending -= 1
        held = self.held.pop(request.client)
        has_keys = any(map(is_keyed, request.commands))  # of all: what was under way may not be now
        looked = Looked({seqs[place]: why for place, why in objections.items()}, has_keys)
        self.clients.propose(request, waiter, looked)
        while held:
            m = held.popleft()
            if not self._asks(m, waiter):
                self.clients.propose(m, waiter, NOTHING_SEEN)
            elif m.client in self.held:  # an object of this process has answered by now
                self.held[m.client].extend(held)
                return
