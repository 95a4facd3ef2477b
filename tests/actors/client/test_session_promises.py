"""What holds for every call, whatever happens to its session."""

import random
from typing import Any

import pytest

from fleet.actors.client.endings import LINGER_MS
from fleet.actors.client.group_session import Event, GroupSession
from fleet.actors.client.session_events import (
    Abandoned,
    LinkLost,
    LinkMade,
    TurnEnded,
    Woken,
)
from fleet.actors.client.session_state import SILENCE_MS
from fleet.errors import (
    NoSuchGroup,
    Overloaded,
    TooLarge,
    Unavailable,
)
from fleet.objects.outcomes import Unsettled
from fleet.raft.sessions import DONE, EXPIRED, OUT_OF_ORDER, STALE
from tests.actors.client.talks import ME, SESSION, A, B, Talk, endpoints


def happen(talk: Talk, rng: random.Random) -> None:
    """Something that may happen, at any time or never."""
    numbers = rng.sample(range(1, 40), 6)
    match rng.randrange(6):
        case 0 | 1:
            talk.now += rng.choice([1, 40, SILENCE_MS, LINGER_MS // 3])
            talk.step(Woken())
        case 2:
            statuses = rng.choices([DONE, STALE, OUT_OF_ORDER, EXPIRED], [8, 1, 1, 1], k=6)
            talk.reply(*((seq, status, b"r") for seq, status in zip(numbers, statuses)))
            talk.answer(*((query, b"r") for query in numbers))
        case 3:
            talk.reply(opened=SESSION)
        case 4:
            kind = rng.choice([Unavailable, TooLarge, Overloaded, NoSuchGroup])
            fields: dict[str, Any] = {
                "queries": tuple(numbers),
                "number": rng.randint(1, talk.session.number + 1),
            }
            talk.refuse(kind("no"), *numbers, lost=rng.random() < 0.3, opens=rng.random() < 0.5, **fields)
        case 5:
            events: list[Event] = [LinkLost(A), LinkLost(B), LinkMade("a:1")]
            talk.step(rng.choice(events))


@pytest.mark.parametrize("seed", range(60))
def test_whatever_happens_each_call_is_told_once_and_late_only_if_it_was_unsettled(seed: int) -> None:
    rng = random.Random(seed)
    talk = Talk(GroupSession("g", "client", ME, endpoints("a:1", "b:1")))
    count = 0
    for _ in range(150):
        if rng.random() < 0.3:
            is_query, timeout_ms = rng.random() < 0.3, rng.choice([50, 700, 9000])
            talk.submit(b"%d" % count, is_query=is_query, timeout_ms=timeout_ms)
            count += 1
        happen(talk, rng)
        talk.step(TurnEnded())
    talk.step(Abandoned(Unavailable("the end")))
    assert sorted(talk.told) == sorted(b"%d" % number for number in range(count))
    assert all(len(told) == 1 for told in (*talk.told.values(), *talk.late.values()))
    unsettled = {payload for payload, (outcome,) in talk.told.items() if isinstance(outcome, Unsettled)}
    assert unsettled == set(talk.late)
