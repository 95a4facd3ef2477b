"""What a test asks of a group in passing: each call is given a moment, and its answer taken."""

from collections.abc import Callable
from typing import Any

from fleet.objects.applier import Opened, Outcome
from fleet.raft.entries import Command, SessionOpened
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


def do(world: World, session: int, seq: int, payload: bytes = b"x", wall_ms: int = 0) -> Outcome:
    token = call(
        world,
        lambda t: Propose(t, (Command(session=session, seq=seq, acked=0, wall_ms=wall_ms, payload=payload),)),
    )
    outcome = world.outcomes[token]
    assert isinstance(outcome, Outcome)
    return outcome
