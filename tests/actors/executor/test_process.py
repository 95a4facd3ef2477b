"""An executor as a process of its own."""

import subprocess
import sys

PROGRAM = """
import sys
import fleet.actors.executor.process
import fleet
names = ("fleet.node", "fleet.client", "fleet.actors.base", "fleet.actors.member", "lmdb", "thespian")
print([name for name in sys.modules if name.startswith(names)])
"""


def test_an_executor_starts_soon_since_it_imports_nothing_of_the_node() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr
