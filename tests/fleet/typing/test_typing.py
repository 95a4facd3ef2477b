"""What a type checker makes of a call across the network, without a plug-in or generated code."""

import re
import subprocess
import sys
from pathlib import Path

from tests.support.aside import Aside

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
ERROR = re.compile(r"^.*?:(\d+): error: .*\[([\w-]+)\]$", re.MULTILINE)


EXAMPLES = HERE / "calls.py"


def errors_of_the_examples() -> str:
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", str(EXAMPLES)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return ran.stdout + ran.stderr


def test_mypy_infers_every_form_of_a_call_and_refuses_a_wrong_argument_in_each(aside: Aside) -> None:
    lines = enumerate(EXAMPLES.read_text().splitlines(), start=1)
    expected = [(line, text.partition("# E: ")[2]) for line, text in lines if "# E: " in text]
    told = aside(errors_of_the_examples)
    found = [(int(line), code) for line, code in ERROR.findall(told)]
    assert found == expected, told
