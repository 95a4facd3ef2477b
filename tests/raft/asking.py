"""What a test asks of a group in passing: each call is given a moment, and its answer taken."""

from collections.abc import Callable
from typing import Any

from fleet.objects.applier import Opened, Outcomes
from fleet.raft.entries import Commands, SessionOpened
from fleet.raft.events import Propose
from tests.raft.world import World


def call(world: World, make: Callable[[int], Any]) -> int:
    """Ask the leader, and let 150 ms pass."""
    token = world.ask(world.elect().id, make)
    world.run(150)
    return token


def open_session(world: World, client: str = "c", wall_ms: int = 0) -> int:
    token = call(world, lambda t: Propose(t, (SessionOpened(client, wall_ms),)))
    opened = world.outcomes[token]
    assert isinstance(opened, Opened)
    return opened.session


def do(world: World, session: int, seq: int, payload: bytes = b"x", wall_ms: int = 0) -> Outcomes:
    token = call(
        world,
        lambda t: Propose(
            t, (Commands(session=session, first=seq, acked=0, wall_ms=wall_ms, payloads=(payload,)),)
        ),
    )
    outcome = world.outcomes[token]
    assert isinstance(outcome, Outcomes)
    return outcome
