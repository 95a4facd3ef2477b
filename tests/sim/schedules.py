"""Drawn schedules: hypothesis makes lists of faults, and makes those that break something small."""

from typing import Any

from hypothesis import strategies as st

from fleet.cluster.state import ACTIVE, CLUSTER_GROUP, LEAVING
from fleet.sim.faults.schedule import FAULTS, MS, VITAL, Fault, Plan, S

NODES = ("n1", "n2", "n3")
DURATION_US = 2 * S
ARGUMENTS: dict[str, st.SearchStrategy[Any]] = {
    "names": st.lists(st.sampled_from(NODES), min_size=1, max_size=2, unique=True).map(tuple),
    "node": st.sampled_from(NODES),
    "other": st.sampled_from(NODES),
    "inward": st.booleans(),
    "us": st.integers(1, 30).map(lambda tenths: tenths * 100 * MS),
    "signed_us": st.integers(-3600, 3600).map(lambda seconds: seconds * S),
    "back_us": st.integers(1, 20).map(lambda tenths: tenths * 100 * MS),
    "steps": st.permutations(NODES).map(
        lambda names: tuple((name, (1 + place) * 500 * MS) for place, name in enumerate(names))
    ),
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
}
DRAWN = tuple(what for what in FAULTS if what not in ("flip", "transfer"))
"""Without those whose arguments are known only in a world."""


def faults_of(what: str) -> st.SearchStrategy[Fault]:
    moments = st.integers(0, DURATION_US // (100 * MS)).map(lambda tenths: tenths * 100 * MS)
    return st.builds(Fault, moments, st.just(what), st.tuples(*(ARGUMENTS[name] for name in FAULTS[what])))


def plans(seed: int = 0) -> st.SearchStrategy[Plan]:
    """Small fleets in fair weather, and what may befall them."""
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
