"""A counter on PySyncObj, with callers inside: `python -m ...peers.syncobj_node OWN OTHERS JOURNAL`.

PySyncObj has no client: those who call it are in one of its processes. Each line on stdin is a load to run,
or `null`, which asks whether this process leads; the answer is a line on stdout.
"""

import importlib
import sys
from collections.abc import Callable
from typing import Any

from msgspec import Struct, json

from tests.benchmarks import load
from tests.benchmarks.figures import Figures

TIMEOUT_S = 30.0


class Run(Struct):
    way: str
    callers: int
    seconds: float


class Ran(Struct):
    count: int
    figures: Figures


def start(own: str, others: list[str], journal: str) -> Any:
    pysyncobj: Any = importlib.import_module("pysyncobj")

    class Counter(pysyncobj.SyncObj):
        def __init__(self) -> None:
            # With batches, which are its default, a lone command waits for 100 ms.
            conf = pysyncobj.SyncObjConf(journalFile=journal, appendEntriesUseBatch=False)
            self.value = 0
            super().__init__(own, others, conf)

        @pysyncobj.replicated  # type: ignore[untyped-decorator]
        def add(self, n: int) -> int:
            self.value += n
            return self.value

    counter = Counter()
    counter.waitReady()
    return counter


def check(error: int) -> None:
    if error:
        raise RuntimeError(f"PySyncObj fails a command for reason {error}")


def run(counter: Any, wanted: Run) -> Ran:
    def submit(done: Callable[[Any], None]) -> None:
        counter.add(1, callback=lambda result, error: done(error))

    if wanted.way == "pipelined":
        ran = load.pipelined([submit], wanted.callers, wanted.seconds, check=check)
    else:
        calls = [lambda: counter.add(1, sync=True, timeout=TIMEOUT_S)]
        ran = load.blocking(calls, wanted.callers, wanted.seconds)
    return Ran(ran.count, ran.figures())


def main() -> None:
    own, others, journal = sys.argv[1:]
    counter = start(own, others.split(","), journal)
    decoder = json.Decoder(Run | None)
    print("ready", flush=True)
    for line in sys.stdin:
        wanted = decoder.decode(line)
        answer: object = run(counter, wanted) if wanted is not None else counter._isLeader()
        print(json.encode(answer).decode(), flush=True)


if __name__ == "__main__":
    main()
