"""Drawn schedules: hypothesis makes lists of faults, and makes those that break something small."""

from typing import Any

from hypothesis import strategies as st

from fleet.cluster.state import ACTIVE, CLUSTER_GROUP, LEAVING
from fleet.sim.faults.failing import VITAL
from fleet.sim.faults.fault import Fault
from fleet.sim.faults.schedule import KINDS, Occurrence, Plan
from fleet.sim.world.timeline import MS, S
from fleet.sim.world.user_code import IMPORTS

NODES = ("n1", "n2", "n3")
DURATION_US = 2 * S
ARGUMENTS: dict[str, st.SearchStrategy[Any]] = {
    "names": st.lists(st.sampled_from(NODES), min_size=1, max_size=2, unique=True).map(tuple),
    "node": st.sampled_from(NODES),
    "other": st.sampled_from(NODES),
    "inward": st.booleans(),
    "us": st.integers(1, 30).map(lambda tenths: tenths * 100 * MS),
    "signed_us": st.integers(-3600, 3600).map(lambda seconds: seconds * S),
    "start_us": st.sampled_from([0, 8_000 * MS]),
    "back_us": st.integers(1, 20).map(lambda tenths: tenths * 100 * MS),
    "power": st.booleans(),
    "sides": st.lists(st.integers(0, 1), max_size=6).map(tuple),
    "chance": st.sampled_from([0.1, 1.0]),
    "key": st.just("00"),
    "byte": st.integers(0, 100),
    "bit": st.integers(0, 7),
    "per_mille": st.sampled_from([1000, 960, 1040]),
    "group": st.sampled_from(["x1", "x2"]),
    "state": st.sampled_from([LEAVING, ACTIVE]),
    "actor": st.sampled_from([*VITAL, CLUSTER_GROUP, "g0"]),
    "message": st.sampled_from(["WakeupMessage", "EndTurn", "PeerMail", "Persisted", "LocalRead", "Write"]),
    "silently": st.booleans(),
    "elsewhere": st.booleans(),
    "imports": st.sampled_from(IMPORTS[1:]),
    "draw_of": st.integers(0, 20),
    "kind": st.sampled_from(["counter", "register"]),
    "replicas": st.integers(1, 3),
    "count": st.integers(1, 3),
    "times": st.integers(1, 3),
    "pinned": st.lists(st.sampled_from(NODES), max_size=3, unique=True).map(tuple),
    "code": st.integers(0, 3),
    "restarted": st.booleans(),
    "rehearsed": st.booleans(),
    "preferred": st.sampled_from([*NODES, ""]),
}
STEPS = st.permutations(NODES)
DRAWN = tuple(what for what in KINDS if what not in ("flip", "transfer"))
"""Without those whose arguments are known only in a world."""


def steps_of(kind: type[Fault]) -> st.SearchStrategy[Any]:
    """Of a kind that takes (node, after us), or (node, after us, away for us)."""
    away = (100 * MS,) if kind is KINDS["rolling"] else ()
    return STEPS.map(
        lambda names: tuple((name, (1 + place) * 500 * MS, *away) for place, name in enumerate(names))
    )


def faults_of(what: str) -> st.SearchStrategy[Occurrence]:
    kind = KINDS[what]
    moments = st.integers(0, DURATION_US // (100 * MS)).map(lambda tenths: tenths * 100 * MS)
    fields = kind.__struct_fields__
    values = [steps_of(kind) if name == "steps" else ARGUMENTS[name] for name in fields]
    return st.builds(Occurrence, moments, st.builds(kind, *values))


def plans(seed: int = 0) -> st.SearchStrategy[Plan]:
    """Small fleets in fair weather, and what may happen to them."""
    lists = st.lists(st.sampled_from(DRAWN).flatmap(faults_of), max_size=5)
    return lists.map(
        lambda faults: Plan(
            seed,
            duration_us=DURATION_US + S,
            nodes=3,
            groups=("g0",),
            clients=2,
            has_weather=False,
            faults=tuple(sorted(faults, key=lambda fault: fault.at)),
        )
    )
