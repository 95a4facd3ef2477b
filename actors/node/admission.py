"""A node that is not in its cluster yet. What prevents it is logged after a second and then once a minute;
the node ends where waiting cannot help."""

from fleet.actors.base.addresses import remote_address
from fleet.actors.base.transport import LinkRefused
from fleet.actors.client.router import refusal_kind
from fleet.actors.messages.peer import NodeHello
from fleet.actors.messages.well_known import MANAGER
from fleet.actors.node.parts import Node
from fleet.actors.node.timers import ReportAdmission
from fleet.errors import FleetError, NameTaken
from fleet.raft.ids import Millis

FIRST_MS: Millis = 800
NAMESAKE_MS: Millis = 1000
"""How long a new node waits for another node of its name to answer before it registers the name."""


class Admission:
    def __init__(self, manager: Node) -> None:
        self.manager = manager
        self.refused: dict[str, str] = {}
        """Addresses that refuse links, and the reasons."""
        self.namesake_until: Millis = 0

    def begin(self) -> None:
        self.manager.wake_in(FIRST_MS, ReportAdmission())

    # -- links -------------------------------------------------------------------------------------

    def on_link_refused(self, m: LinkRefused) -> None:
        self.refused[m.endpoint] = m.reason
        self._end_if_refused()

    def on_link(self, endpoint: str) -> None:
        self.refused.pop(endpoint, None)

    def _given(self) -> list[str]:
        """The addresses that this node was started with, except its own."""
        start = self.manager.start
        return [address for address in (*start.join, *start.founders) if address != start.address]

    def _needed(self) -> list[str]:
        """The addresses of which one must answer: those of known nodes or, if there are none, those given."""
        manager = self.manager
        known = [info.address for info in manager.nodes.infos.values() if info.address]
        return known if known or manager.cluster.own() is not None else self._given()

    def _end_if_refused(self) -> None:
        """End the node if every address refuses it permanently."""
        addresses = self._needed()
        if not addresses or self.manager.nodes.managers:
            return
        errors = [self._permanent_refusal(address) for address in addresses]
        if all(errors) and errors[0] is not None:
            self.manager.end(errors[0])

    def _permanent_refusal(self, address: str) -> FleetError | None:
        kind = refusal_kind(self.refused.get(address, ""))
        if kind is not None:
            return kind(f"{address} refuses the link: {self.refused[address]}", node=address)
        pin = self.manager.cluster.router.pin
        return pin.error(address) if address in pin.foreign and self.manager.cluster.own() is None else None

    def on_foreign(self) -> None:
        """A node of another cluster has answered."""
        self._end_if_refused()

    # -- the log -----------------------------------------------------------------------------------

    def report(self) -> None:
        manager = self.manager
        me, met = manager.start.name, sorted(manager.nodes.managers)
        if manager.cluster.membership.has_left:
            return
        if not met and (addresses := self._needed()):
            where = ", ".join(f"{address} ({self._why(address)})" for address in addresses)
            manager.say("admission", "node=%s is not in its cluster yet and keeps trying: %s", me, where)
        elif manager.cluster.own() is None and not manager.founding.is_open and met:
            names = ", ".join(met)
            manager.say("admission", "node=%s has met %s but is in no cluster yet", me, names)

    def _why(self, address: str) -> str:
        pin = self.manager.cluster.router.pin
        if address in pin.foreign:
            return "of another cluster"
        return self.refused.get(address, "no answer")

    # -- names -------------------------------------------------------------------------------------

    def may_register(self) -> bool:
        """Whether other nodes had the chance to object to this node's name."""
        manager = self.manager
        if manager.now() < self.namesake_until:
            return False
        return bool(manager.nodes.managers or manager.cluster.own() is not None or not self._given())

    def look_for_namesake(self, m: NodeHello) -> None:
        """Say hello to another node of this name, if the sender knows one."""
        me = self.manager.nodes.me
        for info in m.known:
            is_other = info.name == me.name and info.incarnation != me.incarnation
            if is_other and info.address and info.address != me.address:
                self.namesake_until = self.manager.now() + NAMESAKE_MS
                self.manager.say_hello(remote_address(info.address, MANAGER), answer=True)

    def is_taken(self, m: NodeHello) -> bool:
        """Whether the sender's name belongs to another node that was heard recently."""
        known = self.manager.nodes.infos.get(m.me.name)
        is_other = known is not None and known.incarnation != m.me.incarnation
        if known is None or not is_other or known.address == m.me.address:
            return False
        return self.manager.is_reachable(m.me.name)

    def meet_namesake(self, m: NodeHello) -> None:
        """Of two running nodes with one name, the one started later ends."""
        mine, other = self.manager.nodes.me, m.me
        if other.incarnation == mine.incarnation:
            return
        if m.answer:
            self.manager.say_hello(m.manager, answer=False)
        what = f"another node is called {mine.name}, at {other.address} with disk {other.incarnation}"
        if (other.started_ms, other.incarnation) < (mine.started_ms, mine.incarnation):
            self.manager.end(NameTaken(what, node=mine.name, address=other.address))
        else:
            self.manager.say(f"namesake {other.address}", "node=%s: %s: stop that one", mine.name, what)
