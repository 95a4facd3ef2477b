"""Which judge found a planted bug, by what it said."""


def finder(sentence: str) -> str:
    """Which check it was, in few words."""
    for words, check in FINDERS.items():
        if words in sentence:
            return check
    return sentence.partition("\n")[0].partition(":")[0] + " of the scenario"


FINDERS = {
    ": watch ": "watchers are told of each event, once and in order",
    "alarms: alarm": "reminders are called once, in time",
    "alarms: what was told": "what is told to be done is done",
    "effects were lost": "no effect is lost",
    "is executed by version": "a command is executed by one code",
    "nobody else is elected": "a leader is replaced in time",
    "leads alone": "a leader that is cut off makes room",
    "became": "what harms nobody costs no leader",
    "wakes a group": "what harms nobody wakes nobody",
    "find no leader": "whoever starts finds its leader",
    "its time went": "a group's time is the world's",
    "belong to no cluster": "a node belongs to its cluster",
    "stood still": "a node that lives is not lost",
    "that nobody writes": "everything recovers after the faults",
    "does not join": "everything recovers in time",
    "is not settled": "everything recovers in time",
    "operators' requests": "operators' answers",
    "leaves while it is well": "a voter leaves after its replacement votes",
    "calls fail in peace": "calls succeed when all is well",
    ": hooks of": "hooks are told of everything, in order",
    "says that it holds": "what a node tells its cluster",
    "leaves its cluster": "what a node tells its cluster",
    "as groups and as": "what a node sees of its cluster",
    "are not served": "groups are served",
    "committed data conflicts": "no member has another history",
    "not linearizable": "linearizability",
    "its client had seen": "no client's reads go back",
    "is both": "one state a revision",
    "held by": "a committed entry is on a majority of disks",
    "by counting": "a leader commits by its own term",
    " begins ": "a member begins with what its disk had",
    "was committed": "what is committed never changes",
    "forgets": "what is committed stays on disk",
    "commit falls": "commit index never falls",
    "becomes": "term and vote on disk never go back",
    "has kept": "what is kept of the past gives the present",
    "has another": "log matching",
    "lead in term": "one leader a term",
    "has a lease": "no lease outlives its leader",
    "changes the members": "one change of members at a time",
    " has Members": "equal members at equal index",
    "there was": "equal members at equal index",
    "halts for its state": "who has the right state goes on",
    "differ at": "equal states at equal index",
    "differ in the end": "equal states in the end",
    "of session": "a number names one command",
    "appended twice": "a command is executed once",
    "was executed twice": "a key is executed once",
    "an actor failed": "an assertion in a member",
    "a child ": "a child that encodes a state is waited for",
    "know its term": "a change leaves a majority that follows",
    "no end after": "a run ends",
    "does not recover": "everything recovers after the faults",
    "to the same index": "everything recovers after the faults",
}
