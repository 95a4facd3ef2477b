"""An actor in the kernel, and the actor system as that actor sees it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, NoReturn, Protocol

from fleet.actors.base.addresses import Address, LocalId
from fleet.actors.base.transport import Transport


class CellKernel(Protocol):
    """The kernel, as its cells use it."""

    boot: int
    cells: dict[LocalId, Cell]
    queue: deque[tuple[Cell, Any, Address]]
    transport: Transport

    def send(self, target: Any, sender: Address, message: Any) -> None: ...

    def create_primary(self, spec: Any, requirements: Any = None, name: str | None = None) -> Address: ...

    def create_child(self, parent: Cell, spec: Any, requirements: Any, name: str | None) -> Address: ...

    def wake_after(self, cell: Cell, delay: Any, payload: Any) -> None: ...

    def handle_dead_letters(self, address: Any, enable: bool) -> None: ...

    def notify_of_links(self, address: Any, enable: bool) -> None: ...

    def update_capability(self, name: str, value: Any) -> None: ...


class Cell:
    """What Thespian's Actor has as `self._myRef`. The method names are Thespian's.

    Invariant: `instance` is None once the actor has begun to exit; from then on `leaving` holds it until its
    last child has exited. A cell is in `kernel.cells` until its actor has exited.
    """

    __slots__ = (
        "kernel",
        "address",
        "instance",
        "parent",
        "children",
        "leaving",
        "watching",
        "armed",
        "requirements",
    )

    def __init__(
        self, kernel: CellKernel, address: Address, parent: Cell | None, requirements: Any = None
    ) -> None:
        self.kernel = kernel
        self.address = address
        self.instance: Any = None
        self.parent = parent
        self.children: dict[LocalId, Cell] | None = None
        self.leaving: Any = None
        self.watching = False
        self.armed: Any = None
        """The ThespianWatch whose descriptors are watched and have not fired."""
        self.requirements = requirements

    @property
    def globalName(self) -> str | None:
        local = self.address.ident.local
        return local if isinstance(local, str) else None

    def actor_send(self, target: Any, message: Any) -> None:
        """The hot path: one append if the target is in this kernel."""
        kernel = self.kernel
        if type(target) is Address:
            cell = target.cell
            if cell is not None and cell.kernel is kernel:
                kernel.queue.append((cell, message, self.address))
                return
        kernel.send(target, self.address, message)

    def createActor(self, spec: Any, requirements: Any, name: str | None, source_hash: Any) -> Address:
        if source_hash is not None:
            refuse("createActor with sourceHash")
        return self.kernel.create_child(self, spec, requirements, name)

    def wakeupAfter(self, delay: Any, payload: Any) -> None:
        self.kernel.wake_after(self, delay, payload)

    def handleDeadLetters(self, address: Any, enable: bool) -> None:
        self.kernel.handle_dead_letters(address, enable)

    def notifyOnSystemRegistrationChanges(self, address: Any, enable: bool) -> None:
        self.kernel.notify_of_links(address, enable)

    def updateCapability(self, name: str, value: Any) -> None:
        self.kernel.update_capability(name, value)

    def actorSystemShutdown(self) -> None:
        self.kernel.transport.stop()

    def registerSourceAuthority(self, address: Any) -> None:
        refuse("registerSourceAuthority")

    def notifyOnSourceAvailability(self, address: Any, enable: bool) -> None:
        refuse("notifyOnSourceAvailability")

    def loadActorSource(self, name: Any) -> NoReturn:
        refuse("loadActorSource")

    def unloadActorSource(self, source_hash: Any) -> NoReturn:
        refuse("unloadActorSource")

    def preRegisterRemoteSystem(self, address: Any, capabilities: Any) -> None:
        refuse("preRegisterRemoteSystem")

    def deRegisterRemoteSystem(self, address: Any) -> None:
        refuse("deRegisterRemoteSystem")


class Mailbox(Cell):
    """A receiver that is not an actor: messages are passed to `put(message, sender)`.

    An ActorExitRequest does not end it, and it has no children: primary actors belong to the system, whoever
    created them.
    """

    __slots__ = ("put",)

    def __init__(self, kernel: CellKernel, address: Address, put: Callable[[Any, Address], None]) -> None:
        super().__init__(kernel, address, None)
        self.put = put
        self.instance = self

    def receiveMessage(self, message: Any, sender: Address) -> None:
        self.put(message, sender)


def refuse(what: str) -> NoReturn:
    """Refuse what only Thespian's own bases have: conventions and source loading."""
    raise NotImplementedError(
        f"the fleet base has no {what}: install the code on every host, "
        "and address other processes by remote_address()"
    )
