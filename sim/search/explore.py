"""Runs many seeds, one line of result each: `fleet sim explore`.

An existing report is continued: seeds that this very code has run are not run again. Worlds know no real
time; this module does, to stop in time and to report a seed that does not end.
"""

import gc
import itertools
import signal
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from hashlib import blake2b
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from msgspec import Struct
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

import fleet.actors
import fleet.sim
import fleet.storage
from fleet.sim.search.episode import Episode

OK = "ok"
TURNS_MAX = 400_000
"""Limit for one world, the same on every machine; the longest of thousands of seeds had a tenth of it."""
SECONDS_MAX = 300.0
"""Limit of real time for one seed, in case something other than turns does not end."""
TELL_EVERY_S = 10.0
CODE = "# code "
YOUNG_MAX = 50_000
"""Objects before the collector looks at them; with Python's 700 it takes a tenth of a seed's time."""


class SeedResult(Struct, frozen=True):
    seed: int
    verdict: str
    """`ok`, or the first line of what was found broken."""
    operations: int
    virtual_ms: int
    turns: int = 0
    marks: int = 0
    """Those that it passed, as bits: see `fleet.sim.checks.marks`."""

    def __str__(self) -> str:
        return f"{self.seed} {self.operations} {self.virtual_ms} {self.turns} {self.marks:x} {self.verdict}"

    @classmethod
    def parse(cls, line: str) -> "SeedResult":
        seed, operations, virtual_ms, turns, marks, verdict = line.split(" ", 5)
        return cls(int(seed), verdict, int(operations), int(virtual_ms), int(turns), int(marks, 16))


def run_seed(seed: int, turns_max: int = TURNS_MAX) -> SeedResult:
    """Any error is the seed's result, also one of the simulator itself."""
    episode = None
    verdict = OK
    try:
        episode = Episode(seed)
        episode.world.turns_max = turns_max
        episode.run()
    except Exception as error:
        first_line = str(error).partition("\n")[0]
        verdict = f"{type(error).__name__}: {first_line}"
    if episode is None:
        return SeedResult(seed, verdict, 0, 0)
    world = episode.world
    world.close()
    return SeedResult(seed, verdict, episode.done, world.now // 1000, world.turns, world.marks.bits)


def code_files() -> list[Path]:
    """Every file of the package: a seed's history may depend on any."""
    tops = [Path(package.__path__[0]) for package in (fleet, fleet.actors, fleet.storage, fleet.sim)]
    return sorted({path.resolve() for top in tops for path in top.rglob("*.py")})


def code_digest() -> str:
    digest = blake2b(digest_size=4)
    for path in code_files():
        digest.update(path.read_bytes())
    return digest.hexdigest()


# -- the report --------------------------------------------------------------------------------------


class Report:
    """A file of results, each section under the digest of the code that gave them."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.results: dict[int, SeedResult] = {}
        self.code = code_digest()
        if path is not None:
            self._go_on(path)

    def _go_on(self, path: Path) -> None:
        text = path.read_text() if path.exists() else ""
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            path.write_text(whole)  # it was stopped while it wrote the last line
        code = ""
        for line in whole.splitlines():
            if line.startswith(CODE):
                code = line.removeprefix(CODE)
            elif code == self.code:
                result = SeedResult.parse(line)
                self.results[result.seed] = result
        if code != self.code:
            self._write(CODE + self.code)

    def add(self, result: SeedResult) -> None:
        self.results[result.seed] = result
        self._write(str(result))

    def _write(self, line: str) -> None:
        if self.path is not None:
            with self.path.open("a") as file:
                file.write(f"{line}\n")


# -- many seeds --------------------------------------------------------------------------------------


def explore(
    seeds: Iterable[int],
    report: Path | None = None,
    tell: Callable[[SeedResult], None] = lambda result: None,
    jobs: int = 0,
    minutes: float | None = None,
    turns_max: int = TURNS_MAX,
    seconds_max: float = SECONDS_MAX,
) -> list[SeedResult]:
    """Run the seeds that the report lacks, and add each result to it at once. Returns all results.

    Args:
        seeds: may be without end, if `minutes` or an exception out of `tell` ends it.
        tell: called with each new result, here, in the order in which they come.
        jobs: processes that run seeds; 0 for this one, where `seconds_max` does not hold.
        minutes: no seed begins after so long.
    """
    kept = Report(report)
    asked: list[int] = []
    until = None if minutes is None else time.monotonic() + 60 * minutes

    def fresh() -> Iterator[int]:
        for seed in seeds:
            if until is not None and time.monotonic() >= until:
                return
            asked.append(seed)
            if seed not in kept.results:
                yield seed

    found: Generator[SeedResult, None, None]
    if jobs:
        found = in_workers(fresh(), jobs, turns_max, seconds_max)
    else:
        found = (run_seed(seed, turns_max) for seed in fresh())
    with closing(found):
        for result in found:
            kept.add(result)
            tell(result)
    return [kept.results[seed] for seed in asked]


@dataclass
class Worker:
    process: BaseProcess
    pipe: Connection
    seed: int = 0
    since: float = 0.0


def in_workers(
    seeds: Iterator[int], jobs: int, turns_max: int, seconds_max: float
) -> Generator[SeedResult, None, None]:
    """A worker that takes too long for a seed is killed; that, or its death, is the seed's result."""
    workers: list[Worker] = []
    try:
        while True:
            while len(workers) < jobs and (seed := next(seeds, None)) is not None:
                workers.append(begin(seed, turns_max))
            if not workers:
                return
            first_late = min(worker.since for worker in workers) + seconds_max
            ready = wait([worker.pipe for worker in workers], max(0.0, first_late - time.monotonic()))
            for worker in list(workers):
                late = time.monotonic() - worker.since >= seconds_max
                if worker.pipe not in ready and not late:
                    continue
                result = received(worker) if worker.pipe in ready else None
                if result is None:
                    why = f"no end after {seconds_max:.0f} s" if late else "its process died"
                    end(worker)
                    workers.remove(worker)
                    yield SeedResult(worker.seed, f"Lost: {why}", 0, 0)
                    continue
                yield result
                if (seed := next(seeds, None)) is None:
                    end(worker)
                    workers.remove(worker)
                else:
                    give(worker, seed)
    finally:
        for worker in workers:
            end(worker)


def begin(seed: int, turns_max: int) -> Worker:
    context = get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=work, args=(there, turns_max), daemon=True)
    process.start()
    there.close()
    worker = Worker(process, here)
    give(worker, seed)
    return worker


