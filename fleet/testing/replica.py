"""`check` in another process, with another hash seed: `python -m fleet.testing.replica FILE`.

FILE holds what to run, pickled; stdout gets the steps of each seed, pickled. What the class prints goes to
stderr.
"""

import os
import pickle
import sys
from typing import Any

from fleet.testing.arguments import Drawer
from fleet.testing.scripts import Script, Step


def steps_of(
    cls: type[Any], calls: dict[str, Any], seeds: list[int]
) -> dict[int, list[tuple[str, str, str]]]:
    drawer = Drawer(cls, calls)
    return {seed: [_plain(step) for step in Script(cls, drawer, seed).run()] for seed in seeds}


def _plain(step: Step) -> tuple[str, str, str]:
    return step.call, step.answer, step.state


def main() -> None:
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with open(sys.argv[1], "rb") as file:
        paths, body = pickle.load(file)
    sys.path[:0] = [path for path in paths if path not in sys.path]
    cls, calls, seeds = pickle.loads(body)
    with out:
        out.write(pickle.dumps(steps_of(cls, calls, seeds)))


if __name__ == "__main__":
    main()
