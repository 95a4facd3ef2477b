"""What operators asked their cluster for, and were told: it must be explained by one order of all of it."""

from typing import Any

from fleet.cluster.state import CLUSTER_GROUP
from fleet.errors import FleetError, GroupExists, NoSuchGroup, NotDone
from fleet.sim.checks.history import History, RecordedCall
from fleet.sim.checks.linear import Linearizable, check
from fleet.sim.checks.models import Input, Model

STEPS_MAX = 100_000
DONE, EXISTS, MISSING = "done", "exists", "missing"


class AddGroup(Input, frozen=True):
    replicas: int
    pinned: tuple[str, ...]


class RemoveGroup(Input, frozen=True):
    pass


class SetReplicas(Input, frozen=True):
    replicas: int


class PinGroup(Input, frozen=True):
    names: tuple[str, ...]
    replicas: int
    """0: as many as now."""


class Look(Input, frozen=True):
    """The group as it is: (replicas, pinned), None if there is none."""


class KnownGroup(Model):
    """One group of the cluster, by its name. Requests that were refused for other reasons are left out."""

    noun = "group"
    start = None

    def apply(self, state: Any, input: Any) -> tuple[Any, Any]:
        match input:
            case AddGroup(replicas, pinned):
                return (DONE, (replicas, pinned)) if state is None else (EXISTS, state)
            case Look():
                return state, state
            case _ if state is None:
                return MISSING, state
            case RemoveGroup():
                return DONE, None
            case SetReplicas(replicas):
                return DONE, (replicas, state[1])
            case PinGroup(names, replicas):
                return DONE, (replicas or state[0], names)
        raise TypeError(f"no request about a group: {input!r}")

    def reads(self, input: Any, told: Any) -> bool:
        return type(input) is Look or told in (EXISTS, MISSING)


class OperatorHistory:
    def __init__(self) -> None:
        self.history = History()

    def asks(self, method: str, args: tuple[Any, ...], now: int) -> RecordedCall | None:
        asked = input_of(method, args)
        return None if asked is None else self.history.call("operator", args[0], asked, now)

    def answered(self, call: RecordedCall | None, error: FleetError | None, now: int) -> None:
        if call is None:
            return
        if error is None:
            self.history.done(call, DONE, now)
        elif isinstance(error, GroupExists):
            self.history.done(call, EXISTS, now)
        elif isinstance(error, NoSuchGroup) and error.facts.get("group") not in (None, CLUSTER_GROUP):
            self.history.done(call, MISSING, now)
        elif isinstance(error, NotDone):
            self.history.failed(call)
        else:
            self.history.lost(call)

    def objection(self, groups: dict[str, Any], now: int) -> str:
        """Why no order explains it, where `groups` is what the cluster has in the end; "" if one does."""
        for name in {str(operation.key): None for operation in self.history.operations()}:
            call = self.history.call("operator", name, Look(), now)
            found = groups.get(name)
            state = None if found is None else (found.replicas, tuple(map(str, found.pinned)))
            self.history.done(call, state, now)
        verdict = check(self.history.operations(), KnownGroup(), steps_max=STEPS_MAX)
        return "" if isinstance(verdict, Linearizable) else f"operators' requests: {verdict}"


def input_of(method: str, args: tuple[Any, ...]) -> Input | None:
    """None: not about a group."""
    match method, args:
        case "add_group", (_, replicas, _, _, pinned, *_):
            return AddGroup(replicas, tuple(pinned))
        case "remove_group", _:
            return RemoveGroup()
        case "set_replicas", (_, replicas):
            return SetReplicas(replicas)
        case "pin_group", (_, names, replicas):
            return PinGroup(tuple(names), replicas)
    return None
