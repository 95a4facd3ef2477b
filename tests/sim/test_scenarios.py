"""Scenarios on whole simulated nodes, each told step by step. Mutants are hunted with some of them, too."""

from typing import Any

import pytest

import fleet
from fleet.actors.mail import AddMember, DemoteMember, PromoteMember, RemoveMember, TransferLeader
from fleet.cluster import CLUSTER_GROUP, LEAVING
from fleet.errors import Overloaded
from fleet.raft.ids import member_id, node_of
from fleet.testing import Sim
from tests.sim.storms import Ledger

FAST = {"heartbeat_ms": 30, "election_ms": 300, "storage_timeout_ms": 600, "clock_drift_margin_ms": 60}


class Log(fleet.Data):
    values: list[int] = []

    @fleet.command
    def append(self, value: int) -> int:
        self.values.append(value)
        return len(self.values)

    @fleet.command
    def put(self, value: bytes) -> None:
        self.big = value

    @fleet.query
    def all(self) -> tuple[int, ...]:
        return tuple(self.values)


def config(**settings: Any) -> fleet.GroupConfig:
    return fleet.GroupConfig(**(FAST | settings))


def member(sim: Sim, node: str, group: str = "g") -> Any:
    return next(m for m in sim.world.members_of(group) if node_of(m.core.id) == node)


def terms(sim: Sim, group: str = "g") -> set[int]:
    return {m.core.term for m in sim.world.members_of(group)}


def others(sim: Sim, *nodes: str | None) -> list[str]:
    return [name for name in sim.nodes if name not in nodes]


def leader_of(sim: Sim) -> str:
    assert sim.run("10s", lambda: sim.leader("g") is not None)
    leader = sim.leader("g")
    assert leader is not None
    return leader


def wait_for_leader_but(sim: Sim, old: str) -> str:
    assert sim.run("10s", lambda: sim.leader("g") not in (None, old)), "nobody else is elected"
    return leader_of(sim)


def agree(sim: Sim) -> None:
    sim.heal()
    assert sim.states_equal("g")
    assert sim.explain("g") is None


def ask(sim: Sim, op: Any) -> None:
    sim.client.in_turn(lambda: sim.client.ask(op, "g", "", lambda value, error: None))


# -- replication -----------------------------------------------------------------------------------


@pytest.mark.parametrize("was_reelected", [True, False], ids=["S01", "S02"])
def test_s01_s02_an_isolated_leader_gives_up_what_nobody_acknowledged(was_reelected: bool) -> None:
    sim = Sim(seed=1)
    group = sim.group("g", Log, config=config())
    if was_reelected:
        first = leader_of(sim)
        sim.partition(first)
        wait_for_leader_but(sim, first)
        sim.heal()
        sim.run("15s")  # the one that should lead leads again
    group.append(0)
    old = leader_of(sim)
    sim.partition(old, "c1")
    lost = [group.append.options(timeout=1.0).submit(value) for value in range(1, 9)]
    sim.run("10ms")
    wait_for_leader_but(sim, old)
    sim.run("7s")  # links die, and what was on the way with them
    new = leader_of(sim)
    assert new != old
    assert member(sim, old).core.log.last_index > member(sim, new).core.log.last_index
    for name in sim.nodes:
        sim.world.network.weather.cut.update(((name, "c1"), ("c1", name)))
    sim.world.network.weather.cut.difference_update(
        {(one, other) for one in sim.nodes for other in sim.nodes}
    )
    sim.world.network.heal()
    sim.run("2s")
    assert member(sim, old).core.log.last_index == member(sim, new).core.log.last_index
    assert sim.states_equal("g")
    sim.heal()
    assert sim.run("60s", lambda: all(reply.done() for reply in lost))
    agree(sim)


def test_s03_a_late_heartbeat_commits_nothing_that_it_has_not_verified() -> None:
    """The suffix of a former leader stands where the commit index of the new one points."""
    sim = Sim(seed=3)
    group = sim.group("g", Log, config=config(batch_entries_max=1, window_max=1))
    group.append(0)
    old = leader_of(sim)
    sim.partition(old, "c1")
    for value in range(1, 9):
        group.append.options(timeout=1.0).submit(value)
    wait_for_leader_but(sim, old)
    second = sim.group("g", Log, client="c2")
    for value in range(10, 14):
        second.append(value)
    agree(sim)
    assert set(second.all()) >= {10, 11, 12, 13}


