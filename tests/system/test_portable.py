"""fleet without what only Linux has. This shows the portable side, and no Mac."""

import subprocess
import sys

from tests.house.test_layers import modules
from tests.support.aside import Aside
from tests.support.portable import ROOT, environment

IMPORT_ALL = """
import importlib, os, select, sys
from fleet.system import PORTABLE
assert PORTABLE and not hasattr(os, "eventfd") and not hasattr(select, "epoll")
for name in sys.stdin.read().split():
    importlib.import_module(name)
"""
TESTS = (
    "tests/actors/base/test_links.py",
    "tests/actors/base/test_reactor.py",
    "tests/actors/base/test_probes.py",
    "tests/actors/executor/test_process.py",
    "tests/actors/runtime/test_forked.py",
    "tests/storage/test_writer.py",
)
"""Of whatever waits for descriptors and of executors."""


def test_every_module_can_be_imported() -> None:
    names = " ".join(name for name, _ in modules() if not name.endswith("__main__"))
    command = [sys.executable, "-c", IMPORT_ALL]
    done = subprocess.run(command, input=names, env=environment(), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def run_portable_tests() -> str:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *TESTS]
    variables = environment() | {"PYTHONPATH": str(ROOT)}  # the tests themselves use what Linux has
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_links_executors_and_the_disks_writer_pass_their_tests(aside: Aside) -> None:
    assert aside(run_portable_tests) == ""
