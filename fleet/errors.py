"""Every error a caller may meet, one class per thing the caller can do about it.

Two families answer the question that matters after a failed command: `NotDone` (it was not executed and
never will be) and `OutcomeUnknown` (it may have been executed, or may still be). Only `error.again()` waits
on for that same call; calling the method again is a new command, which may be executed as well. `Rejected`
is the user's own refusal. Each says what failed, where, and what to do next, and survives pickling, since
errors travel between actors.
"""

from typing import Any, ClassVar


class FleetError(Exception):
    """Base of all. Keyword facts become attributes and are part of the message.

    `retry`: whether it may succeed later as it is. After OutcomeUnknown that means `again`, never a new call.
    `hint`: what to do next.
    """

    retry: ClassVar[bool] = False
    hint: ClassVar[str] = ""

    def __init__(self, what: str = "", /, **facts: Any) -> None:
        super().__init__(what)
        self.what = what
        self.facts = {key: value for key, value in facts.items() if value is not None}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "facts":
            raise AttributeError(name)
        try:
            return self.facts[name]
        except KeyError:
            raise AttributeError(f"{type(self).__name__} has no {name!r}; its facts: {self.facts}") from None

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.what, self.facts))

    def __str__(self) -> str:
        facts = ", ".join(f"{key}={value}" for key, value in self.facts.items())
        what = self.what or type(self).__name__
        parts = (what, facts and f"({facts})", self.hint and f"- {self.hint}")
        return " ".join(part for part in parts if part)


def _rebuild(cls: type[FleetError], what: str, facts: dict[str, Any]) -> FleetError:
    error = cls.__new__(cls)
    FleetError.__init__(error, what, **facts)
    return error


class Reject(Exception):
    """Raise it inside a command to refuse: the state stays as it was, the caller gets `Rejected(value)`."""

    def __init__(self, value: Any = None) -> None:
        super().__init__(value)
        self.value = value


class Rejected(FleetError):
    """The data object's own refusal (`raise Reject(value)`); the state was not changed."""

    def __init__(self, value: Any = None, /, **facts: Any) -> None:
        super().__init__(str(value), **facts)
        self.value = value

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild_rejected, (type(self), self.value, self.facts))


def _rebuild_rejected(cls: type[Rejected], value: Any, facts: dict[str, Any]) -> Rejected:
    return cls(value, **facts)


# -- definitely not executed -----------------------------------------------------------------------


class NotDone(FleetError):
    """Not executed, and never will be."""


class NoSuchGroup(NotDone):
    hint = "create it with create_group, or check the name"


class GroupExists(NotDone):
    hint = "use it with group(name, DataClass), or create it with exist_ok=True"


class OtherDataClass(GroupExists):
    """`create_group(exist_ok=True)` with another class than the one that the group was created with."""

    hint = "use another name, or the class that the group was created with"


class CleanupOngoing(NotDone):
    retry = True
    hint = "members of the removed group of this name may still live; try again in a moment"


class NoSuchNode(NotDone):
    hint = "check the name, and that the node runs and was reached"


class NotActive(NotDone):
    hint = "activate the node first"


class Unavailable(NotDone):
    """Refused before it was proposed: no leader, no quorum, or a leadership in transfer."""

    retry = True
    hint = "try again; if it stays, look which members are down"


class ClientClosed(Unavailable):
    """The client, not the cluster: nothing of it can be called any more."""

    retry = False
    hint = "open another one with fleet.connect(...)"


class NoNode(Unavailable):
    """No node answers at any address that the client was given."""

    hint = "check the addresses, and that the nodes run; connect(wait=...) waits for those that start"


class NoMajority(Unavailable):
    """Nodes answer, and none has heard of the cluster yet: too few of its voters run, or they just start."""

    hint = "start the other nodes, each with its own directory; a majority of them is needed"


class Overloaded(NotDone):
    retry = True
    hint = "more is under way than the limits allow; slow down and try again"


class DeadlineExceededBeforeSend(NotDone):
    retry = True
    hint = "the timeout passed before the command left; try again with more time"


class TooLarge(NotDone):
    hint = "split it; a limit of the group that is named here is raised with change_config"


class NotEncodable(NotDone):
    """Arguments that cannot be turned into bytes."""

    hint = "pass values that cloudpickle can encode"


class StateNotEncodable(NotEncodable):
    """The group's object holds what no bytes can hold. Without snapshots its log would grow without end, so
    it takes no more commands. `field` says where."""

    hint = "leave the field out in the class's __getstate__, and start the nodes with the mended class"


class BadArguments(NotDone, TypeError):
    """A call that does not fit the method, or a name that is none."""


