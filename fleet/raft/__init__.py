"""The consensus protocol of one member, as a pure state machine: the theory of operation.

A `Core` is one member of one group. Its driver calls `step(now, event)` with whatever happened (a peer's
message, a client's request, time that passed, a write that completed) and then `take_ready()`, which
says what is to be done, in order. The core reads no clock, no random source and no socket: time and
randomness are arguments, and effects are data. So the same code runs on real hosts, in the simulator,
and in tests that write a conversation down as values.

**Terms and roles.** Time is divided into terms. A member is a `Follower`, a `Candidate` or a `Leader`
(`state.py`); a role holds only what that role knows. A follower that hears no leader for its election
timeout first asks whether it could win (pre-vote), so that a member which was cut off does not raise the
term of a healthy group; then it raises its term and asks for votes. Members refuse both while they
heard a leader lately: they are loyal to it. Roles and terms change in `transitions.py` only.

**The log.** A leader appends what it is asked to (`leader_requests.py`) and sends it to its peers
(`leader.py`). A follower accepts entries only behind an entry that it has, in the same term, truncates
what conflicts, and acknowledges what it has verified against this leader, never more (`follower.py`). The
leader keeps one `Progress` a peer: it probes until it knows where the logs agree, then it streams, and
falls back to a snapshot when the log no longer reaches back far enough.

**Commit.** An entry is committed when a majority of the voters has it on disk and it, or one behind it,
is of the leader's own term (Raft 5.4.2). A leader counts itself like everybody else: only up to what its own
disk has confirmed. Committed entries are handed out by `Ready.apply`, in order, once.

**Durability.** Nothing that promises something leaves before the write that it depends on: a vote waits for
the term and vote, an acknowledgement for the entries. `Ready` carries them as `send_after`, and the driver
sends them when it has stepped `Persisted`. What promises nothing leaves at once.

**Members.** Membership is part of the log and in force as soon as it is appended (`membership.py`); if the entry
is overwritten, so is the change. One change at a time, and only after the leader committed an entry of its
own term. Newcomers learn before they vote. A removed member that missed its removal is told, on proof.

**Reads.** A linearizable read takes no log entry: the leader notes its commit index, confirms with one round
of heartbeats that it still leads, and answers when it has applied up to there (`lease.py`, thesis 6.4). Under a
lease the round is saved, for the price of trusting that clocks run at nearly the same rate.

**Sessions.** Commands are executed exactly once: `sessions.py` is replicated state that remembers, for each
client, what it was answered.

Where to begin: `table.py` is the whole protocol at a glance, every event in every role. `core.py` is the
driver's side of it. `ready.py` states the order of effects. `log.py`, `progress.py`, `quorum.py`, `membership.py` and
`lease.py` are small and know nothing of messages. `config.py` has the settings, `restart.py` how a member
becomes what its disk says. The marks in comments (S.., W.., paper sections) are resolved in
`fleet/docs/references.md`.
"""
