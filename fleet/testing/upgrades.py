"""`check(Account, since=OldAccount)`: whether a class goes on from the states of the one before it."""

import inspect
import io
import pickle
import random
import sys
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NoReturn

from msgspec import Struct
from msgspec.structs import replace

from fleet.errors import ConfigError, DataClassUnavailable, ImpureCommand, NotEncodable
from fleet.interfaces import Context
from fleet.objects.context import RUNNING
from fleet.objects.declare import Data, shape_of
from fleet.objects.described import describe
from fleet.objects.executor import ObjectExecutor
from fleet.objects.payload import encode_value
from fleet.objects.signatures import unbindable
from fleet.objects.stored_state import VERSION_BYTES
from fleet.objects.strict import guarded
from fleet.testing.arguments import Args, Drawer, Kwargs
from fleet.testing.canonical import canonical
from fleet.testing.histories import answer_of
from fleet.testing.reports import CheckFailed, report
from fleet.testing.scripts import Script, Step, in_words

_OF_A_STATE = (AttributeError.__name__, TypeError.__name__)
"""What code raises that finds a field missing, or with a value of another type."""


class Former(Struct, frozen=True):
    """The class before, with what draws its calls; or the calls that were made on it."""

    cls: type[Any]
    drawer: Drawer
    history: Sequence[tuple[Any, ...]] = ()
    """Each a method and its arguments, and those by name."""
    differing: Collection[str] = ()
    """Queries whose answers may differ."""


