"""A node whose directory is an older copy continues as another disk, with a new incarnation (S83)."""

from msgspec.structs import replace

from fleet.actors.messages.peer import OlderCopy
from fleet.actors.node.parts import Node
from fleet.actors.node.timers import RenewAgain
from fleet.actors.runtime.actor import log
from fleet.interfaces import ChoreDone, Renew
from fleet.raft.ids import Millis

AGAIN_MS: Millis = 1000
SETTLED_MS: Millis = 5000
"""A node that remembers a later start of the directory says so at once, if it runs."""


class Renewal:
    def __init__(self, node: Node) -> None:
        self.node = node
        self.chore: Renew | None = None
        """Writes the new incarnation; under way, or to be tried again."""

    @property
    def is_on(self) -> bool:
        return self.chore is not None

    def on_older_copy(self, m: OlderCopy) -> None:
        """The directory was replaced by an older copy, which lacks later promises and acknowledgements. It
        continues with a new incarnation: its members are removed by their groups and replaced under new
        ids."""
        node = self.node
        me = node.nodes.me
        if (m.incarnation, m.boot) != (me.incarnation, me.boot) or self.chore is not None:
            return
        if node.cluster.membership.has_progressed and node.now() - node.started_at > SETTLED_MS:
            what = "node=%s continues, since the cluster has committed with it; node %s remembers %d "
            log.error(what + "starts of its directory, and not %d", me.name, m.witness, m.remembered, m.boot)
            return  # both histories are committed: see S84
        why = (
            f"this directory is an older copy: it was started {m.boot} times, and node {m.witness} remembers "
            f"{m.remembered}"
        )
        log.error("node=%s: %s; its members are replaced", me.name, why)
        meta = node.hosted_members.give_up_all(why)
        node.note_stopped_leaders()
        self.chore = Renew(f"{me.incarnation}-{m.remembered + 1}", meta)
        self.retry()

    def retry(self) -> None:
        node = self.node
        if self.chore is not None:
            node.carry_out(self.chore, self._on_renewed)

    def _on_renewed(self, m: ChoreDone) -> None:
        node = self.node
        if m.error is not None:
            node.say("renewal", "node=%s cannot renew its directory yet: %s", node.start.name, m.error)
            node.wake_in(AGAIN_MS, RenewAgain())
            return
        self.chore = None
        node.nodes.me = replace(node.nodes.me, incarnation=node.store.identity.incarnation)
        node.greetings.say_to_everyone()
        node.founding.on_renewed()
        node.cluster.on_renewed()
        node.look_at_damaged()
