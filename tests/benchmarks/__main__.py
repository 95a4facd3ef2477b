"""What fleet costs, beside what the machine and its peers do in the same run.

    python -m tests.benchmarks --quick                 everything, small: minutes
    python -m tests.benchmarks                         everything: half an hour
    python -m tests.benchmarks commands reads          some parts

fleet/docs/benchmarks.md says how to read the tables.
"""

import argparse
import sys
import tempfile
import time
import traceback
from pathlib import Path

import msgspec

from tests.benchmarks import machine
from tests.benchmarks.charts import write_charts
from tests.benchmarks.figures import QUICK, WHOLE, Part, Row, Scale
from tests.benchmarks.parts import PARTS
from tests.benchmarks.report import table, write_json


def options() -> argparse.Namespace:
    words = "\n".join(
        f"  {name:12}{part.__doc__.splitlines()[0]}" for name, part in PARTS.items() if part.__doc__
    )
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description=__doc__,
        epilog=f"parts:\n{words}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help="all of them unless told otherwise")
    parser.add_argument("--quick", action="store_true", help="one short round, fewer callers and groups")
    parser.add_argument("--rounds", type=int, help="of every row; the medians are shown")
    parser.add_argument("--seconds", type=float, help="of a round of a row")
    parser.add_argument(
        "--directory", type=Path, help="for the nodes' data; it decides which disk is measured"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures, each round's too")
    parser.add_argument("--charts", type=Path, metavar="DIR", help="draw each part as SVG")
    chosen = parser.parse_args()
    if unknown := set(chosen.parts) - set(PARTS):
        parser.error(f"no part is called {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    return chosen


def run(part: Part, scale: Scale) -> tuple[list[Row], bool]:
    """The rows up to an error, which is the last one then; and whether there was none."""
    rows = []
    try:
        for row in part(scale):
            rows.append(row)
    except Exception as error:
        traceback.print_exc()
        rows.append(Row("ended early", note=f"{type(error).__name__}: {error}"))
        return rows, False
    return rows, True


def main() -> None:
    chosen = options()
    scale: Scale = QUICK if chosen.quick else WHOLE
    given = {"rounds": chosen.rounds, "seconds": chosen.seconds}
    scale = msgspec.structs.replace(scale, **{name: value for name, value in given.items() if value})
    if chosen.directory:
        tempfile.tempdir = str(chosen.directory)
    facts, taken = machine.facts(), dict[str, list[Row]]()
    for name, value in facts.items():
        print(f"{name:10} {value}")
    early = []
    for name in chosen.parts or PARTS:
        begun = time.monotonic()
        taken[name], is_whole = run(PARTS[name], scale)
        early += [] if is_whole else [name]
        print("", *table(name, taken[name]), f"{time.monotonic() - begun:.0f} s", sep="\n", flush=True)
        if chosen.charts:
            write_charts(chosen.charts, name, taken[name])
        if chosen.json:
            write_json(chosen.json, facts, taken)
    if early:
        sys.exit(f"ended early: {', '.join(early)}")


if __name__ == "__main__":
    main()
