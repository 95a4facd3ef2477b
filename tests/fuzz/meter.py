"""Another client, whose calls must not notice: prints how long they took when its input ends."""

import json
import sys
import threading
import time

import fleet
from tests.processes.nodes import CLUSTER
from tests.support.classes import Counter


def main() -> None:
    address, secret_file = sys.argv[1:]
    took: list[float] = []
    ended = threading.Event()

    def end_with_input() -> None:
        sys.stdin.read(1)
        ended.set()

    threading.Thread(target=end_with_input, daemon=True).start()
    with fleet.connect(address, cluster=CLUSTER, secret_file=secret_file) as client:
        counter = client.group("measured", Counter)
        counter.add(1)
        print("counting", flush=True)
        while not ended.wait(0.01):
            begun = time.perf_counter()
            counter.add(1)
            took.append((time.perf_counter() - begun) * 1000)
    took.sort()
    at = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999, "max": 1.0}
    print(
        json.dumps(
            {"calls": len(took)}
            | {k: round(took[min(len(took) - 1, int(len(took) * q))], 1) for k, q in at.items()}
        )
    )


if __name__ == "__main__":
    main()
