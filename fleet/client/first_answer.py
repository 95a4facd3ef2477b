"""Whether any of the nodes at a new client's addresses accepts it."""

from collections.abc import Callable, Sequence
from functools import partial

from fleet.actors.client.questions import Question
from fleet.actors.messages.operator import ListNodes, OpValue
from fleet.errors import FleetError, NoNode, Unavailable
from fleet.raft.ids import Millis

CONNECT_S = 5.0
"""How long nodes that do listen may take to answer."""


def first_questions(
    addresses: Sequence[str], wait: float, now: Millis, tell: Callable[[FleetError | None], None]
) -> list[Question]:
    """One to each address. `tell` is called once: with None when the first node has answered, else with the
    error that says what is wrong at each address.

    Args:
        wait: seconds to keep trying while no node listens at any of the addresses; 0: do not.
    """
    errors: dict[str, FleetError] = {}
    is_told = False

    def told(address: str, outcome: OpValue | FleetError) -> None:
        nonlocal is_told
        if is_told:
            return
        is_refused = isinstance(outcome, FleetError)
        if isinstance(outcome, FleetError):
            errors[address] = outcome
        if not is_refused or len(errors) == len(addresses):
            is_told = True
            tell(_nobody(errors) if is_refused else None)

    deadline = now + round(max(CONNECT_S, wait) * 1000)
    return [
        Question(ListNodes(), "", address, deadline, partial(told, address), is_patient=wait > 0)
        for address in addresses
    ]


def _nobody(errors: dict[str, FleetError]) -> FleetError:
    """A refusal by a node that answers, else NoNode with what is wrong at each address."""
    for error in errors.values():
        if not isinstance(error, Unavailable):
            return error
    what = ", ".join(f"{address}: {error.what}" for address, error in errors.items())
    return NoNode(f"no node answers: {what}")
