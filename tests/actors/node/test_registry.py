from typing import Any

import pytest

from fleet.actors.base import Address
from fleet.actors.base.addresses import remote_address
from fleet.actors.messages.client import ClientReply, ClientRequest
from fleet.actors.messages.local import (
    Belongs,
    MemberGone,
    MemberHere,
    MemberStarts,
    PeerAddresses,
    Routes,
    StartRegistry,
    Whereabouts,
)
from fleet.actors.messages.operator import DISK_FULL, GetStatus, GroupRequest, OpReply
from fleet.actors.messages.peer import MAILS_BYTES_MAX, NodeHeartbeat, PeerMail, PeerMails, together
from fleet.actors.messages.well_known import REGISTRY
from fleet.actors.node.registry import Registry
from fleet.actors.runtime.actor import GuardedActor
from fleet.actors.runtime.turn import EndTurn
from fleet.cluster.node_liveness import Sleeper, Woke
from fleet.raft.events import NodeSilent
from fleet.raft.ids import MemberId, NodeName, member_id
from tests.actors.base.helpers import Bench, Recorder
from tests.support.clocks import HandClock

N1, N2 = NodeName("n1"), NodeName("n2")
HERE = member_id(N1, "aaaa", 1)
THERE = member_id(N2, "bbbb", 1)


class RegistryBench(Bench):
    def __init__(self) -> None:
        super().__init__()
        self.registry = self.create(Registry)
        self.member = self.create(Recorder)
        self.clock = HandClock()
        self.ask(self.registry, StartRegistry(N1, self.clock, 5, given_up=frozenset(("n2@lost",))))
        self.cluster = 0

    def belong(self) -> None:
        self.cluster = 9
        self.ask(self.registry, Belongs(self.cluster), Whereabouts({}))

    def seen(self, actor: Address) -> list[Any]:
        (seen,) = self.ask(actor, "what?")
        return list(seen)

    def request(self, group: str) -> ClientRequest:
        return ClientRequest(
            group, "client", self.me, 7, 3, False, 4, (b"c", b"d"), 9, (b"q",), 6, cluster=self.cluster
        )


@pytest.fixture
def bench() -> RegistryBench:
    return RegistryBench()


def test_mail_goes_to_the_member_here_and_by_the_registry_of_its_node_there(bench: RegistryBench) -> None:
    bench.tell(bench.registry, MemberHere("g", HERE, bench.member))
    bench.tell(bench.registry, Routes({N2: remote_address("there:2", REGISTRY)}))
    bench.ask(bench.registry, PeerMail(HERE, b"in"), PeerMail(THERE, b"out"))
    assert bench.seen(bench.member) == [PeerMail(HERE, b"in")]
    ((ident, _, message),) = bench.transport.sent
    assert (ident.endpoint, ident.local, message) == ("there:2", REGISTRY, PeerMail(THERE, b"out"))


def test_mail_of_a_turn_to_members_of_one_node_is_one_message(bench: RegistryBench) -> None:
    bench.tell(bench.registry, Routes({N2: remote_address("there:2", REGISTRY)}))
    mails = tuple(PeerMail(member_id(N2, "b", life), b"out") for life in range(3))
    bench.ask(bench.registry, *mails)
    assert [message for _, _, message in bench.transport.sent] == [PeerMails(mails)]


def test_mail_that_arrives_together_goes_to_each_member_in_order(bench: RegistryBench) -> None:
    bench.tell(bench.registry, MemberHere("g", HERE, bench.member))
    lost = PeerMail(member_id(N1, "old", 1), b"")
    bench.ask(bench.registry, PeerMails((PeerMail(HERE, b"1"), lost, PeerMail(HERE, b"2"))))
    assert bench.seen(bench.member) == [PeerMail(HERE, b"1"), PeerMail(HERE, b"2")]


def test_much_mail_is_parted_so_that_it_fits_a_frame_in_order() -> None:
    mails = [PeerMail(THERE, bytes(size)) for size in (10, MAILS_BYTES_MAX - 10, 10, 3 * MAILS_BYTES_MAX, 10)]
    assert list(together(mails)) == [PeerMails(tuple(mails[:2])), *mails[2:]]


def test_mail_for_nobody_is_dropped(bench: RegistryBench) -> None:
    """Of this node's earlier disks, of a node never heard of: a network would lose it too."""
    wiped = member_id(N1, "old", 1)
    assert bench.ask(bench.registry, PeerMail(wiped, b""), PeerMail(MemberId("n9@x.1"), b"")) == []
    assert bench.transport.sent == []


def test_s32_no_mail_goes_to_the_disk_of_a_node_that_was_given_up(bench: RegistryBench) -> None:
    bench.tell(bench.registry, Routes({N2: remote_address("there:2", REGISTRY)}))
    new, lost = (member_id(N2, disk, 1) for disk in ("new", "lost"))
    bench.ask(bench.registry, PeerMail(lost, b""), PeerMail(new, b""))
    assert [message for _, _, message in bench.transport.sent] == [PeerMail(new, b"")]


