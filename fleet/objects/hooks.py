"""Leader hooks: user code that runs on a group's leader, outside the consensus path.

Also the seam between a member and the threads that run its hooks: `HookRunner`, and a runner for worlds
without threads.
"""

import inspect
import logging
from collections.abc import Callable
from typing import Any, Final, Generic, Protocol, TypeVar

from msgspec import Struct

from fleet.errors import ConfigError, FleetError
from fleet.objects.event import Event

D = TypeVar("D")
log = logging.getLogger("fleet.objects.hooks")


class Committed(Struct, frozen=True):
    """A command that was executed. Everything in it is a copy."""

    method: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    value: Any
    """Its result; None when there is an error."""
    error: FleetError | None
    """What the caller got instead of a result: Rejected, CommandFailed or BadArguments."""
    revision: int
    client: str
    inherited: bool
    """Whether an earlier leader proposed it: the state given to this leader's `on_elected` includes it, and
    the earlier leader may have run its own hooks for it."""


class LeaderHooks(Generic[D]):
    """Override the methods you need, and name the class where the data class is defined; it travels along:

        class AccountHooks(fleet.LeaderHooks["Account"]):
            def on_committed(self, event: fleet.Committed) -> None: ...

        class Account(fleet.Data, hooks=AccountHooks): ...

    Hooks run on the node of the group's leader, in a thread outside of consensus. They may block, and may
    call any group, including their own, through a client of `fleet.connect`. One hook of a group runs at a
    time, in the order of the log; from `on_elected` to `on_stepped_down` is one leadership. An exception from
    a hook is logged and has no other effect.

    **A hook may run more than once for one event**: a new leader repeats events that its predecessor has
    reported, usually the last command or two (`Committed.inherited`). It may also not run at all: when its
    node dies first, or when more than 10,000 commands and queries (or 64 MiB of them) wait because hooks are
    slow; then the oldest of these are dropped, counted and logged. The other events are never dropped while
    the node runs.

    One object of the class lives as long as the member; it is made without arguments, in the same thread,
    before the first hook. Methods that are not overridden cost nothing.
    """

    group: str = ""
    """The group's name; set before the first hook."""
    member: str = ""
    """The id of the member that leads, as in `on_member_added`; set before the first hook."""

    def on_restored(self, state: D) -> None:
        """Runs before the first `on_elected` of a member that was started from its disk, after a restart of
        the node or of all nodes: the time to compare the outside world with `state`. Other members may have
        led since the restart; each reports this once for itself."""

    def on_elected(self, state: D, term: int) -> None:
        """This member leads and has executed everything that earlier leaders committed. `state` is a
        private copy; making it costs the leader one encoding of the state."""

    def on_stepped_down(self, term: int) -> None:
        """This member no longer leads, or its node stops in good order. Another member may lead already. Runs
        only after `on_elected`, which a leader that is deposed at once never gets."""

    def on_committed(self, event: Committed) -> None:
        """A command was executed. Its caller gets the result at the same time and does not wait for this."""

    def on_changed(self, event: Committed, before: D, after: D) -> None:
        """A command of this leadership, or a reminder, was executed, and has changed the state: `before` and
        `after` are private copies. Of commands that `on_elected` has seen the result of, nothing is told.

        It costs the leader one encoding of the state for each command, whatever it changes, and two decodings
        in the thread of the hooks; commands are then executed one by one. For big states emit events instead.
        """

    def on_query_answered(
        self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any], value: Any
    ) -> None:
        """The leader answered a query. Queries that raised are not reported."""

    def on_effect(self, effect: Event) -> None:
        """A command has emitted an event (`ctx.emit`): the time to do what is to be done about it outside.

        Each event at least once, in order, one after the other; also those of earlier leaders that were not
        acknowledged. Those that were emitted before the class had this method are left out. `effect.id` is
        the same whenever it is told. If this raises, it is told again after 0.2 s, then 0.4 s, up to every
        30 s, and those behind it wait. While 10,000 (or 16 MiB) wait, commands that emit raise EffectsFull.
        """

    def on_member_added(self, member: str) -> None:
        """A member was added, as a learner: it votes when it has caught up. `member`: its id."""

    def on_member_removed(self, member: str) -> None:
        """A member was removed. `member`: its id."""


HOOKS: Final = tuple(name for name in vars(LeaderHooks) if name.startswith("on_"))


def overridden(hooks: type[LeaderHooks[Any]]) -> frozenset[str]:
    return frozenset(name for name in HOOKS if getattr(hooks, name) is not getattr(LeaderHooks, name))


def wants_effects(cls: Any) -> bool:
    """Whether a data class's events are kept until its hooks were told of them."""
    hooks: type[LeaderHooks[Any]] | None = cls.__fleet_hooks__
    return hooks is not None and "on_effect" in overridden(hooks)


def check_hooks(hooks: Any, data_class: str) -> None:
    """Raises ConfigError for mistakes that would otherwise fail later, on a leader."""
    if not (isinstance(hooks, type) and issubclass(hooks, LeaderHooks)):
        raise ConfigError(f"{data_class}: hooks is a class derived from fleet.LeaderHooks, not {hooks!r}")
    for name in dir(hooks):
        if name.startswith("on_") and name not in HOOKS:
            raise ConfigError(f"{hooks.__qualname__}.{name} is no hook; hooks are {', '.join(HOOKS)}")
    for name in overridden(hooks):
        if inspect.iscoroutinefunction(getattr(hooks, name)):
            raise ConfigError(f"{hooks.__qualname__}.{name}: a hook cannot be async; it may wait")
    try:
        inspect.signature(hooks).bind()
    except TypeError:
        raise ConfigError(f"{hooks.__qualname__} must be made without arguments; members do it") from None


# -- running them -----------------------------------------------------------------------------------------


class HookCall(Struct, frozen=True):
    """One event on its way to a hook."""

    hook: str
    run: Callable[[], None]
    size: int = 0
    """Approximate number of bytes that it holds while it waits."""
    may_drop: bool = False

    def carry_out(self, group: str) -> None:
        """Run it; log whatever it raises."""
        try:
            self.run()
        except KeyboardInterrupt:
            raise
        except BaseException:  # also sys.exit() and a cancelled coroutine: other groups use this thread, too
            log.exception("group=%s hook=%s raised", group, self.hook)


class HookRunner(Protocol):
    """Calls of one group run one at a time, in the order of `submit`."""

    def submit(self, group: str, call: HookCall) -> None:
        """Returns at once, and never raises."""

    def close(self) -> None:
        """No hook begins after this."""


class InlineRunner:
    """Runs each hook at once, in the member's own turn: for a world without threads, where the same seed must
    give the same run. A hook that blocks would block the world."""

    def __init__(self) -> None:
        self._closed = False

    def submit(self, group: str, call: HookCall) -> None:
        if not self._closed:
            call.carry_out(group)

    def close(self) -> None:
        self._closed = True
