"""Strict commands: one that reads what differs from member to member fails with ImpureCommand.

Nothing is patched. While a strict command runs, its thread is profiled (`sys.setprofile`): the profiler sees
every call of a Python function and every call of a C function from Python code, under whatever name the
user's module has it. An audit hook sees the files, sockets and processes that C code opens.

Not seen are clocks and random numbers that C code reads by itself, say `map(time.time, ...)`, a
`default_factory` of a msgspec Struct, or numpy; and `time.gmtime()` without an argument. Another profiler of
the thread waits until the command has ended, and so does the cyclic garbage collector, which at any moment
calls what is not the command's.
"""

import datetime
import gc
import os
import random
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from functools import cache, wraps
from types import CodeType, FrameType
from typing import Any, Final, NamedTuple, TypeAlias

from fleet.errors import ImpureCommand
from fleet.objects.context import RUNNING
from fleet.objects.payload import FATAL

Function: TypeAlias = Callable[..., Any]


class _Kind(NamedTuple):
    why: str
    instead: str


_TIME: Final = _Kind("time differs from member to member", "use fleet.ctx.now")
_DATE: Final = _Kind(_TIME.why, "use datetime.fromtimestamp(fleet.ctx.now, UTC)")
_CHANCE: Final = _Kind("chance differs from member to member", "use fleet.ctx.random")
_UUID: Final = _Kind(_CHANCE.why, "use fleet.ctx.uuid()")
_ENVIRONMENT: Final = _Kind(
    "the environment differs from member to member", "pass what it says as an argument"
)
_HOST: Final = _Kind("files and hosts differ from member to member", "pass what was read as an argument")
_EFFECT: Final = _Kind("every member would do it", "do it outside, or in a fleet.LeaderHooks")

_CLOCKS = "time monotonic perf_counter process_time thread_time clock_gettime".split()
_CLOCKS += [f"{name}_ns" for name in _CLOCKS] + ["localtime", "ctime"]
_PROCESSES = "system fork forkpty execv execve posix_spawn posix_spawnp kill".split()
_C_FUNCTIONS: Final[dict[Any, _Kind]] = {
    **{getattr(time, name): _TIME for name in _CLOCKS if hasattr(time, name)},
    random.random: _CHANCE,
    random.getrandbits: _CHANCE,
    **{getattr(os, name): _CHANCE for name in ("urandom", "getrandom") if hasattr(os, name)},
    **{getattr(os, name): _EFFECT for name in _PROCESSES if hasattr(os, name)},
}
_NOW = frozenset({"now", "utcnow", "today"})
_OS_PURE = frozenset({"fspath", "strerror", "write", "isatty", "_path_normpath", "_path_splitroot_ex"})
"""Functions of `os` in C that read nothing of the host; and `write`, to print."""

_SEED: Final = random.Random.seed.__code__
_SHARED: Final = getattr(random.random, "__self__")
"""The generator behind the functions of `random`."""
_PYTHON_FUNCTIONS: Final[dict[CodeType, _Kind]] = {
    **{
        getattr(type(os.environ), name).__code__: _ENVIRONMENT
        for name in ("__getitem__", "__setitem__", "__delitem__", "__iter__", "__len__")
    },
    **{function.__code__: _UUID for function in (uuid.uuid1, uuid.uuid4, uuid.getnode)},
    _SEED: _CHANCE,
}
_AUDITED: Final = {"open": _HOST, "os": _HOST, "socket": _EFFECT, "subprocess": _EFFECT}
"""By the first part of an event's name."""

_USERS_NAMES: Final = {
    "posix.": "os.",
    "posixpath.": "os.path.",
    "genericpath.": "os.path.",
    "pathlib._abc.PathBase.": "pathlib.Path.",
    "pathlib._local.": "pathlib.",
    "io.": "",
    "_io.": "",
    "random.Random.": "random.",
}
_QUIET = frozenset(
    "importlib _frozen_importlib _frozen_importlib_external zipimport logging traceback linecache tokenize"
    " warnings zoneinfo _strptime pdb bdb coverage pydevd _pydevd_bundle".split()
)
"""Modules that read the host without a word of it in their results: an import in a command, a log line."""


