"""Strict commands: what differs from member to member is refused, with the line and what to use instead."""

import cProfile
import datetime
import functools
import gc
import logging
import os
import pathlib
import pickle
import random
import secrets
import socket
import subprocess
import sys
import threading
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import random as chance
from time import time as clock
from typing import Any

import cloudpickle
import pytest

import fleet
from fleet.errors import BadArguments, CommandFailed, ConfigError, ImpureCommand
from fleet.interfaces import Context
from fleet.objects.context import executing, strict
from fleet.objects.executor import ObjectExecutor
from fleet.objects.payload import decode_result, encode_call
from fleet.objects.strict import guarded

AT = Context(revision=1, now_ms=5000, session=1, seq=1, client="c")
HERE = pathlib.Path(__file__)


def run(function: Callable[[], Any]) -> Any:
    return guarded("Shop.sell", __name__, function)()


@pytest.mark.parametrize(
    ("function", "called", "instead"),
    [
        (lambda: time.time(), "time.time()", "fleet.ctx.now"),
        (lambda: time.monotonic_ns(), "time.monotonic_ns()", "fleet.ctx.now"),
        (lambda: clock(), "time.time()", "fleet.ctx.now"),
        (lambda: time.localtime(), "time.localtime()", "fleet.ctx.now"),
        (lambda: datetime.datetime.now(), "datetime.datetime.now()", "fromtimestamp(fleet.ctx.now, UTC)"),
        (lambda: datetime.date.today(), "datetime.date.today()", "fromtimestamp(fleet.ctx.now, UTC)"),
        (lambda: random.randint(1, 6), "random.randint()", "fleet.ctx.random"),
        (lambda: chance(), "random.random()", "fleet.ctx.random"),
        (lambda: random.Random(), "random.Random()", "fleet.ctx.random"),
        (lambda: random.seed(5), "random.seed()", "fleet.ctx.random"),
        (lambda: random.SystemRandom().choice("ab"), "random.choice()", "fleet.ctx.random"),
        (lambda: secrets.token_hex(), "secrets.token_hex()", "fleet.ctx.random"),
        (lambda: os.urandom(4), "os.urandom()", "fleet.ctx.random"),
        (lambda: uuid.uuid1(), "uuid.uuid1()", "fleet.ctx.uuid()"),
        (lambda: uuid.uuid4(), "uuid.uuid4()", "fleet.ctx.uuid()"),
        (lambda: os.environ["PATH"], "os.environ", "as an argument"),
        (lambda: "PATH" in os.environ, "os.environ", "as an argument"),
        (lambda: os.getenv("PATH"), "os.getenv()", "as an argument"),
        (lambda: open(HERE), "open()", "as an argument"),
        (lambda: functools.partial(open, HERE)(), "open()", "as an argument"),
        (lambda: HERE.read_text(), "pathlib.Path.read_text()", "as an argument"),
        (lambda: HERE.exists(), "pathlib.Path.exists()", "as an argument"),
        (lambda: os.listdir("."), "os.listdir()", "as an argument"),
        (lambda: os.getpid(), "os.getpid()", "as an argument"),
        (lambda: socket.socket(), "socket.socket()", "fleet.LeaderHooks"),
        (lambda: socket.gethostname(), "socket.gethostname()", "fleet.LeaderHooks"),
        (lambda: subprocess.run(["true"]), "subprocess.run()", "fleet.LeaderHooks"),
    ],
)
def test_what_differs_is_refused_with_what_to_use_instead(
    function: Callable[[], Any], called: str, instead: str
) -> None:
    with pytest.raises(ImpureCommand) as caught:
        run(function)
    line = function.__code__.co_firstlineno
    assert str(caught.value).startswith(f"Shop.sell uses {called} in line {line} of {__name__}: ")
    assert str(caught.value).endswith(instead)
    function()  # outside of a command


def import_one() -> object:
    sys.modules.pop("this", None)
    return __import__("this")


@pytest.mark.parametrize(
    "function",
    [
        lambda: print("one"),
        import_one,
        lambda: logging.getLogger("shop").warning("one"),
        lambda: warnings.warn("one", stacklevel=1),
        lambda: random.Random(5).random(),
        lambda: fleet.ctx.random.choice("ab"),
        lambda: fleet.ctx.uuid(),
        lambda: datetime.datetime.fromtimestamp(fleet.ctx.now, datetime.UTC) + datetime.timedelta(1),
        lambda: datetime.datetime.strptime("2024", "%Y"),
        lambda: uuid.uuid5(uuid.NAMESPACE_DNS, "a"),
        lambda: os.path.join("a", "b"),
        lambda: pathlib.PurePath("a") / "b",
        lambda: str(pathlib.PurePath("a") / "b"),
    ],
)
@pytest.mark.filterwarnings("ignore:one")
def test_what_is_the_same_everywhere_or_leaves_no_trace_is_allowed(function: Callable[[], Any]) -> None:
    with executing(AT):
        run(function)


def test_the_line_is_of_the_users_code_not_of_the_library_it_calls() -> None:
    def helper() -> object:
        return max((1, 2), key=lambda one: uuid.uuid4())

    with pytest.raises(ImpureCommand, match=f"uuid.uuid4.. in line {helper.__code__.co_firstlineno + 1} of"):
        run(lambda: helper())


