"""A client in a process of its own, on another host: calls when it is told to, and may watch and work.

Each line of stdin is a call; lines of JSON on stdout tell what has come. It ends with its stdin.
"""

import json
import sys
import threading
import time

import fleet
from fleet.recipes import JobQueue
from tests.support.classes import Counter, Feed


def tell(what: str, value: object) -> None:
    print(json.dumps([what, value]), flush=True)


def main(addresses: str, secret_file: str, cluster: str, kind: str) -> None:
    """`kind`: "caller", or "worker", which does the rest, too."""
    client = fleet.connect(addresses, secret_file=secret_file, cluster=cluster, timeout=30.0)

    def watch() -> None:
        with client.group("feed", Feed).watch() as events:
            tell("watches", "")
            for event in events:
                tell("event", event.value)

    @fleet.worker(client.group("jobs", JobQueue[int]), concurrency=1, lease=60)
    def work(number: int) -> None:
        tell("job", number)

    if kind == "worker":
        threading.Thread(target=watch, daemon=True).start()
        work.start()
    visits = client.group("visits", Counter)
    tell("added", visits.add(1))
    for _ in sys.stdin:
        began = time.monotonic()
        visits.add(1)
        tell("added", time.monotonic() - began)
    work.stop()
    client.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
