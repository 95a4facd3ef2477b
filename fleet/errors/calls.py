"""What may become of a call: not executed, perhaps executed, or failed in the user's code."""

from typing import Any

from fleet.errors.base import FleetError

# -- definitely not executed -----------------------------------------------------------------------


class NotDone(FleetError):
    """The call was not executed and never will be; calling again is safe."""


class NoSuchGroup(NotDone):
    """The cluster has no group of this name."""

    hint = "create it with create_group, or check the name"


class NotAllowed(NotDone):
    """The role secret that is used here is not good for this. `role`: its role; `needs`: roles that may."""

    hint = "use a secret of a role that may: fleet secret derive ROLE FILE, where the cluster's secret is"


class GroupExists(NotDone):
    """`create_group` for a name that is in use."""

    hint = "use it with group(name, DataClass), or create it with exist_ok=True"


class RestoreRefused(GroupExists):
    """A group that is to be restored from a backup exists; none was restored."""

    hint = "remove it first, or restore it under another name"


class OtherDataClass(GroupExists):
    """`create_group(exist_ok=True)` with a class other than the group's."""

    hint = "use another name, or the class that the group was created with"


class CleanupOngoing(NotDone):
    """Members of a removed group of this name may still run; the name is free when they have stopped."""

    retry = True
    hint = "members of the removed group of this name may still run; try again in a moment"


class NoSuchCopy(NotDone):
    """The copy of a group's state that a backup reads is gone: its member has ended, or waited too long."""

    retry = True
    hint = "take another copy"


class NoSuchNode(NotDone):
    """The cluster has no node of this name, or the group has no member there."""

    hint = "check the name, and that the node runs and can be reached"


class NotActive(NotDone):
    """The node is not in the state that the request needs."""

    hint = "activate the node first"


class Unavailable(NotDone):
    """Refused before it was proposed: no leader, no quorum, or a leadership in transfer."""

    retry = True
    hint = "try again; if it persists, check which members are down"


class ClientClosed(Unavailable):
    """This client was closed or has failed. It says nothing of the cluster."""

    retry = False
    hint = "open another one with fleet.connect(...), for actors with fleet.thespian.connect(...)"


class NoNode(Unavailable):
    """No node answers at any of the client's addresses."""

    hint = "check the addresses, and that the nodes run; connect(wait=...) waits for nodes that are starting"


class NoMajority(Unavailable):
    """Nodes answer, but none has found its cluster yet: too few of its voters run, or they are starting."""

    hint = "start the other nodes, each with its own directory; a majority of them is needed"


class Overloaded(NotDone):
    """A limit on what may be under way was reached, in the client or on the node."""

    retry = True
    hint = "more is under way than the limits allow; slow down and try again"


class KeyReused(NotDone):
    """A command with this key was executed, and it was another method or had other arguments."""

    hint = "one key is for one command: give another command a key of its own"


class KeysFull(NotDone):
    """The group keeps as many keys of commands as its settings allow, and forgets none before its time."""

    retry = True
    hint = "keep keys for a shorter time, or raise keys_max or keys_bytes_max with change_config"


class RemindersFull(NotDone):
    """The command would have set more reminders than the group's settings allow. It was undone."""

    retry = True
    hint = "forget reminders that are not needed, or raise reminders_max with change_config"


class EffectsFull(NotDone):
    """More events wait for `on_effect` than the group keeps. The command would have emitted more; it was
    undone."""

    retry = True
    hint = "see in the leader's log why `on_effect` is slow or fails; the group goes on when it returns"


class Compacted(NotDone):
    """A watch was to begin with events that the group does not keep any more. `oldest`: the first revision of
    which all are kept."""

    hint = "read the state anew, and watch with since=oldest - 1; events_kept=... of the class keeps more"

    @property
    def oldest(self) -> int:
        return int(self.facts.get("oldest", 0))


class DeadlineExceededBeforeSend(NotDone):
    """The timeout passed before the call was sent."""

    retry = True
    hint = "the timeout passed before the command left; try again with more time"


class TooStale(NotDone):
    """No member that was asked could prove that its state is as new as the query wants it.

    `node`: of the last one; `age` and `max_age`: seconds; or `revision` and `at_least`."""

    retry = True
    hint = "ask again, or allow a greater age; a query without such a limit is answered by the leader"


class WaitTimeout(NotDone):
    """What a recipe waited for did not happen within the time that its caller allowed. `name`: of what."""

    retry = True
    hint = "allow more time; the group can tell who holds the name"


class TooLarge(NotDone):
    """The call exceeds a size limit; the message names it."""

    hint = "split it; a limit of the group that is named here is raised with change_config"


class NotEncodable(NotDone):
    """The arguments or the class cannot be encoded."""

    hint = "pass values that cloudpickle can encode"


class GroupHalted(NotDone):
    """The group cannot execute a command, and so none after it: their executors died or hung in it.

    `index`: the log index of the command's entry; `method` and `cause`: which it is, and what happened.
    """

    retry = True
    hint = (
        "it goes on once all its voters report that they halt there; `fleet group show NAME` says where, and "
        "`fleet group skip NAME INDEX` records the command as failed on all members"
    )


