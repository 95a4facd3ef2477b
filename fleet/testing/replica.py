"""`check` in another process, with another hash seed: `python -m fleet.testing.replica FILE`.

FILE holds what to run, pickled; stdout gets the steps of each seed, pickled. What the class prints goes to
stderr.
"""

import os
import pickle
import sys

from fleet.objects.context import strict
from fleet.testing.scripts import Script, Step


def steps_of(scripts: list[Script]) -> dict[int, list[tuple[str, str, str]]]:
    return {script.seed: [_plain(step) for step in script.run()] for script in scripts}


def _plain(step: Step) -> tuple[str, str, str]:
    return step.call, step.answer, step.state


def main() -> None:
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with open(sys.argv[1], "rb") as file:
        paths, body = pickle.load(file)
    sys.path[:0] = [path for path in paths if path not in sys.path]
    is_strict, scripts = pickle.loads(body)
    with out, strict(is_strict):
        out.write(pickle.dumps(steps_of(scripts)))


if __name__ == "__main__":
    main()
