"""Queries that any member may answer, from its own state: is that new enough?

A leader that cannot prove it for its own state asks its followers, as for any query. A follower refuses, and
says where the leader is.
"""

from typing import Protocol

from fleet.actors.member.member_object import MemberObject
from fleet.actors.member.waiters import Reading
from fleet.actors.messages.client import ReadBound
from fleet.actors.messages.local import StartMember
from fleet.actors.messages.values import GroupSpec
from fleet.errors import FleetError, TooStale
from fleet.raft.core import Core
from fleet.raft.freshness import age_at_most, fresh_at
from fleet.raft.ids import MemberId, Revision, node_of


class ReadMember(Protocol):
    spec: GroupSpec
    start: StartMember
    core: Core
    object: MemberObject


class Refuser(Protocol):
    @property
    def member(self) -> ReadMember: ...

    def fail_reading(self, token: int, error: FleetError, leader: MemberId | None = None) -> None: ...


class BoundedReads:
    def __init__(self, clients: Refuser) -> None:
        self.clients = clients

    def take(self, token: int, reading: Reading, bound: ReadBound) -> bool:
        """Have the queries executed, or refuse them. False: this leader has to confirm them first."""
        member = self.clients.member
        core = member.core
        reading.waiter.wants_members |= bound.wants_members
        reading.bound, reading.fresh_at = bound, fresh_at(core)
        error = self.objection(reading, member.object.revision if core.is_leader else bound.at_least)
        if error is None:
            member.object.ask(token, reading.queries)
        elif core.is_leader:
            reading.bound = None
            return False
        else:
            self.clients.fail_reading(token, error, core.leader)
        return True

    def objection(self, reading: Reading, revision: Revision) -> TooStale | None:
        """Why queries that see this revision are not answered. Asked again when they are executed."""
        bound, member = reading.bound, self.clients.member
        assert bound is not None
        where = {"group": member.spec.name, "node": node_of(member.core.id)}
        if revision < bound.at_least:
            what = "its state is older than was asked for"
            return TooStale(what, **where, revision=revision, at_least=bound.at_least)
        if bound.max_age_ms < 0:
            return None
        age_ms = age_at_most(member.core, member.start.clock.now_ms(), reading.fresh_at)
        if age_ms <= bound.max_age_ms:
            return None
        max_age = bound.max_age_ms / 1000
        if reading.fresh_at < 0:
            what = "how old its state is cannot be proven"
            return TooStale(what, **where, max_age=max_age)
        return TooStale("its state may be older", **where, age=age_ms / 1000, max_age=max_age)


def addresses_of(core: Core) -> tuple[str, ...]:
    """Of the nodes that hold members, as far as known."""
    members = core.membership.current
    return tuple(filter(None, map(members.addresses.get, members.everyone)))