def test_s05_a_conflicting_entry_at_the_tail_costs_bounded_rounds_also_behind_big_entries() -> None:
    sim = Sim(seed=5)
    group = sim.group("g", Log, config=config(batch_bytes_max=1 << 18))
    group.append(0)
    old = leader_of(sim)
    sim.partition(old)
    group.append.options(timeout=0.5).submit(1)  # conflicts with the next leader's first entry
    wait_for_leader_but(sim, old)
    for _ in range(6):
        group.put(bytes(700_000))
    frames = sim.world.network.frames
    sim.heal()
    new = leader_of(sim)
    assert sim.run("10s", lambda: member(sim, old).applier.index == member(sim, new).applier.index)
    assert sim.world.network.frames - frames < 1500
    agree(sim)


# -- elections -------------------------------------------------------------------------------------


def test_s09_no_vote_is_forgotten_by_a_kill_at_any_moment() -> None:
    """Two candidates of one term, and a voter that dies around its vote; the invariants remember it."""
    for moment in range(12):
        sim = Sim(seed=900 + moment)
        sim.group("g", Log, config=config())
        old = leader_of(sim)
        voter, _ = others(sim, old)
        sim.kill(old)
        sim.run("300ms")
        assert sim.run("3s", lambda: not sim.is_up(voter) or member(sim, voter).core.vote is not None)
        sim.run(moment * 0.0003)
        sim.kill(voter, power=True)
        sim.restart(old)
        sim.restart(voter)
        leader_of(sim)
        agree(sim)


def test_s11_a_member_that_was_cut_off_for_a_hundred_elections_disturbs_nobody() -> None:
    sim = Sim(seed=11)
    group = sim.group("g", Log, config=config())
    group.append(1)
    sim.run("1s")
    leader, before = leader_of(sim), terms(sim)
    sim.partition(others(sim, leader)[0])
    sim.run("45s")
    sim.heal()
    sim.run("5s")
    assert sim.leader("g") == leader
    assert terms(sim) == before


def test_s11_a_group_to_which_nothing_happens_keeps_its_leader() -> None:
    sim = Sim(seed=12)
    group = sim.group("g", Log, config=config())
    sim.run("1s")
    leader, before = leader_of(sim), terms(sim)
    for value in range(20):
        group.append(value)
        sim.run("1s")
    assert sim.leader("g") == leader
    assert terms(sim) == before


@pytest.mark.parametrize("one_way", [False, True])
def test_s12_with_one_link_cut_there_is_a_stable_leader_in_bounded_time(one_way: bool) -> None:
    sim = Sim(seed=13)
    group = sim.group("g", Log, config=config())
    old = leader_of(sim)
    other = others(sim, old)[0]
    cut = sim.world.network.weather.cut
    cut.update([(other, old)] if one_way else [(old, other), (other, old)])
    sim.run("5s")
    leader, before = leader_of(sim), max(terms(sim))
    sim.run("20s")
    assert (sim.leader("g"), max(terms(sim))) == (leader, before)
    group.append(1)
    agree(sim)


def test_s12_a_leader_that_hears_nobody_makes_room() -> None:
    """Its heartbeats arrive: its followers stay loyal to it until it steps down itself."""
    sim = Sim(seed=14)
    group = sim.group("g", Log, config=config())
    old = leader_of(sim)
    sim.world.network.weather.cut.update((name, old) for name in others(sim, old))
    assert sim.run("3s", lambda: sim.leader("g") not in (None, old))
    assert group.append.options(timeout=5.0)(1) == 1


def test_s14_a_leader_whose_disk_hangs_makes_room_and_acknowledges_nothing() -> None:
    sim = Sim(seed=15)
    group = sim.group("g", Log, config=config())
    group.append(0)
    old = leader_of(sim)
    sim.hang(old, "60s")
    reply = group.append.options(timeout=20.0).submit(1)
    assert sim.run("3s", lambda: sim.leader("g") not in (None, old))
    assert sim.run("10s", reply.done) and reply.result() == 2
    assert member(sim, old).applier.index < member(sim, leader_of(sim)).applier.index
    sim.run("60s")
    agree(sim)