class Upgrade(Script):
    """One seed: calls of the former class, the switch at a drawn point, and calls of the class itself."""

    def __init__(self, former: Former, cls: type[Any], drawer: Drawer, seed: int) -> None:
        super().__init__(cls, drawer, seed)
        self.former = Script(former.cls, former.drawer, seed)
        self.differing = former.differing
        if former.history:
            self.former.drawn = _recorded(former)
        rng = random.Random(f"fleet.testing/upgrade/{seed}")
        del self.former.drawn[rng.randint(0, len(self.former.drawn)) :]
        self.asked = [
            (name, *former.drawer.queries[name](rng))
            for name in shape_of(former.cls).queries
            if name in shape_of(cls).queries
        ]
        if self.former.drawn:
            last, first = self.former.drawn[-1][-1], self.drawn[0][-1]
            passed_ms = max(last.now_ms - first.now_ms, 0)
            self.drawn = [(*call[:-1], _later(call[-1], last.revision, passed_ms)) for call in self.drawn]

    @property
    def classes(self) -> list[type[Any]]:
        return [self.cls, self.former.cls]

    @property
    def again(self) -> str:
        cls, former = self.cls.__name__, self.former.cls.__name__
        return f"seed {self.seed}; again: check({cls}, seeds=[{self.seed}], since={former})"

    def run(self) -> list[Step]:
        """In another process, which does not look for faults."""
        old, steps = self._before()
        new = self._switched(old)
        return [*steps, Step("the switch", "", canonical(new._state())), *self.run_on(new)]

    def _before(self) -> tuple[ObjectExecutor, list[Step]]:
        old = ObjectExecutor(self.former.cls)
        return old, self.former.run_on(old)

    def _switched(self, old: ObjectExecutor) -> ObjectExecutor:
        new = ObjectExecutor(self.cls)
        new.load(_moved(old.dump(), self.former.cls, self.cls))
        return new

    # -- findings ---------------------------------------------------------------------------------------

    def rehearse(self) -> None:
        """Up to the switch; what follows begins with `start`. Raises CheckFailed."""
        old, self.before = self._before()
        try:
            state = old.dump()
        except NotEncodable as error:
            self._fail(f"the former class does not come to a switch: {error}")
        new = self._loaded(old, _moved(state, self.former.cls, self.cls))
        self._has_all_fields(old, new)
        again = canonical(self._switched(old)._state())
        if again != canonical(new._state()):
            self._fail(
                f"{self._migrate} makes another state each time, and members would differ",
                f"once:  {canonical(new._state())}", f"again: {again}",
            )  # fmt: skip
        for name, args, kwargs in self.asked:
            if name not in self.differing:
                self._answers_as_before(old, new, name, args, kwargs)
        self.start = new.dump()

    @property
    def _migrate(self) -> str:
        return f"{self.cls.__qualname__}.migrate({self.former.cls.__fleet_version__}, raw)"

    def _loaded(self, old: ObjectExecutor, state: bytes) -> ObjectExecutor:
        new = ObjectExecutor(self.cls)
        before, after = self.former.cls.__fleet_version__, self.cls.__fleet_version__
        if RUNNING.is_strict and after > before:
            self._is_pure(before, state)
        try:
            new.load(state)
        except DataClassUnavailable as error:
            cause, shown = error.__cause__, f"raw: {canonical(old._state())}"
            if cause is None or after == before:
                what = f"a state of {self.former.cls.__qualname__} cannot be loaded: {error.what}"
                self._fail(f"{what}; raise version above {before} and define migrate", shown)
            name, message, where = describe(cause, self.cls.__module__)
            self._fail(f"{self._migrate} raises {name}: {message} in {where}, with this state", shown)
        return new

    def _is_pure(self, before: int, state: bytes) -> None:
        cls = self.cls
        raw = cls.__fleet_codec__.decode_state(memoryview(state)[VERSION_BYTES:])
        migrate = guarded(f"{cls.__qualname__}.migrate", cls.__module__, cls.migrate)
        try:
            migrate(before, raw)
        except ImpureCommand as error:
            raise CheckFailed(self._said(str(error), ())) from error
        except Exception:  # the state is loaded next, and that tells it
            return

    def _has_all_fields(self, old: ObjectExecutor, new: ObjectExecutor) -> None:
        if old._own_state is not None or new._own_state is not None:
            return
        wanted, had, held = _fields(self.cls), _fields(self.former.cls), vars(new._object).keys()
        shown = f"state: {canonical(new._state())}"
        for name in sorted(wanted - held):
            what = f"there is no {name} after the switch, and a new object has one"
            self._fail(f"{what}: let {self._migrate} give it, or give it a default in the class", shown)
        for name in sorted(held & had - wanted):
            what = f"{name} of {self.former.cls.__qualname__} is left over, and the class has no such field"
            self._fail(f"{what}: let {self._migrate} take it over under its new name, or drop it", shown)

    def _answers_as_before(
        self, old: ObjectExecutor, new: ObjectExecutor, name: str, args: Args, kwargs: Kwargs
    ) -> None:
        signature = inspect.signature(shape_of(self.cls).queries[name])
        if unbindable(name, signature, args, kwargs) is not None:  # callers are for `fleet contracts`
            return
        answers = []
        for one in (old, new):
            payload = one.data_class.__fleet_codec__.encode_call(name, args, kwargs)
            (record,), _ = one.query((payload,))
            answers.append(in_words(answer_of(record)))
        before, after = answers
        if before != after:
            called = f"{name}{canonical(args)}"
            what = f"{called} answers otherwise after the switch: something is lost, or means something else"
            states = [canonical(one._state()) for one in (old, new)]
            self._fail(
                f"{what}; let {self._migrate} keep it, or if it is meant, say differing=[{name!r}]",
                f"before: {before}, state {states[0]}", f"after:  {after}, state {states[1]}",
            )  # fmt: skip

    def _fault(self, answer: tuple[Any, ...], before: bytes, number: int) -> str:
        found = super()._fault(answer, before, number)
        if found or answer[0] not in ("CommandFailed", "QueryFailed") or answer[1] not in _OF_A_STATE:
            return found
        if self._fails_anyway(number, answer[1]):
            return ""
        return (
            f"{self.called(number)} raises {answer[1]}: {answer[2]}, which it does not on a new object: "
            f"let {self._migrate} give what it reads"
        )

    def _fails_anyway(self, number: int, error: str) -> bool:
        """Whether it fails on a new object as well."""
        is_query, payload, context = self.calls[number]
        executor = ObjectExecutor(self.cls)
        (record,), _ = executor.query((payload,)) if is_query else executor.apply(context, (payload,))
        return bool(answer_of(record)[1] == error)

    def _said(self, what: str, more: Sequence[str]) -> str:
        return report(self.cls, self.again, what, more, [str(step) for step in self.before])

    def _fail(self, what: str, *more: str) -> NoReturn:
        raise CheckFailed(self._said(what, more))