class DataClassUnavailable(NotDone):
    """A node cannot load the group's data class."""

    hint = (
        "install its module on the nodes, or send it by value: "
        "cloudpickle.register_pickle_by_value(module) before create_group"
    )


class CallsAtImport(DataClassUnavailable):
    """The data class is in a script that calls a cluster as soon as it is imported."""

    hint = (
        'put what the script does under `if __name__ == "__main__":`, '
        "or move the class into a module of its own"
    )


class Forbidden(NotDone):
    pass


class WrongCluster(NotDone):
    """Two clusters, where one was expected. `ours`, `theirs`: their uids, where both are known."""

    hint = "check the addresses and the cluster id, and which of the two clusters is to stay"


class ChangeInProgress(NotDone):
    retry = True
    hint = "one membership change at a time, and only after the leader's first commit; try again"


class WouldBreakQuorum(NotDone):
    hint = "too few of the members that would remain answer; bring one back first"


class NotMember(NotDone):
    hint = "the group has no such member"


class TargetUnresponsive(NotDone):
    retry = True
    hint = "the new leader does not answer, lags, or cannot vote; choose another"


class CannotRemoveLeader(NotDone):
    hint = "transfer the leadership first"


# -- may have been executed ------------------------------------------------------------------------


class OutcomeUnknown(FleetError):
    """It may have been executed, or may still be. Calling the method again is a new command: see `again`."""

    retry = True
    hint = "error.again() waits on for this same call; calling the method again is a new command"
    _again: Any = None
    _again_aio: Any = None

    def again(self, timeout: float | None = None) -> Any:
        """Wait on for the outcome of the same call: its result, or OutcomeUnknown once more.

        The client goes on asking for half a minute. After that the outcome is told by nobody any more,
        and the error that says so raises itself from here. So does one that came from another process.
        """
        if self._again is None:
            raise self
        return self._again(timeout)

    async def again_aio(self, timeout: float | None = None) -> Any:
        """`again` for asyncio, which blocks no loop."""
        if self._again_aio is None:
            raise self
        return await self._again_aio(timeout)


class SessionExpired(OutcomeUnknown):
    """The group forgot this client's session: what it had not answered can no longer be told apart."""

    retry = False
    hint = "read the state before sending it again; raise session_ttl_ms if clients pause this long"


# -- reads -----------------------------------------------------------------------------------------


class TooStale(FleetError):
    retry = True


class Compacted(FleetError):
    pass


# -- the user's code -------------------------------------------------------------------------------


class CommandFailed(FleetError):
    """The command raised on every member alike; the state was rolled back.

    `error`: the exception's type name; `where`: its innermost line in the user's code.
    """

    hint = "the state is as before the call"


class QueryFailed(FleetError):
    """The query raised. `error` and `where` as in CommandFailed."""


class ImpureQuery(FleetError):
    """The query changed the object; the member took the change back."""

    hint = "make it a @fleet.command, or copy before changing"


class NotDecodable(FleetError):
    """The result came, but its class cannot be loaded here. The command was executed."""


class GroupHalted(FleetError):
    pass


class ImpureCommand(FleetError):
    pass


class WouldDeadlock(FleetError):
    """A blocking call where waiting would never end: in a command, in an actor, in an import by a node."""

    hint = "call from a thread of your own; in an actor use .submit() and look at its future later"


# -- a node and its disk ---------------------------------------------------------------------------


class StorageFault(FleetError):
    """The disk erred or is full; nothing of the write is in force."""

    retry = True


class StoreFull(StorageFault):
    hint = "free space on the node's disk, or move groups to other nodes; a database grows to 64 GiB"


class Damaged(FleetError):
    """What was read is not what was written. `group` and `place` say where."""

    hint = "the member will not vote; let the quorum repair it"


class NodeDamaged(Damaged):
    """A record that the whole node hangs on is not what was written; nothing was changed."""

    hint = (
        "keep the directory aside and start the node with an empty one and --join: "
        "the nodes that hold the other members bring its members back"
    )


class WrongDirectory(FleetError):
    """The data directory belongs to another node or cluster."""

    hint = "start the node that it belongs to, or choose an empty directory"


class DirectoryInUse(FleetError):
    retry = True
    hint = "another process holds this data directory; stop it first"


class NameTaken(FleetError):
    """Another node of the cluster runs under this one's name."""

    hint = "give this node another --name, or stop the other one first"


class UnknownName(FleetError):
    """A host name that cannot be resolved now."""

    retry = True
    hint = "check the name server; or --advertise this node's own host:port as the list of seeds has it"


class ConfigError(FleetError, ValueError):
    """A setting that cannot be: says which, and what would do."""


class WrongSecret(FleetError):
    hint = "the peer holds another cluster secret; check --secret-file (secret, secret_file) on both sides"
