"""Bad days: which faults, how likely and how long is drawn anew for every seed (swarm testing)."""

from fleet.raft.config import GroupConfig
from fleet.raft.entries import Commands, ConfigChanged, MemberAdded, MemberPromoted, MemberRemoved
from fleet.raft.events import Change, Propose, Transfer
from fleet.raft.ids import MemberId
from tests.raft.host import Host, Weather
from tests.raft.ledger import Ledger
from tests.raft.load import Call, Client, judge
from tests.raft.world import World, member

DEEDS = (
    *("split", "one_way", "partial", "kill", "kill_all", "pause"),
    *("transfer", "change", "configure", "calm"),
)


def config_of(seed_world: World) -> GroupConfig:
    rng = seed_world.rng
    return GroupConfig(
        heartbeat_ms=50,
        election_ms=300,
        storage_timeout_ms=600,
        transfer_timeout_ms=400,
        lease_reads=rng.random() < 0.6,
        announce_commits=rng.random() < 0.3,
        clock_drift_margin_ms=60,
        batch_entries_max=rng.choice([1, 3, 1024]),
        batch_bytes_max=rng.choice([100, 1 << 20]),
        window_max=rng.choice([1, 2, 16]),
        uncommitted_max=rng.choice([4, 8192]),
        snapshot_factor=1,
        snapshot_floor_bytes=rng.choice([100, 600, 1 << 20]),
        snapshot_chunk_bytes=1024,
        log_tail=rng.choice([0, 3, 1000]),
        session_ttl_ms=rng.choice([700, 3_600_000]),
        sessions_max=rng.choice([2, 10_000]),
    )


