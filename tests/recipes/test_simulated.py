"""Each recipe keeps its promise while simulated nodes and clients fail, and a planted bug is found."""

from typing import Any
from unittest.mock import patch

import pytest

from fleet.errors import LeaseLost
from fleet.recipes import Locks
from fleet.recipes.lease import Lease, acquire, give_back, keep
from fleet.recipes.plans import Ask
from fleet.testing import Sim
from tests.recipes.party import Party
from tests.recipes.planted import PLANTED
from tests.recipes.uses import EPISODES, LocksEpisode

SEEDS = (1, 2, 3)
BUDGET = 20
FOUND_AT = {"ForgetsTime": 5, "CountsCalls": 5}
"""The seeds that found it last, where it was not the first: they are tried first."""


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", EPISODES)
def test_a_sample_of_seeds_holds(name: str, seed: int) -> None:
    EPISODES[name](seed).run()


def is_found(cls: type[Any]) -> bool:
    episode = EPISODES[PLANTED[cls]]
    for seed in (FOUND_AT.get(cls.__name__, 1), *range(1, BUDGET + 1)):
        try:
            episode(seed, cls).run()
        except AssertionError:
            return True
    return False


@pytest.mark.parametrize("cls", PLANTED, ids=lambda cls: cls.__name__)
def test_a_planted_bug_is_found(cls: type[Any]) -> None:
    assert is_found(cls)


def test_a_bug_is_planted_in_each_recipe() -> None:
    assert set(PLANTED.values()) == set(EPISODES)


def test_a_holder_that_counts_from_the_answer_is_found() -> None:
    """It believes in its lease for as long as the answer took too long."""

    def granted(self: Lease, asked_at: float) -> None:
        self.renew_at, self.over_at = self.clock() + self.ttl / 3, self.clock() + self.ttl

    with patch.object(Lease, "granted", granted), pytest.raises(AssertionError, match="acts at"):
        LocksEpisode(23).run()


def test_one_seed_is_one_history() -> None:
    def history() -> list[str]:
        episode = LocksEpisode(4)
        episode.run()
        return list(map(str, episode.party.told))

    assert history() == history()


class Store:
    """What a lock protects. It compares tokens."""

    def __init__(self) -> None:
        self.fence = 0

    def write(self, token: int) -> bool:
        self.fence = max(self.fence, token)
        return token == self.fence


def test_s53_a_holder_that_stood_still_is_refused_by_its_token() -> None:
    sim, store = Sim(seed=53), Store()
    party = Party(sim)
    first, second = (sim.group("g", Locks, client=name) for name in ("c1", "c2"))
    lease = Lease("report", 3.0, party.clock)
    party.begin("c1", acquire(first, Ask(first.acquire, ()), lease, 1, 5.0))
    assert party.run(5, lambda: lease.is_held)
    keeping = party.begin("c1", keep(first, lease))
    party.run(10)
    assert lease.is_held and store.write(lease.token), "it is renewed"

    keeping.freeze(10)
    other = Lease("report", 3.0, party.clock)
    party.begin("c2", acquire(second, Ask(second.acquire, ()), other, 1, 10.0))
    assert party.run(4.5, lambda: other.is_held), "its time is over, and the lock is granted again"
    assert other.token > lease.token and store.write(other.token)
    assert not store.write(lease.token), "what it writes late is refused"
    with pytest.raises(LeaseLost, match="could not be renewed for 3.0 s"):
        lease.check()
    lease.over_at = party.clock() + 1  # as one that looks at no clock
    with pytest.raises(LeaseLost, match="not held with token 1"):
        party.begin("c1", give_back(first, lease))
        party.run(2)
    assert other.token in second.seen("report"), "it gave back nothing of the other's"
