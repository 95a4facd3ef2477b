"""`python -m tests.recipes [NAME ...] --seeds 1000 --first 1`: that many seeds of each recipe, or of all."""

import argparse
import sys
import time

from tests.recipes.uses import EPISODES


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.recipes", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(EPISODES)}")
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--first", type=int, default=1)
    asked = parser.parse_args()
    failed = 0
    for name in asked.names or EPISODES:
        began, bad = time.monotonic(), []
        for seed in range(asked.first, asked.first + asked.seeds):
            try:
                EPISODES[name](seed).run()
            except AssertionError as error:
                bad.append(seed)
                print(f"{name} seed {seed}: {type(error).__name__}: {error}", flush=True)
        took = time.monotonic() - began
        print(f"{name}: {asked.seeds} seeds from {asked.first}, {len(bad)} failed, {took:.0f} s", flush=True)
        failed += len(bad)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
