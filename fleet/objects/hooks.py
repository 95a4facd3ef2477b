"""Leader hooks: what a group's leader tells the world around it, outside the consensus path.

Also the seam between a member and whatever runs its hooks: `HookRunner`, and a runner for worlds
without threads.
"""

import inspect
import logging
from collections.abc import Callable
from typing import Any, Final, Generic, Protocol, TypeVar

from msgspec import Struct

from fleet.errors import ConfigError, FleetError

D = TypeVar("D")
log = logging.getLogger("fleet.objects.hooks")


class Committed(Struct, frozen=True):
    """A command that was executed. Everything in it is a copy: changing it changes nothing."""

    method: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    value: Any
    """None when there is an error."""
    error: FleetError | None
    """What the caller was told in place of a value: Rejected, CommandFailed or BadArguments."""
    revision: int
    client: str
    inherited: bool
    """An earlier leader's: it is part of the state that this leader's `on_elected` was given, and the
    earlier leader may have told its own hooks of it."""


class LeaderHooks(Generic[D]):
    """Override what you need, and name the class where the data class is made; it travels with it:

        class AccountHooks(fleet.LeaderHooks["Account"]):
            def on_committed(self, event: fleet.Committed) -> None: ...

        class Account(fleet.Data, hooks=AccountHooks): ...

    Hooks run on the node of the group's leader in a thread that is no part of consensus. They may block,
    and may call any group, their own too, through a client of `fleet.connect`. One hook of a group runs
    at a time, in the order of the log, and `on_elected` to `on_stepped_down` is one leadership. What a
    hook raises is logged; it harms nobody.

    **A hook may run more than once for one event**: a new leader tells what the one before it had told
    already, usually the last command or two (`Committed.inherited`). It may also not run at all: when
    its node dies first, or when more than 10,000 commands and queries (or 64 MiB of them) wait because
    hooks are slow; then the oldest of these are left out, counted and logged. The other events are never
    left out while the node runs.

    An object of the class lives as long as the member does; it is made, without arguments, in the same
    thread before the first hook. What is not overridden costs nothing.
    """

    group: str = ""
    """The group's name; set before the first hook."""
    member: str = ""
    """The member that leads, as in `on_member_added`; likewise."""

    def on_restored(self, state: D) -> None:
        """Before the first `on_elected` of a member that was started from what its disk held: after a
        restart of the node, or of all nodes. The time to compare the world outside with `state`. Other
        members may have led since the restart; each member tells this for itself."""

    def on_elected(self, state: D, term: int) -> None:
        """This member leads and has executed everything that earlier leaders committed. `state` is a
        private copy; making it costs the leader one encoding of the state."""

    def on_stepped_down(self, term: int) -> None:
        """This member leads no more, or its node stops in good order. Another one may lead already.
        Only after `on_elected` (of which a leader that is deposed at once never hears)."""

    def on_committed(self, event: Committed) -> None:
        """A command was executed; its caller is told at the same time and does not wait for this."""

    def on_query_answered(
        self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any], value: Any
    ) -> None:
        """The leader answered a query. One that raised has no value and is not told."""

    def on_member_added(self, member: str) -> None:
        """As a learner: it votes when it has caught up."""

    def on_member_removed(self, member: str) -> None: ...


HOOKS: Final = tuple(name for name in vars(LeaderHooks) if name.startswith("on_"))


def overridden(hooks: type[LeaderHooks[Any]]) -> frozenset[str]:
    return frozenset(name for name in HOOKS if getattr(hooks, name) is not getattr(LeaderHooks, name))


def check_hooks(hooks: Any, data_class: str) -> None:
    """Raises ConfigError for what could only go wrong later, on a leader."""
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
    """About how many bytes it holds while it waits."""
    may_drop: bool = False

    def carry_out(self, group: str) -> None:
        """Run it; whatever it raises ends here."""
        try:
            self.run()
        except KeyboardInterrupt:
            raise
        except BaseException:  # sys.exit() and a cancelled coroutine too: this thread is others' as well
            log.exception("group=%s hook=%s raised", group, self.hook)


class HookRunner(Protocol):
    """Calls of one group run one at a time, in the order of `submit`."""

    def submit(self, group: str, call: HookCall) -> None:
        """Returns at once, and never raises."""

    def close(self) -> None:
        """Nothing is begun after this."""


class InlineRunner:
    """Runs a hook where the event happens, in the member's own turn: for a world without threads, where
    the same seed must give the same run. A hook that blocks would block the world."""

    def __init__(self) -> None:
        self._closed = False

    def submit(self, group: str, call: HookCall) -> None:
        if not self._closed:
            call.carry_out(group)

    def close(self) -> None:
        self._closed = True
