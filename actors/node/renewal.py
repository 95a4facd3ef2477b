"""A node that was told that its directory is an older copy begins anew, as another disk (S83)."""

from msgspec.structs import replace

from fleet.actors.messages.peer import OlderCopy
from fleet.actors.node.surroundings import Node
from fleet.actors.runtime.actor import log
from fleet.interfaces import ChoreDone, Renew
from fleet.raft.ids import Millis

AGAIN_MS: Millis = 1000
SETTLED_MS: Millis = 5000
"""Who remembers more starts of a directory than it counts says so at once, if it runs."""


class Renewal:
    def __init__(self, node: Node) -> None:
        self.node = node
        self.chore: Renew | None = None
        """What makes the directory another one, under way or to be tried again."""

    @property
    def is_on(self) -> bool:
        return self.chore is not None

    def on_older_copy(self, m: OlderCopy) -> None:
        """This directory was put back: what it promised and acknowledged since is not in it. It goes on as a
        new one: its members are removed by their groups and replaced, and none of their names comes again."""
        node = self.node
        me = node.nodes.me
        if (m.incarnation, m.boot) != (me.incarnation, me.boot) or self.chore is not None:
            return
        if node.cluster.membership.has_progressed and node.now() - node.started_at > SETTLED_MS:
            what = "node=%s goes on, for the cluster has committed with it since; node %s remembers %d "
            log.error(what + "starts of its directory, and not %d", me.name, m.witness, m.remembered, m.boot)
            return  # what either side committed is kept: see S84
        why = (
            f"this directory is an older copy: it was started {m.boot} times, and node {m.witness} remembers "
            f"{m.remembered}"
        )
        log.error("node=%s: %s; its members are replaced by new ones", me.name, why)
        facts = node.hosted_members.give_up_all(why)
        node.note_stopped_leaders()
        self.chore = Renew(f"{me.incarnation}-{m.remembered + 1}", facts)
        self.go_on()

    def go_on(self) -> None:
        node = self.node
        if self.chore is not None:
            node.carry_out(self.chore, self._on_renewed)

    def _on_renewed(self, m: ChoreDone) -> None:
        node = self.node
        if m.error is not None:
            node.say("renewal", "node=%s cannot begin anew yet: %s", node.start.name, m.error)
            node.wake_in(AGAIN_MS, "renew")
            return
        self.chore = None
        node.nodes.me = replace(node.nodes.me, incarnation=node.store.identity.incarnation)
        node.greetings.say_to_everyone()
        node.cluster.on_renewed()
        node.look_at_damaged()
