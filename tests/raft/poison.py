"""Members whose executors hang in some commands, with the driver's side of `fleet/raft/halting.py`."""

from fleet.raft.core import Core
from fleet.raft.entries import Commands, Entry, Halt, Skipped, SkipProposed
from fleet.raft.events import ExecutionHalted, ExecutionResumed
from fleet.raft.halting import may_retry, skipped_at
from fleet.raft.ready import Ready
from tests.raft.sleepers import Sleepers
from tests.raft.stage import Player

DONE = "done"
POISON = "p"
"""The payload of a command that hangs where nothing else is said."""


class Poisoned(Sleepers):
    """Three members, all of which hang in POISON. `outcomes` are those of each member's present life."""

    def __init__(self, *words: str) -> None:
        self.hangs: dict[str, set[str]] = {}
        self.stuck: set[str] = set()
        """Members whose executors have not come to the next entry yet."""
        self.queues: dict[str, list[Entry]] = {}
        self.outcomes: dict[str, dict[tuple[int, int], str]] = {}
        self.told: dict[tuple[int, int], str] = {}
        """What leaders have told their clients, in this life or an earlier one."""
        super().__init__(*words)

    def do_crash(self, name: str) -> None:
        super().do_crash(name)
        self.queues[name], self.outcomes[name] = [], {}

    def do_restart(self, name: str) -> None:
        self.hangs.setdefault(name, {POISON})
        self.queues[name], self.outcomes[name] = [], {}
        super().do_restart(name)

    def carry_out(self, player: Player, core: Core, ready: Ready) -> None:
        super().carry_out(player, core, ready)
        self.queues[player.name] += ready.apply
        self.execute(player.name, core)

    def execute(self, name: str, core: Core) -> None:
        queue = self.queues[name]
        while queue and name not in self.stuck and self.passes(name, core, queue[0]):
            queue.pop(0)
            if core.halt is not None:
                core.step(self.now, ExecutionResumed())

    def passes(self, name: str, core: Core, entry: Entry) -> bool:
        outcomes = self.outcomes[name]
        payloads = entry.body.payloads if isinstance(entry.body, Commands) else ()
        for place, payload in enumerate(payloads):
            at = (entry.index, place)
            cause = skipped_at(core).get(at)
            if cause is None and at not in outcomes:
                if core.halt is not None and at == (core.halt.index, core.halt.place):
                    return False  # not again by itself: see `retry`
                if payload.decode() in self.hangs[name]:
                    core.step(self.now, ExecutionHalted(Halt(*at, f"{name} hangs")))
                    return False
            outcomes.setdefault(at, cause or DONE)
            if core.is_leader:
                self.told.setdefault(at, outcomes[at])
        return True

    def wake(self, name: str) -> None:
        """The executor is not stuck any more."""
        self.stuck.discard(name)
        player = self.players[name]
        if player.core is not None:
            self.execute(name, player.core)
            self.pump(player)

    def retry(self, name: str, *hangs: str) -> bool:
        """Execute again, hanging in these now, if the core allows it."""
        core = self.core(name)
        if not may_retry(core):
            return False
        self.hangs[name] = set(hangs)
        core.step(self.now, ExecutionResumed())
        self.wake(name)
        return True

    # -- questions ---

    def of(self, index: int, place: int = 0) -> dict[str, str | None]:
        """Each member's outcome of a command."""
        return {name: outcomes.get((index, place)) for name, outcomes in self.outcomes.items()}

    def skips(self, kind: type = Skipped) -> list[Entry]:
        """In the leader's log."""
        return [entry for entry in self.core(self.leading[-1]).skips if type(entry.body) is kind]

    @property
    def proposals(self) -> list[Entry]:
        return self.skips(SkipProposed)

    def check(self) -> None:
        super().check()
        for at in {at for outcomes in self.outcomes.values() for at in outcomes}:
            told = {outcomes[at] for outcomes in (self.told, *self.outcomes.values()) if at in outcomes}
            assert len(told) == 1, f"outcomes of {at} differ: {self.of(*at)}"


def poisoned_group(hang: str = "n1 n2 n3") -> tuple[Poisoned, int]:
    """n1 leads, and has proposed a command that these members hang in; also its index."""
    group = Poisoned()
    group.hangs = {name: {POISON} if name in hang.split() else set() for name in group.players}
    group.run("live 1000")
    assert group.leading == ["n1"]
    group.run(f"propose n1 {POISON}")
    return group, group.core("n1").log.last_index
