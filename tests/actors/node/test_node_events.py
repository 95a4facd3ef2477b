"""How a node's deciders are told what others answered."""

from typing import Any

import pytest

from fleet.actors.messages.operator import OpReply
from fleet.actors.node.events import to_reconciliation
from fleet.cluster.reconciliation_events import StepRefused
from fleet.errors import FleetError, NotMember, OutcomeUnknown, Unavailable
from fleet.objects.payload import ErrorRecord

NOBODY: Any = None


@pytest.mark.parametrize(
    ("error", "is_tried_soon"),
    [(OutcomeUnknown("lost"), True), (Unavailable("no leader"), True), (NotMember("gone"), False)],
)
def test_a_step_of_unknown_outcome_is_looked_at_again_soon(error: FleetError, is_tried_soon: bool) -> None:
    """A caller must not repeat such a call; a decider looks where the group is first."""
    told = to_reconciliation(NOBODY, OpReply(7, None, ErrorRecord.of(error)))
    assert isinstance(told, StepRefused)
    assert (told.token, told.retry) == (7, is_tried_soon)
