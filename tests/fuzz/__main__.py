"""Nonsense for a node's links, before and after the proof, half of the time without sockets and half with.

python -m tests.fuzz --minutes 10
"""

import argparse
import json
import logging
import resource
import sys
import time
from typing import Any

from tests.fuzz import live
from tests.fuzz.direct import Direct

CHECK_EVERY = 1000
FRESH_EVERY = 100_000
"""Inputs after which a new node begins: what one has learned would hide what another does not know."""


def direct(seed: int, seconds: float) -> dict[str, Any]:
    begun, count, closed = time.monotonic(), 0, 0
    rss = []
    while time.monotonic() < begun + seconds:
        target = Direct(seed + count)
        while target.count < FRESH_EVERY and time.monotonic() < begun + seconds:
            for _ in range(CHECK_EVERY):
                try:
                    target.one()
                except Exception:
                    print(f"seed {seed + count}, input {target.count}", file=sys.stderr)
                    raise
            target.check()
            if not target.has_group():
                break
        count += target.count
        closed += target.closed
        rss.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    took = time.monotonic() - begun
    return {"inputs": count, "a second": round(count / took), "links closed": closed, "peak RSS KiB": rss}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    seconds = options.minutes * 30
    found = {"direct": direct(options.seed, seconds)}
    print(json.dumps(found), flush=True)
    found = {"live": live.run(options.seed, seconds)}
    print(json.dumps(found), flush=True)
    if not found["live"]["node lives"] or found["live"]["CRITICAL"]:
        sys.exit(1)


if __name__ == "__main__":
    main()
