"""What a type checker makes of a call across the network, without a plug-in or generated code."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
ERROR = re.compile(r"^.*?:(\d+): error: .*\[([\w-]+)\]$", re.MULTILINE)


def test_mypy_infers_every_form_of_a_call_and_refuses_a_wrong_argument_in_each() -> None:
    pytest.importorskip("mypy")
    examples = HERE / "calls.py"
    lines = enumerate(examples.read_text().splitlines(), start=1)
    expected = [(line, text.partition("# E: ")[2]) for line, text in lines if "# E: " in text]
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", str(examples)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    found = [(int(line), code) for line, code in ERROR.findall(ran.stdout)]
    assert found == expected, ran.stdout + ran.stderr
