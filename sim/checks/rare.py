"""Which rare states a member or a node passes through: what is seen of them, in the words of the marks."""

from collections.abc import Callable, Iterator
from typing import Any

from fleet.cluster import membership_events, reconciliation_events, repairs, unjoined
from fleet.cluster.healing import Demote, Promote, Remove, Transfer
from fleet.cluster.node_liveness import Sleeper
from fleet.raft.entries import (
    ClassSwitched,
    ConfigChanged,
    MemberAdded,
    MemberDemoted,
    MemberPromoted,
    MemberRemoved,
    SessionClosed,
    Skipped,
)
from fleet.raft.events import ExecutionHalted, ExecutionResumed, NodeSilent, Propose, ReadQuery
from fleet.raft.halting import NO_COMMAND
from fleet.raft.ids import node_of
from fleet.raft.messages import PreVote
from fleet.raft.ready import (
    CANNOT_REMOVE_LEADER,
    CHANGE_IN_PROGRESS,
    LOST,
    NOT_MEMBER,
    OVERLOADED,
    TARGET_UNRESPONSIVE,
    TRANSFERRING,
    WOULD_BREAK_QUORUM,
    TailLost,
)
from fleet.raft.state import Candidate, Leader

# marks
COMMITTED: dict[type, str] = {
    MemberAdded: "a member is added",
    MemberPromoted: "a learner becomes a voter",
    MemberDemoted: "a voter becomes a learner",
    MemberRemoved: "a member is removed",
    ConfigChanged: "settings of a group are changed",
    ClassSwitched: "a group is switched to other code of its class",
    SessionClosed: "a session is closed",
    Skipped: "a command is skipped, since no voter can execute it",
}
"""By what an entry holds that a group commits."""
EXECUTION: dict[type, str] = {
    ExecutionHalted: "a member halts at a command",
    ExecutionResumed: "a member passes the command at which it halted",
}
REFUSED: dict[str, str] = {
    OVERLOADED: "a request is refused, since too much is not committed",
    LOST: "a request is lost with its leader",
    CHANGE_IN_PROGRESS: "a change of the members is refused, since one is under way",
    WOULD_BREAK_QUORUM: "a change of the members is refused, since it would break the quorum",
    CANNOT_REMOVE_LEADER: "a leader refuses to remove itself",
    NOT_MEMBER: "a request about a member that the group does not have is refused",
    TARGET_UNRESPONSIVE: "a transfer fails, since its target does not answer",
    TRANSFERRING: "a request is refused, since the leadership is in transfer",
}
DECIDED: dict[type, str] = {
    unjoined.AskToJoin: "a member that no leader has added asks to be added",
    repairs.AskForRemoval: "a damaged member asks to be removed",
    repairs.DropDamaged: "a damaged member is replaced",
    membership_events.Left: "a node has left its cluster",
    membership_events.DropMember: "a member of a removed group is dropped",
    membership_events.ForgetLeft: "a node forgets a removed group that it founded",
    reconciliation_events.AskForMembers: "a silent learner is looked for on its node",
    reconciliation_events.NoteConfig: "the cluster is told of a group's settings",
    reconciliation_events.NoteClass: "the cluster is told of a group's class",
    reconciliation_events.AskToHost: "a node is asked to host a member",
    Remove: "reconciliation removes a member",
    Demote: "reconciliation makes a voter a learner",
    Promote: "reconciliation makes a learner a voter",
    Transfer: "reconciliation moves a leadership",
}
"""By what a node decides."""
COMMANDED: dict[str, str] = {
    "report": "a node reports another one as lost or back",
    "cleaned": "a node says that it holds nothing of a removed group",
    "left": "a leaving node asks to be forgotten",
}
"""By what a node asks of its cluster."""
# end of marks

See = Callable[[str], None]


def roles(core: Any, was: Any, term: int) -> Iterator[str]:
    """A member with the role `was` in `term` has another role, or is in another term."""
    now = core.role
    if type(was) is Leader and now is not was:
        yield from ends(core, was, core.term == term)
    elif type(was) is Candidate and now is not was:
        yield from campaigned(core, was, core.term - term)
    if type(now) is Leader and now is not was:
        yield from begins(core, now)


def ends(core: Any, was: Leader, is_same_term: bool) -> Iterator[str]:
    yield "a leader steps down in its own term" if is_same_term else "a leader is deposed by a later term"
    if was.evasion is not None and was.evasion.place == NO_COMMAND:
        yield "a leader without an executor is succeeded"
    if was.handover is not None:
        yield "a leader that hands over is succeeded"
    if was.reads:
        yield "a leader steps down while reads wait"
    if was.waiting:
        yield "a leader steps down while a change waits for its commit"
    if core.writes:
        yield "a leader steps down while its disk writes"
    if core.log.commit < was.first_index:
        yield "a leader steps down before it has committed anything"