def test_what_a_node_says_itself_is_newer_than_what_a_log_says(bench: RegistryBench) -> None:
    bench.tell(bench.registry, PeerAddresses({N2: "old:1", N1: "me:1", NodeName("n3"): ""}))
    bench.ask(bench.registry, PeerMail(THERE, b""))
    bench.tell(bench.registry, Routes({N2: remote_address("new:1", REGISTRY)}))
    bench.tell(bench.registry, PeerAddresses({N2: "old:1"}))
    bench.ask(bench.registry, PeerMail(THERE, b""), PeerMail(member_id(NodeName("n3"), "c", 1), b""))
    assert [ident.endpoint for ident, _, _ in bench.transport.sent] == ["old:1", "new:1"]


def test_a_member_that_was_started_again_has_another_address(bench: RegistryBench) -> None:
    again = bench.create(Recorder)
    bench.tell(bench.registry, MemberHere("g", HERE, bench.member), MemberGone("g", HERE))
    bench.tell(bench.registry, MemberHere("g", HERE, again))
    bench.ask(bench.registry, PeerMail(HERE, b""), bench.request("g"))
    assert bench.seen(bench.member) == []
    assert bench.seen(again) == [PeerMail(HERE, b""), bench.request("g")]


def test_s78_a_copy_of_a_request_that_was_refused_does_not_reach_a_member_that_came_since(
    bench: RegistryBench,
) -> None:
    (refused,) = bench.ask(bench.registry, bench.request("nobody"))
    assert isinstance(refused, ClientReply)
    bench.tell(bench.registry, MemberHere("nobody", HERE, bench.member))
    assert bench.ask(bench.registry, bench.request("nobody")) == []
    assert bench.seen(bench.member) == []


def test_s78_a_copy_of_a_request_that_was_passed_on_is_not_refused_when_its_member_is_gone(
    bench: RegistryBench,
) -> None:
    """Seed 20302: the member had proposed it, and others executed it."""
    bench.tell(bench.registry, MemberHere("g", HERE, bench.member))
    assert bench.ask(bench.registry, bench.request("g")) == []
    bench.tell(bench.registry, MemberGone("g", HERE))
    assert bench.ask(bench.registry, bench.request("g")) == []
    assert bench.seen(bench.member) == [bench.request("g")]


def test_a_group_without_a_member_here_is_refused_with_all_that_was_asked(bench: RegistryBench) -> None:
    bench.belong()
    (reply,) = bench.ask(bench.registry, bench.request("nobody"))
    assert isinstance(reply, ClientReply)
    (refusal,) = reply.refusals
    assert (refusal.error.kind, refusal.error.facts["node"]) == ("NoSuchGroup", "n1")
    assert (refusal.session, refusal.seqs, refusal.queries, refusal.number) == (7, (4, 5), (9,), 6)
    (answer,) = bench.ask(bench.registry, GroupRequest(3, bench.me, "nobody", GetStatus()))
    assert isinstance(answer, OpReply) and answer.error is not None
    assert (answer.token, answer.error.kind) == (3, "NoSuchGroup")


def test_a_node_of_no_cluster_does_not_say_that_there_is_no_such_group(bench: RegistryBench) -> None:
    """After a recovery, or a restart of all nodes, a client took the word of nodes that had just started."""
    (reply,) = bench.ask(bench.registry, bench.request("g"))
    (refusal,) = reply.refusals
    assert (refusal.error.kind, refusal.error.what) == ("Unavailable", "the node belongs to no cluster yet")


def test_a_node_that_has_not_read_the_clusters_state_does_not_say_that_there_is_no_such_group(
    bench: RegistryBench,
) -> None:
    """Seed 5172: nodes were restarted one after the other, and each said once that it knew no such group."""
    request = GroupRequest(4, bench.me, "g", GetStatus())
    (reply,) = bench.ask(bench.registry, Belongs(9), request)
    assert (reply.error.kind, reply.error.what) == (
        "Unavailable",
        "the node does not know all groups yet",
    )
    (reply,) = bench.ask(bench.registry, Whereabouts({}), request)
    assert reply.error.kind == "NoSuchGroup"


def test_who_asks_while_the_class_of_a_member_is_loaded_asks_again(bench: RegistryBench) -> None:
    def refused() -> str:
        (reply,) = bench.ask(bench.registry, GroupRequest(4, bench.me, "g", GetStatus()))
        assert reply.error is not None
        return str(reply.error.kind)

    bench.belong()
    starts, gone = MemberStarts("g", HERE), MemberGone("g", HERE)
    bench.tell(bench.registry, starts)
    assert refused() == "Unavailable"
    bench.tell(bench.registry, gone)
    assert refused() == "NoSuchGroup"
    bench.tell(bench.registry, starts, MemberHere("g", HERE, bench.member), gone)
    assert refused() == "NoSuchGroup"


