"""Many seeds, one line each: `python -m fleet.sim.explore --seeds A-B [--report FILE]`.

A report that exists is gone on with: seeds that it has are not run again.
"""

import argparse
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from msgspec import Struct

from fleet.sim.story import Story

OK = "ok"


class Result(Struct, frozen=True):
    seed: int
    verdict: str
    """`ok`, or the first line of what was found broken."""
    operations: int
    virtual_ms: int

    def __str__(self) -> str:
        return f"{self.seed} {self.operations} {self.virtual_ms} {self.verdict}"

    @classmethod
    def parse(cls, line: str) -> "Result":
        seed, operations, virtual_ms, verdict = line.split(" ", 3)
        return cls(int(seed), verdict.rstrip("\n"), int(operations), int(virtual_ms))


def run_seed(seed: int) -> Result:
    """Whatever goes wrong is this seed's result, an error in the simulator too."""
    story = None
    verdict = OK
    try:
        story = Story(seed)
        story.run()
    except Exception as error:
        first_line = str(error).partition("\n")[0]
        verdict = f"{type(error).__name__}: {first_line}"
    operations = story.done if story is not None else 0
    return Result(seed, verdict, operations, story.world.now // 1000 if story is not None else 0)


def explore(
    seeds: Iterable[int], report: Path | None = None, tell: Callable[[Result], None] = lambda result: None
) -> list[Result]:
    """Run those seeds that the report does not have, and add each to it at once; answers all of them."""
    results = {}
    if report is not None and report.exists():
        text = report.read_text()
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            report.write_text(whole)  # it was stopped while it wrote the last line
        results = {result.seed: result for result in map(Result.parse, whole.splitlines())}
    wanted = list(seeds)
    for seed in wanted:
        if seed in results:
            continue
        result = results[seed] = run_seed(seed)
        if report is not None:
            with report.open("a") as file:
                file.write(f"{result}\n")
        tell(result)
    return [results[seed] for seed in wanted]


def parse_seeds(text: str) -> range:
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="fleet.sim.explore", description=__doc__)
    parser.add_argument("--seeds", required=True, type=parse_seeds, help="A-B, both included")
    parser.add_argument("--report", type=Path, help="one line a seed; gone on with if it exists")
    options = parser.parse_args(arguments)
    results = explore(options.seeds, options.report, lambda result: print(result, flush=True))
    broken = [result for result in results if result.verdict != OK]
    virtual_s = sum(result.virtual_ms for result in results) / 1000
    print(f"{len(results)} seeds, {len(broken)} broken, {virtual_s:.0f} virtual seconds")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
