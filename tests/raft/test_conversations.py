"""Every conversation in `scenarios/` still goes as it is written there: see `conversation.py`."""

import os
from pathlib import Path

import pytest

from tests.raft.conversation import play

SCENARIOS = sorted((Path(__file__).parent / "scenarios").glob("*.txt"))


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_the_conversation_goes_as_it_is_written(path: Path) -> None:
    text = play(path)
    if os.environ.get("FLEET_REWRITE") == "1":
        path.write_text(text)
    assert text == path.read_text()
