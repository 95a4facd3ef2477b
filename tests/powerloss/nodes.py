"""Three nodes on disks that lose power, and callers who know what was acknowledged."""

import signal
import threading
import time
from collections import Counter as Tally
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fleet
from fleet.errors import NotDone, OutcomeUnknown
from tests.processes.nodes import CLUSTER, NodeProcess, Processes
from tests.support.classes import Ledger
from tests.support.waiting import eventually

from .disk import Chance, Disk, Loss
from .journal import SYNC_US, preloaded, read_journal

NAMES = ("n1", "n2", "n3")
WAIT_S = 90.0
CONFIG = fleet.GroupConfig(
    heartbeat_ms=60, election_ms=500, snapshot_floor_bytes=8 << 10, snapshot_factor=1.0, log_tail=50
)
"""Snapshots after a few hundred commands, so that they are under way when the power goes."""


class PoweredNode(NodeProcess):
    """A founder. Its data directory is below a root of its own, all of which is on the disk."""

    def __init__(self, name: str, home: Path, secret_file: Path, library: Path) -> None:
        super().__init__(name, home, secret_file, (), CLUSTER)
        self.library = library
        self.root = home / "disks" / name
        self.root.mkdir(parents=True)
        self.directory = self.root / "data"
        self.journal = home / f"{name}.journal"
        self.founders: list[str] = []
        self.sync_us = SYNC_US
        self.deaf = ""
        self.plant = ""
        """Lines that run in the node before it starts."""
        self.disk = Disk(self.root)

    def command(self) -> list[str]:
        python, flag, program, parent, _, *words = super().command()
        founders = [word for address in self.founders for word in ("--founder", address)]
        words = [word for word in words if word != "--found"]
        return [python, flag, self.plant + program, parent, "start", *words, "--zone", self.name, *founders]

    def environment(self) -> dict[str, str]:
        return preloaded(self.library, self.root, self.journal, self.sync_us, self.deaf)

    def cut_power(self) -> None:
        """It runs no more; `lose_power` then says what its disk has."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)

    def lose_power(self, chance: Chance) -> Loss:
        self.kill()
        records = list(read_journal(self.journal))
        assert len({record.pid for record in records}) <= 1, "one process writes to the disk"
        loss = self.disk.replay(records).lose_power(chance)
        self.journal.unlink(missing_ok=True)
        self.disk = Disk(self.root)
        return loss


class PoweredFleet(Processes):
    def __init__(self, home: Path, library: Path) -> None:
        super().__init__(home)
        self.nodes = {name: PoweredNode(name, home, self.secret_file, library) for name in NAMES}
        for node in self.nodes.values():
            node.founders = [one.address for one in self.nodes.values()]

    def every_node(self) -> list[NodeProcess]:
        return list(self.nodes.values())

    def start(self, *names: str) -> None:
        for name in names or NAMES:
            self.nodes[name].launch()
        for name in names or NAMES:
            self.nodes[name].await_start()

    def connect(self) -> fleet.Fleet:
        return self.connect_to(self.nodes.values(), WAIT_S)

    def lose_power(self, names: Iterable[str], chance: Callable[[], Chance]) -> list[Loss]:
        """All of these at once."""
        gone = [self.nodes[name] for name in names]
        for node in gone:
            node.cut_power()
        return [node.lose_power(chance()) for node in gone]


@dataclass(slots=True)
class Told:
    """What became of the commands on one group, each with a number of its own."""

    sent: int = 0
    places: dict[int, int] = field(default_factory=dict)
    """By number: at which place of the ledger the answer says that it is."""
    refused: set[int] = field(default_factory=set)
    """Never executed, said an error."""

    def problems(self, lines: list[int]) -> list[str]:
        """Against what the ledger has."""
        found = [f"{number} is there {times} times" for number, times in Tally(lines).items() if times > 1]
        found += [f"{number} was never sent" for number in lines if not 0 < number <= self.sent]
        found += [f"{number} was refused, and is there" for number in self.refused & set(lines)]
        for number, place in self.places.items():
            if place > len(lines) or lines[place - 1] != number:
                there = lines.index(number) + 1 if number in lines else "gone"
                found.append(f"{number} was acknowledged at place {place}, and is {there}")
        return found


class Callers:
    """One thread a group, with `depth` commands under way. What an error leaves open is asked for again
    until it is known."""

    def __init__(self, client: fleet.Fleet, groups: Iterable[str], depth: int = 4) -> None:
        self.client = client
        self.depth = depth
        self.ledgers = {name: client.group(name, Ledger) for name in groups}
        self.told = {name: Told() for name in self.ledgers}
        self.failures: list[BaseException] = []
        self.unknown = 0
        self.stopping = threading.Event()
        self.abandoned = threading.Event()
        """Whoever waits for an answer need not any more: the test has failed."""
        self.threads = [threading.Thread(target=self._guard, args=(name,)) for name in self.ledgers]

    def __enter__(self) -> "Callers":
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        for thread in self.threads:
            thread.join(2 * WAIT_S)
        assert not [thread for thread in self.threads if thread.is_alive()]

    def abandon(self) -> None:
        """End the callers, although commands are under way."""
        self.stopping.set()
        self.abandoned.set()
        self.client.close()

    def acknowledged(self) -> int:
        return sum(len(told.places) for told in self.told.values())

    def _guard(self, name: str) -> None:
        try:
            while not self.stopping.is_set():
                self._write(self.ledgers[name], self.told[name])
        except BaseException as error:
            self.failures.append(error)

    def _write(self, ledger: Any, told: Told) -> None:
        numbers = range(told.sent + 1, told.sent + self.depth + 1)
        told.sent += self.depth
        for number, reply in [(number, ledger.write.submit("me", number)) for number in numbers]:
            error: OutcomeUnknown | None = None
            until = time.monotonic() + 2 * WAIT_S
            while True:
                try:
                    told.places[number] = reply.result() if error is None else error.again(WAIT_S)
                except NotDone:
                    told.refused.add(number)
                except OutcomeUnknown as unknown:
                    is_over = self.abandoned.wait(0.05) or time.monotonic() >= until
                    assert not is_over, "it ended with commands of which nothing is known"
                    self.unknown += 1
                    error = unknown
                    continue
                break

    def await_more(self, each: int) -> None:
        """Until each group has acknowledged so many more."""
        target = {name: len(told.places) + each for name, told in self.told.items()}

        def is_there() -> bool:
            self._check_callers()
            return all(len(self.told[name].places) >= count for name, count in target.items())

        eventually(is_there, WAIT_S, "each group to acknowledge")

    def _check_callers(self) -> None:
        if self.failures:
            raise self.failures[0]

    def check(self) -> None:
        """May run while the callers do: what is acknowledged meanwhile is checked the next time."""
        self._check_callers()
        for name, ledger in self.ledgers.items():
            told = self.told[name]
            places, refused = dict(told.places), set(told.refused)
            lines = [number for _, number in ledger.read()]
            problems = Told(told.sent, places, refused).problems(lines)
            if problems:
                raise Lost(f"{name}: {len(problems)} problems, first: {problems[:3]}")


class Lost(AssertionError):
    """A command that was acknowledged is gone, or one is there that must not be."""