def test_s16_a_lost_majority_comes_back_one_by_one_and_needs_nobody() -> None:
    sim = Sim(seed=16, nodes=5)
    group = sim.group("g", Log, replicas=5, config=config())
    group.append(0)
    down = list(sim.nodes)[:4]
    for name in down:
        sim.kill(name)
    sim.run("20s")
    assert sim.leader("g") is None
    sim.restart(down[0])
    sim.run("20s")
    assert sim.leader("g") is None
    sim.restart(down[1])
    assert sim.run("5s", lambda: sim.leader("g") is not None)
    assert group.append(1) == 2
    sim.restart(down[2])
    sim.restart(down[3])
    agree(sim)


# -- reads -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("lease", [False, True])
def test_s17_a_new_leader_never_answers_with_the_old_value(lease: bool) -> None:
    """It has what was acknowledged, and neither it knows that, nor has the other follower it at all."""
    sim = Sim(seed=17)
    slower = {"heartbeat_ms": 100, "election_ms": 1000, "clock_drift_margin_ms": 200}
    one_by_one = {"batch_entries_max": 1, "window_max": 1}
    group = sim.group("g", Log, config=config(lease_reads=lease, **slower, **one_by_one))
    group.append(0)
    sim.run("1s")
    old = leader_of(sim)
    new, behind = others(sim, old)
    sim.partition(behind)
    sim.run("20ms")
    for value in range(1, 5):
        group.append(value)
    sim.kill(old, power=True)
    sim.heal_links()
    weather = sim.world.network.weather
    weather.slow_us.update({(new, behind): 300_000, (behind, new): 300_000})
    clients = [f"c{number}" for number in range(2, 12)]
    readers = [sim.group("g", Log, client=client) for client in clients]
    weather.cut.update((client, name) for client in clients for name in (old, behind))
    reads = [reader.all.options(timeout=20.0).submit() for reader in readers]
    assert sim.run("20s", lambda: all(read.done() for read in reads))
    assert [read.result() for read in reads] == [(0, 1, 2, 3, 4)] * len(reads)
    assert sim.leader("g") == new


@pytest.mark.parametrize("lease", [False, True])
def test_rv26_s20_late_answers_prolong_no_lease_and_confirm_no_read(lease: bool) -> None:
    """A leader's words do not arrive any more, answers to earlier ones do, for longer than an election."""
    for seed in range(200, 204):
        sim = Sim(seed=seed)
        group = sim.group("g", Log, config=config(lease_reads=lease))
        group.append(0)
        sim.run("1s")
        old = leader_of(sim)
        weather = sim.world.network.weather
        reader = sim.group("g", Log, client="c2")
        assert reader.all() == (0,)
        for name in others(sim, old):
            weather.cut.update((("c2", name), (name, "c2")))
        weather.cut.update((("c1", old), (old, "c1")))
        for slow_us in range(100_000, 700_000, 100_000):
            weather.slow_us.update({(name, old): slow_us for name in others(sim, old)})
            sim.run("300ms")
        assert sim.leader("g") == old
        weather.cut.update((old, name) for name in others(sim, old))
        writing = group.append.options(timeout=5.0).submit(1)
        for _ in range(60):
            reader.all.options(timeout=0.5).submit()
            sim.run("10ms")
        sim.run("5s")
        assert writing.done()
        agree(sim)


def test_s19_a_restarted_member_is_as_loyal_as_it_was() -> None:
    """It had made a lease possible, dies, is back at once, and is asked for its vote."""
    for seed in range(190, 198):
        sim = Sim(seed=seed)
        group = sim.group("g", Log, config=config(lease_reads=True))
        group.append(0)
        sim.run("1s")
        old = leader_of(sim)
        eager, loyal = others(sim, old)
        sim.world.network.weather.cut.update(((old, eager), (eager, old)))
        sim.run("900ms")
        sim.partition(old)
        sim.restart(loyal)
        wait_for_leader_but(sim, old)
        agree(sim)


def test_s18_the_lease_ends_before_another_is_told_to_lead() -> None:
    """The old leader is cut off just when its successor was told; a client of its side reads on."""
    handed_over = 0
    for seed in range(180, 186):
        sim = Sim(seed=seed)
        group = sim.group("g", Log, config=config(lease_reads=True))
        group.append(0)
        sim.run("1s")
        old = leader_of(sim)
        target = others(sim, old)[0]
        reader = sim.group("g", Log, client="c2")
        ask(sim, TransferLeader(member(sim, target).core.id))
        if not sim.run("1s", lambda: member(sim, target).core.term > member(sim, old).core.term, 0.0001):
            continue
        handed_over += 1
        sim.partition(old)
        for name in others(sim, old):
            sim.world.network.weather.cut.update((("c2", name), (name, "c2")))
        wait_for_leader_but(sim, old)
        reader.all.options(timeout=0.4).submit()
        assert group.append(1) == 2
        for _ in range(10):
            reader.all.options(timeout=0.4).submit()
            sim.run("10ms")
        sim.run("1s")
        sim.heal()
        assert sim.explain("g") is None
    assert handed_over


