"""The consensus protocol of one member, as a pure state machine: the theory of operation.

A `Core` is one member of one group. Its driver calls `step(now, event)` with each event (a peer's message,
a client's request, a deadline that passed, a write that completed) and then `take_ready()`, which returns
what is to be done, in order. The core reads no clock, no random source and no socket: time and randomness
are arguments, and effects are data. The same code therefore runs on real hosts, in the simulator, and in
tests that write a conversation down as values.

**Terms and roles.** Time is divided into terms. A member is a `Follower`, a `Candidate` or a `Leader`
(`state.py`); a role holds only what that role knows. A follower that hears no leader for its election
timeout first asks whether it could win (pre-vote), so that a member which was cut off does not raise the
term of a healthy group; then it raises its term and asks for votes. Members that heard a leader within the
election timeout refuse both (leader stickiness). Roles and terms change in `transitions.py` only.

**The log.** A leader appends requests (`leader_requests.py`) and sends them to its peers (`leader.py`). A
follower accepts entries only behind an entry that it has, in the same term, truncates what conflicts, and
acknowledges what it has verified against this leader, never more (`follower.py`). The leader keeps one
`Progress` a peer: it probes until it knows where the logs agree, then it streams, and it sends a snapshot
when its log no longer reaches back far enough.

**Commit.** An entry is committed when a majority of the voters has it on disk and it, or one behind it, is
of the leader's own term (Raft 5.4.2). A leader counts itself like any voter: only up to what its own disk
has confirmed. `Ready.apply` hands out committed entries, in order, once.

**Durability.** No promise leaves before the write that it depends on: a vote waits for the term and vote, an
acknowledgement for the entries. `Ready` carries promises as `send_after`, and the driver sends them when it
has stepped `Persisted`. Messages that promise nothing leave at once.

**Members.** Membership is part of the log and in force as soon as it is appended (`membership.py`); if the
entry is overwritten, so is the change. The leader makes one change at a time, and only after it committed an
entry of its own term. New members learn before they vote. A removed member that missed its removal is told,
on proof.

**Reads.** A linearizable read takes no log entry: the leader notes its commit index, confirms with one round
of heartbeats that it still leads, and answers when it has applied up to there (`lease.py`, thesis 6.4). A
lease saves the round, and trusts that clocks run at nearly the same rate.

**Sleep.** A group without requests stops heartbeats and election timers (`sleeping.py`), and relies on its
driver to tell it of a silent node. Requests, messages and that news wake it (`waking.py`).

**Poison.** A command in which executors die or hang does not stop a group for ever: it is passed when every
voter reports that it halts there, or an operator says so (`halting.py`).

**Sessions.** Commands are executed exactly once: `sessions.py` is replicated state that remembers the
results that each client has not acknowledged. Beside them `keys.py` remembers what came of commands that have
keys of the clients' own.

Where to begin: `table.py` is the whole protocol at a glance, every event in every role. `core.py` is the
driver's side of it. `ready.py` states the order of effects. `log.py`, `progress.py`, `quorum.py`,
`membership.py` and `lease.py` are small and know nothing of messages. `config.py` has the settings,
`restart.py` restores a member from its disk. `fleet/docs/references.md` resolves the marks in comments (S..,
W.., paper sections).
"""
