"""hypothesis drives a data class on a simulated fleet, and shrinks what it finds."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ClassVar, Generic, TypeVar, get_args, get_origin

from fleet.errors import ConfigError, OutcomeUnknown, Unavailable
from fleet.testing.faults import Faults
from fleet.testing.sim import Sim

try:
    from hypothesis import Phase, note, settings
    from hypothesis import stateful as hypothesis_stateful
    from hypothesis import strategies as st
except ImportError as error:
    raise ImportError(
        "DataMachine and rule of fleet.testing need hypothesis: python -m pip install 'hypothesis>=6.100'"
    ) from error

D = TypeVar("D")
F = TypeVar("F", bound=Callable[..., Any])
TRIES = 5
PATIENCE_S = 60.0


def rule(**strategies: Any) -> Callable[[F], F]:
    """As hypothesis' `rule`; a fault may happen before it runs."""

    def decorate(function: F) -> F:
        @wraps(function)
        def under_faults(self: Any, **kwargs: Any) -> Any:
            self.sim.maybe_fault()
            return function(self, **kwargs)

        make: Any = hypothesis_stateful.rule
        decorated: F = make(**strategies)(under_faults)
        return decorated

    return decorate


class DataMachine(hypothesis_stateful.RuleBasedStateMachine, Generic[D]):
    """Subclass `DataMachine[YourClass]`, write `@rule` methods that call `self.group` and compare, and give
    the `TestCase` to pytest: `TestYours = YourMachine.TestCase`.

    `self.group` is a handle of a group on `nodes` simulated nodes. Its calls always get an answer: faults
    that prevent one are ended, and the same call is waited for; so a rule never sees `Unavailable` or
    `OutcomeUnknown`, and each command was executed exactly once. At the end all faults end, `finally_` is
    called, all members must hold the same state, and the history must be linearizable if the class attribute
    `linearizable` is true. Impure commands raise ImpureCommand, unless `strict` is false. A failure prints
    hypothesis' steps, the seed, and the faults so far.
    """

    nodes: ClassVar[int] = 5
    replicas: ClassVar[int] = 3
    faults: ClassVar[Faults] = Faults.all(weight=0.1)
    linearizable: ClassVar[bool] = False
    strict: ClassVar[bool] = True
    data_class: ClassVar[type[Any]]
    sim: Sim
    group: D

    def __init_subclass__(cls, **rest: Any) -> None:
        super().__init_subclass__(**rest)
        for base in getattr(cls, "__orig_bases__", ()):
            origin, parts = get_origin(base), get_args(base)
            if isinstance(origin, type) and issubclass(origin, DataMachine) and isinstance(parts[0], type):
                cls.data_class = parts[0]
        _explain_nothing(cls.TestCase)

    def __init__(self) -> None:
        super().__init__()
        if not hasattr(type(self), "data_class"):
            raise ConfigError(f"say what {type(self).__name__} is about: class X(DataMachine[YourClass])")

    @hypothesis_stateful.initialize(seed=st.integers(0, 2**32 - 1))
    def simulate(self, seed: int) -> None:
        self.sim = Sim(seed, self.nodes, faults=self.faults, strict=self.strict)
        handle: Any = self.sim.group("group", self.data_class, replicas=self.replicas)
        self.group = _patient(handle, self.sim)

    def finally_(self) -> None:
        """Override it with checks to run when all faults have ended."""

    def teardown(self) -> None:
        sim = getattr(self, "sim", None)
        if sim is None:
            return
        note(f"simulated with seed {sim.seed}; faults: {'; '.join(sim.told) or 'none'}")
        sim.heal()
        self.finally_()
        assert sim.states_equal("group"), f"seed {sim.seed}: members hold different states in the end"
        if self.linearizable:
            why = sim.explain("group")
            assert why is None, f"seed {sim.seed}: {why}"


def _explain_nothing(case: Any) -> None:
    """Leave out hypothesis' last phase. It runs the failure a hundred times more, traced line by line, which
    takes 20 times as long as to shrink it, and prints nothing for a state machine."""
    run = case.runTest

    @wraps(run)
    def run_test(self: Any) -> None:
        phases = [phase for phase in self.settings.phases if phase is not Phase.explain]
        self.settings = settings(self.settings, phases=phases)
        run(self)

    case.runTest = run_test


class _Patient:
    """A method of a handle that ends the faults that prevent its answer."""

    def __init__(self, call: Any, sim: Sim) -> None:
        self._call, self._sim = call, sim

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        for _ in range(TRIES):
            try:
                return self._call(*args, **kwargs)
            except Unavailable:
                self._sim.heal()
                self._sim.run("2s")
            except OutcomeUnknown as unknown:
                self._sim.heal()
                return unknown.again(PATIENCE_S)
        raise AssertionError(f"{self._sim!r}: {self._call!r} is not served though everything is healed")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)


class _Group:
    """A handle whose calls are patient."""


def _patient(handle: Any, sim: Sim) -> Any:
    group = _Group()
    for name, call in vars(handle).items():
        if not name.startswith("_fleet"):
            setattr(group, name, _Patient(call, sim))
    return group