class Storm:
    """A world, its clients and what befalls it. `run` is the whole story of a seed."""

    def __init__(self, seed: int) -> None:
        self.world = World.of(random_size(seed), seed, config_of(World(seed)))
        rng = self.world.rng
        self.calls: list[Call] = []
        self.clients = [
            Client(self.world, f"c{number}", self.calls, rng.choice([0.1, 0.5]))
            for number in range(rng.randint(2, 5))
        ]
        self.lives = 1
        self.weights = [rng.choice([0, 0, 1, 3]) for _ in DEEDS]
        self.weights[-1] += 1
        self.weather = Weather(
            loss=rng.choice([0, 0, 0.02, 0.2]),
            twice=rng.choice([0, 0, 0.1, 0.5]),
            delay_ms=(1, rng.choice([1, 5, 40])),
            late=rng.choice([0, 0, 0.02, 0.2]),
            late_ms=rng.choice([50, 1000]),
            disk_ms=(0, rng.choice([1, 10, 100])),
        )
        self.world.weather = self.weather
        self.world.read_delay_ms = rng.choice([0, 5, 200])
        self.pace = rng.choice([50, 200, 500])
        for host in self.world.hosts.values():
            host.rate = rng.choice([970, 1000, 1030])
        for id in list(self.world.hosts):
            self.world.restart(id)

    def run(self, duration: int = 6000) -> None:
        world = self.world
        end = world.now + duration
        while world.now < end:
            world.run(world.rng.randint(1, 2 * self.pace))
            (deed,) = world.rng.choices(DEEDS, self.weights)
            getattr(self, deed)()
        self.clear_up()

    # -- what may happen ---------------------------------------------------------------------------------

    def any(self) -> MemberId:
        """Somebody; the leader more often than by chance."""
        leader = self.world.leader
        if leader is not None and self.world.rng.random() < 0.4:
            return leader.id
        return self.world.rng.choice(sorted(self.world.hosts))

    def split(self) -> None:
        hosts = sorted(self.world.hosts)
        self.world.isolate(*self.world.rng.sample(hosts, self.world.rng.randint(1, len(hosts) // 2 or 1)))

    def one_way(self) -> None:
        one = self.any()
        pairs = [(one, other) for other in self.world.hosts if other != one]
        self.world.cut(*(pairs if self.world.rng.random() < 0.5 else [(b, a) for a, b in pairs]))

    def partial(self) -> None:
        a, b = self.any(), self.any()
        self.world.cut((a, b), (b, a))

    def kill(self) -> None:
        host = self.world.hosts[self.any()]
        if host.gone:
            return
        if host.alive:
            self.world.kill(host.id)
        if self.world.rng.random() < 0.7:
            self.world.restart(host.id)

    def kill_all(self) -> None:
        for host in list(self.world.hosts.values()):
            if not host.gone:
                self.world.restart(host.id)

    def pause(self) -> None:
        self.world.pause(self.any())

    def calm(self) -> None:
        self.world.weather.cut.clear()
        for host in list(self.world.hosts.values()):
            if host.paused is not None:
                self.world.resume(host.id)
            if not host.alive and not host.gone:
                self.world.restart(host.id)

    def transfer(self) -> None:
        target = self.any()
        self.world.ask(self.any(), lambda token: Transfer(token, target))

    def configure(self) -> None:
        """Elections become faster or slower, leases come and go."""
        rng, leader = self.world.rng, self.world.leader
        if leader is None:
            return
        config = config_of(World(rng.randrange(1 << 30)))
        fields = {name: getattr(config, name) for name in config.__struct_fields__}
        fields["election_ms"] = rng.choice([200, 300, 600])
        fields["snapshot_floor_bytes"] = leader.core.config.snapshot_floor_bytes
        body = ConfigChanged(GroupConfig(**fields))
        self.world.ask(leader.id, lambda token: Change(token, body))

    def change(self) -> None:
        leader, rng = self.world.leader, self.world.rng
        if leader is None:
            return
        members = leader.core.membership.current
        deed = rng.choice(["add", "promote", "remove"])
        body: MemberAdded | MemberPromoted | MemberRemoved
        if deed == "promote" and members.learners and len(members.voters) < 5:
            body = MemberPromoted(rng.choice(members.learners))
        elif deed == "remove" and len(members.everyone) > 2:
            body = MemberRemoved(rng.choice(members.everyone))
        elif len(members.everyone) < 5:
            self.lives += 1
            new = member(rng.randint(1, 5), self.lives)
            self.world.start(new, rate=rng.choice([970, 1000, 1030]))
            body = MemberAdded(new, "a")
        else:
            return
        self.world.ask(leader.id, lambda token: Change(token, body))

    # -- afterwards ----------------------------------------------------------------------------------------

    def clear_up(self) -> None:
        """No more faults: everybody must agree soon, and what the clients saw must be explainable."""
        world = self.world
        world.heal()
        for client in self.clients:
            client.stopping = True
        need = world.witness.need
        world.run(1500)  # what is on the wire and on its way to the disks arrives
        need(world.run(20_000, self.is_settled), f"no agreement: {self.describe()}")
        leader = world.leader
        assert leader is not None
        term, sent, peers = leader.core.term, world.messages, len(leader.core.membership.current.everyone) - 1
        world.run(1000)
        need(leader.core.term == term and leader.core.is_leader, "a leader without faults was disturbed")
        beats = 1000 // leader.core.config.heartbeat_ms + 2
        strangers = len(world.hosts) - peers
        need(world.messages - sent <= 2 * beats * (peers + strangers), f"{world.messages - sent} while idle")
        self.is_frugal(leader, peers, beats + strangers)
        dump = leader.applier.dump()
        for id in leader.core.membership.current.everyone:
            need(world.hosts[id].applier.dump() == dump, f"{id} differs from {leader.id}")
        ledger = leader.applier.executor
        assert isinstance(ledger, Ledger)
        judge(world, self.calls, ledger)

    def is_frugal(self, leader: Host, peers: int, slack: int) -> None:
        """Ten commands, one by one: an append and an answer for each peer, the news of the commit, too."""
        world = self.world
        sent, commit = world.messages, leader.core.log.commit
        for number in range(10):
            world.ask(
                leader.id,
                lambda token: Propose(
                    token, (Commands(session=0, first=1, acked=0, wall_ms=0, payloads=(b"",)),)
                ),
            )
            world.run(20)
        world.witness.need(leader.core.log.commit == commit + 10, "ten commands did not commit in time")
        spent = world.messages - sent
        world.witness.need(spent <= peers * (10 * 4 + 2 * slack), f"{spent} messages for ten commands")
        world.run(300)

    def is_settled(self) -> bool:
        leader = self.world.leader
        if leader is None or any(client.busy for client in self.clients):
            return False
        last = leader.core.log.last_index
        everyone = [self.world.hosts[id] for id in leader.core.membership.current.everyone]
        return all(host.alive and host.core.log.applied == last for host in everyone)

    def describe(self) -> str:
        lines = [f"busy {[client.name for client in self.clients if client.busy]}"]
        for host in self.world.hosts.values():
            core = host.core
            lines.append(
                f"{host.id} alive={host.alive} {type(core.role).__name__} term={core.term} "
                f"applied={core.log.applied} last={core.log.last_index} {core.membership.current}"
            )
        return "\n".join(lines)


def random_size(seed: int) -> int:
    return (3, 3, 5, 4, 3, 2, 5)[seed % 7]