# -- membership ------------------------------------------------------------------------------------


def test_s27_an_empty_disk_is_another_member() -> None:
    sim = Sim(seed=27, nodes=3)
    group = sim.group("g", Log, config=config())
    group.append(0)
    lost = others(sim, leader_of(sim))[0]
    node = sim.nodes[lost]
    before = member(sim, lost).core.id
    node.kill()
    node.replace_disk()
    node.join = tuple(other.endpoint for other in sim.nodes.values() if other is not node)
    node.start()
    here = {name: m for m in sim.world.members_of("g") for name in [node_of(m.core.id)]}
    assert lost not in here
    assert sim.run("120s", lambda: lost in {node_of(v) for v in _voters(sim)} and before not in _voters(sim))
    assert group.append(1) == 2
    agree(sim)


def _voters(sim: Sim) -> tuple[str, ...]:
    leader = sim.leader("g")
    return member(sim, leader).core.membership.current.voters if leader is not None else ()


def test_s28_a_newcomer_that_cannot_be_reached_does_not_lower_the_availability() -> None:
    """It learns first, and votes when it has what the others have: until then nobody waits for it."""
    sim = Sim(seed=28)
    group = sim.group("g", Log, config=config())
    group.append(0)
    old = leader_of(sim)
    newcomer = member_id("n9", "n9d1", "g1")
    ask(sim, AddMember(newcomer, "n9:7400"))

    def is_known() -> bool:
        members = sim.world.members_of("g")
        return all(newcomer in m.core.membership.current.everyone for m in members)

    assert sim.run("5s", is_known, 0.0001)
    ask(sim, PromoteMember(newcomer))
    sim.run("1ms")
    sim.kill(old)
    assert group.append.options(timeout=10.0)(1) == 2
    agree(sim)


def test_s25_s29_a_removed_member_disturbs_nobody_and_what_breaks_the_quorum_is_refused() -> None:
    sim = Sim(seed=29, nodes=4)
    group = sim.group("g", Log, config=config())
    group.append(0)
    leader = leader_of(sim)
    gone = node_of(next(v for v in _voters(sim) if node_of(v) != leader))
    sim.partition(gone)
    ask(sim, RemoveMember(member(sim, gone).core.id))
    sim.run("10s")
    before = max(terms(sim))
    sim.heal()
    sim.run("10s")
    assert group.append(1) == 2
    assert max(m.core.term for m in sim.world.members_of("g")) <= before + 1
    agree(sim)


def test_s31_two_of_five_are_split_off_for_longer_than_the_purge_window() -> None:
    sim = Sim(seed=31, nodes=5)
    sim._ask_cluster("set_purge_after", (30_000,))
    groups = {f"g{n}": sim.group(f"g{n}", Log) for n in range(2)}
    for group in groups.values():
        group.append(0)
    minority = list(sim.nodes)[-2:]
    sim.partition(*minority)
    sim.run("90s")
    for group in groups.values():
        assert group.append.options(timeout=20.0)(1) == 2
    here = [m for m in sim.world.members_of(CLUSTER_GROUP) if node_of(m.core.id) in minority]
    assert not any(m.core.is_leader for m in here)
    sim.heal()
    sim.run("60s")
    for name, group in groups.items():
        assert group.all() == (0, 1)
        assert sim.explain(name) is None


def test_a_voter_stands_whose_demotion_its_leader_has_lost() -> None:
    """The leader sent it before its own disk refused it; it has too short a log to be elected itself."""
    sim = Sim(seed=1269, nodes=2)
    group = sim.group("g", Log, replicas=2, config=config())
    group.append(0)
    sim.run("1s")
    old = leader_of(sim)
    (other,) = others(sim, old)
    sim.nodes[old].disk.is_full = True
    ask(sim, DemoteMember(member(sim, other).core.id))
    sim.run("1s")
    assert len(member(sim, other).core.membership.current.voters) == 1
    sim.nodes[old].disk.is_full = False
    assert group.append.options(timeout=30.0)(1) == 2
    agree(sim)