class _Running:
    """A strict command that runs now in this thread. `refusal`: what it read first."""

    def __init__(self, command: str, home: str) -> None:
        self.command = command
        self.home = home.partition(".")[0]
        self.refusal: ImpureCommand | None = None

    def profile(self, frame: FrameType, event: str, what: Any) -> None:
        if event == "c_call":
            kind = _kind_of(what)
            if kind is not None:
                self.refuse(frame, _name_of(what), kind)
        elif event == "call":
            kind = _PYTHON_FUNCTIONS.get(frame.f_code)
            if kind is not None and not (frame.f_code is _SEED and _has_own_seed(frame)):
                self.refuse(frame.f_back, _frame_name(frame), kind)

    def refuse(self, frame: FrameType | None, called: str, kind: _Kind) -> None:
        """Raise ImpureCommand for a call made in this frame, unless a quiet module makes it."""
        place, line, is_home = "", 0, False
        inner = called
        while frame is not None and frame.f_code is not _CALL:
            module = str(frame.f_globals.get("__name__", "?"))
            top = module.partition(".")[0]
            if top in _QUIET:
                return
            is_users = top not in sys.stdlib_module_names and (top != "fleet" or self.home == top)
            if top == self.home and not is_home or is_users and not place:
                called, place, line, is_home = inner, module, frame.f_lineno, top == self.home
            inner = _frame_name(frame)
            frame = frame.f_back
        where = f" in line {line} of {place}" if place else ""
        self.refusal = ImpureCommand(f"{self.command} uses {called}{where}: {kind.why}; {kind.instead}")
        raise self.refusal


def _kind_of(function: Any) -> _Kind | None:
    kind = _C_FUNCTIONS.get(function)
    if kind is not None:
        return kind
    if getattr(function, "__module__", None) == os.name and function.__name__ not in _OS_PURE:
        return _HOST
    if function.__name__ in _NOW:
        owner = getattr(function, "__self__", None)
        if isinstance(owner, type) and issubclass(owner, datetime.date):
            return _DATE
    return None


def _has_own_seed(frame: FrameType) -> bool:
    """Whether this is a generator of the user's, with a seed: the command's, or a new one."""
    given = frame.f_locals
    return given.get("a") is not None and given.get("self") is not _SHARED


def _name_of(function: Any) -> str:
    owner = getattr(function, "__self__", None)
    module = getattr(function, "__module__", None) or getattr(owner, "__module__", None) or "?"
    return _as_users_write(f"{module}.{function.__qualname__}")


def _frame_name(frame: FrameType) -> str:
    return _as_users_write(f"{frame.f_globals.get('__name__', '?')}.{frame.f_code.co_qualname}")


def _as_users_write(name: str) -> str:
    if name.startswith(("os._Environ.", "collections.abc.", "_collections_abc.")):
        return "os.environ"
    name = name.removesuffix(".__init__")
    for inside, users in _USERS_NAMES.items():
        if name.startswith(inside):
            name = users + name.removeprefix(inside)
    return f"{name}()"


def _audit(event: str, args: tuple[Any, ...]) -> None:
    kind = _AUDITED.get(event.partition(".")[0])
    if kind is not None and _THREAD.running is not None:
        _THREAD.running.refuse(sys._getframe(1), f"{event}()", kind)


@cache
def _add_hook() -> None:
    sys.addaudithook(_audit)  # there is no way to remove it; without a strict command it does nothing


class _Thread(threading.local):
    running: _Running | None = None


_THREAD = _Thread()


def _call(command: str, home: str, function: Function, args: Any, kwargs: Any) -> Any:
    if _THREAD.running is not None:  # a strict command calls it
        return function(*args, **kwargs)
    profiler: Any = sys.getprofile()
    is_collecting = gc.isenabled()
    is_c = profiler is not None and not callable(
        profiler
    )  # that of cProfile, which `setprofile` takes wrongly
    if is_c:
        profiler.disable()
    running = _THREAD.running = _Running(command, home)
    gc.disable()
    sys.setprofile(running.profile)
    try:
        value = function(*args, **kwargs)
    except FATAL:
        raise
    except BaseException:
        if running.refusal is None:
            raise
    finally:
        sys.setprofile(None if is_c else profiler)
        if is_c:
            profiler.enable()
        _THREAD.running = None
        if is_collecting:
            gc.enable()
    if running.refusal is not None:  # the user's code may have caught it
        raise running.refusal
    return value


_CALL: Final = _call.__code__


def guarded(command: str, home: str, function: Function) -> Function:
    """The function, strict. `command`: how errors call it; `home`: the module in which they name a line."""
    _add_hook()

    @wraps(function)
    def strictly(*args: Any, **kwargs: Any) -> Any:
        return _call(command, home, function, args, kwargs)

    return strictly


def as_executed(cls: Any, function: Function) -> Function:
    """A command's function as it is to be executed: strict if the class says so, or a test runs."""
    if not (cls.__fleet_strict__ or RUNNING.is_strict):
        return function
    return guarded(f"{cls.__qualname__}.{function.__name__}", cls.__module__, function)


def commands_of(cls: Any, commands: Mapping[str, Function]) -> Mapping[str, Function]:
    if not (cls.__fleet_strict__ or RUNNING.is_strict):
        return commands
    return {name: as_executed(cls, function) for name, function in commands.items()}
