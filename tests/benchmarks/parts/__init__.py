"""The parts of the suite, by name, in the order in which they run. Each yields the rows of its table."""

from tests.benchmarks.figures import Part
from tests.benchmarks.parts import (
    actors,
    backup,
    faults,
    histories,
    lifecycle,
    limits,
    peers,
    placement,
    simulation,
    snapshots,
    storage,
    throughput,
    watching,
)

PARTS: dict[str, Part] = {
    "limits": limits.rows,
    "commands": throughput.commands,
    "reads": throughput.reads,
    "stale": throughput.stale_reads,
    "payloads": throughput.payloads,
    "groups": throughput.groups,
    "watching": watching.rows,
    "peers": peers.rows,
    "failover": faults.failover,
    "followers": faults.followers,
    "slow": faults.slow,
    "hang": faults.hang,
    "snapshots": snapshots.rows,
    "backup": backup.rows,
    "create": lifecycle.create,
    "idle": lifecycle.idle,
    "rejects": lifecycle.rejects,
    "moves": lifecycle.moves,
    "actors": actors.rows,
    "storage": storage.rows,
    "placement": placement.rows,
    "simulation": simulation.rows,
    "histories": histories.rows,
}
