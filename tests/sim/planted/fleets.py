"""Bugs of our own, planted again. Each names the seed that found it then."""

from typing import Any
from unittest.mock import patch

from fleet.actors.client.endpoints import Endpoints
from fleet.actors.client.router import Router
from fleet.actors.member.actor import Member
from fleet.actors.node.cluster_membership import ClusterMembership
from fleet.actors.node.hosted_members import HostedMembers
from fleet.actors.node.known_nodes import KnownNodes
from fleet.actors.runtime.actor import GuardedActor
from fleet.objects.outcomes import Impatient
from tests.sim.planted.patches import Patches


def retry_nobody_waits_for() -> Patches:
    """Seed 1: a session without calls kept its time for another try, and the client woke without end."""
    wake_for = Router._wake_for

    def spin(self: Router, sessions: Any, now: int, watches: int) -> None:
        sessions = tuple(sessions)
        wake_for(self, sessions, now, watches)
        resends = [c.resend_at for c in self.sessions.values() if c.resend_at is not None]
        if resends and any(c.is_waiting for c in sessions):
            self._wake(min(resends))

    return [patch.object(Router, "_wake_for", spin)]


def founder_founds_again() -> Patches:
    """Seed 20: a drained founder that was restarted founded its cluster again, as the member it had been."""
    found = ClusterMembership.found

    def begin(self: ClusterMembership) -> None:
        true_begin(self)
        start = self.manager.start
        if self.own() is None and not (start.join or start.founders or start.peers):
            self.found([(start.name, self.manager.store.identity.incarnation, start.address)])

    def again(self: ClusterMembership, founders: Any) -> None:
        left, self.manager.hosted_members.left = self.manager.hosted_members.left, set()
        found(self, founders)
        self.manager.hosted_members.left |= left

    true_begin = ClusterMembership.begin
    return [patch.object(ClusterMembership, "found", again), patch.object(ClusterMembership, "begin", begin)]


def wall_clock_went_back() -> Patches:
    """Seed 66: a node whose wall clock had gone back since its last start was not believed to be alive."""

    def meet(self: KnownNodes, info: Any, manager: Any, registry: Any, now: Any) -> bool:
        is_news = self.learn(info) or info.name not in self.managers
        known = self.infos.get(info.name)
        if known is None or info.started_ms < known.started_ms:
            return False
        self.managers[info.name], self.registries[info.name] = manager, registry
        self.heard_at[info.name] = now
        return is_news

    return [patch.object(KnownNodes, "meet", meet)]


def rotten_snapshot_while_sending() -> Patches:
    """Seed 1064: a member met a snapshot that could not be read, while it sent it, as a bug of its own."""
    return [patch.object(Member, "fail", GuardedActor.fail)]


def former_lifes_link() -> Patches:
    """Seed 2066: the link of a node's former life, noticed late to be dead, took the node for gone."""
    link_lost = Endpoints.link_lost

    def believe(self: Endpoints, endpoint: str, boot: int, now: int) -> Any:
        self.boots.clear()
        return link_lost(self, endpoint, boot, now)

    return [patch.object(Endpoints, "link_lost", believe)]


def command_given_up() -> Patches:
    """Seed 2095: what a node asked the cluster, and gave up waiting for, it never asked again."""
    submit = Router.submit

    def once(self: Router, call: Any) -> None:
        told = getattr(call.receiver, "told", lambda outcome: None)
        if told.__qualname__.startswith("ClusterMembership.command"):

            def not_if_given_up(outcome: Any) -> None:
                if not call.is_unsettled:
                    told(outcome)

            call.receiver = Impatient(not_if_given_up)
        submit(self, call)

    return [patch.object(Router, "submit", once)]


def registries_of_former_lives() -> Patches:
    """Seed 2124: a node kept the registries of other nodes' former lives."""
    learn = Endpoints.learn

    def keep(self: Endpoints, address: str, registry: Any = None) -> None:
        if registry is not None:
            self.given.add(address)
        learn(self, address, None if address in self.registries else registry)

    return [patch.object(Endpoints, "learn", keep)]


def founded_while_it_stops() -> Patches:
    """Seed 3375: a founding member that was just being dropped was founded again, under its former id."""
    drop = HostedMembers.drop

    def forget(self: HostedMembers, hosted: Any) -> None:
        before = set(self.left)
        drop(self, hosted)
        if hosted.address is not None:
            self.left = before

    return [patch.object(HostedMembers, "drop", forget)]


def what_was_not_deleted_runs_again() -> Patches:
    """Seed 9202676: a former member, which its disk had failed to delete, ran beside its successor."""
    load = HostedMembers.load

    def load_all(self: HostedMembers) -> None:
        with patch.object(self, "drop", lambda hosted: None):
            load(self)

    return [patch.object(HostedMembers, "load", load_all)]


def former_life_still_writes() -> Patches:
    """No seed: a member began with what its disk held while a write of its former life was on its way."""
    return [patch.object(HostedMembers, "on_start_due", HostedMembers.on_writes_done)]


def silence_while_it_stood_still() -> Patches:
    """No seed: a node that was frozen took the others for lost as soon as it went on."""
    return [patch.object(KnownNodes, "listen_anew", lambda self, now: None)]
