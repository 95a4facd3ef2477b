"""The page about contracts, followed literally."""

import os
import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "fleet" / "docs" / "contracts.md"


def test_the_page_says_what_happens(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "fleet"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m fleet.cli "$@"\n')
    command.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{command.parent}:{os.environ['PATH']}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    text = PAGE.read_text()
    said = []
    for block in re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S):
        command_line = ["bash", "-c", block]
        done = subprocess.run(command_line, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.stderr == ""
        said.append((done.returncode, done.stdout))
    first, second, third = said
    assert first[0] == 0 and first[1].endswith("1 class as in fleet.contracts.json\n")
    (shown,) = re.findall(r"^```\n(shop:.*?)^```", text, re.M | re.S)
    assert second == (1, shown)
    assert third[0] == 0