class NotHalted(NotDone):
    """There is nothing to skip: the group's leader has not halted at a command in that entry of the log."""

    hint = "`fleet group show NAME` says whether the group has halted, and at which entry"


class StateNotEncodable(NotEncodable):
    """The group's object holds a value that cannot be encoded. Without snapshots the log would grow without
    bound, so the group takes no more commands. `field`: the attribute that holds it."""

    hint = "leave the field out in the class's __getstate__, and restart the nodes with the corrected class"


class BadArguments(NotDone, TypeError):
    """Arguments that do not fit the method, or an invalid name."""


class DataClassUnavailable(NotDone):
    """A node cannot load the group's data class."""

    hint = (
        "install its module on the nodes, or send it by value: "
        "cloudpickle.register_pickle_by_value(module) before create_group"
    )


class OtherCode(NotDone):
    """The node has other code of the group's data class than that under which the group's commands were
    proposed: it executes none of them.

    `index`: the log index of the first entry that the node cannot execute.
    """

    retry = True
    hint = (
        "`fleet group versions NAME` shows which node has what; `fleet group upgrade NAME` changes the group "
        "to the code that is deployed, or deploy the former code again"
    )


class CannotUpgrade(NotDone):
    """A member cannot go on with the class that its group was to change to. Nothing has changed."""

    hint = (
        "deploy the class's code on every node, or mend its `migrate`; `fleet group versions NAME` shows "
        "what is in force"
    )


class NotKept(NotDone):
    """No member that answers has kept so much of the group's past."""

    hint = (
        "`fleet config change GROUP keep=7d` keeps what comes from now on; `fleet group log GROUP` shows "
        "what is there"
    )


class CannotReplay(NotDone):
    """Commands of the past cannot be executed here again: the code that executed them is missing, say."""

    hint = "put a directory with the code as it was first on the path (PYTHONPATH), and try again"


class CallsAtImport(DataClassUnavailable):
    """Importing the data class's module calls a cluster: the importing node would wait for itself."""

    hint = (
        'put what the script does under `if __name__ == "__main__":`, '
        "or move the class into a module of its own"
    )


class WrongCluster(NotDone):
    """A node of another cluster answered. `ours`, `theirs`: the two uids, where both are known."""

    hint = "check the addresses and the cluster id, and decide which of the two clusters to keep"


class ChangeInProgress(NotDone):
    """Another membership change is under way, or the leader has not committed in its term yet."""

    retry = True
    hint = "one membership change at a time, and only after the leader's first commit; try again"


class WouldBreakQuorum(NotDone):
    """Without this member the group would lose its majority."""

    hint = "too few of the members that would remain answer; bring one back first"


class NotMember(NotDone):
    """The request names a member that the group does not have."""

    hint = "the group has no such member"


class TargetUnresponsive(NotDone):
    """The member that should lead did not take over in time; leadership is unchanged."""

    retry = True
    hint = "that member does not answer, lags, or cannot vote; choose another"


class CannotRemoveLeader(NotDone):
    """The member to be removed leads the group."""

    hint = "transfer the leadership first"


# -- may have been executed ------------------------------------------------------------------------


class OutcomeUnknown(FleetError):
    """It may have been executed, or may still be. Calling the method again is a new command: see `again`."""

    hint = "error.again() keeps waiting for this same call; calling the method again is a new command"
    _again: Any = None
    _again_aio: Any = None

    def again(self, timeout: float | None = None) -> Any:
        """Keep waiting for the outcome of this call, for `timeout` seconds (None: without limit).

        Returns the call's result or raises its error; raises OutcomeUnknown when the time is over. The client
        keeps asking for half a minute; once it has given up, and in any process but the caller's, this
        raises at once.
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
    """The group forgot this client's session: whether unanswered commands were executed cannot be known."""

    hint = "read the state before sending it again; raise session_ttl_ms if clients pause this long"


class LeaseLost(FleetError):
    """A lease ended, or may have ended, before its holder was done; another may hold what it was for. `name`
    and `token`: of the lease."""

    hint = "stop, and change nothing more under it; compare tokens wherever a late change would do harm"


# -- the user's code -------------------------------------------------------------------------------


class CommandFailed(FleetError):
    """The command raised on every member alike; the state was rolled back. `error`: its type's name;
    `where`: its innermost line in the user's code; `remote_traceback`: what Python prints of it on a member,
    up to 4,000 characters; "" where that is not known."""

    hint = "the state is as before the call"


class QueryFailed(FleetError):
    """The query raised. Facts as in CommandFailed."""


class ImpureQuery(FleetError):
    """The query changed the object; the member undid the change. `changed`: the fields, where known."""

    hint = "make it a @fleet.command, or copy before changing"


class NotDecodable(FleetError):
    """The call was executed, but its result cannot be loaded in this process."""


class ImpureCommand(FleetError):
    """`ctx` outside of a command; or, in one, a handle, or a read of what differs from member to member."""


class WouldDeadlock(FleetError):
    """A blocking call where waiting would never end: in a command, in an actor, in an import by a node."""

    hint = "call from a thread of your own; an actor sends its calls to fleet.thespian.group(...) instead"