def test_a_founder_that_left_does_not_found_again() -> None:
    sim = Sim(seed=20)
    sim._ask_cluster("set_state", ("n1", LEAVING))
    known = sim.nodes["n2"].manager.view.nodes
    assert sim.run("60s", lambda: "n1" not in sim.nodes["n2"].manager.view.nodes), known
    sim.run("10s")
    sim.restart("n1")
    sim.run("20s")  # the invariants know of one cluster and what each disk has promised


def test_a_node_that_was_back_soon_is_asked_although_its_former_link_dies_late() -> None:
    sim = Sim(seed=2066)
    group = sim.group("g", Log, config=config())
    group.append(0)
    sim.run("1s")
    leader = leader_of(sim)
    sim.kill(leader, power=True)
    sim.run("200ms")
    sim.restart(leader)
    sim.run("10s")
    if sim.leader("g") != leader:
        ask(sim, TransferLeader(member(sim, leader).core.id))
        assert sim.run("10s", lambda: sim.leader("g") == leader)
    for name in others(sim, leader):
        sim.world.network.weather.cut.update((("c1", name), (name, "c1")))
    assert group.append.options(timeout=10.0)(1) == 2


# -- disks -----------------------------------------------------------------------------------------


def test_s08_s37_a_rotten_snapshot_is_not_sent_and_the_group_goes_on() -> None:
    """Its leader meets the damage while it sends, and makes room; it is no bug of the leader's."""
    sim = Sim(seed=37)
    keep_little = config(snapshot_floor_bytes=300, snapshot_factor=1, log_tail=0)
    group = sim.group("g", Log, config=keep_little)
    leader = leader_of(sim)
    behind = others(sim, leader)[0]
    sim.kill(behind)
    for value in range(60):
        group.append(value)
    sim.run("1s")
    disk, number = sim.nodes[leader].disk, member(sim, leader).number
    part = disk.image[number]
    for key in [key for key in part if key[4] == 3]:
        part[key] = part[key][:-1] + bytes([part[key][-1] ^ 1])
    sim.restart(behind)
    sim.run("30s")
    assert sim.leader("g") not in (None, leader)
    assert group.append(99) == 61


def test_s37_s38_a_rotten_tail_is_not_cut_off_to_vote_on() -> None:
    """Two of three have what was acknowledged; one of them finds the end of its log rotten."""
    sim = Sim(seed=38)
    group = sim.group("g", Log, config=config())
    group.append(0)
    sim.run("1s")
    old = leader_of(sim)
    rotten, behind = others(sim, old)
    sim.partition(behind)
    for value in range(1, 4):
        group.append(value)
    sim.run("1s")
    number = member(sim, rotten).number
    sim.kill(rotten)
    part = sim.nodes[rotten].disk.image[number]
    for key in sorted(key for key in part if key[4] == 4)[-3:]:
        part[key] = part[key][:-1] + bytes([part[key][-1] ^ 1])
    sim.kill(old, power=True)
    sim.heal_links()
    sim.restart(rotten)
    sim.run("10s")
    assert sim.leader("g") is None
    sim.restart(old)
    assert group.all.options(timeout=30.0)() == (0, 1, 2, 3)


def test_s34_no_moment_of_an_installation_loses_what_was_acknowledged() -> None:
    for moment in range(8):
        sim = Sim(seed=340 + moment)
        keep_little = config(snapshot_floor_bytes=300, snapshot_factor=1, log_tail=0)
        group = sim.group("g", Log, config=keep_little)
        group.append(0)
        sim.run("1s")
        behind = others(sim, leader_of(sim))[0]
        sim.kill(behind)
        for value in range(60):
            group.append(value)
        sim.restart(behind)
        assert sim.run("10s", lambda: member(sim, behind).core.log.base_index > 0, 0.0001)
        sim.run(moment * 0.0006)
        sim.kill(behind, power=True)
        sim.restart(behind)
        agree(sim)


