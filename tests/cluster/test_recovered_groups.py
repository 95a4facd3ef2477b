"""Groups of 3, 5 and 7 that lost their majority, repaired as planned, in the Raft core."""

import random
from collections.abc import Callable

import pytest

from fleet.cluster.recovery import make_plan
from fleet.cluster.recovery_entries import recovery_entries
from fleet.cluster.recovery_reports import MemberReport, NodeReport
from fleet.cluster.state import CLUSTER_GROUP
from fleet.raft.config import GroupConfig
from fleet.raft.core import Core
from fleet.raft.entries import Entry, Founded, HardState, Noop
from fleet.raft.events import Tick
from fleet.raft.ids import MemberId, NodeName, member_id, node_of
from fleet.raft.messages import PeerMessage
from fleet.raft.restart import start_core
from tests.raft.cores import all_said, entries, settle

Log = tuple[Entry, ...]


class Network:
    """Cores on one clock: every message takes no time, and those to unknown members are dropped."""

    def __init__(self, cores: list[Core]) -> None:
        self.cores = {core.id: core for core in cores}
        self.now = 0

    def run(self, ms: int, until: Callable[[], bool] = lambda: False) -> None:
        end = self.now + ms
        while self.now < end and not until():
            self.now += 10
            for core in list(self.cores.values()):
                core.step(self.now, Tick())
                self.deliver(all_said(settle(core)))

    def deliver(self, messages: list[PeerMessage]) -> None:
        for message in messages:
            core = self.cores.get(message.dst)
            if core is not None:
                core.step(self.now, message)
                self.deliver(all_said(settle(core)))

    def leaders(self) -> list[MemberId]:
        return [core.id for core in self.cores.values() if core.is_leader]


def founded(count: int) -> tuple[list[MemberId], Log]:
    members = [member_id(f"n{number}", "d", "c") for number in range(1, count + 1)]
    body = Founded(members[0], "a1", GroupConfig(), tuple((one, "a") for one in members[1:]))
    return members, (Entry(1, 1, body), Entry(2, 2, Noop()), *entries(2, 2, 2, first=3))


def started(member: MemberId, log: Log, term: int = 2) -> Core:
    return start_core(member, 0, random.Random(member), HardState(term), None, log)


def report_of(member: MemberId, log: Log, nodes: list[MemberId]) -> NodeReport:
    core = started(member, log)
    starts = {term: index for index, term in [(0, 0), *((one.index, one.term) for one in log)][::-1]}
    terms = tuple(sorted((index, term) for term, index in starts.items()))
    one = MemberReport(CLUSTER_GROUP, 0, 1, member, core.term, log[-1].index, 3, 0, terms,
                       core.membership.current.voters)  # fmt: skip
    addresses = {node_of(who): "a" for who in nodes}
    return NodeReport(node_of(member), "d", "fleet", "2a", (one,), nodes=addresses)


def repaired(count: int) -> tuple[Network, list[Core], Log]:
    """The survivors as they start again, the members that were lost, and the log of the source. One survivor
    has an entry less than the others."""
    members, log = founded(count)
    few = count // 2
    logs = {member: log if place else log[:-1] for place, member in enumerate(members[:few])}
    logs = logs if few > 1 else {members[0]: log}
    lost = [NodeName(node_of(one)) for one in members[few:]]
    plan = make_plan([report_of(member, mine, members) for member, mine in logs.items()], lost)
    (group,) = plan.groups
    cores = []
    for seat in group.continued:
        mine = logs[seat.former]
        if seat.node == group.source:
            mine += recovery_entries(plan, group, 0, 0)
        cores.append(started(seat.member, mine, group.term))
    return Network(cores), [started(member, log) for member in members[few:]], log


@pytest.mark.parametrize("count", [3, 5, 7])
def test_rv22_rv39_the_survivors_elect_a_leader_and_are_all_members(count: int) -> None:
    network, _, log = repaired(count)
    network.run(10_000, until=lambda: bool(network.leaders()))
    network.run(1000)
    (leader,) = network.leaders()
    for core in network.cores.values():
        assert set(core.membership.current.voters) == set(network.cores)
        assert core.log.entries[: len(log)] == list(log), "what a survivor had acknowledged is kept"
        assert core.log.commit == network.cores[leader].log.last_index


@pytest.mark.parametrize("count", [3, 5, 7])
def test_rv23_the_leader_stays_also_when_the_lost_majority_is_back(count: int) -> None:
    network, lost, _ = repaired(count)
    network.run(10_000, until=lambda: bool(network.leaders()))
    (leader,) = network.leaders()
    term = network.cores[leader].term
    network.cores |= {core.id: core for core in lost}
    network.run(6000)
    assert network.cores[leader].is_leader and network.cores[leader].term == term
    assert not {core.id for core in lost} & {*network.cores[leader].membership.current.everyone}


def test_s32_a_survivor_alone_does_not_lead_where_two_continue() -> None:
    network, _, _ = repaired(5)
    alone = next(iter(network.cores))
    network.cores = {alone: network.cores[alone]}
    network.run(10_000)
    assert network.leaders() == []
