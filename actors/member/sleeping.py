"""What a member tells its registry about its sleep: whose nodes are to be watched for it. And reads of a
leader that sleeps, which need not wake its group if it has a lease."""

from typing import Any, Protocol

from fleet.actors.messages.local import AskConfirmed, StartMember
from fleet.cluster.node_liveness import Sleeper, Woke
from fleet.raft.core import Core
from fleet.raft.events import ReadQuery, SleepConfirmed
from fleet.raft.ids import node_of
from fleet.raft.progress import NOT_OFFERED
from fleet.raft.sleeping import sleeps
from fleet.raft.state import Leader


class SleepingMember(Protocol):
    """What the reports need of their member."""

    core: Core
    start: StartMember

    def send(self, target: Any, message: Any) -> None: ...

    def step(self, event: Any) -> None: ...


class SleepReports:
    def __init__(self, member: SleepingMember) -> None:
        self.member = member
        self.told: Sleeper | None = None
        self.reads: list[int] = []
        """Tokens of those that wait for what the registry knows of the followers' nodes."""

    def report(self) -> None:
        """Tell the registry, if it does not know yet. Called at the end of each turn."""
        core = self.member.core
        sleeper = sleeper_of(core)
        if sleeper != self.told:
            self.told = sleeper
            self.member.send(self.member.start.registry, sleeper or Woke(core.id))

    def read(self, token: int) -> None:
        """Have these queries executed: at once, under a lease, or after a round."""
        member, core = self.member, self.member.core
        may_have_lease = core.asleep and core.is_leader and core.config.lease_reads
        if may_have_lease and not core.lease_holds(member.start.clock.now_ms()):
            if not self.reads:
                member.send(member.start.registry, AskConfirmed(core.id))
            self.reads.append(token)
        else:
            member.step(ReadQuery(token))

    def on_confirmed(self, m: SleepConfirmed) -> None:
        self.member.step(m)
        reads, self.reads = self.reads, []
        for token in reads:
            self.member.step(ReadQuery(token))


def sleeper_of(core: Core) -> Sleeper | None:
    """None for a member that neither sleeps nor, as a leader, offers its followers to sleep."""
    role = core.role
    if type(role) is Leader:
        if not core.asleep and role.offered_at == NOT_OFFERED:
            return None
        nodes = tuple(dict.fromkeys(map(node_of, role.progress)))  # a new disk's member beside the old one's
        known = tuple(peer for peer, one in role.progress.items() if not core.asleep or sleeps(role, one))
        return Sleeper(core.id, core.id, nodes, core.config.election_ms, core.asleep, known)
    if not core.asleep or core.leader is None:
        return None
    return Sleeper(core.id, core.leader, (node_of(core.leader),), core.config.election_ms)
