"""Scenarios of writes that take long."""

from fleet.testing import Sim
from tests.sim.scenes import Log, config, member, terms


def test_s74_writes_that_take_longer_than_an_election_cost_no_leadership() -> None:
    """Of snapshots, due on all members at about the same time, and of big entries. A small snapshot shares
    the transaction of other writes: an entry may wait for two rounds of the writer, no leader for answers."""
    sim = Sim(seed=74)
    often = {"snapshot_floor_bytes": 2_000, "snapshot_ceiling_bytes": 2_000, "snapshot_factor": 1}
    group = sim.group("g", Log, config=config(log_tail=0, storage_timeout_ms=5000, **often))
    group.put(bytes(100_000))
    sim.run("1s")
    before, base = terms(sim), member(sim, "n1").core.snapshot
    for node in sim.nodes.values():
        node.disk.us_per_kb = 10_000
    for value in range(100):
        asked_at = sim.now
        group.append(value)
        assert sim.now - asked_at < 2.5
        sim.run("20ms")
    newest = member(sim, "n1").core.snapshot
    assert newest is not None and (base is None or newest.index > base.index)
    for _ in range(5):
        asked_at = sim.now
        group.put(bytes(45_000))
        assert sim.now - asked_at > 0.4
    assert terms(sim) == before