def give(worker: Worker, seed: int) -> None:
    worker.seed, worker.since = seed, time.monotonic()
    worker.pipe.send(seed)


def received(worker: Worker) -> SeedResult | None:
    try:
        return SeedResult.parse(worker.pipe.recv())
    except (EOFError, OSError):
        return None


def end(worker: Worker) -> None:
    worker.process.kill()
    worker.process.join()
    worker.pipe.close()


def work(pipe: Connection, turns_max: int) -> None:
    """A worker process: reads seeds and writes results until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.freeze()
    gc.set_threshold(YOUNG_MAX)
    try:
        while True:
            pipe.send(str(run_seed(pipe.recv(), turns_max)))
    except (EOFError, OSError):
        pass


# -- progress on the terminal ----------------------------------------------------------------------------


def parse_seeds(text: str) -> Iterable[int]:
    """A, A-B, or A- without end."""
    first, dash, last = text.partition("-")
    if dash and not last:
        return itertools.count(int(first))
    return range(int(first), int(last or first) + 1)


class Tally:
    """Counts of the results so far."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.seeds = self.virtual_ms = self.marks = 0
        self.broken: list[SeedResult] = []

    def add(self, result: SeedResult) -> None:
        self.seeds += 1
        self.virtual_ms += result.virtual_ms
        self.marks |= result.marks
        if result.verdict != OK:
            self.broken.append(result)

    def __str__(self) -> str:
        seconds = time.monotonic() - self.began
        virtual = self.virtual_ms / 1000
        found = f"{self.seeds} seeds, {len(self.broken)} broken, {virtual:.0f} virtual s in {seconds:.0f} s"
        return f"{found}, {virtual / max(seconds, 1e-9):.0f}x"


class Shown:
    """A progress bar on a terminal, else a line now and then. Each broken seed is printed at once."""

    def __init__(self, total: int | None) -> None:
        self.tally = Tally()
        self.told_at = self.tally.began
        self.bar = Progress(
            BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeRemainingColumn(),
            disable=not sys.stdout.isatty(),
        )  # fmt: skip
        self.task = self.bar.add_task("", total=total)

    def __call__(self, result: SeedResult) -> None:
        self.tally.add(result)
        self.bar.update(self.task, advance=1, description=str(self.tally))
        if result.verdict != OK:
            self.bar.console.print(str(result), soft_wrap=True, markup=False, highlight=False)
        if self.bar.disable and time.monotonic() - self.told_at >= TELL_EVERY_S:
            self.told_at = time.monotonic()
            print(f"{self.tally}; last {result.seed}", flush=True)
