"""Links of peers with a role secret: what they send is judged before an actor gets it.

Only processes that said how have such links: `Admit` makes of a peer's rights a `Gate`, which is asked about
each message. All others refuse peers with a role.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from thespian.actors import ActorAddress, PoisonMessage

from fleet.actors.base.addresses import ActorId, Address, LocalId
from fleet.actors.base.handshake import NO_ROLES, NOT_FLEET, WRONG_SECRET, Hello, Refused
from fleet.actors.base.kernel import Kernel
from fleet.actors.base.role_secrets import Limited
from fleet.actors.base.wire import decode_body, decode_frame


class Verdict(NamedTuple):
    passed: Any = None
    """What the actor gets; None: nothing."""
    reply: Any = None
    """What the sender is told; None: nothing."""
    reply_to: ActorAddress | None = None


class Gate(Protocol):
    def begin_frame(self) -> None:
        """What follows comes in one frame, and is judged within one turn of the process."""

    def __call__(self, dst: LocalId, sender: Address, message: Any, /) -> Verdict:
        """Judge a message. Raises anything for one that no honest process with this role sends: the link is
        closed."""


Admit = Callable[[Limited], Gate]
"""Raises Refused: these rights are not known here."""


class LimitedLink(Protocol):
    limited: Limited | None
    gate: Gate | None
    endpoint: str
    boot: int

    def post(self, dst: ActorId, sender: Address, message: Any) -> None: ...

    def sender(self, local: LocalId) -> Address: ...


def gate_of(admit: Admit | None, limited: Limited, hello: Hello, kernel: Kernel) -> Gate:
    """For a peer that has proved that it has a role.

    Such a process is reached over its own link only. It must not pass for another one, whose replies it
    would get, or which would get its: for a node, or for this very process, which takes what is for itself
    without asking a gate.

    Raises:
        Refused: roles are not accepted here, or not these rights, or the process says that it listens.
    """
    if admit is None:
        raise Refused(NO_ROLES)
    if hello.endpoint or hello.boot == kernel.boot:
        raise Refused(NOT_FLEET)
    return admit(limited)


def check_taken(link: LimitedLink, other: LimitedLink | None) -> None:
    """`other` is the link of the process with the boot id that the peer of `link` says it has.

    Raises:
        Refused: that one has not proved the same. A boot id is where replies go.
    """
    if link.limited is not None and other is not None and other.limited != link.limited:
        raise Refused(WRONG_SECRET)


def deliver_limited(kernel: Kernel, link: LimitedLink, gate: Gate, frame: memoryview) -> None:
    """Deliver a frame of a peer with a role, as far as its gate lets it pass. Raises anything if it is no
    frame of messages that such a peer may send."""
    gate.begin_frame()
    for dst, src, tag, body in decode_frame(frame):
        message, sender = decode_body(tag, body), link.sender(src)
        if isinstance(message, PoisonMessage):
            continue  # nothing here asks such a peer for anything
        passed, reply, reply_to = gate(dst, sender, message)
        if reply is not None:
            here = Address(ActorId(kernel.endpoint, kernel.boot, dst))
            link.post((reply_to or sender).addressDetails, here, reply)
        if passed is not None:
            kernel.deliver(dst, sender, passed)
