"""Rare states that are worth reaching: what no seed reaches, no seed checks.

A mark is a sentence. It is passed where the simulator sees the state, never by the shipping code; the
list here is what there is to reach. `fleet sim explore` tells which marks no seed passed.
"""

MARKS: tuple[str, ...] = (
    "a call is never sent, since its time is over",
    "a candidate hears the winner of its election",
    "a change of the members is refused, since it would break the quorum",
    "a change of the members is refused, since one is under way",
    "a change of the members is rolled back",
    "a child encodes a state",
    "a child that encodes a state fails",
    "a client does not learn the outcome of a command",
    "a client is told that its session expired",
    "a client is told that no state is as new as it asks for",
    "a client is told that there is no such group",
    "a client is told that too much is under way",
    "a command ends its executor",
    "a command is skipped, since no voter can execute it",
    "a command with a key is told what came of an earlier one",
    "an effect is told again, since it was not acknowledged",
    "a command with a new key is refused, since too many are kept",
    "a damaged member asks to be removed",
    "a damaged member is replaced",
    "a disk fails a transaction",
    "a fork fails",
    "a frame arrives where its link is closed",
    "a full disk refuses a transaction",
    "a group in memory only is lost with a majority of its members",
    "a group is called whose name another one had",
    "a group is switched to other code of its class",
    "a leader begins with a log that was cut",
    "a leader inherits a change of the members that is not committed",
    "a leader inherits entries that are not committed",
    "a leader is deposed by a later term",
    "a leader refuses to remove itself",
    "a leader sleeps",
    "a leader steps down before it has committed anything",
    "a leader steps down in its own term",
    "a leader steps down while a change waits for its commit",
    "a leader steps down while its disk writes",
    "a leader steps down while reads wait",
    "a leader that hands over is succeeded",
    "a leader without an executor is succeeded",
    "a leader's hooks are told of a command that an earlier leader proposed",
    "a leader's hooks are told that it steps down",
    "a leader's hooks are told that it was restored",
    "a learner becomes a voter",
    "a lease ends while a read is executed under it",
    "a leaving node asks to be forgotten",
    "a link is given up after a long silence",
    "a member halts at a command",
    "a member has lost entries that it acknowledged",
    "a member has other code than its group's class",
    "a member has the code of its group's class again",
    "a member in memory only is lost with its process",
    "a member is added",
    "a member is removed",
    "a member may change its group to the code that it has found",
    "a member of a removed group is dropped",
    "a member passes the command at which it halted",
    "a member that asked whether it could win hears a leader",
    "a member that no leader has added asks to be added",
    "a member whose log is complete takes its leader's state",
    "a member waits for another state, since its group skips what it executed",
    "a member's own snapshot reaches its disk",
    "a message is dropped, since too much waits for its link",
    "a message is dropped, since too much waits on its link",
    "a message is for a former life of its receiver",
    "a message to a process that does not answer is dropped at once",
    "a node forgets a removed group that it founded",
    "a node has left its cluster",
    "a node is asked to host a member",
    "a node reports another one as lost or back",
    "a node says that it holds nothing of a removed group",
    "a process dies between two transactions",
    "a process dies while it stages a snapshot",
    "a query is answered with an old state",
    "a request about a member that the group does not have is refused",
    "a request is lost with its leader",
    "a request is refused, since the leadership is in transfer",
    "a request is refused, since too much is not committed",
    "a session is closed",
    "a silent learner is looked for on its node",
    "a sleeping follower is asked for its vote",
    "a sleeping follower is told that its leader's node is silent",
    "a sleeping group is called",
    "a sleeping group is read under a lease",
    "a sleeping leader is told that a follower's node is silent",
    "a snapshot carries settings that were changed",
    "a snapshot of several chunks is installed",
    "a snapshot of the leader is installed",
    "a snapshot replaces entries of a log",
    "a state that a child encodes is no longer wanted",
    "a suffix of another history is overwritten on a disk",
    "a transfer fails, since its target does not answer",
    "a turn is cut in the middle of its queue",
    "a voter becomes a learner",
    "a watch ends with its group",
    "a watch is resumed at another node",
    "a watch is resumed at the same node",
    "a watch that was full is resumed",
    "a watcher is told that events are not kept any more",
    "a watcher is told that the leadership was lost",
    "a watcher reads from an object that was made again",
    "a write dies with its process",
    "a write outlives its process",
    "an election ends without a winner",
    "an executor cannot be started",
    "an executor is killed",
    "an object is made again",
    "messages that waited for a link are too old, or for a former life",
    "messages that waited for a link leave over it",
    "reconciliation makes a learner a voter",
    "reconciliation makes a voter a learner",
    "reconciliation moves a leadership",
    "reconciliation removes a member",
    "settings of a group are changed",
    "the cluster is told of a group's class",
    "the cluster is told of a group's settings",
    "the leader of an even number of voters is elected",
    "the leader's snapshot overtakes the member's own on its way to the disk",
    "the only voter leads",
    "two members lead a group, in different terms",
    "users' code never returns",
    "users' code takes its time",
)
NUMBERS: dict[str, int] = {name: number for number, name in enumerate(MARKS)}


class Marks:
    """Of one world."""

    def __init__(self) -> None:
        self.first_at: dict[str, int] = {}
        """By mark, when it was first passed: microseconds of virtual time."""
        self.counts: dict[str, int] = {}

    def passes(self, name: str, now: int) -> None:
        assert name in NUMBERS, f"{name!r} is not in the list of marks"
        self.counts[name] = self.counts.get(name, 0) + 1
        self.first_at.setdefault(name, now)

    @property
    def bits(self) -> int:
        """Those that were passed, by their numbers in the list."""
        return sum(1 << NUMBERS[name] for name in self.counts)


def missed(bits: int) -> list[str]:
    """Marks that are not among these."""
    return [name for name, number in NUMBERS.items() if not bits >> number & 1]
