"""Many light actors in one thread: mailboxes, creation, exits, poison, dead letters, timers.

Has no IO and no clock: a Transport has both, so the same kernel runs on sockets and in the simulator.
Everything is called from one thread, and nothing blocks.

Deliberate differences from Thespian's own bases:
- A message is delivered once. If its handler raises, that is logged, the sender gets a PoisonMessage and the
  actor continues; no handler runs again on a half-changed actor.
- A local message is passed by reference: the sender must not change it afterwards.
- All messages of the kernel wait in one queue. So order is kept per pair of actors, and a message of an actor
  to itself arrives after all that were waiting: the end of an actor's turn is built on this.
- A child is created before createActor returns, in the same thread.
"""

import heapq
import logging
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from datetime import timedelta
from math import ceil
from typing import Any

from thespian.actors import (
    ActorExitRequest,
    ActorSystemFailure,
    ActorSystemMessage,
    ChildActorExited,
    DeadEnvelope,
    NoCompatibleSystemForActor,
    PoisonMessage,
    Thespian_ActorStatus,
    Thespian_StatusReq,
    ThespianWatch,
    WakeupMessage,
    WatchMessage,
)

from fleet.actors.base.addresses import ANY_BOOT, SYSTEM, ActorId, Address, LocalId
from fleet.actors.base.cell import Cell, Mailbox
from fleet.actors.base.creation import actor_class, instantiate, is_capable
from fleet.actors.base.link_watchers import LinkWatchers
from fleet.actors.base.transport import Transport

log = logging.getLogger("fleet.base")


