"""`check`: whether a data class can be replicated. It runs no fleet: see `Sim` and `DataMachine`."""

import copy
import dataclasses
import enum
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import MappingProxyType
from typing import Any, NoReturn, TypeAlias

import cloudpickle

from fleet.errors import ConfigError, ImpureCommand, Reject
from fleet.objects import context
from fleet.objects.declare import shape_of
from fleet.objects.executor import ObjectExecutor
from fleet.objects.strict import as_executed, guarded
from fleet.testing.arguments import Drawer
from fleet.testing.canonical import canonical
from fleet.testing.encoding import culprit
from fleet.testing.reports import CheckFailed, report
from fleet.testing.scripts import Script
from fleet.testing.upgrades import Upgrade, former_of, narrowed

HASH_SEEDS = (0, 1, 2, 3)
ZONES = ("UTC0", "JST-9", "EST5", "NPT-5:45")
PROCESS_S = 300

Setting: TypeAlias = dict[str, str]
"""Environment of a process."""
Steps: TypeAlias = list[tuple[str, str, str]]
"""Call, answer and state."""
Replica: TypeAlias = tuple[Setting, Steps]


def check(
    cls: type[Any],
    seeds: int | Iterable[int] = 100,
    *,
    calls: Mapping[str, Any] = MappingProxyType({}),
    values: Mapping[Any, Any] = MappingProxyType({}),
    hash_seeds: Sequence[int] = HASH_SEEDS,
    strict: bool = True,
    since: type[Any] | None = None,
    history: Sequence[tuple[Any, ...]] = (),
    differing: Collection[str] = (),
) -> None:
    """Run scripts of 20 calls each, one a seed, and raise CheckFailed at the first that shows one of these:

    - a command, or the creation of the object, reads time, chance, the environment, files or sockets: the
      cause of the CheckFailed is an ImpureCommand with the line, and what to use instead. `strict=False`
      allows it, as far as replicas do not differ;
    - replicas differ: a result or a state depends on the process (`hash()`, the order of a set, `id()`,
      the local time zone), shown by processes with other hash seeds and time zones;
    - a result or a state cannot be encoded, and which part of it; or the state comes back as another one;
    - the object continues differently from a snapshot than without, at any step: part of its state lies
      outside of the object, or is lost in the snapshot;
    - a query changes the object;
    - a command raises `Reject` after it has changed the object;
    - the object keeps an argument itself, so that its caller could change the state later.

    `since`, a former version of the class: calls of that one are executed first, up to a drawn point, and the
    class goes on from there: see `fleet.testing.upgrades`. `history`: its calls, instead of made up ones.
    `differing`: queries whose answers the switch may change.

    Arguments are made up by annotation. `values` says how to draw those of a type, in fields of others, too,
    or of a parameter of that name; `calls` how to draw the tuple of all arguments of a method. Each is a
    function of a `random.Random`, or a strategy of hypothesis. `hash_seeds`: () omits the other processes.

    Raises: CheckFailed. ConfigError: an argument cannot be made up, and how to say it.
    """
    wanted = list(range(1, seeds + 1)) if isinstance(seeds, int) else list(seeds)
    scripts = _scripts(cls, wanted, calls, values, since, history, differing)
    with context.strict(strict):
        if strict:
            _create(cls)
        for script in scripts:
            script.rehearse()
        if hash_seeds and scripts:
            _compare_processes(cls, scripts, strict, hash_seeds)
        for script in scripts:
            _Trial(script).run()


def _scripts(
    cls: type[Any],
    seeds: Iterable[int],
    calls: Mapping[str, Any],
    values: Mapping[Any, Any],
    since: type[Any] | None,
    history: Sequence[tuple[Any, ...]],
    differing: Collection[str],
) -> Sequence[Script]:
    former = None
    if since is not None:
        former = former_of(cls, since, calls, values, history, differing)
        calls, values = narrowed(cls, since, calls, values)
    elif history or differing:
        raise ConfigError("history and differing are about a former version of the class: say since=")
    drawer = Drawer(cls, calls, values)
    if not drawer.commands and not drawer.queries:
        raise ConfigError(f"{cls.__qualname__} has no @fleet.command and no @fleet.query to check")
    if former is None:
        return [Script(cls, drawer, seed) for seed in seeds]
    return [Upgrade(former, cls, drawer, seed) for seed in seeds]