def _later(context: Context, revisions: int, ms: int) -> Context:
    return replace(context, revision=context.revision + revisions, now_ms=context.now_ms + ms)


def _fields(cls: type[Any]) -> set[str]:
    """Those that an object has from the beginning."""
    return {*shape_of(cls).fields, *vars(cls())}


def _recorded(former: Former) -> list[Any]:
    shape = shape_of(former.cls)
    times = Script(former.cls, former.drawer, 1).drawn
    found = []
    for number, (method, *given) in enumerate(former.history):
        if method not in shape.commands and method not in shape.queries:
            raise ConfigError(f"{former.cls.__qualname__} has no command or query {method!r}, as in history")
        args, kwargs = (*given, (), {})[:2] if len(given) < 2 else given
        context = replace(times[0][-1], revision=number + 1, seq=number + 1)
        found.append((method in shape.queries, method, tuple(args), dict(kwargs), context))
    return found


# -- modules ----------------------------------------------------------------------------------------------


def _moved(state: bytes, former: type, cls: type) -> bytes:
    """With the classes of the former class's module as those of the same names in the class's own, as they
    are once it stands in the place of the former one."""
    here, there = sys.modules.get(cls.__module__), former.__module__
    if there == cls.__module__ or here is None:
        return state

    class Unpickler(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            is_here = module == there and hasattr(here, name.partition(".")[0])
            return super().find_class(cls.__module__ if is_here else module, name)

    try:
        raw = Unpickler(io.BytesIO(state[VERSION_BYTES:])).load()
    except Exception:  # it is no pickle
        return state
    return state[:VERSION_BYTES] + encode_value(raw)


# -- what is drawn ----------------------------------------------------------------------------------------


def former_of(
    cls: type[Any],
    since: type[Any],
    calls: Mapping[str, Any],
    values: Mapping[Any, Any],
    history: Sequence[tuple[Any, ...]],
    differing: Collection[str],
) -> Former:
    """Raises ConfigError."""
    if not (isinstance(since, type) and issubclass(since, Data)):
        raise ConfigError(f"since={since!r} is not a data class; give the class as it was before")
    if since.__fleet_version__ > cls.__fleet_version__:
        what = f"since={since.__qualname__} has version {since.__fleet_version__}"
        raise ConfigError(f"{what}, {cls.__qualname__} only {cls.__fleet_version__}; raise it")
    for name in differing:
        if name not in shape_of(cls).queries:
            raise ConfigError(f"differing: {cls.__qualname__} has no query {name!r}")
    return Former(since, Drawer(since, *narrowed(since, cls, calls, values)), history, differing)


def narrowed(
    cls: type[Any], other: type[Any], calls: Mapping[str, Any], values: Mapping[Any, Any]
) -> tuple[Mapping[str, Any], Mapping[Any, Any]]:
    """Without what is only about the other class."""
    ours, theirs = _names(cls), _names(other)
    calls = {name: made for name, made in calls.items() if name in ours[0] or name not in theirs[0]}
    values = {key: made for key, made in values.items() if key in ours[1] or key not in theirs[1]}
    return calls, values


def _names(cls: type[Any]) -> tuple[set[str], set[Any]]:
    """Of its methods, and of their parameters."""
    shape = shape_of(cls)
    methods = {**shape.commands, **shape.queries}
    return set(methods), {name for one in methods.values() for name in inspect.signature(one).parameters}
