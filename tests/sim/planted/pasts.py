"""Bugs about what is kept of a group's past."""

from typing import Any
from unittest.mock import patch

from fleet.storage import history
from tests.sim.planted.patches import Patches


def first_entry_of_the_past_goes() -> Patches:
    """The oldest state that is kept stays, and the entry after it is deleted."""
    turn = history.turn

    def one_more(*args: Any) -> Any:
        kept, is_former_kept = turn(*args)
        return kept + 1, is_former_kept

    return [patch.object(history, "turn", one_more)]