def campaigned(core: Any, was: Candidate, terms: int) -> Iterator[str]:
    if was.pre and type(core.role) is not Candidate and core.leader is not None:
        yield "a member that asked whether it could win hears a leader"
    elif not was.pre and type(core.role) is Candidate and terms > 0:
        yield "an election ends without a winner"
    elif not was.pre and not core.is_leader and core.leader is not None and terms == 0:
        yield "a candidate hears the winner of its election"


def begins(core: Any, now: Leader) -> Iterator[str]:
    if core.log.commit < now.first_index - 1:
        yield "a leader inherits entries that are not committed"
    if core.membership.changed_at > core.log.commit:
        yield "a leader inherits a change of the members that is not committed"
    if core.log.base_index:
        yield "a leader begins with a log that was cut"
    voters = core.membership.current.voters
    if len(voters) == 1:
        yield "the only voter leads"
    elif len(voters) % 2 == 0:
        yield "the leader of an even number of voters is elected"


def is_rolled_back(core: Any, change: tuple[int, Any]) -> bool:
    """Whether the newest change that was seen is no longer in the log."""
    history = core.membership.history
    return bool(change[0] >= history[-1][0] and not any(one is change for one in history))


def watch_member(member: Any, see: See) -> None:
    """What only passes by in a turn."""

    def answered(answer: Any) -> None:
        if answer.error in REFUSED:
            see(REFUSED[answer.error])

    def carried_out(ready: Any) -> None:
        if any(type(hook) is TailLost for hook in ready.hooks):
            see("a member has lost entries that it acknowledged")
        if ready.restore is not None and not member.core.is_installing:
            see("a member whose log is complete takes its leader's state")

    def stepped(event: Any) -> None:
        core = member.core
        if type(event) in EXECUTION:
            see(EXECUTION[type(event)])
        if type(event) is ReadQuery and not event.lease:
            see("a lease ends while a read is executed under it")
        if core.asleep:
            for name in disturbed(core, event):
                see(name)

    def opened_again(is_fresh: bool = False) -> None:
        see("an object is made again")

    def found_code(other_code: Any, offer: bytes = b"") -> None:
        if other_code is not None:
            see("a member has other code than its group's class")
            if offer:
                see("a member may change its group to the code that it has found")
        elif member.object.halts.other_code is not None:
            see("a member has the code of its group's class again")

    watch_watchers(member.clients.watchers, see)
    before(member, "step", stepped)
    before(member.clients, "on_answer", answered)
    before(member, "_carry_out", carried_out)
    before(member.object, "open_again", opened_again)
    before(member.object.halts, "found_code", found_code)


def watch_watchers(watchers: Any, see: See) -> None:
    """Clients that watch a group's events at its leader."""

    def made_again() -> None:
        if watchers.by_client:
            see("a watcher reads from an object that was made again")

    def lost(leader: Any) -> None:
        if watchers.by_client:
            see("a watcher is told that the leadership was lost")

    before(watchers, "on_other_object", made_again)
    before(watchers, "lose_all", lost)


def disturbed(core: Any, event: Any) -> Iterator[str]:
    """What comes to a member that sleeps."""
    kind = type(event)
    if kind is NodeSilent and core.is_leader:
        yield "a sleeping leader is told that a follower's node is silent"
    elif kind is NodeSilent and core.leader is not None and node_of(core.leader) == event.node:
        yield "a sleeping follower is told that its leader's node is silent"
    elif kind is PreVote and not core.is_leader:
        yield "a sleeping follower is asked for its vote"
    elif kind is ReadQuery and event.lease and core.lease_holds(core.now):
        yield "a sleeping group is read under a lease"
    elif (kind is Propose or kind is ReadQuery) and core.is_leader:
        yield "a sleeping group is called"


def watch_node(manager: Any, see: See) -> None:
    """What its deciders decide."""

    def decided(effects: list[Any]) -> None:
        for effect in effects:
            kind = type(getattr(effect, "change", effect))
            if kind in DECIDED:
                see(DECIDED[kind])
            elif kind is membership_events.SendCommand and effect.method in COMMANDED:
                see(COMMANDED[effect.method])

    def watched_nodes(now: int, event: Any) -> None:
        if type(event) is Sleeper and event.is_asleep and event.member == event.leader:
            see("a leader sleeps")

    registry = manager._myRef.kernel.instance(manager.registry)
    if registry is not None:
        before(registry.liveness, "step", watched_nodes)
    for decider in (manager.reconciliation, manager.unjoined, manager.repairs, manager.cluster.membership):
        returns(decider, "step", decided)


def before(owner: Any, method: str, look: Callable[..., None]) -> None:
    """Look at each call of one object's method first. The object alone is watched, not its class."""
    call = getattr(owner, method)

    def watched(*args: Any, **kwargs: Any) -> Any:
        look(*args, **kwargs)
        return call(*args, **kwargs)

    setattr(owner, method, watched)


def returns(owner: Any, method: str, look: Callable[[Any], None]) -> None:
    """Look at what one object's method returns."""
    call = getattr(owner, method)

    def watched(*args: Any) -> Any:
        result = call(*args)
        look(result)
        return result

    setattr(owner, method, watched)