def test_a_refusal_that_the_command_catches_is_raised_at_its_end() -> None:
    def wary() -> float:
        try:
            return time.time()
        except Exception:
            return 0.0

    with pytest.raises(ImpureCommand, match="Shop.sell uses time.time"):
        run(wary)


@pytest.mark.parametrize("end", [lambda: 1, lambda: 1 / 0, lambda: time.time(), lambda: open(HERE)])
def test_everything_is_as_before_however_the_command_ends(end: Callable[[], Any]) -> None:
    assert gc.isenabled()
    try:
        run(end)
    except (ZeroDivisionError, ImpureCommand):
        pass
    assert gc.isenabled() and sys.getprofile() is None
    assert time.time() > 0 and os.getpid() and HERE.read_text()


def test_other_threads_are_free_meanwhile() -> None:
    seen: list[Any] = []
    other = threading.Thread(target=lambda: seen.extend([time.time(), HERE.read_text(), os.environ["PATH"]]))

    def command() -> None:
        other.start()
        other.join(30)

    run(command)
    assert len(seen) == 3


@contextmanager
def collecting(callback: Callable[..., Any]) -> Iterator[None]:
    gc.callbacks.append(callback)
    try:
        yield
    finally:
        gc.callbacks.remove(callback)


def test_what_the_garbage_collector_calls_is_not_the_commands() -> None:
    """hypothesis measures it, with a clock."""

    def litter() -> int:
        return len([[one] for one in range(5000)])

    times: list[float] = []
    with collecting(lambda *_: times.append(time.perf_counter())):
        assert run(litter) == 5000
        assert times == []
        litter()
    assert times


def test_a_profiler_waits_and_goes_on() -> None:
    def profiler(*event: Any) -> None:
        pass

    sys.setprofile(profiler)
    try:
        with pytest.raises(ImpureCommand):
            run(lambda: time.time())
        assert sys.getprofile() is profiler
    finally:
        sys.setprofile(None)


def test_the_profiler_of_the_standard_library_waits_and_goes_on() -> None:
    profiler = cProfile.Profile()
    profiler.enable()
    with pytest.raises(ImpureCommand):
        run(lambda: time.time())
    os.path.normcase("seen")
    profiler.disable()
    names = [entry.code.co_name for entry in profiler.getstats() if not isinstance(entry.code, str)]
    assert "normcase" in names


# -- classes -------------------------------------------------------------------------------------------


class Till(fleet.Data, strict=True):
    count: int = 0

    @fleet.command
    def add(self, n: int) -> int:
        self.count += n
        return self.count

    @fleet.command
    def stamp(self) -> float:
        self.count += 1
        return time.time()

    @fleet.command
    def fail(self) -> None:
        raise ValueError("no")

    @fleet.query
    def age(self) -> float:
        return time.time() - self.count


class SlowTill(Till):
    pass


class FreeTill(Till, strict=False):
    pass


def apply(executor: ObjectExecutor, method: str, *args: Any) -> Any:
    before = executor.dump()
    (record,), is_clean = executor.apply(AT, (encode_call(method, args, {}),))
    if not is_clean:
        executor.load(before)
    return decode_result(record)


@pytest.mark.parametrize("cls", [Till, SlowTill])
def test_a_command_of_a_strict_class_fails_and_its_caller_gets_the_error(cls: type[Till]) -> None:
    executor = ObjectExecutor(cls)
    assert apply(executor, "add", 2) == 2
    with pytest.raises(
        ImpureCommand, match=f"^{cls.__name__}.stamp uses time.time.. in line .*use fleet.ctx.now$"
    ):
        apply(executor, "stamp")
    assert apply(executor, "add", 1) == 3
    executor.replay(AT, (encode_call("stamp", (), {}),))
    with pytest.raises(CommandFailed, match="no") as caught:
        apply(executor, "fail")
    assert caught.value.where.startswith(f"{__name__}:Till.fail:")
    with pytest.raises(BadArguments, match=r"add\(n: int\): missing a required argument: 'n'"):
        apply(executor, "add")


def test_queries_of_a_strict_class_may_read_the_time() -> None:
    (record,), _ = ObjectExecutor(Till).query((encode_call("age", (), {}),))
    assert decode_result(record) > 0


def test_a_class_that_travels_by_value_stays_strict() -> None:
    class Local(Till):
        pass

    class Free(Till, strict=False):
        pass

    local, free = pickle.loads(cloudpickle.dumps((Local, Free)))
    with pytest.raises(ImpureCommand, match="Local.stamp uses time.time"):
        apply(ObjectExecutor(local), "stamp")
    assert apply(ObjectExecutor(free), "stamp") > 0


def test_only_a_class_that_says_so_is_strict() -> None:
    assert apply(ObjectExecutor(FreeTill), "stamp") > 0


def test_in_a_test_every_class_is_strict() -> None:
    with strict():
        executor = ObjectExecutor(FreeTill)
    with pytest.raises(ImpureCommand, match="FreeTill.stamp uses time.time"):
        apply(executor, "stamp")


def test_a_plain_instance_of_a_strict_class_is_strict() -> None:
    with pytest.raises(ImpureCommand, match="Till.stamp uses time.time"):
        Till().stamp()
    assert FreeTill().stamp() > 0


def test_strict_is_true_or_false() -> None:
    with pytest.raises(ConfigError, match="Odd: strict must be True or False, not 'yes'"):

        class Odd(fleet.Data, strict="yes"):  # type: ignore[arg-type]
            pass
