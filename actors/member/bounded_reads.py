"""Queries that any member may answer, from its own state: is that new enough?

Without a proof a member refuses, also a leader: the client then asks the leader as for any other query, which
confirms that it leads.
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

    def take(self, token: int, reading: Reading, bound: ReadBound) -> None:
        """Have the queries executed, or refuse them."""
        member = self.clients.member
        reading.waiter.wants_members |= bound.wants_members
        if bound.max_age_ms >= 0:
            member.core.read_at = member.start.clock.now_ms()
        reading.bound, reading.fresh_at = bound, fresh_at(member.core)
        error = self.objection(reading, bound.at_least)
        if error is None:
            member.object.ask(token, reading.queries)
        else:
            self.clients.fail_reading(token, error, member.core.leader)

    def objection(self, reading: Reading, revision: Revision) -> TooStale | None:
        """Why queries that see this revision may not be answered. Asked again when they were executed."""
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