class Kernel:
    """`boot` must be random and new for each start; `endpoint` is "" for a process that does not listen."""

    def __init__(
        self, transport: Transport, boot: int, endpoint: str = "", capabilities: dict[str, Any] | None = None
    ) -> None:
        assert boot != ANY_BOOT
        self.transport = transport
        self.boot = boot
        self.endpoint = endpoint
        self.capabilities: dict[str, Any] = {} if capabilities is None else capabilities
        self.system_address = Address(ActorId(endpoint, boot, SYSTEM))
        self.cells: dict[LocalId, Cell] = {}
        self.queue: deque[tuple[Cell, Any, Address]] = deque()
        self.primaries: dict[LocalId, Cell] = {}
        self.handler_failures = 0
        self.dead_letters = 0
        self._timers: list[tuple[float, int, Cell, Any, Any]] = []
        self._timers_set = 0
        self.created = 0
        """Actors and mailboxes created so far."""
        self._dead_letter_handler: Cell | None = None
        self.link_watchers = LinkWatchers(self.queue, self.system_address)
        self._stopping = False

    # -- driven from outside -----------------------------------------------------------------------

    def run(self, now: float, budget: int = 1000) -> bool:
        """Handle up to `budget` waiting messages; True if some are left. `now`: seconds, as the
        transport's."""
        if self._timers and self._timers[0][0] <= now:
            self._fire_timers(now)
        queue = self.queue
        while queue and budget > 0:
            budget -= 1
            cell, message, sender = queue.popleft()
            instance = cell.instance
            if instance is None:
                self._undeliverable(cell, message, sender)
            elif isinstance(message, ActorSystemMessage):
                self._deliver_system_message(cell, message, sender)
            else:
                try:
                    result = instance.receiveMessage(message, sender)
                except Exception:
                    self._handler_failed(cell, message, sender)
                except SystemExit:
                    self._begin_exit(cell, recursive=True)
                else:
                    if result is not cell.armed or (result is None and cell.watching):
                        self._watch(cell, result)
        return bool(queue)

    def next_timer(self) -> float | None:
        """When `run` must be called next although nothing arrives."""
        timers = self._timers
        while timers and timers[0][2].instance is None:
            heapq.heappop(timers)
        return timers[0][0] if timers else None

    def send(self, target: Any, sender: Address, message: Any) -> None:
        """Send from any address to any other. Never blocks; undeliverable messages are dead letters or
        lost."""
        ident = target.addressDetails
        if type(ident) is not ActorId:
            self.dead_letter(target, message)
        elif self.is_here(ident):
            cell = self.cells.get(ident.local)
            if cell is None:
                self.dead_letter(target, message)
            else:
                self.queue.append((cell, message, sender))
        elif ident.boot == ANY_BOOT or ident.endpoint != self.endpoint or not ident.endpoint:
            self.transport.send(ident, sender, message)
        else:
            self.dead_letter(target, message)  # for an earlier start of this process

    def deliver(self, local: LocalId, sender: Address, message: Any) -> None:
        """A message from another process has arrived for the actor `local` of this kernel."""
        cell = self.cells.get(local)
        if cell is None:
            self.dead_letter(Address(ActorId(self.endpoint, self.boot, local)), message)
        else:
            self.queue.append((cell, message, sender))

    def is_here(self, ident: ActorId) -> bool:
        return ident.boot == self.boot or (ident.boot == ANY_BOOT and ident.endpoint == self.endpoint)

    def ready(self, local: LocalId, filenos: Sequence[int]) -> None:
        cell = self.cells.get(local)
        if cell is not None and cell.watching:
            cell.armed = None
            self.queue.append((cell, WatchMessage(list(filenos)), cell.address))

    def open_mailbox(self, put: Callable[[Any, Address], None]) -> Address:
        """An address for code that is not an actor. Calls `put(message, sender)` in the kernel's thread."""
        cell = Mailbox(self, self._next_address(None), put)
        self._enter(cell)
        return cell.address

    def close_mailbox(self, address: Address) -> None:
        cell = self.cells.pop(address.ident.local, None)
        if cell is not None:
            cell.instance = cell.address.cell = None

    def stop_actors(self) -> None:
        """Ask every actor to exit, parents first, and create no new ones. Done when `actor_count()` is 0."""
        self._stopping = True
        for cell in list(self.cells.values()):
            if cell.parent is None and not isinstance(cell, Mailbox):
                self.queue.append((cell, ActorExitRequest(), self.system_address))

    def actor_count(self) -> int:
        return sum(not isinstance(cell, Mailbox) for cell in self.cells.values())

    def instance(self, address: Any) -> Any:
        """The actor object of an address of this kernel, or None; for tests and simulations."""
        cell = self.cells.get(address.addressDetails.local) if self.is_here(address.addressDetails) else None
        return cell and cell.instance

    # -- creation ----------------------------------------------------------------------------------

    def create_primary(self, spec: Any, requirements: Any = None, name: str | None = None) -> Address:
        """Create a top-level actor. Raises what its constructor raises.

        With `name` it is well-known: there is one in the process, creating it again returns the same address,
        and `remote_address(endpoint, name)` reaches it from other processes.
        """
        if name and name in self.cells:
            return self.cells[name].address
        if self._stopping:
            raise ActorSystemFailure("the actor system is stopping and creates no actors")
        cls = actor_class(spec)
        if not is_capable(cls, self.capabilities, requirements):
            raise NoCompatibleSystemForActor(spec, "the capabilities of this system do not fit")
        cell = Cell(self, self._next_address(name), None, requirements)
        self._begin(cell, cls)
        self.primaries[cell.address.ident.local] = cell
        return cell.address

    def create_child(self, parent: Cell, spec: Any, requirements: Any, name: str | None) -> Address:
        """Create a child. If that fails it has an address nevertheless, and its parent gets ChildActorExited.

        Raises only if the class cannot be found, into the parent's handler.
        """
        if name and name in self.cells:
            return self.cells[name].address
        cls = actor_class(spec)
        cell = Cell(self, self._next_address(name), parent, requirements)
        if parent.instance is None:
            log.warning("actor=%s creates %s while it exits: not started", parent.address, spec)
            return cell.address
        try:
            if not is_capable(cls, self.capabilities, requirements):
                raise NoCompatibleSystemForActor(spec, "the capabilities of this system do not fit")
            self._begin(cell, cls)
        except Exception:
            log.warning("actor class=%s parent=%s could not be created", cls, parent.address, exc_info=True)
            self.queue.append((parent, ChildActorExited(cell.address), self.system_address))
            return cell.address
        if parent.children is None:
            parent.children = {}
        parent.children[cell.address.ident.local] = cell
        return cell.address

    def _begin(self, cell: Cell, cls: Any) -> None:
        instance = instantiate(cls, self.capabilities, cell.requirements)
        instance._myRef = cell
        cell.instance = instance
        self._enter(cell)

    def _enter(self, cell: Cell) -> None:
        self.cells[cell.address.ident.local] = cell
        cell.address.cell = cell

    def _next_address(self, name: str | None) -> Address:
        self.created += 1
        if name:
            return Address(ActorId(self.endpoint, self.boot, name))
        return Address(ActorId(self.endpoint, self.boot, self.created))

    # -- delivery of other than ordinary messages --------------------------------------------------

    def _call(self, cell: Cell, instance: Any, message: Any, sender: Address) -> None:
        try:
            result = instance.receiveMessage(message, sender)
        except (Exception, SystemExit) as error:
            self._handler_failed(cell, message, sender)
            if isinstance(error, SystemExit) and cell.instance is not None:
                self._begin_exit(cell, recursive=True)
        else:
            if cell.instance is not None:
                self._watch(cell, result)

    def _deliver_system_message(self, cell: Cell, message: Any, sender: Address) -> None:
        if isinstance(message, Thespian_StatusReq):
            self.send(sender, cell.address, self._status(cell))
            return
        self._call(cell, cell.instance, message, sender)
        if isinstance(message, ActorExitRequest):
            if cell.instance is not None and not isinstance(cell, Mailbox):
                self._begin_exit(cell, message.isRecursive)
        elif isinstance(message, ChildActorExited):
            self._forget_child(cell, message)

    def _handler_failed(self, cell: Cell, message: Any, sender: Address) -> None:
        self.handler_failures += 1
        kind = type(cell.instance or cell.leaving).__name__
        what = type(message).__name__
        log.error("actor=%s class=%s message=%s raised", cell.address, kind, what, exc_info=True)
        if not isinstance(message, (PoisonMessage, ActorExitRequest)):
            self.poison(sender, cell.address, message, traceback.format_exc())

    def poison(self, sender: Address, target: Address, message: Any, details: str) -> None:
        """Tell `sender` that its message could not be handled by `target`."""
        if sender.ident.local != SYSTEM:
            self.send(sender, target, PoisonMessage(message, details))

    def dead_letter(self, target: Any, message: Any) -> None:
        """No actor has that address. The last actor that called handleDeadLetters() gets it, as in
        Thespian."""
        ident = target.addressDetails
        if isinstance(message, (DeadEnvelope, ChildActorExited)) or getattr(ident, "local", None) == SYSTEM:
            return
        self.dead_letters += 1
        handler = self._dead_letter_handler
        if handler is not None:
            self.queue.append((handler, DeadEnvelope(target, message), self.system_address))

    def handle_dead_letters(self, address: Any, enable: bool) -> None:
        cell = self.cells.get(address.addressDetails.local)
        if enable:
            self._dead_letter_handler = cell
        elif self._dead_letter_handler is cell:
            self._dead_letter_handler = None

    def _watch(self, cell: Cell, result: Any) -> None:
        """Thespian's rule: an actor watches descriptors while its last handler returned a ThespianWatch."""
        if isinstance(result, ThespianWatch):
            if result is cell.armed:
                return
            cell.watching, cell.armed = True, result
            self.transport.watch(cell.address.ident.local, list(result.filenos))
        elif cell.watching:
            cell.watching, cell.armed = False, None
            self.transport.watch(cell.address.ident.local, ())

    def _status(self, cell: Cell) -> Any:
        parent = self.system_address if cell.parent is None else cell.parent.address
        status = Thespian_ActorStatus(cell.address, type(cell.instance).__name__, self.system_address, parent)
        for child in (cell.children or {}).values():
            status.addChild(child.address)
        return status

    # -- exit --------------------------------------------------------------------------------------

    def _begin_exit(self, cell: Cell, recursive: bool) -> None:
        """From now on the actor only sees its children exit; after the last one it has exited, too."""
        self._watch(cell, None)
        cell.leaving, cell.instance = cell.instance, None
        if recursive and cell.children:
            for child in cell.children.values():
                self.queue.append((child, ActorExitRequest(), cell.address))
            return
        for child in (cell.children or {}).values():
            child.parent = None
            self.primaries[child.address.ident.local] = child
        self._finish_exit(cell)

    def _finish_exit(self, cell: Cell) -> None:
        local = cell.address.ident.local
        cell.leaving = cell.children = cell.address.cell = None
        del self.cells[local]
        self.primaries.pop(local, None)
        self.link_watchers.remove(local)
        if self._dead_letter_handler is cell:
            self._dead_letter_handler = None
        if cell.parent is not None:
            self.queue.append((cell.parent, ChildActorExited(cell.address), self.system_address))

    def _forget_child(self, cell: Cell, message: Any) -> None:
        ident = message.childAddress.addressDetails
        children = cell.children
        if children and children.get(ident.local) is not self.cells.get(ident.local):
            children.pop(ident.local, None)  # the name may belong to a new actor by now

    def _undeliverable(self, cell: Cell, message: Any, sender: Address) -> None:
        if cell.leaving is None:
            self.dead_letter(cell.address, message)
        elif isinstance(message, ChildActorExited):
            self._call(cell, cell.leaving, message, sender)
            self._forget_child(cell, message)
            if not cell.children:
                self._finish_exit(cell)
        elif not isinstance(message, ActorExitRequest):
            self.dead_letter(cell.address, message)

    # -- timers and capabilities -------------------------------------------------------------------

    def wake_after(self, cell: Cell, delay: Any, payload: Any) -> None:
        """Timers are due at whole milliseconds, as epoll waits, so that timers due in one millisecond share a
        turn, as do the heartbeats of a node's groups."""
        seconds = delay.total_seconds() if isinstance(delay, timedelta) else float(delay)
        at = ceil((self.transport.now() + seconds) * 1000) / 1000
        self._timers_set += 1
        heapq.heappush(self._timers, (at, self._timers_set, cell, delay, payload))

    def _fire_timers(self, now: float) -> None:
        timers = self._timers
        while timers and timers[0][0] <= now:
            _, _, cell, delay, payload = heapq.heappop(timers)
            if cell.instance is not None:
                period = delay if isinstance(delay, timedelta) else timedelta(seconds=delay)
                self.queue.append((cell, WakeupMessage(period, payload), cell.address))

    def update_capability(self, name: str, value: Any) -> None:
        """Set a capability; None removes it. Asks actors to exit whose class refuses the new capabilities."""
        if value is None:
            self.capabilities.pop(name, None)
        else:
            self.capabilities[name] = value
        for cell in list(self.cells.values()):
            if not is_capable(type(cell.instance), self.capabilities, cell.requirements):
                self.queue.append((cell, ActorExitRequest(), self.system_address))

    # -- other processes ---------------------------------------------------------------------------

    def notify_of_links(self, address: Any, enable: bool) -> None:
        local = address.addressDetails.local
        cell = self.cells.get(local)
        if enable and cell is not None:
            self.link_watchers.add(cell)
        else:
            self.link_watchers.remove(local)