def test_an_old_member_that_leaves_does_not_take_the_new_one_of_its_group_along(bench: RegistryBench) -> None:
    new = member_id(N1, "aaaa", 2)
    bench.tell(bench.registry, MemberHere("g", HERE, bench.me), MemberHere("g", new, bench.member))
    bench.ask(bench.registry, MemberGone("g", HERE), bench.request("g"))
    assert bench.seen(bench.member) == [bench.request("g")]


def test_s86_who_asks_for_a_member_that_stopped_for_want_of_space_is_told_so(bench: RegistryBench) -> None:
    bench.belong()
    reasons = []
    for is_full in (True, False):
        bench.tell(bench.registry, MemberHere("g", HERE, bench.member))
        bench.tell(bench.registry, MemberGone("g", HERE, is_full))
        (reply,) = bench.ask(bench.registry, GroupRequest(4, bench.me, "g", GetStatus()))
        reasons.append((reply.error.kind, reply.error.what))
    full, gone = reasons
    assert full == ("Unavailable", DISK_FULL) and gone[0] == "NoSuchGroup"


def test_a_member_that_sleeps_is_told_of_a_silent_node(bench: RegistryBench) -> None:
    """Its node sends heartbeats to its leader's, and hears none."""
    bench.tell(bench.registry, MemberHere("g", HERE, bench.member))
    bench.tell(bench.registry, Routes({N2: remote_address("there:2", REGISTRY)}))
    bench.ask(bench.registry, Sleeper(HERE, THERE, (N2,), 1000))
    for _ in range(3):
        bench.clock.now += 250
        bench.advance(0.25)
        bench.ask(bench.registry, NodeHeartbeat(N2, 9, 1))
    assert bench.seen(bench.member) == []
    sent = [message for _, _, message in bench.transport.sent]
    assert [(type(m), m.node, m.run, m.leaders) for m in sent] == [(NodeHeartbeat, N1, 5, 0)] * 4
    for _ in range(4):
        bench.clock.now += 250
        bench.advance(0.25)
    assert bench.seen(bench.member) == [NodeSilent(N2)]


def test_mail_of_members_leaves_before_a_heartbeat_that_speaks_of_them(bench: RegistryBench) -> None:
    bench.tell(bench.registry, MemberHere("g", HERE, bench.member))
    bench.tell(bench.registry, Routes({N2: remote_address("there:2", REGISTRY)}))
    bench.ask(bench.registry, PeerMail(THERE, b"out"), Sleeper(HERE, THERE, (N2,), 1000))
    mail, heartbeat = [message for _, _, message in bench.transport.sent]
    assert mail == PeerMail(THERE, b"out") and isinstance(heartbeat, NodeHeartbeat)


def test_a_node_whose_members_are_awake_sends_no_heartbeats(bench: RegistryBench) -> None:
    bench.tell(bench.registry, MemberHere("g", HERE, bench.member))
    bench.tell(bench.registry, Routes({N2: remote_address("there:2", REGISTRY)}))
    bench.ask(bench.registry, Sleeper(HERE, THERE, (N2,), 1000), Woke(HERE))
    bench.transport.sent.clear()
    bench.clock.now += 10_000
    bench.advance(10.0)
    assert bench.transport.sent == []


class Woken(GuardedActor):
    """A member of the node that wakes, and says so at the end of its turn."""

    def on_message(self, m: Any, sender: Any) -> None:
        self.registry = sender
        self.send(self.myAddress, EndTurn())

    def on_end_turn(self, m: EndTurn, sender: Any) -> None:
        self.send(self.registry, Woke(HERE))

    handlers = {str: on_message, EndTurn: on_end_turn}


def test_what_is_said_of_sleepers_holds_when_a_heartbeat_is_heard(bench: RegistryBench) -> None:
    """One woke just before, and has not said so yet."""
    member, registry = bench.create(Woken), bench.kernel.instance(bench.registry)
    bench.tell(bench.registry, Routes({N2: remote_address("there:2", REGISTRY)}))
    bench.ask(bench.registry, Sleeper(HERE, THERE, (N2,), 1000))
    bench.kernel.send(member, bench.registry, "wake")
    bench.tell(bench.registry, NodeHeartbeat(N2, 9, 1, sent_at=5))
    while bench.kernel.run(bench.transport.time, 1):
        watched = registry.liveness.watched.get(N2)
        assert watched is None or watched.sent_at == 0
    bench.ask(bench.registry, Sleeper(HERE, THERE, (N2,), 1000), NodeHeartbeat(N2, 9, 1, sent_at=6))
    assert registry.liveness.watched[N2].sent_at == 6


def test_a_heartbeat_that_cannot_be_handled_does_not_end_the_registry(
    bench: RegistryBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = bench.kernel.instance(bench.registry)
    bench.tell(bench.registry, MemberHere("g", HERE, bench.member))
    bench.settle()
    with monkeypatch.context() as broken:
        broken.setattr(registry.liveness, "step", None)
        bench.ask(bench.registry, NodeHeartbeat(N2, 9, 1))
    bench.ask(bench.registry, bench.request("g"))
    assert bench.seen(bench.member) == [bench.request("g")]
