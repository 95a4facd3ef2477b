"""`fleet.testing.Sim`: a fleet in a test, with calls that block in virtual time."""

import pytest

import fleet
from fleet.errors import ConfigError, KeyReused, NoSuchGroup, NoSuchNode
from fleet.raft.keys import KeyTable
from fleet.testing import Faults, NotDecided, Sim, histories
from tests.testing.accounts import Account


def test_calls_block_in_virtual_time() -> None:
    sim = Sim(seed=1)
    account = sim.group("acct", Account)
    assert account.deposit(500) == 500
    assert account.available() == 500
    with pytest.raises(fleet.Rejected, match="insufficient"):
        account.withdraw(501)
    assert sim.now < 5
    assert sim.linearizable("acct") and sim.states_equal("acct")


def test_a_cut_off_leader_acknowledges_nothing_and_the_others_go_on() -> None:
    sim = Sim(seed=2)
    account = sim.group("acct", Account)
    account.deposit(1)
    first = sim.leader("acct")
    assert first is not None
    sim.partition(first)
    assert account.deposit(1) == 2
    assert sim.leader("acct") != first
    sim.heal()
    assert sim.run("10s", lambda: not _leads(sim, first))
    assert sim.states_equal("acct")


def _leads(sim: Sim, node: str) -> bool:
    members = sim.world.members_of("acct")
    return any(m.core.is_leader and m.core.id.startswith(node + "@") for m in members)


def test_without_a_majority_the_outcome_is_unknown_and_later_known() -> None:
    sim = Sim(seed=3)
    account = sim.group("acct", Account)
    account.deposit(1)
    leader = sim.leader("acct")
    for name in sim.nodes:
        if name != leader:
            sim.kill(name)
    with pytest.raises(fleet.OutcomeUnknown) as caught:
        account.deposit.options(timeout=2.0)(1)
    assert sim.now > 2
    sim.heal()
    assert caught.value.again(20.0) == 2
    assert account.available() == 2
    assert sim.linearizable("acct")


def test_futures_come_to_their_end_while_time_passes() -> None:
    sim = Sim(seed=4)
    first = sim.group("acct", Account)
    second = sim.group("acct", Account, client="c2")
    replies = [handle.deposit.submit(1) for handle in (first, second) for _ in range(5)]
    assert not any(reply.done() for reply in replies)
    assert sim.run("5s", lambda: all(reply.done() for reply in replies))
    assert sorted(reply.result() for reply in replies) == list(range(1, 11))
    assert sim.linearizable("acct")


def test_calls_that_cannot_be_judged_are_not_called_linearizable(monkeypatch: pytest.MonkeyPatch) -> None:
    sim = Sim(seed=1)
    account = sim.group("acct", Account)
    for _ in range(5):
        account.deposit(1)
    monkeypatch.setattr(histories, "STEPS_MAX", 2)
    for judge in (sim.linearizable, sim.explain):
        with pytest.raises(NotDecided, match="(?s)acct.*undecided.*fewer"):
            judge("acct")
    monkeypatch.undo()
    assert sim.linearizable("acct")


def test_everything_survives_the_loss_of_all_power() -> None:
    sim = Sim(seed=5, nodes=5)
    account = sim.group("acct", Account, replicas=5)
    account.deposit(7)
    for name in sim.nodes:
        sim.kill(name, power=True)
    assert sim.leader("acct") is None
    for name in sim.nodes:
        sim.restart(name)
    assert account.available() == 7


def test_one_seed_is_one_run() -> None:
    def trace() -> list[str]:
        sim = Sim(seed=6, faults=Faults.all(weight=0.5), tracing=True)
        account = sim.group("acct", Account)
        for _ in range(10):
            sim.maybe_fault()
            account.deposit.submit(1)
            sim.run(0.2)
        lines = sim.world.lines
        assert lines is not None and sim.told
        return lines

    assert trace() == trace()


def test_what_is_not_there_is_said() -> None:
    sim = Sim()
    with pytest.raises(NoSuchNode, match="n9"):
        sim.kill("n9")
    with pytest.raises(NoSuchGroup, match="acct"):
        sim.leader("acct")
    with pytest.raises(ConfigError, match="no duration"):
        sim.run("soon")
    with pytest.raises(ConfigError, match="no fault is called 'fire'"):
        Faults.only("fire")
    with pytest.raises(ConfigError, match="at least 1"):
        Sim(nodes=0)


def test_a_key_is_executed_once_also_by_another_client() -> None:
    sim = Sim(seed=9)
    mine, theirs = sim.group("acct", Account), sim.group("acct", Account, client="c2")
    assert mine.deposit.options(key="invoice")(5) == 5
    leader = sim.leader("acct")
    assert leader is not None
    sim.kill(leader)
    mine.deposit(1)
    assert theirs.deposit.options(key="invoice")(5) == 5
    with pytest.raises(KeyReused):
        theirs.deposit.options(key="invoice")(6)
    assert theirs.available() == 6
    assert sim.linearizable("acct")


def test_what_is_executed_twice_under_a_key_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KeyTable, "record", lambda *args: None)
    sim = Sim(seed=9)
    account = sim.group("acct", Account)
    for _ in range(2):
        account.deposit.options(key="invoice")(5)
    assert not sim.linearizable("acct")


def test_nodes_are_dealt_out_over_zones() -> None:
    sim = Sim(seed=1, nodes=4, zones=2)
    assert [node.zone for node in sim.nodes.values()] == ["z1", "z2", "z1", "z2"]