def test_s36_one_lying_disk_is_repaired_from_the_others() -> None:
    """What it had synced is gone after its power was: a follower lags, and the group goes on."""
    sim = Sim(seed=36)
    group = sim.group("g", Log, config=config())
    for value in range(10):
        group.append(value)
    sim.run("1s")
    leader = leader_of(sim)
    liar = others(sim, leader)[0]
    number = member(sim, liar).number
    sim.kill(liar, power=True)
    part = sim.nodes[liar].disk.image[number]
    for key in sorted(key for key in part if key[4] == 4)[-4:]:
        del part[key]
    sim.restart(liar)
    assert group.append(10) == 11
    agree(sim)


# -- commands --------------------------------------------------------------------------------------


def test_s42_a_retry_after_a_change_of_leaders_and_many_foreign_commands_runs_once() -> None:
    sim = Sim(seed=42)
    group = sim.group("g", Log, config=config())
    group.append(0)
    old = leader_of(sim)
    sim.partition(*others(sim, old))
    cut = sim.world.network.weather.cut
    for name in others(sim, old):
        cut.update(((old, "c1"), (name, "c1")))  # the command arrives, no answer does
    with pytest.raises(fleet.OutcomeUnknown) as unknown:
        group.append.options(timeout=1.0)(1)
    cut.difference_update({way for way in cut if "c1" not in way})
    sim.world.network.heal()
    foreign = sim.group("g", Log, client="c2")
    for value in range(100, 140):
        foreign.append(value)
    sim.heal()
    again = unknown.value.again(20.0)
    values = foreign.all()
    assert values.count(1) == 1
    assert values[again - 1] == 1
    agree(sim)


def test_s62_overload_is_refused_and_passes_by_itself() -> None:
    sim = Sim(seed=62)
    group = sim.group("g", Log, config=config(uncommitted_max=10))
    group.append(0)
    leader = leader_of(sim)
    for name in others(sim, leader):
        sim.slow(name, "100ms")
    clients = [sim.group("g", Log, client=f"c{n}") for n in range(1, 6)]
    replies = [one.append.options(timeout=1.0).submit(n) for one in clients for n in range(50)]
    sim.run("5s")
    assert all(reply.done() for reply in replies)
    log = member(sim, leader_of(sim)).core.log
    assert log.last_index - log.commit <= 10
    errors = [error for reply in replies if (error := reply.exception()) is not None]
    assert errors and any(isinstance(error, Overloaded | fleet.OutcomeUnknown) for error in errors)
    sim.heal()
    sim.run("30s")
    assert group.append(1) == len(group.all())
    assert sim.states_equal("g")


def test_s46_a_command_that_raises_fails_alike_everywhere_and_changes_nothing() -> None:
    sim = Sim(seed=46)
    group = sim.group("g", Ledger, config=config())
    group.append(1)
    with pytest.raises(fleet.FleetError, match="half done"):
        group.spoil(2)
    sim.restart(leader_of(sim))
    group.append(3)
    assert group.all() == (1, 3)
    agree(sim)


# -- the fleet -------------------------------------------------------------------------------------


def test_s56_everything_acknowledged_is_there_after_all_lost_power_and_one_stays_away() -> None:
    sim = Sim(seed=56, nodes=4)
    groups = {f"g{number}": sim.group(f"g{number}", Log, config=config()) for number in range(6)}
    for number, group in enumerate(groups.values()):
        for value in range(number + 1):
            group.append(value)
    for name in sim.nodes:
        sim.kill(name, power=True)
    for name in ("n3", "n1", "n4"):
        sim.restart(name)
        sim.run("400ms")
    for number, group in enumerate(groups.values()):
        assert group.all.options(timeout=30.0)() == tuple(range(number + 1))


def test_s57_two_nodes_leave_at_once_and_one_is_killed_while_it_does() -> None:
    sim = Sim(seed=57, nodes=5)
    groups = {f"g{number}": sim.group(f"g{number}", Log, config=config()) for number in range(4)}
    for group in groups.values():
        group.append(0)
    for name in ("n1", "n2"):
        sim._ask_cluster("set_state", (name, LEAVING))
    sim.run("2s")
    sim.kill("n1")
    sim.run("1s")
    sim.restart("n1")
    view = sim.nodes["n3"].manager.view
    assert sim.run("180s", lambda: not {"n1", "n2"} & set(view.nodes))
    for name, group in groups.items():
        assert group.append.options(timeout=20.0)(1) == 2
        members = {node_of(m.core.id) for m in sim.world.members_of(name)}
        assert members == {"n3", "n4", "n5"}
