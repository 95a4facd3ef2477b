"""python -m tests.powerloss: three nodes lose power under load; see fleet/docs/crash-safety.md."""

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from .campaign import Campaign
from .journal import build_library

FOUNDING = 10
"""Of the losses, how many come while the nodes found their cluster."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.powerloss", description=__doc__)
    parser.add_argument("--losses", type=int, default=300)
    parser.add_argument("--seed", type=int, default=random.randrange(10_000), help="of what is drawn")
    arguments = parser.parse_args()
    founding = min(FOUNDING, arguments.losses // 2)
    began = time.monotonic()
    print(f"seed {arguments.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="fleet-powerloss-") as home:
        campaign = Campaign(Path(home), build_library(Path(home)), arguments.seed)
        try:
            totals = campaign.run(
                arguments.losses - founding,
                while_founding=founding,
                say=lambda words: print(words, flush=True),
            )
        except BaseException:
            print(campaign.totals.words(), file=sys.stderr)
            for node in campaign.fleet.nodes.values():
                print(f"-- {node.name}", *node.log.read_text().splitlines()[-20:], sep="\n", file=sys.stderr)
            raise
        finally:
            campaign.close()
    print(f"{totals.words()} It took {time.monotonic() - began:.0f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
