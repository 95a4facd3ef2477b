"""`python -m tests.recipes [NAME ...] --seeds 1000 --first 1`: that many seeds of each recipe, or of all."""

import argparse
import sys

from tests.recipes.uses import EPISODES

TOLD_EVERY = 20


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.recipes", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(EPISODES)}")
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--first", type=int, default=1)
    asked = parser.parse_args()
    names, failed = asked.names or list(EPISODES), 0
    for count in range(1, asked.seeds + 1):
        seed = asked.first + count - 1
        for name in names:
            try:
                EPISODES[name](seed).run()
            except AssertionError as error:
                failed += 1
                print(f"{name} seed {seed}: {type(error).__name__}: {error}", flush=True)
        if count % TOLD_EVERY == 0 or count == asked.seeds:
            print(f"{count} seeds of {', '.join(names)}: {failed} failed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