def _create(cls: type[Any]) -> None:
    try:
        guarded(f"{cls.__qualname__}.__init__", cls.__module__, cls)()
    except ImpureCommand as error:
        raise CheckFailed(f"a new object differs from member to member: {error}") from error


class _Trial:
    """One script in this process."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.cls = script.cls
        self.queries = shape_of(script.cls).queries
        self.done = list(script.before)

    def run(self) -> None:
        """`kept` continues, `reborn` is restored from its snapshot before each call."""
        kept = ObjectExecutor(self.cls)
        kept.load(self.script.start)
        for number, (is_query, *_) in enumerate(self.script.calls):
            snapshot = self._dump(kept)
            reborn = ObjectExecutor(self.cls)
            reborn.load(snapshot)
            reborn.reminders.load(kept.reminders.kept())
            if canonical(reborn._state()) != canonical(kept._state()):
                self._fail(
                    "the state comes back from its bytes as another one",
                    f"before: {canonical(kept._state())}", f"after:  {canonical(reborn._state())}",
                )  # fmt: skip
            if is_query:
                self._is_pure(snapshot, number)
            else:
                self._refuses_cleanly(snapshot, number)
                self._keeps_no_argument(snapshot, number)
            step, other = self.script.step(kept, number), self.script.step(reborn, number)
            self.done.append(step)
            if step.fault:
                self._fail(step.fault)
            if step != other:
                self._fail(
                    f"{step.call} goes on differently from a snapshot than without",
                    f"without:       {step.answer} {step.state}",
                    f"from snapshot: {other.answer} {other.state}",
                )
            if step.answer.startswith("halts"):
                self._fail(f"{step.call} {step.answer}")
        self._dump(kept)

    def _dump(self, executor: ObjectExecutor) -> bytes:
        try:
            return executor.dump()
        except Exception as error:  # told with the script that led there
            self._fail(str(error), f"the part: {culprit(executor._object, 'self')}")

    def _is_pure(self, snapshot: bytes, number: int) -> None:
        executor = ObjectExecutor(self.cls)
        executor.load(snapshot)
        before = canonical(executor._state())
        executor.query((self.script.calls[number][1],))
        after = canonical(executor._state())
        if before != after:
            self._fail(
                f"the query {self.script.called(number)} changes the object",
                f"before: {before}", f"after:  {after}",
            )  # fmt: skip

    def _refuses_cleanly(self, snapshot: bytes, number: int) -> None:
        instance, function, args, kwargs = self._plain(snapshot, number)
        before = canonical(_state_of(instance))
        with context.executing(copy.copy(self.script.calls[number][2])):
            try:
                function(instance, *args, **kwargs)
            except Reject:
                after = canonical(_state_of(instance))
                if before != after:
                    self._fail(
                        f"{self.script.called(number)} raises Reject after it has changed the object; "
                        "members undo that, at a price, a plain instance does not: check, then change",
                        f"before: {before}", f"after:  {after}",
                    )  # fmt: skip
            except Exception:  # of any kind: members undo what it did, and so the next step is compared
                return

    def _keeps_no_argument(self, snapshot: bytes, number: int) -> None:
        instance, function, args, kwargs = self._plain(snapshot, number)
        with context.executing(copy.copy(self.script.calls[number][2])):
            try:
                function(instance, *args, **kwargs)
            except Exception:  # as above
                return
        before = canonical(_state_of(instance))
        for place, arg in enumerate(args, start=1):
            if _disturb(arg) and canonical(_state_of(instance)) != before:
                self._fail(
                    f"{self.script.called(number)} keeps argument {place} itself: whoever passed it can "
                    "change the state of a plain instance later; keep a copy",
                )

    def _plain(self, snapshot: bytes, number: int) -> tuple[Any, Any, tuple[Any, ...], dict[str, Any]]:
        """As a unit test calls it: the object itself, with nothing between."""
        method, args, kwargs = self.cls.__fleet_codec__.decode_call(self.script.calls[number][1])
        instance = ObjectExecutor(self.cls).copy_from(snapshot)
        function = as_executed(self.cls, shape_of(self.cls).commands[method])
        return instance, function, copy.deepcopy(args), copy.deepcopy(kwargs)

    def _fail(self, what: str, *more: str) -> NoReturn:
        said = report(self.cls, self.script.again, what, more, [str(step) for step in self.done])
        impure = self.done[-1].impure if self.done else ""
        raise CheckFailed(said) from (ImpureCommand(impure) if impure else None)


def _state_of(instance: Any) -> Any:
    return instance.__dict__


def _disturb(value: Any) -> bool:
    """Change it in place, where it can be changed."""
    if isinstance(value, list):
        value.append("changed by the caller")
    elif isinstance(value, dict):
        value["changed by the caller"] = 1
    elif isinstance(value, set):
        value.add("changed by the caller")
    elif isinstance(value, bytearray):
        value += b"changed by the caller"
    elif hasattr(value, "__dict__") and not (isinstance(value, type | enum.Enum) or _is_frozen(value)):
        value.__dict__["changed_by_the_caller"] = 1
    else:
        return False
    return True


def _is_frozen(value: Any) -> bool:
    return dataclasses.is_dataclass(value) and bool(getattr(type(value), "__dataclass_params__").frozen)


# -- other processes -------------------------------------------------------------------------------


def _compare_processes(
    cls: type[Any], scripts: Sequence[Script], is_strict: bool, hash_seeds: Sequence[int]
) -> None:
    """Replicas are processes with hash seeds and time zones of their own: each runs all scripts."""
    body = pickle.dumps((sys.path, _portable((is_strict, list(scripts)), scripts[0].classes)))
    settings = [
        {"PYTHONHASHSEED": str(hash_seed), "TZ": ZONES[number % len(ZONES)]}
        for number, hash_seed in enumerate(hash_seeds)
    ]
    with ThreadPoolExecutor(len(settings)) as pool:
        found = list(pool.map(partial(_run_elsewhere, cls, body), settings))
    for setting, other in zip(settings[1:], found[1:]):
        for script in scripts:
            seed = script.seed
            _compare(script, (settings[0], found[0][seed]), (setting, other[seed]))


def _compare(script: Script, one: Replica, other: Replica) -> None:
    done: list[str] = []
    for mine, theirs in zip(one[1], other[1]):
        if mine != theirs:
            raise CheckFailed(
                report(
                    script.cls,
                    script.again,
                    f"{mine[0]} differs from process to process: it reads what is not the same everywhere",
                    [
                        f"{_in_words(setting)}: -> {step[1]}, state {step[2]}"
                        for setting, step in ((one[0], mine), (other[0], theirs))
                    ],
                    done,
                )
            )
        done.append(f"{mine[0]} -> {mine[1]}")


def _in_words(setting: Setting) -> str:
    return " ".join(f"{name}={value}" for name, value in setting.items())


def _run_elsewhere(cls: type[Any], body: bytes, setting: Setting) -> dict[int, Steps]:
    with tempfile.NamedTemporaryFile(prefix="fleet-check-") as file:
        file.write(body)
        file.flush()
        command = [sys.executable, "-m", "fleet.testing.replica", file.name]
        environment = {**os.environ, **setting, "PYTHONPATH": os.pathsep.join(sys.path)}
        try:
            done = subprocess.run(command, env=environment, capture_output=True, timeout=PROCESS_S)
        except subprocess.TimeoutExpired:
            what = f"its scripts take longer than {PROCESS_S} s: does every call end? If so, use fewer seeds"
            raise CheckFailed(f"{cls.__qualname__}: {what}") from None
    if done.returncode:
        said = done.stderr.decode()[-2000:]
        raise CheckFailed(f"{cls.__qualname__} fails in a process of its own:\n{said}")
    steps: dict[int, Steps] = pickle.loads(done.stdout)
    return steps


def _portable(value: Any, classes: Iterable[type[Any]]) -> bytes:
    """By value what another process could not import: a test's own module, whatever its name is here."""
    names = {cls.__module__ for cls in classes} - {"__main__"}
    modules = [sys.modules[name] for name in names if name in sys.modules]
    away = [module for module in modules if not _is_importable(module.__name__, module)]
    for module in away:
        cloudpickle.register_pickle_by_value(module)
    try:
        body: bytes = cloudpickle.dumps(value)
    finally:
        for module in away:
            cloudpickle.unregister_pickle_by_value(module)
    return body


def _is_importable(name: str, module: Any) -> bool:
    """Whether another process with this `sys.path` would find this very file under that name."""
    path = getattr(module, "__file__", None)
    if path is None:
        return True
    inside = name.replace(".", os.sep)
    places = [os.path.join(entry, inside) for entry in sys.path]
    return any(path in (f"{place}.py", os.path.join(place, "__init__.py")) for place in places)
